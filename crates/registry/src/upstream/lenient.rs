//! Reading JSON whose shape changes over time: what is missing or of another type counts as absent.

use serde_json::Value;

/// The text of a field when there is one that is not blank.
pub(crate) fn text(value: &Value, field: &str) -> Option<String> {
    value.get(field).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// A whole number that may be written as number or as string.
pub(crate) fn whole(value: &Value, field: &str) -> Option<u64> {
    match value.get(field)? {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A number that is finite and not negative.
pub(crate) fn amount(value: &Value, field: &str) -> Option<f64> {
    value.get(field).and_then(Value::as_f64).filter(|number| number.is_finite() && *number >= 0.0)
}

/// Whether a field is `true`.
pub(crate) fn flag(value: &Value, field: &str) -> bool {
    value.get(field).and_then(Value::as_bool).unwrap_or_default()
}

/// The elements of an array field.
pub(crate) fn list<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value.get(field).and_then(Value::as_array).into_iter().flatten()
}

/// The texts of an array field, blank ones passed over.
pub(crate) fn texts(value: &Value, field: &str) -> Vec<String> {
    list(value, field)
        .filter_map(Value::as_str)
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
        .collect()
}

/// 64 hexadecimal digits in lower case; anything else counts as absent.
pub(crate) fn sha256(value: &Value, field: &str) -> Option<String> {
    let text = text(value, field)?.to_ascii_lowercase();
    (text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(text)
}
