//! What is on disk, as far as it is known, and which hashes still hold.
//!
//! Only hashes are stored in the database, computed and published ones: everything else is one `stat` away.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use crate::domain::{FileFact, FileStamp, ModelFolder, ModelPath, Sha256};
use crate::files::Scan;

/// Files by path.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    /// Every regular file below the models root.
    files: HashMap<ModelPath, FileFact>,
    /// What is known of files that are not there now; a hash holds again when a file with its stamp comes back.
    absent: HashMap<ModelPath, FileFact>,
    /// Paths whose row in the database may be behind.
    unsaved: HashSet<ModelPath>,
    /// Further names of folders, with the names that their files are known by.
    aliases: Vec<(ModelFolder, ModelFolder)>,
    /// Paths whose file came, went or changed since somebody asked.
    moved: Vec<ModelPath>,
    /// Folders got or lost further names since somebody asked.
    are_names_new: bool,
    /// Paths that were set while a look at the disk is under way: it may have seen them before.
    set_meanwhile: Option<HashSet<ModelPath>>,
}

/// What a look at the disk changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Files that were not known.
    pub(crate) appeared: u64,
    /// Files that are gone.
    pub(crate) vanished: u64,
    /// Files with another stamp.
    pub(crate) changed: u64,
}

impl Changes {
    /// Whether nothing changed.
    pub(crate) fn is_empty(self) -> bool {
        self == Self::default()
    }
}

impl Presence {
    /// Knows hashes from the database and nothing of the disk.
    pub(crate) fn remembering(hashed: Vec<(ModelPath, FileFact)>) -> Self {
        Self { absent: hashed.into_iter().collect(), ..Self::default() }
    }

    /// The file of that path, when it is on disk.
    pub(crate) fn get(&self, path: &ModelPath) -> Option<&FileFact> {
        self.files.get(&*self.known_by(path))
    }

    /// Every file.
    pub(crate) fn files(&self) -> &HashMap<ModelPath, FileFact> {
        &self.files
    }

    /// The hash that the file of that path should have, whether it is there or not.
    pub(crate) fn published(&self, path: &ModelPath) -> Option<Sha256> {
        let path = self.known_by(path);
        self.files.get(&*path).or_else(|| self.absent.get(&*path))?.published
    }

    /// The source of that path's file is another one now: what the old one published says nothing.
    pub(crate) fn forget_published(&mut self, path: &ModelPath) {
        let path = self.known_by(path).into_owned();
        let fact = self.files.get_mut(&path).or_else(|| self.absent.get_mut(&path));
        if fact.and_then(|fact| fact.published.take()).is_some() {
            self.unsaved.insert(path);
        }
    }

    /// Something that we did ourselves: a file was published, hashed, or (`None`) taken away.
    pub(crate) fn set(&mut self, path: ModelPath, fact: Option<FileFact>) {
        let path = self.known_otherwise(&path).unwrap_or(path);
        if let Some(meanwhile) = &mut self.set_meanwhile {
            meanwhile.insert(path.clone());
        }
        self.unsaved.insert(path.clone());
        self.moved.push(path.clone());
        let absent = self.absent.remove(&path);
        if let Some(fact) = fact {
            self.files.insert(path, fact);
            return;
        }
        let known = self.files.remove(&path).or(absent);
        if let Some(known) = known.filter(|known| known.published.is_some()) {
            self.absent.insert(path, known.changed(known.stamp));
        }
    }

    /// A look at the disk begins; what is set from now on is newer than what it sees.
    pub(crate) fn begin_look(&mut self) {
        self.set_meanwhile = Some(HashSet::new());
    }

    /// Takes over a look at everything.
    pub(crate) fn end_look(&mut self, scan: &Scan) -> Changes {
        let meanwhile = self.set_meanwhile.take().unwrap_or_default();
        self.are_names_new |= self.aliases != scan.aliases;
        self.aliases.clone_from(&scan.aliases);
        let mut changes = Changes::default();
        let is_unseen = |path: &ModelPath| {
            meanwhile.contains(path) || scan.unreadable.iter().any(|folder| path.folder.is_in(folder))
        };
        let seen: HashSet<&ModelPath> = scan.files.iter().map(|(path, _)| path).collect();
        let gone: Vec<ModelPath> =
            self.files.keys().filter(|path| !seen.contains(path) && !is_unseen(path)).cloned().collect();
        for path in &gone {
            self.see(path, None, &mut changes);
        }
        for (path, stamp) in scan.files.iter().filter(|(path, _)| !meanwhile.contains(path)) {
            self.see(path, Some(*stamp), &mut changes);
        }
        changes
    }

    /// Takes over a look at some paths.
    pub(crate) fn end_look_at(&mut self, looked: &[(ModelPath, Option<FileStamp>)]) -> Changes {
        let meanwhile = self.set_meanwhile.take().unwrap_or_default();
        let mut changes = Changes::default();
        for (path, stamp) in looked {
            let path = self.known_by(path).into_owned();
            if !meanwhile.contains(&path) {
                self.see(&path, *stamp, &mut changes);
            }
        }
        changes
    }

    /// The path by which the file is known, when its folder has several names.
    fn known_by<'a>(&self, path: &'a ModelPath) -> Cow<'a, ModelPath> {
        self.known_otherwise(path).map_or(Cow::Borrowed(path), Cow::Owned)
    }

    fn known_otherwise(&self, path: &ModelPath) -> Option<ModelPath> {
        self.aliases.iter().find_map(|(alias, first)| path.moved(alias, first))
    }

    /// The other paths of a file that is known by this one.
    pub(crate) fn other_names(&self, path: &ModelPath) -> impl Iterator<Item = ModelPath> {
        self.aliases.iter().filter_map(|(alias, first)| path.moved(first, alias))
    }

    /// What `stat` says of one path: the hash is forgotten when the stamp is another, and kept for a file that is gone.
    fn see(&mut self, path: &ModelPath, stamp: Option<FileStamp>, changes: &mut Changes) {
        let known = self.files.get(path);
        if known.map(|known| known.stamp) != stamp {
            self.moved.push(path.clone());
        }
        match (known, stamp) {
            (Some(known), Some(stamp)) if known.stamp == stamp => {}
            (Some(known), Some(stamp)) => {
                changes.changed += 1;
                self.files.insert(path.clone(), known.changed(stamp));
                self.unsaved.insert(path.clone());
            }
            (Some(known), None) => {
                changes.vanished += 1;
                if is_worth_a_row(known) {
                    self.absent.insert(path.clone(), *known);
                }
                self.files.remove(path);
            }
            (None, Some(stamp)) => {
                changes.appeared += 1;
                let fact = match self.absent.remove(path) {
                    Some(fact) if fact.stamp == stamp => fact,
                    Some(fact) => {
                        self.unsaved.insert(path.clone());
                        fact.changed(stamp)
                    }
                    None => FileFact::unverified(stamp),
                };
                self.files.insert(path.clone(), fact);
            }
            (None, None) => {}
        }
    }

    /// Paths whose file came, went or changed since the last call; `None` when it may be any.
    pub(crate) fn take_moved(&mut self) -> Option<Vec<ModelPath>> {
        let moved = std::mem::take(&mut self.moved);
        (!std::mem::take(&mut self.are_names_new)).then_some(moved)
    }

    /// Rows to write and rows to delete since the last call.
    pub(crate) fn take_unsaved(&mut self) -> (Vec<(ModelPath, FileFact)>, Vec<ModelPath>) {
        let (mut known, mut others) = (Vec::new(), Vec::new());
        for path in self.unsaved.drain() {
            let fact = self.files.get(&path).or_else(|| self.absent.get(&path));
            match fact.filter(|fact| is_worth_a_row(fact)) {
                Some(fact) => known.push((path, *fact)),
                None => others.push(path),
            }
        }
        (known, others)
    }

    /// Puts back what could not be written.
    pub(crate) fn still_unsaved(&mut self, paths: impl IntoIterator<Item = ModelPath>) {
        self.unsaved.extend(paths);
    }
}

/// Whether more is known of a file than `stat` says.
fn is_worth_a_row(fact: &FileFact) -> bool {
    fact.sha256.is_some() || fact.published.is_some()
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::domain::Verification;

    fn path(text: &str) -> ModelPath {
        ModelPath::parse("vae", text).unwrap()
    }

    fn stamp(size_bytes: u64) -> FileStamp {
        FileStamp { size_bytes, modified_ns: 1, inode: 1 }
    }

    fn hashed(size_bytes: u64) -> FileFact {
        FileFact::hashed(stamp(size_bytes), Sha256::of(b"x"), None, DateTime::UNIX_EPOCH)
    }

    fn look(presence: &mut Presence, files: &[(&str, u64)]) -> Changes {
        presence.begin_look();
        let files = files.iter().map(|(name, size)| (path(name), stamp(*size))).collect();
        presence.end_look(&Scan { files, ..Scan::default() })
    }

    #[test]
    fn a_hash_holds_as_long_as_the_stamp_does() {
        let mut presence = Presence::remembering(vec![(path("a"), hashed(1)), (path("b"), hashed(1))]);
        let changes = look(&mut presence, &[("a", 1), ("b", 2), ("c", 3)]);
        assert_eq!(changes.appeared, 3);
        assert_eq!(presence.get(&path("a")), Some(&hashed(1)));
        assert_eq!(presence.get(&path("b")), Some(&FileFact::unverified(stamp(2))));
        assert_eq!(presence.take_unsaved(), (vec![], vec![path("b")]));
        assert_eq!(
            look(&mut presence, &[("a", 9), ("c", 3)]),
            Changes { appeared: 0, vanished: 1, changed: 1 }
        );
        assert_eq!(presence.get(&path("a")).unwrap().sha256, None);
    }

    #[test]
    fn a_hash_comes_back_with_its_file() {
        let mut presence = Presence::default();
        presence.set(path("a"), Some(hashed(1)));
        assert_eq!(presence.take_unsaved(), (vec![(path("a"), hashed(1))], vec![]));
        assert_eq!(look(&mut presence, &[]).vanished, 1);
        assert_eq!(presence.take_unsaved(), (vec![], vec![]), "its row stays");
        look(&mut presence, &[("a", 1)]);
        assert_eq!(presence.get(&path("a")), Some(&hashed(1)));
    }

    #[test]
    fn what_a_source_published_outlives_changes_and_deletion_of_the_file() {
        let verified = FileFact { published: Some(Sha256::of(b"x")), ..hashed(1) };
        assert_eq!(verified.verification(), Verification::Verified);
        let mut presence = Presence::default();
        presence.set(path("a"), Some(verified));
        look(&mut presence, &[("a", 2)]);
        assert_eq!(presence.get(&path("a")), Some(&verified.changed(stamp(2))));
        assert_eq!(presence.take_unsaved(), (vec![(path("a"), verified.changed(stamp(2)))], vec![]));
        presence.set(path("a"), None);
        assert_eq!(presence.published(&path("a")), verified.published);
        assert_eq!(presence.take_unsaved().0.len(), 1, "its row stays");
        let mut reopened = Presence::remembering(vec![(path("a"), verified.changed(stamp(2)))]);
        look(&mut reopened, &[("a", 3)]);
        assert_eq!(reopened.get(&path("a")), Some(&verified.changed(stamp(3))));
        reopened.forget_published(&path("a"));
        assert_eq!(reopened.take_unsaved(), (vec![], vec![path("a")]));
    }

    #[test]
    fn what_we_did_during_a_look_is_newer_than_the_look() {
        let mut presence = Presence::default();
        presence.set(path("old"), Some(hashed(1)));
        presence.begin_look();
        presence.set(path("new"), Some(hashed(2)));
        presence.set(path("old"), None);
        let scan = Scan { files: vec![(path("old"), stamp(1))], ..Scan::default() };
        assert!(presence.end_look(&scan).is_empty());
        assert!(presence.get(&path("new")).is_some() && presence.get(&path("old")).is_none());
    }

    #[test]
    fn a_file_is_known_by_every_name_of_its_folder() {
        let mut presence = Presence::default();
        let [unet, models] =
            ["unet", "diffusion_models"].map(|folder| ModelFolder::parse("dest", folder).unwrap());
        let real = ModelPath::parse("diffusion_models/wan", "a.pt").unwrap();
        let other = ModelPath::parse("unet/wan", "a.pt").unwrap();
        presence.begin_look();
        let aliases = vec![(unet, models)];
        presence.end_look(&Scan { files: vec![(real.clone(), stamp(1))], aliases, ..Scan::default() });
        assert_eq!(presence.get(&other), presence.get(&real));
        assert!(presence.other_names(&real).eq([other.clone()]));
        presence.set(other, None);
        assert_eq!(presence.get(&real), None);
    }

    #[test]
    fn nothing_is_said_of_a_folder_that_cannot_be_read() {
        let mut presence = Presence::default();
        presence.set(path("a"), Some(hashed(1)));
        presence.begin_look();
        let unreadable = vec![ModelFolder::parse("dest", "vae").unwrap()];
        assert!(presence.end_look(&Scan { unreadable, ..Scan::default() }).is_empty());
        assert!(presence.get(&path("a")).is_some());
        let [vae, vaex] = ["vae", "vaex"].map(|folder| ModelFolder::parse("dest", folder).unwrap());
        assert!(!vaex.is_in(&vae) && vae.is_in(&vae) && vae.is_in(&ModelFolder::default()));
    }
}
