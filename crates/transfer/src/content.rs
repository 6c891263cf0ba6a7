//! Tells pages and pointers from model files by how they begin.

use http::{HeaderMap, header};
use url::Url;

use crate::error::TransferError;
use crate::masked_url::MaskedUrl;

/// Says what a body is that is plainly no model file.
pub(crate) fn not_a_model(url: &Url, headers: &HeaderMap, start: &[u8]) -> Option<TransferError> {
    let start = &start[..start.len().min(16 * 1024)];
    let text = String::from_utf8_lossy(start);
    let trimmed = text.trim_start_matches('\u{feff}').trim_start();
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let what = if is_html(trimmed, kind) {
        "an HTML page"
    } else if trimmed.starts_with("version https://git-lfs.github.com/spec/") {
        "a Git LFS pointer"
    } else {
        return None;
    };
    Some(TransferError::NotAModel { url: MaskedUrl::new(url), what, title: title(&text) })
}

fn is_html(text: &str, kind: &str) -> bool {
    let begins =
        |prefix: &str| text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    let declared = kind.trim_start().to_ascii_lowercase().starts_with("text/html");
    begins("<!doctype html") || begins("<html") || (declared && text.starts_with('<'))
}

fn title(text: &str) -> Option<String> {
    // ASCII case folding keeps byte positions.
    let folded = text.to_ascii_lowercase();
    let start = folded.find("<title")?;
    let start = start + folded[start..].find('>')? + 1;
    let end = start + folded[start..].find("</title")?;
    let title: String = text[start..end].split_whitespace().collect::<Vec<_>>().join(" ");
    let title: String = title.chars().filter(|character| !character.is_control()).take(120).collect();
    (!title.is_empty()).then_some(title)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(kind: &str, body: &[u8]) -> Option<(&'static str, Option<String>)> {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, kind.parse().unwrap())]);
        match not_a_model(&Url::parse("https://a.example/x").unwrap(), &headers, body)? {
            TransferError::NotAModel { what, title, .. } => Some((what, title)),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn pages_are_known_by_their_beginning_whatever_they_are_declared_as() {
        let page = b"\n<!DOCTYPE HTML><head><TITLE lang=en> Log in \n now </title></head>";
        let expected = Some(("an HTML page", Some("Log in now".to_owned())));
        assert_eq!(verdict("application/octet-stream", page), expected);
        assert_eq!(verdict("text/html; charset=utf-8", b"<div>x</div>"), Some(("an HTML page", None)));
    }

    #[test]
    fn pointers_are_known_and_models_pass() {
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n";
        assert_eq!(verdict("text/plain", pointer), Some(("a Git LFS pointer", None)));
        assert_eq!(verdict("text/html", b"\x10\0\0\0\0\0\0\0{\"a\":1}"), None);
        assert_eq!(verdict("application/octet-stream", b""), None);
    }
}
