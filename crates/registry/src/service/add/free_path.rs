//! A path that no other file has: decision 1, for whatever an entry comes from.

use std::sync::Arc;

use crate::domain::{Entry, ModelFolder, ModelPath, SafeName, Sha256};
use crate::error::{Error, Result};
use crate::library::Library;

/// What an entry is to be kept as.
pub(in crate::service) struct Wish<'a> {
    /// Its folder.
    pub(in crate::service) folder: &'a ModelFolder,
    /// Its name, if that is free.
    pub(in crate::service) name: &'a SafeName,
    /// What is put before the ending otherwise, in order; always the same for the same source.
    pub(in crate::service) suffixes: &'a [String],
    /// The content, as far as it is known.
    pub(in crate::service) sha256: Option<Sha256>,
}

/// What was found.
pub(in crate::service) enum Place {
    /// The catalog has this very file.
    Taken(Arc<Entry>),
    /// Nothing else has this path.
    Free(ModelPath),
}

/// Chooses a path: the wished one, else one with a suffix; none beside a twin, which some file systems take for it.
/// `is_same` knows an entry that is the same file.
///
/// `Conflict` (`exists`) when all are taken.
pub(in crate::service) fn free_path(
    library: &Library,
    wish: &Wish<'_>,
    is_same: impl Fn(&Entry) -> bool,
) -> Result<Place> {
    let plain = std::iter::once(Ok(wish.name.clone()));
    let suffixed = wish.suffixes.iter().map(|suffix| suffixed(wish.name, suffix));
    for name in plain.chain(suffixed) {
        let path = ModelPath { folder: wish.folder.clone(), file: name? };
        match library.entries_at(&path).first() {
            Some(entry) if is_same(entry) => return Ok(Place::Taken(Arc::clone(entry))),
            Some(_) => {}
            None if is_another_file(library, &path, wish.sha256) => {}
            None if library.twin_of(&path).is_some() => {}
            None => return Ok(Place::Free(path)),
        }
    }
    let path = ModelPath { folder: wish.folder.clone(), file: wish.name.clone() };
    let message = format!("`{path}` belongs to another file; choose another `file` or `dest`");
    Err(Error::conflict("exists", message))
}

/// The upstream's name when it is safe, else the harmless one that the judge suggests, else the fallback.
pub(in crate::service) fn judged_name(name: &str, fallback: &str) -> Result<SafeName> {
    let name = if name.is_empty() { fallback } else { name };
    SafeName::parse("file", name)
        .or_else(|refused| SafeName::parse("file", refused.suggestion.as_deref().unwrap_or(fallback)))
        .map_err(Error::from)
}

/// `name.suffix.extension`.
fn suffixed(name: &SafeName, suffix: &str) -> Result<SafeName> {
    let text = match name.as_str().rsplit_once('.') {
        Some((stem, extension)) => format!("{stem}.{suffix}.{extension}"),
        None => format!("{name}.{suffix}"),
    };
    judged_name(&text, &text)
}

/// Whether an unlisted file that is known to be another one lies at the path.
fn is_another_file(library: &Library, path: &ModelPath, wanted: Option<Sha256>) -> bool {
    let on_disk = library.file(path).and_then(|fact| fact.sha256);
    on_disk.is_some_and(|on_disk| wanted.is_some_and(|wanted| wanted != on_disk))
}
