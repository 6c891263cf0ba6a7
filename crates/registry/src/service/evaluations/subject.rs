//! From what a request calls a file to a file of the library, and to its hash.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::live::LiveEvaluation;
use crate::domain::{CatalogName, FileFact, ModelPath, Sha256};
use crate::error::{Error, Result, Thing};
use crate::files::stamp_at;
use crate::service::Registry;
use crate::service::uploads::LORAS;
use crate::service::verification::hash_at_rest;

/// The largest file that is evaluated, bytes.
pub(super) const MAX_FILE_BYTES: u64 = 4 << 30;

/// A file of an evaluation, as its row keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Subject {
    /// What the request called it.
    pub(crate) asked: String,
    /// Path below the models root.
    pub(crate) path: String,
    /// Length in bytes.
    pub(crate) size_bytes: u64,
    /// The content's hash, as soon as it is known.
    pub(crate) sha256: Option<String>,
    /// Under which options its report is kept, as soon as it is.
    pub(crate) options: Option<String>,
    /// Whether the report was there before.
    pub(crate) is_known: bool,
    /// Why there is no report.
    pub(crate) error: Option<String>,
}

impl Subject {
    /// Its file name.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit_once('/').map_or(self.path.as_str(), |(_, name)| name)
    }

    pub(crate) fn model_path(&self) -> Result<ModelPath> {
        Ok(ModelPath::parse_relative("files", &self.path)?)
    }
}

impl Registry {
    /// The file of that SHA-256, partial path, path below the models root, or name in the catalog, in this order.
    ///
    /// `NotFound` when no file on disk is called so, `TooLarge` above [`MAX_FILE_BYTES`].
    pub(crate) fn subject(&self, asked: &str) -> Result<Subject> {
        let (path, size_bytes) =
            self.file_called(asked).ok_or_else(|| Error::not_found(Thing::File, asked))?;
        if size_bytes > MAX_FILE_BYTES {
            let most = MAX_FILE_BYTES >> 30;
            let message = format!("the file `{asked}` is larger than the {most} GiB that are evaluated");
            return Err(Error::TooLarge { message });
        }
        Ok(Subject {
            asked: asked.to_owned(),
            path: path.relative(),
            size_bytes,
            sha256: None,
            options: None,
            is_known: false,
            error: None,
        })
    }

    /// The base model of that name, path or SHA-256.
    pub(super) fn base_path(&self, asked: &str) -> Result<PathBuf> {
        let (path, _) = self.file_called(asked).ok_or_else(|| Error::not_found(Thing::File, asked))?;
        Ok(path.below(&self.inner.config.models_dir))
    }

    fn file_called(&self, asked: &str) -> Option<(ModelPath, u64)> {
        let library = self.library();
        let sized = |path: &ModelPath| library.file(path).map(|fact| (path.clone(), fact.stamp.size_bytes));
        let by_hash = || {
            let wanted: Sha256 = asked.to_lowercase().parse().ok()?;
            let mut files: Vec<&ModelPath> = library
                .files()
                .iter()
                .filter(|(_, fact)| fact.sha256 == Some(wanted))
                .map(|(path, _)| path)
                .collect();
            // Copies have the same numbers; the first by name is as good as any, and always the same.
            files.sort_by_key(|path| path.relative());
            files.first().and_then(|path| sized(path))
        };
        let by_path = |text: String| sized(&ModelPath::parse_relative("files", &text).ok()?);
        let by_name = || {
            let entry = library.find(asked, None)?;
            let loras = library.catalog(CatalogName::Loras).entries().find(|entry| entry.file() == asked);
            sized(&entry.path).or_else(|| sized(&loras?.path))
        };
        by_hash()
            .or_else(|| by_path(format!("{LORAS}/{asked}")))
            .or_else(|| by_path(asked.to_owned()))
            .or_else(by_name)
    }

    /// The hash of a file: as it is known, or computed now and remembered.
    pub(super) async fn content_hash(&self, path: &ModelPath, live: &LiveEvaluation) -> Result<Sha256> {
        let at = path.below(&self.inner.config.models_dir);
        let known = self.library().file(path).copied();
        if let Some(FileFact { stamp, sha256: Some(sha256), .. }) = known
            && stamp_at(&at) == Some(stamp)
        {
            return Ok(sha256);
        }
        let cancel = live.cancel_flag();
        let hashed = self.blocking("hashing a file", move || hash_at_rest(&at, |_| {}, &cancel)).await?;
        let (stamp, sha256) = hashed.map_err(|message| Error::Unavailable {
            code: "not_readable",
            message: format!("`{path}`: {message}"),
        })?;
        let published = self.library().published(path);
        let fact = FileFact::hashed(stamp, sha256, published, self.inner.clock.now());
        self.library_mut().set_file(path.clone(), Some(fact));
        self.inner.files_changed.notify_one();
        Ok(sha256)
    }
}
