//! Slugs: the names of styles in addresses.

use crate::error::{Invalid, Result};

/// Longest slug, characters.
const MAX_CHARACTERS: usize = 80;
/// How many numbered forms of a slug are tried.
const NUMBERED: u32 = 9;

/// A slug that somebody chose: small letters and digits, with single hyphens between.
pub fn parse_slug(text: &str) -> Result<String> {
    let text = text.trim();
    if !text.is_empty() && text == folded(text) {
        return Ok(text.to_owned());
    }
    let message = format!(
        "the slug `{}` must be 1 to {MAX_CHARACTERS} small letters a-z and digits, with single hyphens between",
        text.chars().take(MAX_CHARACTERS).collect::<String>()
    );
    let suggestion = Some(folded(text)).filter(|slug| !slug.is_empty());
    Err(Invalid { code: "bad_slug", field: "slug".to_owned(), message, suggestion }.into())
}

/// Slugs that fit a name, the best first; `ending` tells the last one from all others.
pub fn slug_candidates(name: &str, ending: &str) -> Vec<String> {
    let slug = Some(folded(name)).filter(|slug| !slug.is_empty()).unwrap_or_else(|| "style".to_owned());
    let numbered = (2..=NUMBERED).map(|number| with_ending(&slug, &number.to_string()));
    let last = with_ending(&slug, &ending.to_ascii_lowercase());
    std::iter::once(slug.clone()).chain(numbered).chain([last]).collect()
}

fn with_ending(slug: &str, ending: &str) -> String {
    let room = MAX_CHARACTERS - ending.len() - 1;
    format!("{}-{ending}", slug[..slug.len().min(room)].trim_end_matches('-'))
}

/// Letters and digits of ASCII in small letters, everything else as one hyphen between.
fn folded(text: &str) -> String {
    let mut slug = String::new();
    for character in text.chars() {
        if character.is_ascii_alphanumeric() {
            slug.push(character.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') && character != '\'' {
            slug.push('-');
        }
        if slug.len() == MAX_CHARACTERS {
            break;
        }
    }
    slug.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_follows_from_a_name() {
        let first = |name: &str| slug_candidates(name, "X1").remove(0);
        assert_eq!(first("Golden Hour Photography"), "golden-hour-photography");
        assert_eq!(first("  Ghibli's -- Dream (v2)! "), "ghiblis-dream-v2");
        assert_eq!(first("水彩"), "style");
        assert_eq!(first(&"long ".repeat(40)).len(), 79);
        let all = slug_candidates("Ink", "X1YZ");
        assert_eq!((all[1].as_str(), all.last().map(String::as_str)), ("ink-2", Some("ink-x1yz")));
        let long = slug_candidates(&"a".repeat(100), "X1YZ");
        assert!(long.iter().all(|slug| slug.len() <= MAX_CHARACTERS && parse_slug(slug).is_ok()), "{long:?}");
    }

    #[test]
    fn a_chosen_slug_is_plain_or_refused_with_one_that_is() {
        assert_eq!(parse_slug(" golden-hour2 ").expect("good"), "golden-hour2");
        for wrong in ["Golden", "a--b", "-a", "a-", "a_b", "a/b", "..", "ä", "", &"a".repeat(81)] {
            assert_eq!(parse_slug(wrong).expect_err(wrong).code(), "bad_slug", "{wrong}");
        }
        let refused = parse_slug("Golden Hour").expect_err("refused").to_string();
        assert!(refused.ends_with("; try `golden-hour`"), "{refused}");
    }
}
