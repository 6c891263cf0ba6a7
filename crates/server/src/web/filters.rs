//! How templates write values: icons, sizes, times.
#![expect(
    unreachable_pub,
    clippy::inline_always,
    clippy::unused_self,
    clippy::trivially_copy_pass_by_ref,
    clippy::unnecessary_wraps,
    reason = "the macro that makes filters asks for this shape"
)]

use askama::filters::HtmlSafeOutput;
use askama::{Result, Values};
use chrono::{DateTime, Utc};

use lorakeep_registry::CandidateFile;

use super::assets;

/// An icon of the sheet; it says nothing to a screen reader, the text beside it does.
#[askama::filter_fn]
pub(super) fn icon(name: &str, _: &dyn Values) -> Result<HtmlSafeOutput<String>> {
    let sheet = assets::address("icons.svg");
    Ok(HtmlSafeOutput(format!(
        "<svg class=\"icon-svg\" aria-hidden=\"true\"><use href=\"{sheet}#{name}\"/></svg>"
    )))
}

/// Bytes as people read them, in powers of 1024.
#[askama::filter_fn]
pub(super) fn bytes(count: &u64, _: &dyn Values) -> Result<String> {
    Ok(size(*count))
}

/// A time as the day and the minute, in UTC; machines find the exact one beside it.
#[askama::filter_fn]
pub(super) fn time(at: &DateTime<Utc>, _: &dyn Values) -> Result<HtmlSafeOutput<String>> {
    let (exact, shown) = (at.to_rfc3339(), at.format("%Y-%m-%d %H:%M"));
    Ok(HtmlSafeOutput(format!("<time datetime=\"{exact}\">{shown}</time>")))
}

/// The body that adds a file of a source.
#[askama::filter_fn]
pub(super) fn add_body(file: &CandidateFile, _: &dyn Values) -> Result<String> {
    Ok(serde_json::json!({ "reference": file.reference }).to_string())
}

/// A limit as a field of a form takes it, MiB with two digits; empty without a limit.
pub(super) fn mebibytes(limit: Option<u64>) -> String {
    let shown = |bytes: u64| (bytes as f64 / f64::from(1 << 20) * 100.0).round() / 100.0;
    limit.map(|bytes| shown(bytes).to_string()).unwrap_or_default()
}

/// `12.3 GiB`: one digit below 100, none above.
pub(super) fn size(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (count as f64, 0);
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && value < 100.0);
    format!("{value:.digits$} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short_and_in_powers_of_1024() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (6_938_041_346, "6.5 GiB"),
            (200 << 20, "200 MiB"),
        ];
        for (count, shown) in cases {
            assert_eq!(size(count), shown);
        }
    }
}
