//! References to CivitAI: links, `civitai:…` and AIR.

use url::Url;

use super::{Reference, id, refused, shown};
use crate::error::Invalid;

/// The sites; one catalog behind all of them.
pub(super) const HOSTS: [&str; 6] = [
    "civitai.com",
    "www.civitai.com",
    "civitai.red",
    "www.civitai.red",
    "civitai.green",
    "www.civitai.green",
];
/// Where pictures are delivered from.
const IMAGE_HOSTS: [&str; 3] = ["image.civitai.com", "image.civitai.red", "image.civitai.green"];

/// `civitai:VERSION`, `civitai:MODEL@VERSION`, `urn:air:…` and `air:…`; `None` when it is none of them.
pub(super) fn short_form(text: &str) -> Option<Result<Reference, Invalid>> {
    if let Some(rest) = strip_prefix(text, "civitai:") {
        return Some(from_ids(rest).ok_or_else(|| {
            refused(
                "unknown_reference",
                format!(
                    "`{}` is not a CivitAI id; write `civitai:VERSION` or `civitai:MODEL@VERSION`",
                    shown(text)
                ),
            )
        }));
    }
    let air = strip_prefix(text, "urn:air:").or_else(|| strip_prefix(text, "air:"))?;
    Some(from_air(air, text))
}

fn strip_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

/// `VERSION`, `MODEL@VERSION` or `MODEL@VERSION+FILE`.
fn from_ids(text: &str) -> Option<Reference> {
    let (ids, file) = match text.split_once('+') {
        Some((ids, file)) => (ids, Some(id(file)?)),
        None => (text, None),
    };
    let (model_id, version) = match ids.split_once('@') {
        Some((model, version)) => (Some(id(model)?), version),
        None => (None, ids),
    };
    Some(Reference::CivitaiVersion { version_id: id(version)?, file_id: file, model_id })
}

/// `{ecosystem}:{type}:{source}:{id}[@{version}][+{file}][:{layer}][.{format}]`.
fn from_air(air: &str, text: &str) -> Result<Reference, Invalid> {
    let malformed = || {
        refused(
            "unknown_reference",
            format!(
                "`{}` is not an AIR; one looks like `urn:air:sdxl:lora:civitai:MODEL@VERSION`",
                shown(text)
            ),
        )
    };
    let mut parts = air.splitn(5, ':');
    let (_ecosystem, _type) = (parts.next().ok_or_else(malformed)?, parts.next().ok_or_else(malformed)?);
    let source = parts.next().ok_or_else(malformed)?;
    if !source.eq_ignore_ascii_case("civitai") {
        let message = format!(
            "AIRs of `{}` cannot be resolved; only those of `civitai` can, for others give the link of the file",
            shown(source)
        );
        return Err(refused("unknown_reference", message));
    }
    let ids = parts.next().ok_or_else(malformed)?;
    let ids = ids.split('.').next().unwrap_or(ids);
    let model_only = || id(ids).map(|model_id| Reference::CivitaiModel { model_id });
    let reference = if ids.contains('@') { from_ids(ids) } else { model_only() };
    reference.ok_or_else(malformed)
}

/// A link to one of the sites, its path given.
pub(super) fn link(url: &Url, path: &str) -> Result<Reference, Invalid> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let parts = if parts.starts_with(&["api", "v1"]) { &parts[2..] } else { &parts[..] };
    let file_id = query(url, "fileId");
    let version = |version_id| Reference::CivitaiVersion { version_id, file_id, model_id: None };
    let found = match parts {
        ["api", "download", "models", version_id, ..] | ["model-versions", version_id, ..] => {
            id(version_id).map(version)
        }
        ["models", model_id, ..] => id(model_id).map(|model_id| match query(url, "modelVersionId") {
            Some(version_id) => Reference::CivitaiVersion { version_id, file_id, model_id: Some(model_id) },
            None => Reference::CivitaiModel { model_id },
        }),
        ["images" | "posts", ..] => return Err(image(url)),
        _ => None,
    };
    found.ok_or_else(|| {
        refused(
            "unknown_reference",
            format!(
                "`{}` on CivitAI names no model; open the model and copy its link (`/models/NUMBER`)",
                shown(path)
            ),
        )
    })
}

fn query(url: &Url, name: &str) -> Option<u64> {
    url.query_pairs().find(|(key, _)| key == name).and_then(|(_, value)| id(&value))
}

/// Whether pictures are delivered from this host.
pub(super) fn is_image_host(url: &Url) -> bool {
    url.host_str().is_some_and(|host| IMAGE_HOSTS.contains(&host.trim_end_matches('.')))
}

/// What is said of pictures.
pub(super) fn image(url: &Url) -> Invalid {
    refused(
        "image_reference",
        format!(
            "`{}` is a picture and not a model file; give the link of one of the models that are named beside it \
             (pictures are fetched into the gallery)",
            shown(url.path())
        ),
    )
}
