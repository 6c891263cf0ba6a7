//! Answers by gzip, for clients that take it.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::HeaderMap;
use http::header::ACCEPT_ENCODING;

/// Shorter bodies are not worth packing, bytes.
pub(crate) const WORTH_PACKING: usize = 1024;

/// Whether a client takes gzip (RFC 9110 section 12.5.3; a weight of 0 means no).
pub(crate) fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        name.trim() == "gzip" && !matches!(weight.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
    })
}

/// `bytes` by gzip; levels are 1 (fast) to 9 (small).
pub(crate) fn gzip(bytes: &[u8], level: u32) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::new(level));
    encoder.write_all(bytes).expect("a vector takes every byte");
    encoder.finish().expect("a vector takes every byte").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        let takes = |value: &'static str| {
            takes_gzip(&HeaderMap::from_iter([(ACCEPT_ENCODING, value.parse().expect("a value"))]))
        };
        for value in ["gzip", "br, gzip", "gzip;q=0.5, br"] {
            assert!(takes(value), "{value}");
        }
        for value in ["", "br", "gzip;q=0", "xgzip"] {
            assert!(!takes(value), "{value}");
        }
    }
}
