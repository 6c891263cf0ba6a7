//! A repository: commits, files, references, and who may read it.

use crate::checksum::git_blob_id;
use crate::content::FileSpec;
use sha2::{Digest, Sha256};

/// Who gets the bytes of a repository. Its lists stay readable to everybody.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Gated {
    /// Everybody.
    #[default]
    No,
    /// Who asked.
    Auto,
    /// Whom the owner let in.
    Manual,
}

/// A model repository of the Hub.
#[derive(Debug, Clone)]
pub struct HfRepo {
    id: String,
    commits: Vec<Commit>,
    references: Vec<(String, String)>,
    pub(super) gated: Gated,
    pub(super) is_granted: bool,
    pub(super) is_private: bool,
    pub(super) is_disabled: bool,
    pub(super) is_direct: bool,
    pub(super) new_id: Option<String>,
    pub(super) base_model: Option<String>,
    pub(super) trigger_word: Option<String>,
}

/// The files at one commit.
#[derive(Debug, Clone)]
pub(super) struct Commit {
    /// 40 hex digits.
    pub(super) sha: String,
    pub(super) files: Vec<RepoFile>,
}

/// A file of a commit.
#[derive(Debug, Clone)]
pub(super) struct RepoFile {
    pub(super) spec: FileSpec,
    /// Kept in large file storage, so that its SHA-256 is published.
    pub(super) is_lfs: bool,
}

impl HfRepo {
    /// An empty repository `owner/name` (or `name`) with branch `main`.
    pub fn new(id: impl Into<String>) -> Self {
        let id = id.into();
        let sha = commit_sha(&id, 0);
        Self {
            commits: vec![Commit { sha: sha.clone(), files: Vec::new() }],
            references: vec![("main".into(), sha)],
            gated: Gated::No,
            is_granted: false,
            is_private: false,
            is_disabled: false,
            is_direct: false,
            new_id: None,
            base_model: None,
            trigger_word: None,
            id,
        }
    }

    /// The repository's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The commit that `main` names: 40 hex digits.
    pub fn head(&self) -> &str {
        &self.last().sha
    }

    /// Adds a file to the newest commit, or replaces it: weights and files over 10 MiB go to large
    /// file storage, others into git.
    #[must_use]
    pub fn file(self, spec: FileSpec) -> Self {
        let is_lfs = spec.size() > 10 * 1024 * 1024 || is_weight(spec.name());
        self.put(RepoFile { spec, is_lfs })
    }

    /// Adds a small text file that lives in git.
    #[must_use]
    pub fn text(self, path: &str, text: impl Into<String>) -> Self {
        let spec = FileSpec::of_bytes(path, text.into());
        self.put(RepoFile { spec, is_lfs: false })
    }

    /// Begins a new commit with the files of the last one and moves `main` to it.
    #[must_use]
    pub fn next_commit(mut self) -> Self {
        let sha = commit_sha(&self.id, self.commits.len());
        let files = self.last().files.clone();
        self.commits.push(Commit { sha: sha.clone(), files });
        self.references[0].1 = sha;
        self
    }

    /// Names the newest commit by a further branch, tag or reference as `refs/pr/1`.
    #[must_use]
    pub fn reference(mut self, name: &str) -> Self {
        let sha = self.last().sha.clone();
        self.references.push((name.to_owned(), sha));
        self
    }

    /// Refuses the bytes to who has not been let in; see [`grant`](Self::grant).
    #[must_use]
    pub fn gated(mut self, gated: Gated) -> Self {
        self.gated = gated;
        self
    }

    /// Puts the holder of the valid token on the list of a gated repository.
    #[must_use]
    pub fn grant(mut self) -> Self {
        self.is_granted = true;
        self
    }

    /// Hides it from anonymous callers.
    #[must_use]
    pub fn private(mut self) -> Self {
        self.is_private = true;
        self
    }

    /// Disabled by moderation.
    #[must_use]
    pub fn disabled(mut self) -> Self {
        self.is_disabled = true;
        self
    }

    /// Answers `resolve` with 200 and the bytes, without redirects, as a few repositories do.
    #[must_use]
    pub fn direct(mut self) -> Self {
        self.is_direct = true;
        self
    }

    /// Renamed: the API redirects to the new id, which is to be added as well.
    #[must_use]
    pub fn renamed_to(mut self, id: &str) -> Self {
        self.new_id = Some(id.to_owned());
        self
    }

    /// The base model that the card names.
    #[must_use]
    pub fn base_model(mut self, id: &str) -> Self {
        self.base_model = Some(id.to_owned());
        self
    }

    /// The card's `instance_prompt`.
    #[must_use]
    pub fn trigger_word(mut self, word: &str) -> Self {
        self.trigger_word = Some(word.to_owned());
        self
    }

    pub(super) fn commit_at(&self, revision: &str) -> Option<&Commit> {
        let named = self.references.iter().find(|(name, _)| {
            name == revision || revision.strip_prefix("refs/heads/").is_some_and(|branch| branch == name)
        });
        let sha = named.map_or(revision, |(_, sha)| sha);
        self.commits.iter().find(|commit| commit.sha == sha)
    }

    pub(super) fn references(&self) -> &[(String, String)] {
        &self.references
    }

    pub(crate) fn all_files(&self) -> Vec<FileSpec> {
        self.last().files.iter().map(|file| file.spec.clone()).collect()
    }

    fn put(mut self, file: RepoFile) -> Self {
        let files = &mut self.commits.last_mut().expect("a repository has a commit").files;
        files.retain(|known| known.spec.name() != file.spec.name());
        files.push(file);
        files.sort_by(|one, other| one.spec.name().cmp(other.spec.name()));
        self
    }

    fn last(&self) -> &Commit {
        self.commits.last().expect("a repository has a commit")
    }
}

impl Commit {
    pub(super) fn file(&self, path: &str) -> Option<&RepoFile> {
        self.files.iter().find(|file| file.spec.name() == path)
    }
}

impl RepoFile {
    /// The git object name: of the content, or of the pointer of a large file.
    pub(super) fn blob_id(&self) -> String {
        if self.is_lfs { git_blob_id(self.pointer().as_bytes()) } else { git_blob_id(&self.spec.bytes()) }
    }

    /// The pointer text that git holds for a large file.
    pub(super) fn pointer(&self) -> String {
        format!(
            "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n",
            self.spec.sha256(),
            self.spec.size()
        )
    }

    /// A third hash, as long as a SHA-256 and not it.
    pub(super) fn xet_hash(&self) -> String {
        self.spec.mark("xet")
    }
}

fn is_weight(path: &str) -> bool {
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
    ["safetensors", "bin", "pt", "pth", "ckpt", "gguf", "onnx", "sft"].contains(&extension)
}

fn commit_sha(id: &str, number: usize) -> String {
    hex::encode(&Sha256::digest(format!("commit {number} of {id}"))[..20])
}
