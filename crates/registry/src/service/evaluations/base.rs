//! The base model that files are laid beside, and what is remembered of its weights.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use lorakeep_weights::Header;
use lorakeep_weights::evaluate::{WeightMemory, WeightNorms};

use super::report::{tool, unreadable};
use crate::domain::FileStamp;
use crate::error::{Error, Result};
use crate::files::stamp_at;
use crate::service::Registry;
use crate::store::ResultKey;

/// The base model that a file is laid beside.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BaseFile {
    path: PathBuf,
    /// How answers call it.
    pub(super) name: String,
    /// What it was when the question was asked.
    stamp: FileStamp,
    pub(super) use_weights: bool,
}

impl BaseFile {
    /// The file at `path`; blocks the thread.
    pub(crate) fn at(path: &Path, use_weights: bool) -> Result<Self> {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let stamp = stamp_at(path).ok_or_else(|| unreadable(&name, "it is not there"))?;
        Ok(Self { path: path.to_owned(), name, stamp, use_weights })
    }

    /// Names its content without reading all of it: a checkpoint takes a minute to hash.
    fn content(&self) -> String {
        let FileStamp { size_bytes, modified_ns, inode } = self.stamp;
        format!("{}:{size_bytes}:{modified_ns}:{inode}", self.name)
    }

    /// The same with what is done with it.
    pub(super) fn key(&self) -> String {
        format!("{}:{}", self.content(), self.use_weights)
    }

    pub(super) fn open(&self) -> Result<(File, Header)> {
        let file = File::open(&self.path).map_err(|error| unreadable(&self.name, &error.to_string()))?;
        let header = Header::read(&file, self.stamp.size_bytes)
            .map_err(|error| unreadable(&self.name, &error.to_string()))?;
        Ok((file, header))
    }
}

/// The norms of a base's weights, by weight. They are the same for every adapter and take minutes to find, so what
/// one evaluation found, also one that was cancelled, serves the next.
#[derive(Debug, Default)]
pub(crate) struct KnownWeights(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Frobenius norm, and the largest singular value where there is one.
    norms: BTreeMap<String, (f64, Option<f64>)>,
    has_grown: bool,
}

impl KnownWeights {
    fn parsed(document: &str) -> Result<Self> {
        let norms = serde_json::from_str(document)
            .map_err(|error| Error::internal("what is known of a base cannot be read", error))?;
        Ok(Self(Mutex::new(Known { norms, has_grown: false })))
    }

    /// What to keep; none when nothing is new.
    fn document(&self) -> Result<Option<String>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let written = |error| Error::internal("what is known of a base cannot be written", error);
        known.has_grown.then(|| serde_json::to_string(&known.norms).map_err(written)).transpose()
    }
}

impl WeightMemory for KnownWeights {
    fn recall(&self, weight: &str) -> Option<WeightNorms> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (frobenius, spectral) = *known.norms.get(weight)?;
        Some(WeightNorms { frobenius, spectral })
    }

    fn remember(&self, weight: &str, norms: WeightNorms) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.norms.insert(weight.to_owned(), (norms.frobenius, norms.spectral));
        known.has_grown = true;
    }
}

fn key_of(base: &BaseFile) -> ResultKey {
    ResultKey { kind: "base", content: base.content(), tool: tool(), options: String::new() }
}

impl Registry {
    /// What is known of the weights of a base; nothing when they are not to be read.
    pub(super) async fn known_weights(&self, base: Option<&BaseFile>) -> Result<KnownWeights> {
        let Some(base) = base.filter(|base| base.use_weights) else { return Ok(KnownWeights::default()) };
        let kept = self.inner.store.find_result(&key_of(base)).await?;
        kept.map_or_else(|| Ok(KnownWeights::default()), |kept| KnownWeights::parsed(&kept.document))
    }

    /// Keeps what was found beside what others found meanwhile.
    pub(super) async fn keep_weights(&self, base: Option<&BaseFile>, known: &KnownWeights) -> Result<()> {
        let (Some(base), Some(document)) = (base, known.document()?) else { return Ok(()) };
        let key = key_of(base);
        let _turn = self.inner.evaluations.computing(&key).await;
        let mut document = document;
        if let Some(kept) = self.inner.store.find_result(&key).await? {
            let others = KnownWeights::parsed(&kept.document)?;
            let mine = std::mem::take(&mut known.0.lock().unwrap_or_else(PoisonError::into_inner).norms);
            for (weight, (frobenius, spectral)) in mine {
                others.remember(&weight, WeightNorms { frobenius, spectral });
            }
            document = others.document()?.unwrap_or(document);
        }
        self.inner.store.replace_result(&key, &document, self.inner.clock.now()).await
    }
}
