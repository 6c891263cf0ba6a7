//! One transfer a part file: who writes what in this process.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::error::TransferError;
use crate::limits::lock;

/// The part files that transfers of this process are writing.
#[derive(Debug, Default)]
pub(crate) struct ActiveParts(Arc<Mutex<HashSet<PathBuf>>>);

/// Keeps a part file to one transfer, until the last of its threads has let go.
#[derive(Debug, Clone)]
pub(crate) struct PartGuard {
    _claim: Arc<Claim>,
}

#[derive(Debug)]
struct Claim {
    parts: Arc<Mutex<HashSet<PathBuf>>>,
    path: PathBuf,
}

impl ActiveParts {
    pub(crate) fn claim(&self, path: &Path) -> Result<PartGuard, TransferError> {
        if !lock(&self.0).insert(path.to_owned()) {
            return Err(TransferError::Busy(path.to_owned()));
        }
        let claim = Claim { parts: Arc::clone(&self.0), path: path.to_owned() };
        Ok(PartGuard { _claim: Arc::new(claim) })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        lock(&self.parts).remove(&self.path);
    }
}
