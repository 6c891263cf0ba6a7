//! The same content more than once: what it wastes, which copy is worth keeping, and the others to the bin.
//!
//! Two files of one inode share their bytes and waste none. Files with the same tensors and another header are the same
//! model with other words about it; they are told apart from equal files, and nothing is chosen among them.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::{BinItem, Registry};
use crate::domain::{FileFact, ModelPath, Sha256};
use crate::error::{Error, Result, Thing};
use crate::files::stamp_at;

/// Groups that one report names.
const MOST: usize = 1000;

/// Files of the same content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DuplicateReport {
    /// The largest waste first, 1,000 at most.
    pub groups: Vec<DuplicateGroup>,
    /// How many groups there are.
    pub total: u64,
    /// Bytes that all copies but one of each content take.
    pub wasted_bytes: u64,
    /// Model files whose hash is not known: they may be copies, too.
    pub unhashed_files: u64,
    /// Their bytes.
    pub unhashed_bytes: u64,
}

/// What is the same about a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sameness {
    /// Every byte.
    Content,
    /// The tensors; what the header says of them differs.
    Tensors,
}

/// Files that are the same in some way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DuplicateGroup {
    /// In which way.
    pub sameness: Sameness,
    /// SHA-256 of what is the same.
    pub sha256: Sha256,
    /// Bytes that would be free with one copy only; 0 for copies that share them.
    pub wasted_bytes: u64,
    /// The one that is worth keeping first.
    pub files: Vec<DuplicateFile>,
}

/// One of the same files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DuplicateFile {
    /// Where it is.
    pub path: ModelPath,
    /// Length in bytes.
    pub size_bytes: u64,
    /// Whether a catalog knows it.
    pub is_listed: bool,
    /// Whether it shares its bytes with the first one.
    pub is_shared: bool,
}

impl Sameness {
    /// The shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Content => "content",
            Self::Tensors => "tensors",
        }
    }
}

impl Registry {
    /// Every file that is there more than once, as far as hashes are known.
    pub async fn duplicates(&self) -> Result<DuplicateReport> {
        let tensors = self.inner.store.list_tensor_hashes().await?;
        let library = self.library();
        let mut by_content: HashMap<Sha256, Vec<(&ModelPath, &FileFact)>> = HashMap::new();
        let mut report = DuplicateReport::default();
        for (path, fact) in library.files().iter().filter(|(path, _)| path.file.is_model()) {
            if let Some(sha256) = fact.sha256 {
                by_content.entry(sha256).or_default().push((path, fact));
            } else {
                report.unhashed_files += 1;
                report.unhashed_bytes += fact.stamp.size_bytes;
            }
        }
        let mut by_tensors: HashMap<Sha256, Vec<(&ModelPath, &FileFact)>> = HashMap::new();
        for hashed in tensors {
            let (Ok(sha256), Some((path, fact))) =
                (hashed.text.parse(), library.files().get_key_value(&hashed.path))
            else {
                continue;
            };
            if fact.stamp == hashed.stamp {
                by_tensors.entry(sha256).or_default().push((path, fact));
            }
        }
        // Equal files have equal tensors; only what adds something is a group of its own.
        by_tensors.retain(|_, files| files.iter().any(|(_, fact)| fact.sha256 != files[0].1.sha256));
        let is_listed = |path: &ModelPath| !library.entries_at(path).is_empty();
        let content = by_content.into_iter().map(|(sha256, files)| (Sameness::Content, sha256, files));
        let tensors = by_tensors.into_iter().map(|(sha256, files)| (Sameness::Tensors, sha256, files));
        let groups = content.chain(tensors).filter(|(.., files)| files.len() > 1);
        report.groups =
            groups.map(|(sameness, sha256, files)| group(sameness, sha256, files, &is_listed)).collect();
        report
            .groups
            .sort_by_key(|group| (group.sameness, Reverse(group.wasted_bytes), group.files[0].path.clone()));
        report.total = report.groups.len() as u64;
        report.wasted_bytes = report
            .groups
            .iter()
            .filter(|group| group.sameness == Sameness::Content)
            .map(|group| group.wasted_bytes)
            .sum();
        report.groups.truncate(MOST);
        Ok(report)
    }

    /// Moves a copy to the bin. Another file of the same content must be there and stay: it is looked at once more.
    ///
    /// `Conflict` (`last_copy`) when there is none.
    pub async fn bin_duplicate(&self, path: &str) -> Result<BinItem> {
        let path = ModelPath::parse_relative("path", path)?;
        let missing = || Error::not_found(Thing::File, path.relative());
        let fact = self.library().file(&path).copied().ok_or_else(missing)?;
        let _turn = self.inner.studio.duplicates_turn.lock().await;
        let twins: Vec<(ModelPath, FileFact)> = {
            let library = self.library();
            let is_twin = |own: &ModelPath, other: &FileFact| {
                *own != path && fact.sha256.is_some() && other.sha256 == fact.sha256
            };
            let twins = library.files().iter().filter(|(own, other)| is_twin(own, other));
            twins.map(|(own, other)| (own.clone(), *other)).collect()
        };
        let root = self.inner.config.models_dir.clone();
        let own = path.clone();
        let is_safe = self
            .blocking("looking at copies", move || {
                stamp_at(&own.below(&root)) == Some(fact.stamp)
                    && twins.iter().any(|(twin, other)| stamp_at(&twin.below(&root)) == Some(other.stamp))
            })
            .await?;
        if !is_safe {
            let message = format!(
                "`{path}` stays: no other file of the same content is there, or one of them changed; `lorakeep scan` looks again"
            );
            return Err(Error::conflict("last_copy", message));
        }
        self.cancel_jobs_at(&path).await?;
        let item = self.delete_at(path.clone(), false).await?.ok_or_else(missing)?;
        tracing::info!(file = %path, bin_path = item.bin_path, "a copy went to the bin");
        Ok(item)
    }
}

/// The first is worth keeping: one that a catalog knows, then the oldest, then the first by path.
fn group(
    sameness: Sameness,
    sha256: Sha256,
    mut files: Vec<(&ModelPath, &FileFact)>,
    is_listed: &impl Fn(&ModelPath) -> bool,
) -> DuplicateGroup {
    files.sort_by_key(|(path, fact)| (!is_listed(path), fact.stamp.modified_ns, (*path).clone()));
    let mut inodes: Vec<u64> = Vec::new();
    let mut wasted_bytes = 0;
    for (_, fact) in &files {
        if !inodes.contains(&fact.stamp.inode) {
            inodes.push(fact.stamp.inode);
            wasted_bytes += if inodes.len() > 1 { fact.stamp.size_bytes } else { 0 };
        }
    }
    let first = files[0].1.stamp.inode;
    let shown = |(path, fact): (&ModelPath, &FileFact)| DuplicateFile {
        path: path.clone(),
        size_bytes: fact.stamp.size_bytes,
        is_listed: is_listed(path),
        is_shared: fact.stamp.inode == first,
    };
    let mut files: Vec<DuplicateFile> = files.into_iter().map(shown).collect();
    // The one that is kept shares with nobody but others.
    files[0].is_shared = files.iter().skip(1).any(|file| file.is_shared);
    DuplicateGroup { sameness, sha256, wasted_bytes, files }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::CatalogName;
    use crate::service::testing::Studio;

    fn put(studio: &Studio, name: &str, content: &str) {
        let folder = studio.registry.config().models_dir.join("loras");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), content).unwrap();
    }

    async fn hash(studio: &Studio) {
        studio.registry.rescan().await.unwrap();
        studio.registry.identify_present().await.unwrap();
        studio.registry.hash_everything().await;
    }

    fn safetensors(said: &str) -> String {
        let header = json!({
            "__metadata__": {"said": said},
            "a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]},
        })
        .to_string();
        let length = u8::try_from(header.len()).unwrap();
        assert!(length < 128, "one byte of UTF-8");
        format!("{}\0\0\0\0\0\0\0{header}1234", char::from(length))
    }

    #[tokio::test]
    async fn copies_are_told_with_what_they_waste_and_the_one_to_keep_first() {
        let studio = Studio::new().await;
        for name in ["b.safetensors", "a.safetensors", "c.safetensors"] {
            put(&studio, name, &safetensors("x"));
        }
        let folder = studio.registry.config().models_dir.join("loras");
        std::fs::hard_link(folder.join("c.safetensors"), folder.join("d.safetensors")).unwrap();
        put(&studio, "other.safetensors", &safetensors("y"));
        studio.add(CatalogName::Loras, "styles", json!({"file": "c.safetensors", "dest": "loras"})).await;
        studio.registry.rescan().await.unwrap();
        assert_eq!(studio.registry.duplicates().await.unwrap().unhashed_files, 5);
        hash(&studio).await;
        let report = studio.registry.duplicates().await.unwrap();
        let size = safetensors("x").len() as u64;
        assert_eq!((report.total, report.wasted_bytes, report.unhashed_files), (2, 2 * size, 0));
        let content = &report.groups[0];
        let names: Vec<&str> = content.files.iter().map(|file| file.path.file.as_str()).collect();
        assert_eq!(names[0], "c.safetensors", "a catalog knows it");
        assert!(
            content.files.iter().any(|file| file.path.file.as_str() == "d.safetensors" && file.is_shared)
        );
        assert_eq!((report.groups[1].sameness, report.groups[1].files.len()), (Sameness::Tensors, 5));
    }

    #[tokio::test]
    async fn the_last_copy_stays_where_it_is() {
        let studio = Studio::new().await;
        for name in ["a.safetensors", "b.safetensors"] {
            put(&studio, name, &safetensors("x"));
        }
        hash(&studio).await;
        let item = studio.registry.bin_duplicate("loras/b.safetensors").await.unwrap();
        assert_eq!(item.path.file.as_str(), "b.safetensors");
        let last = studio.registry.bin_duplicate("loras/a.safetensors").await.unwrap_err();
        assert_eq!(last.code(), "last_copy");
        studio.registry.restore_bin_item(item.id).await.unwrap();
        // The other one changed behind our back, and the look at the disk has not seen it yet.
        put(&studio, "b.safetensors", "changed");
        assert_eq!(
            studio.registry.bin_duplicate("loras/a.safetensors").await.unwrap_err().code(),
            "last_copy"
        );
    }
}
