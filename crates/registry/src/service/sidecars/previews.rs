//! Pictures and videos beside a model, under the names that programs give them.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::domain::{ModelPath, Sha256};

/// Endings of previews, the most usual first; the first that is there stands for the model.
const ENDINGS: [&str; 14] = [
    ".preview.png",
    ".preview.jpeg",
    ".preview.jpg",
    ".preview.webp",
    ".preview.gif",
    ".preview.mp4",
    ".png",
    ".jpg",
    ".jpeg",
    ".webp",
    ".gif",
    ".mp4",
    ".webm",
    ".preview.webm",
];
/// How much of both ends tells one picture from another, bytes.
const SAMPLE: u64 = 64 << 10;

/// One preview.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::service) struct Preview {
    /// Where it lies.
    pub(in crate::service) path: ModelPath,
}

/// The previews of a model that are on disk, asked by `is_there`.
pub(in crate::service) fn previews_beside(
    model: &ModelPath,
    is_there: impl Fn(&ModelPath) -> bool,
) -> Vec<Preview> {
    let all = ENDINGS.iter().filter_map(|ending| model.beside(ending));
    all.filter(|path| path != model && is_there(path)).map(|path| Preview { path }).collect()
}

impl Preview {
    /// What tells its content from another's: the length and both ends, so that a thousand previews are looked at in a
    /// moment.
    pub(in crate::service) fn mark(&self, root: &Path) -> io::Result<Sha256> {
        let file = File::open(self.path.below(root))?;
        let length = file.metadata()?.len();
        let mut bytes = length.to_be_bytes().to_vec();
        for from in [0, length.saturating_sub(SAMPLE)] {
            let mut part = vec![0; SAMPLE.min(length) as usize];
            file.read_exact_at(&mut part, from)?;
            bytes.append(&mut part);
        }
        Ok(Sha256::of(&bytes))
    }
}
