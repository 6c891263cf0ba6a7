//! The fields of an entry in the lists: those that existing clients expect, then all others of its document.

use lorakeep_registry::config::{Config, UpstreamConfig};
use lorakeep_registry::domain::{Entry, EntryDocument, Origin};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::ser::SerializeMap;

/// What stands for an absent (or null) field.
#[derive(Debug, Clone, Copy)]
enum Absent {
    Text,
    Null,
    Zero,
    List,
}

/// Fields that are answered as the document has them, in the contract's order.
const PLAIN: [(&str, Absent); 23] = [
    ("source", Absent::Text),
    ("size_gb", Absent::Zero),
    ("hf_repo", Absent::Text),
    ("hf_file", Absent::Text),
    ("civitai_model_id", Absent::Null),
    ("civitai_file_id", Absent::Null),
    ("civitai_base_model", Absent::Text),
    ("civitai_version", Absent::Text),
    ("civitai_model_name", Absent::Text),
    ("civitai_tags", Absent::List),
    ("trainedWords", Absent::List),
    ("tags", Absent::List),
    ("trigger_words", Absent::List),
    ("author", Absent::Text),
    ("images", Absent::List),
    ("pair_id", Absent::Null),
    ("pair_role", Absent::Null),
    ("quant", Absent::Text),
    ("params", Absent::Text),
    ("context_length", Absent::Zero),
    ("context_default", Absent::Zero),
    ("context_max", Absent::Zero),
    ("companions", Absent::List),
];

/// Fields that are written before the others; a document cannot set them twice.
const FIRST: [&str; 8] =
    ["name", "file", "dest", "url", "civitai_version_id", "base_model", "catalog", "category"];
/// Fields that say how the file stands; no document says that.
pub(super) const STATE: [&str; 9] = [
    "status",
    "state",
    "progress",
    "on_disk_bytes",
    "expected_bytes",
    "speed",
    "error",
    "verification",
    "sha256_on_disk",
];

/// Path segments keep what RFC 3986 calls unreserved.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Writes all fields that come from the catalog but those that were `written` before. `url` is its download address.
pub(super) fn write<M: SerializeMap>(
    map: &mut M,
    entry: &Entry,
    url: &str,
    written: &[&str],
) -> Result<(), M::Error> {
    let document = &entry.document;
    map.serialize_entry("name", document.text("name"))?;
    map.serialize_entry("file", entry.file())?;
    map.serialize_entry("dest", entry.dest())?;
    map.serialize_entry("url", url)?;
    map.serialize_entry("civitai_version_id", &version_id(document))?;
    map.serialize_entry("base_model", document.base_model())?;
    let mut plain = 0;
    for (field, absent) in PLAIN {
        plain += usize::from(write_plain(map, document, field, absent)?);
    }
    let known = plain + FIRST.iter().chain(&STATE).filter(|field| document.contains(field)).count();
    if known < document.len() { write_others(map, document, written) } else { Ok(()) }
}

/// Whether the document had the field.
fn write_plain<M: SerializeMap>(
    map: &mut M,
    document: &EntryDocument,
    field: &'static str,
    absent: Absent,
) -> Result<bool, M::Error> {
    let found = document.get(field);
    match (found.filter(|value| !value.is_null()), absent) {
        (Some(value), _) => map.serialize_entry(field, &value)?,
        (None, Absent::Text) => map.serialize_entry(field, "")?,
        (None, Absent::Null) => map.serialize_entry(field, &())?,
        (None, Absent::Zero) => map.serialize_entry(field, &0)?,
        (None, Absent::List) => map.serialize_entry(field, &[(); 0])?,
    }
    Ok(found.is_some())
}

/// Fields that this program does not know, kept as they are.
fn write_others<M: SerializeMap>(
    map: &mut M,
    document: &EntryDocument,
    written: &[&str],
) -> Result<(), M::Error> {
    let is_known = |field: &str| {
        PLAIN.iter().any(|(known, _)| *known == field)
            || FIRST.contains(&field)
            || STATE.contains(&field)
            || written.contains(&field)
    };
    for (field, value) in document.iter().filter(|(field, _)| !is_known(field)) {
        map.serialize_entry(field, &value)?;
    }
    Ok(())
}

/// The version id as text (decision 4); null when there is none.
fn version_id(document: &EntryDocument) -> Option<String> {
    let value = document.get("civitai_version_id")?;
    let text = value.as_str().map(str::trim).filter(|text| !text.is_empty());
    text.map(str::to_owned).or_else(|| value.as_number().map(ToString::to_string))
}

/// Where a browser would get the file, from the configured upstreams; empty when the entry has no origin.
pub(super) fn download_url(document: &EntryDocument, config: &Config) -> String {
    let base = |upstream: &UpstreamConfig| upstream.url.as_str().trim_end_matches('/').to_owned();
    match document.origin() {
        None => String::new(),
        Some(Origin::Civitai { version_id, .. }) => {
            format!("{}/api/download/models/{version_id}", base(&config.civitai))
        }
        Some(Origin::HuggingFace { repo, file, revision }) => {
            let revision = encoded(revision.as_deref().unwrap_or("main"));
            let (base, repo) = (base(&config.huggingface), encoded(&repo));
            format!("{base}/{repo}/resolve/{revision}/{}", encoded(&file))
        }
        Some(Origin::Url(url)) => url,
    }
}

/// The path with each segment encoded.
fn encoded(path: &str) -> String {
    let segments = path.split('/').map(|segment| utf8_percent_encode(segment, SEGMENT).to_string());
    segments.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use lorakeep_registry::config::ConfigFlags;

    use super::*;

    fn url(document: Value, environment: &[(&str, &str)]) -> String {
        let Value::Object(fields) = document else { panic!("{document} is not an entry") };
        let env = |name: &str| environment.iter().find(|pair| pair.0 == name).map(|pair| pair.1.to_owned());
        let config = Config::load(&ConfigFlags::default(), &env).unwrap();
        download_url(&EntryDocument::from(fields), &config)
    }

    #[test]
    fn the_address_follows_the_origin() {
        let cases = [
            (serde_json::json!({}), ""),
            (serde_json::json!({"url": "https://a.example/x"}), "https://a.example/x"),
            (
                serde_json::json!({"civitai_version_id": "9208"}),
                "https://civitai.com/api/download/models/9208",
            ),
            (
                serde_json::json!({"hf_repo": "o/r", "hf_file": "a b/c,d.safetensors"}),
                "https://huggingface.co/o/r/resolve/main/a%20b/c%2Cd.safetensors",
            ),
        ];
        for (document, expected) in cases {
            assert_eq!(url(document, &[]), expected);
        }
    }

    #[test]
    fn the_address_leads_to_the_configured_upstreams() {
        let mirrors =
            [("LORAKEEP_CIVITAI_URL", "http://localhost:1/c/"), ("HF_ENDPOINT", "https://mirror.example")];
        let civitai = serde_json::json!({"civitai_version_id": 9208});
        assert_eq!(url(civitai, &mirrors), "http://localhost:1/c/api/download/models/9208");
        let hub = serde_json::json!({"hf_repo": "o/r", "hf_file": "a.pt"});
        assert_eq!(url(hub, &mirrors), "https://mirror.example/o/r/resolve/main/a.pt");
    }
}
