//! References to Hugging Face: links, `hf:…`, `hf://…`, `owner/repo:path` and `owner/repo@revision:path`.

use percent_encoding::percent_decode_str;

use super::{Reference, RepoFile, refused, shown};
use crate::error::Invalid;

/// The site's names.
pub(super) const HOSTS: [&str; 3] = ["huggingface.co", "www.huggingface.co", "hf.co"];
/// Path parts that end the repository's name in a link.
const MARKERS: [&str; 6] = ["resolve", "blob", "raw", "tree", "blame", "commits"];
/// The longest name of an owner or a repository.
const MAX_NAME: usize = 96;
/// The longest revision or path.
const MAX_PATH: usize = 1024;

/// The forms without a host; `None` when it is none of them.
pub(super) fn short_form(text: &str) -> Option<Result<Reference, Invalid>> {
    for prefix in ["hf://", "hf:"] {
        if let Some(rest) = text.strip_prefix(prefix) {
            return Some(below_scheme(rest));
        }
    }
    repo_and_path(text)
}

/// `owner/repo[@revision]/path`.
fn below_scheme(text: &str) -> Result<Reference, Invalid> {
    let text = text.strip_prefix("models/").unwrap_or(text);
    if let Some(reference) = repo_and_path(text) {
        return reference;
    }
    let mut parts = text.splitn(3, '/');
    let (owner, name, path) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    refuse_other_kinds(owner)?;
    let Some(name) = name else { return Err(malformed(text)) };
    let (name, revision) = match name.split_once('@') {
        Some((name, revision)) => (name, Some(decoded(revision)?)),
        None => (name, None),
    };
    located(format!("{owner}/{name}"), revision, path.unwrap_or_default().to_owned())
}

/// `owner/repo:path` and `owner/repo@revision:path`; `None` when the text has another shape.
fn repo_and_path(text: &str) -> Option<Result<Reference, Invalid>> {
    let (head, path) = text.split_once(':')?;
    let (repo, revision) = match head.split_once('@') {
        Some((repo, revision)) => (repo, Some(revision.to_owned())),
        None => (head, None),
    };
    if repo.matches('/').count() != 1 || path.starts_with("//") {
        return None;
    }
    let path = path.to_owned();
    Some(if path.is_empty() { Err(malformed(text)) } else { located(repo.to_owned(), revision, path) })
}

/// A link's path: `/{repo}/{marker}/{revision}/{path}`, `/{repo}`, or the same below `/api/models`.
pub(super) fn link(path: &str) -> Result<Reference, Invalid> {
    let parts: Vec<String> =
        path.split('/').filter(|part| !part.is_empty()).map(decoded).collect::<Result<_, _>>()?;
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let parts = match parts.as_slice() {
        ["api", "resolve-cache", "models", owner, name, commit, rest @ ..] => {
            return located(format!("{owner}/{name}"), Some((*commit).to_owned()), rest.join("/"));
        }
        ["api", "models", rest @ ..] | ["models", rest @ ..] | rest => rest,
    };
    refuse_other_kinds(parts.first().copied().unwrap_or_default())?;
    // A repository's name has one or two parts, so the marker is the second or the third.
    let marker = parts.iter().take(3).skip(1).position(|part| MARKERS.contains(part)).map(|at| at + 1);
    match (marker, parts) {
        (Some(at), parts) => {
            let revision = parts.get(at + 1).map(|revision| (*revision).to_owned());
            located(parts[..at].join("/"), revision, parts.get(at + 2..).unwrap_or_default().join("/"))
        }
        (None, [owner, name]) => located(format!("{owner}/{name}"), None, String::new()),
        _ => Err(malformed(path)),
    }
}

fn refuse_other_kinds(first: &str) -> Result<(), Invalid> {
    if matches!(first, "datasets" | "spaces") {
        let message = format!("only model repositories are fetched from, and `{first}/…` is none");
        return Err(refused("unknown_reference", message));
    }
    Ok(())
}

/// Judges the parts; what lacks an ending is a folder.
fn located(repo: String, revision: Option<String>, path: String) -> Result<Reference, Invalid> {
    let is_fine = repo.split('/').all(is_repo_part)
        && revision.as_deref().is_none_or(is_revision)
        && (path.is_empty() || is_path(&path));
    if !is_fine {
        let place = if path.is_empty() { repo } else { format!("{repo}:{path}") };
        return Err(refused(
            "unsafe_reference",
            format!(
                "`{}` is not a name that a Hugging Face repository can have; copy the file's link",
                shown(&place)
            ),
        ));
    }
    let last = path.rsplit('/').next().unwrap_or_default();
    Ok(if last.contains('.') {
        Reference::HuggingFaceFile(RepoFile { repo, revision, path })
    } else {
        Reference::HuggingFaceFolder { repo, revision, folder: path }
    })
}

fn is_repo_part(part: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=MAX_NAME).contains(&part.len())
        && part.bytes().all(allowed)
        && !part.starts_with(['-', '.'])
        && !part.ends_with(['-', '.'])
        && !part.contains("..")
}

/// Branches may hold slashes (`refs/pr/1`); nothing in them may leave the address.
fn is_revision(revision: &str) -> bool {
    (1..=MAX_PATH).contains(&revision.len()) && revision.split('/').all(is_path_part)
}

fn is_path(path: &str) -> bool {
    path.len() <= MAX_PATH && path.split('/').all(is_path_part)
}

fn is_path_part(part: &str) -> bool {
    !part.is_empty() && part != "." && part != ".." && !part.contains(|c: char| c.is_control() || c == '\\')
}

fn decoded(part: &str) -> Result<String, Invalid> {
    percent_decode_str(part).decode_utf8().map(std::borrow::Cow::into_owned).map_err(|_| malformed(part))
}

fn malformed(text: &str) -> Invalid {
    refused(
        "unknown_reference",
        format!(
            "`{}` names no file of a Hugging Face repository; write `owner/repo:path` or copy the file's link",
            shown(text)
        ),
    )
}
