//! The sidecar that says which bytes of a part file can be believed.
//!
//! One line a record: 16 hexadecimal digits of a checksum, a space, JSON. The first line is the
//! [`Header`]; the others say `durable` (all ranges that were synced; believed always) or `written`
//! (handed to the system; believed only while the same system runs with the same mount, because a
//! power cut loses them). Reading stops at the first line that is not whole; without a whole header
//! nothing is believed. Checksums cover a number drawn for each journal, so that lines of an older
//! file that shine through on a damaged disk do not count.

use std::fs::File;
use std::io::{self, IoSlice, Read};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::disk::Disk;
use crate::ranges::RangeSet;
use crate::request::Facts;

const VERSION: u32 = 1;
/// Beyond this a journal is rewritten with what it says in short.
const COMPACT_BYTES: u64 = 256 * 1024;
/// Nothing that this program wrote is longer.
const MAX_BYTES: u64 = 16 << 20;

/// What a part file is a part of. Holds no secret: the address is masked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    version: u32,
    nonce: u64,
    /// The part file that the ranges speak of.
    inode: u64,
    /// The running system and mount that `written` ranges hold for.
    boot: String,
    /// For people who look into the file.
    url: String,
    /// Bytes of the whole file.
    pub(crate) size: u64,
    /// The strong validator that all bytes came under.
    pub(crate) etag: Option<String>,
    /// The expected hash, as 64 digits.
    sha256: Option<String>,
    pub(crate) facts: Facts,
}

/// What a new journal is made from.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub(crate) url: String,
    pub(crate) size: u64,
    pub(crate) etag: Option<String>,
    pub(crate) sha256: Option<Sha256Digest>,
    pub(crate) facts: Facts,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Record {
    Durable(Vec<(u64, u64)>),
    Written(Vec<(u64, u64)>),
}

/// What a journal on disk says.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) header: Header,
    /// Survives a power cut.
    pub(crate) durable: RangeSet,
    /// Everything that can be believed now, the durable included.
    pub(crate) trusted: RangeSet,
}

impl Header {
    fn new(subject: Subject, part: &File) -> io::Result<Self> {
        Ok(Self {
            version: VERSION,
            nonce: fastrand::u64(..),
            inode: part.metadata()?.ino(),
            boot: boot_identity(part),
            url: subject.url,
            size: subject.size,
            etag: subject.etag,
            sha256: subject.sha256.map(|digest| digest.to_string()),
            facts: subject.facts,
        })
    }

    pub(crate) fn sha256(&self) -> Option<Sha256Digest> {
        self.sha256.as_deref()?.parse().ok()
    }
}

/// An open journal, written by one transfer.
#[derive(Debug)]
pub(crate) struct Journal {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: File,
    length: u64,
    header: Header,
    durable: RangeSet,
    written: RangeSet,
}

impl Journal {
    /// Reads the journal at `path` as far as it concerns `part`. `None` when there is none, it is
    /// damaged, of another version or speaks of another file.
    pub(crate) fn load(path: &Path, part: &File) -> Option<Loaded> {
        let mut bytes = Vec::new();
        File::open(path).ok()?.take(MAX_BYTES + 1).read_to_end(&mut bytes).ok()?;
        if bytes.len() as u64 > MAX_BYTES {
            return None;
        }
        let loaded = parse(&bytes, &boot_identity(part))?;
        let metadata = part.metadata().ok()?;
        let fits = loaded.header.inode == metadata.ino()
            && loaded.trusted.end() <= loaded.header.size
            && loaded.trusted.end() <= metadata.len();
        fits.then_some(loaded)
    }

    /// Starts a journal at `path` in place of an older one, atomically.
    pub(crate) fn create(
        disk: Arc<dyn Disk>,
        path: &Path,
        part: &File,
        subject: Subject,
        known: Option<&Loaded>,
    ) -> io::Result<Self> {
        let header = Header::new(subject, part)?;
        let durable = known.map(|loaded| loaded.durable.clone()).unwrap_or_default();
        let written = known.map(|loaded| loaded.trusted.clone()).unwrap_or_default();
        let (file, length) = write_fresh(&*disk, path, &header, &durable, &written)?;
        Ok(Self { disk, path: path.to_owned(), file, length, header, durable, written })
    }

    /// Notes bytes that were handed to the system.
    pub(crate) fn note_written(&mut self, ranges: &RangeSet) -> io::Result<()> {
        self.written.extend(ranges);
        self.append(&Record::Written(pairs(ranges)))
    }

    /// Notes that `ranges` were synced, and makes the note durable.
    pub(crate) fn note_durable(&mut self, ranges: &RangeSet) -> io::Result<()> {
        self.durable.extend(ranges);
        if self.length > COMPACT_BYTES {
            (self.file, self.length) =
                write_fresh(&*self.disk, &self.path, &self.header, &self.durable, &self.written)?;
            return Ok(());
        }
        self.append(&Record::Durable(pairs(&self.durable)))?;
        self.disk.sync_data(&self.file)
    }

    /// Removes the journal: nothing of its part is believed any more.
    pub(crate) fn remove(self) -> io::Result<()> {
        self.disk.remove(&self.path)
    }

    fn append(&mut self, record: &Record) -> io::Result<()> {
        let line = line(self.header.nonce, record)?;
        self.disk.write_all_at(&self.file, &mut [IoSlice::new(&line)], self.length)?;
        self.length += line.len() as u64;
        Ok(())
    }
}

/// Where a journal is written before it takes its place.
pub(crate) fn fresh_path(journal: &Path) -> PathBuf {
    journal.with_extension("journal-new")
}

/// Writes a whole journal beside `path`, syncs it and renames it into place.
fn write_fresh(
    disk: &dyn Disk,
    path: &Path,
    header: &Header,
    durable: &RangeSet,
    written: &RangeSet,
) -> io::Result<(File, u64)> {
    let mut bytes = line(0, header)?;
    bytes.extend(line(header.nonce, &Record::Durable(pairs(durable)))?);
    bytes.extend(line(header.nonce, &Record::Written(pairs(written)))?);
    let fresh = fresh_path(path);
    disk.remove(&fresh)?;
    let file = disk.create(&fresh)?;
    disk.write_all_at(&file, &mut [IoSlice::new(&bytes)], 0)?;
    disk.sync_data(&file)?;
    disk.rename(&fresh, path)?;
    Ok((file, bytes.len() as u64))
}

fn line(nonce: u64, content: &impl Serialize) -> io::Result<Vec<u8>> {
    let json = serde_json::to_string(content)?;
    Ok(format!("{} {json}\n", checksum(nonce, json.as_bytes())).into_bytes())
}

fn checksum(nonce: u64, json: &[u8]) -> String {
    let digest = Sha256Digest::of(&[&nonce.to_le_bytes(), json].concat());
    hex::encode(&digest.as_bytes()[..8])
}

/// The JSON of a whole line, if it is one.
fn content(nonce: u64, line: &[u8]) -> Option<&[u8]> {
    let (check, json) = (line.get(..16)?, line.get(17..)?);
    (line[16] == b' ' && check == checksum(nonce, json).as_bytes()).then_some(json)
}

fn parse(bytes: &[u8], boot: &str) -> Option<Loaded> {
    // What follows the last line break is a line that was being written.
    let whole = &bytes[..=bytes.iter().rposition(|byte| *byte == b'\n')?];
    let mut lines = whole.split(|byte| *byte == b'\n');
    let header: Header = serde_json::from_slice(content(0, lines.next()?)?).ok()?;
    if header.version != VERSION {
        return None;
    }
    let same_boot = !boot.is_empty() && header.boot == boot;
    let (mut durable, mut trusted) = (RangeSet::default(), RangeSet::default());
    for line in lines {
        let Some(json) = content(header.nonce, line) else { break };
        match serde_json::from_slice(json) {
            Ok(Record::Durable(ranges)) => {
                durable.extend(&ranges.into_iter().map(|(start, end)| start..end).collect());
            }
            Ok(Record::Written(ranges)) if same_boot => {
                trusted.extend(&ranges.into_iter().map(|(start, end)| start..end).collect());
            }
            Ok(Record::Written(_)) => {}
            Err(_) => break,
        }
    }
    trusted.extend(&durable);
    Some(Loaded { header, durable, trusted })
}

fn pairs(ranges: &RangeSet) -> Vec<(u64, u64)> {
    ranges.iter().map(|Range { start, end }| (*start, *end)).collect()
}

/// Names the running system and the mount that `file` lies on. What was written but not synced is
/// there exactly as long as both are the same. Empty, and so never the same, when unknown.
fn boot_identity(file: &File) -> String {
    let Ok(boot) = std::fs::read_to_string("/proc/sys/kernel/random/boot_id") else {
        return String::new();
    };
    // STATX_MNT_ID_UNIQUE (Linux 6.8): a number that no later mount gets again.
    let unique = rustix::fs::StatxFlags::from_bits_retain(0x4000);
    let mount = rustix::fs::statx(file, "", rustix::fs::AtFlags::EMPTY_PATH, unique)
        .ok()
        .filter(|status| status.stx_mask & unique.bits() != 0)
        .map_or(0, |status| status.stx_mnt_id);
    let device = file.metadata().map_or(0, |metadata| metadata.dev());
    format!("{}/{device}/{mount}", boot.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SystemDisk;
    use proptest::prelude::*;

    fn subject(size: u64) -> Subject {
        Subject {
            url: "https://host.example/file?…".to_owned(),
            size,
            etag: Some("\"abc\"".to_owned()),
            sha256: Some(Sha256Digest::of(b"x")),
            facts: Facts { file_name: Some("näme\n\".safetensors".to_owned()), ..Facts::default() },
        }
    }

    struct Fixture {
        _folder: tempfile::TempDir,
        part: File,
        path: PathBuf,
    }

    impl Fixture {
        fn new(size: u64) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let part = SystemDisk.create(&folder.path().join("a.part")).unwrap();
            part.set_len(size).unwrap();
            let path = folder.path().join("a.journal");
            Self { _folder: folder, part, path }
        }

        fn create(&self, size: u64) -> Journal {
            Journal::create(Arc::new(SystemDisk), &self.path, &self.part, subject(size), None).unwrap()
        }

        fn load(&self) -> Option<Loaded> {
            Journal::load(&self.path, &self.part)
        }
    }

    fn set(ranges: &[(u64, u64)]) -> RangeSet {
        ranges.iter().map(|(start, end)| *start..*end).collect()
    }

    proptest! {
        #[test]
        fn what_is_noted_is_read_back(notes in prop::collection::vec((any::<bool>(), 0_u64..900, 1_u64..100), 0..40)) {
            let fixture = Fixture::new(1000);
            let mut journal = fixture.create(1000);
            let (mut durable, mut trusted) = (RangeSet::default(), RangeSet::default());
            for (synced, start, length) in notes {
                let note = set(&[(start, start + length)]);
                trusted.extend(&note);
                if synced {
                    durable.extend(&note);
                    journal.note_durable(&note).unwrap();
                } else {
                    journal.note_written(&note).unwrap();
                }
            }
            let loaded = fixture.load().unwrap();
            prop_assert_eq!(&loaded.header, &journal.header);
            prop_assert_eq!(loaded.durable, durable);
            prop_assert_eq!(loaded.trusted, trusted);
        }
    }

    #[test]
    fn a_journal_cut_at_any_byte_claims_no_more_than_it_did_at_that_time() {
        let fixture = Fixture::new(1000);
        let mut journal = fixture.create(1000);
        let mut claims = vec![(journal.length, RangeSet::default())];
        for start in [0, 100, 200, 50] {
            journal.note_written(&set(&[(start, start + 40)])).unwrap();
            claims.push((journal.length, journal.written.clone()));
        }
        let bytes = std::fs::read(&fixture.path).unwrap();
        for cut in 0..=bytes.len() {
            std::fs::write(&fixture.path, &bytes[..cut]).unwrap();
            let claimed = claims.iter().rev().find(|(length, _)| *length <= cut as u64);
            let Some(loaded) = fixture.load() else {
                assert!(claimed.is_none_or(|(_, ranges)| ranges.is_empty()), "cut at {cut}");
                continue;
            };
            let expected = claimed.map(|(_, ranges)| ranges.clone()).unwrap_or_default();
            assert_eq!(loaded.trusted, expected, "cut at {cut}");
        }
    }

    #[test]
    fn a_damaged_byte_ends_what_is_believed() {
        let fixture = Fixture::new(1000);
        let mut journal = fixture.create(1000);
        let noted = set(&[(0, 500)]);
        journal.note_written(&noted).unwrap();
        let bytes = std::fs::read(&fixture.path).unwrap();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            std::fs::write(&fixture.path, &damaged).unwrap();
            let trusted = fixture.load().map(|loaded| loaded.trusted).unwrap_or_default();
            assert!(trusted.is_empty(), "byte {at} flipped and still {trusted:?}");
        }
    }

    #[test]
    fn after_a_restart_of_the_system_only_synced_bytes_are_believed() {
        let fixture = Fixture::new(1000);
        let mut journal = fixture.create(1000);
        journal.note_durable(&set(&[(0, 100)])).unwrap();
        journal.note_written(&set(&[(100, 300)])).unwrap();
        let bytes = std::fs::read(&fixture.path).unwrap();
        let here = boot_identity(&fixture.part);
        assert!(here.len() > 36, "this system has an identity: `{here}`");
        assert_eq!(parse(&bytes, &here).unwrap().trusted, set(&[(0, 300)]));
        assert_eq!(parse(&bytes, "another boot").unwrap().trusted, set(&[(0, 100)]));
        assert_eq!(parse(&bytes, "").unwrap().trusted, set(&[(0, 100)]));
    }

    #[test]
    fn a_journal_of_another_part_file_is_not_believed() {
        let fixture = Fixture::new(1000);
        fixture.create(1000).note_durable(&set(&[(0, 100)])).unwrap();
        assert!(fixture.load().is_some());
        let other = Fixture::new(1000);
        let both_alive = Journal::load(&fixture.path, &other.part);
        assert!(both_alive.is_none());
        fixture.part.set_len(50).unwrap();
        assert!(fixture.load().is_none(), "the part is shorter than the journal says");
    }

    #[test]
    fn a_long_journal_is_rewritten_and_says_the_same() {
        let fixture = Fixture::new(1 << 20);
        let mut journal = fixture.create(1 << 20);
        while journal.length <= COMPACT_BYTES {
            journal.note_written(&set(&[(0, 70), (90, 100)])).unwrap();
        }
        journal.note_durable(&set(&[(0, 70)])).unwrap();
        assert!(journal.length < 2000, "{}", journal.length);
        journal.note_written(&set(&[(200, 300)])).unwrap();
        let loaded = fixture.load().unwrap();
        assert_eq!(loaded.durable, set(&[(0, 70)]));
        assert_eq!(loaded.trusted, set(&[(0, 70), (90, 100), (200, 300)]));
    }
}
