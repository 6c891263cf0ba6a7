//! Validators: whether a client holds already what it asks for.

use http::header::IF_NONE_MATCH;
use http::{HeaderMap, HeaderValue};

/// Keep it, and ask whether it is still right.
pub(crate) const REVALIDATE: HeaderValue = HeaderValue::from_static("private, no-cache");

/// Whether the client holds these bytes already (RFC 9110 section 13.1.2: compared weakly).
pub(crate) fn is_known(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let Ok(etag) = etag.to_str() else { return false };
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    known
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|candidate| candidate == "*" || candidate.strip_prefix("W/").unwrap_or(candidate) == etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_validator_is_recognised_in_all_its_forms() {
        let etag = HeaderValue::from_static("\"a-1\"");
        let is_known = |value: &'static str| {
            is_known(&HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_static(value))]), &etag)
        };
        for value in ["\"a-1\"", "W/\"a-1\"", "\"x\", \"a-1\"", "*"] {
            assert!(is_known(value), "{value}");
        }
        for value in ["\"a-2\"", "a-1", ""] {
            assert!(!is_known(value), "{value}");
        }
    }
}
