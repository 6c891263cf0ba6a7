//! Text out of HTML that strangers wrote: for reading, never for a page's markup.

/// The text of some HTML: no tags, entities decoded, white space as single spaces, at most `limit` characters.
pub fn plain_text(html: &str, limit: usize) -> String {
    let mut text = String::new();
    let mut rest = html;
    while let Some(open) = rest.find('<') {
        text.push_str(&rest[..open]);
        // Words of two paragraphs must not grow together.
        text.push(' ');
        rest = match rest[open..].find('>') {
            Some(close) => &rest[open + close + 1..],
            None => "",
        };
    }
    text.push_str(rest);
    let words = decoded(&text).split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().take(limit).collect::<String>().trim_end().to_owned()
}

/// The entities that editors write; `&amp;` comes last, so that nothing is decoded twice.
fn decoded(text: &str) -> String {
    const ENTITIES: [(&str, &str); 7] = [
        ("&nbsp;", " "),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&apos;", "'"),
        ("&amp;", "&"),
    ];
    ENTITIES.iter().fold(text.to_owned(), |text, (entity, plain)| text.replace(entity, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_go_and_entities_are_read() {
        assert_eq!(plain_text("<p>Soft&nbsp;ink</p><p>A &amp; B &lt;3</p>", 100), "Soft ink A & B <3");
        assert_eq!(plain_text("cut inside <a href=\"x", 100), "cut inside");
        assert_eq!(plain_text("&amp;lt;", 100), "&lt;", "not decoded twice");
        assert_eq!(plain_text("<b>ä ö ü</b>", 3), "ä ö");
    }
}
