//! Disks that fill up, fail or behave oddly: the k-th file operation fails, for every k.

use std::fs::File;
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};

use lorakeep_transfer::disk::{Disk, SystemDisk};
use lorakeep_transfer::{Engine, EngineOptions, TransferError};

use crate::support::{KIB, MIB, Rig, assert_same};

const ENOSPC: i32 = 28;
const EIO: i32 = 5;
const EROFS: i32 = 30;
const EXDEV: i32 = 18;

/// A disk that counts what is done to it and lets one operation fail.
#[derive(Debug, Default)]
pub(crate) struct FaultyDisk {
    calls: AtomicUsize,
    /// Which call fails, from 0; negative for none.
    fail_at: AtomicI64,
    errno: AtomicI64,
    /// From the failing call on, all calls of the same kind fail, as on a full disk.
    for_good: bool,
    failed_kind: AtomicUsize,
    /// Renames out of the part's folder cross a device.
    crossing: bool,
    /// There is no rename that keeps what is there.
    no_rename_new: bool,
    no_links: bool,
    free: Option<u64>,
    pub(crate) synced: AtomicU64,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Create = 1,
    Write,
    Reserve,
    SetLength,
    Sync,
    SyncFolder,
    Rename,
    Link,
    Remove,
    SetMode,
}

impl FaultyDisk {
    fn failing(fail_at: usize, errno: i32, for_good: bool) -> Self {
        Self {
            fail_at: AtomicI64::new(fail_at as i64),
            errno: AtomicI64::new(i64::from(errno)),
            for_good,
            ..Self::sound()
        }
    }

    fn sound() -> Self {
        Self { fail_at: AtomicI64::new(-1), ..Self::default() }
    }

    fn call(&self, kind: Kind) -> io::Result<()> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst) as i64;
        let again = self.for_good && self.failed_kind.load(Ordering::SeqCst) == kind as usize;
        if number == self.fail_at.load(Ordering::SeqCst) || again {
            self.failed_kind.store(kind as usize, Ordering::SeqCst);
            return Err(io::Error::from_raw_os_error(self.errno.load(Ordering::SeqCst) as i32));
        }
        Ok(())
    }

    fn has_failed(&self) -> bool {
        self.failed_kind.load(Ordering::SeqCst) != 0
    }

    fn crosses(&self, from: &Path) -> io::Result<()> {
        let out = from.parent().is_some_and(|folder| folder.ends_with(".lorakeep"))
            && from.extension().is_some_and(|extension| extension == "part");
        if self.crossing && out { Err(io::Error::from_raw_os_error(EXDEV)) } else { Ok(()) }
    }
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<File> {
        self.call(Kind::Create)?;
        SystemDisk.create(path)
    }

    fn write_all_at(&self, file: &File, parts: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        if let Err(error) = self.call(Kind::Write) {
            // A failing write leaves half of its bytes behind.
            let half = parts.first().map_or(0, |part| part.len() / 2);
            SystemDisk.write_all_at(file, &mut [IoSlice::new(&parts[0][..half])], offset)?;
            return Err(error);
        }
        SystemDisk.write_all_at(file, parts, offset)
    }

    fn reserve(&self, file: &File, size: u64) -> io::Result<bool> {
        self.call(Kind::Reserve)?;
        SystemDisk.reserve(file, size)
    }

    fn set_len(&self, file: &File, size: u64) -> io::Result<()> {
        self.call(Kind::SetLength)?;
        SystemDisk.set_len(file, size)
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        self.call(Kind::Sync)?;
        self.synced.fetch_add(1, Ordering::SeqCst);
        SystemDisk.sync_data(file)
    }

    fn sync_all(&self, file: &File) -> io::Result<()> {
        self.call(Kind::Sync)?;
        SystemDisk.sync_all(file)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.call(Kind::SyncFolder)?;
        SystemDisk.sync_folder(folder)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(Kind::Rename)?;
        self.crosses(from)?;
        SystemDisk.rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(Kind::Rename)?;
        self.crosses(from)?;
        if self.no_rename_new {
            return Err(io::ErrorKind::Unsupported.into());
        }
        SystemDisk.rename_new(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(Kind::Link)?;
        if self.no_links {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        SystemDisk.link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call(Kind::Remove)?;
        SystemDisk.remove(path)
    }

    fn set_mode(&self, file: &File, mode: u32) -> io::Result<()> {
        self.call(Kind::SetMode)?;
        SystemDisk.set_mode(file, mode)
    }

    fn free_space(&self, folder: &Path) -> io::Result<u64> {
        self.free.map_or_else(|| SystemDisk.free_space(folder), Ok)
    }
}

fn engine(disk: &Arc<FaultyDisk>) -> Engine {
    let disk: Arc<dyn Disk> = Arc::<FaultyDisk>::clone(disk);
    let options =
        EngineOptions { disk, sync_bytes: 256 * KIB, connections_per_file: 2, ..crate::support::options() };
    Engine::new(options).unwrap()
}

/// Lets every single file operation fail once with `errno`, and the transfer be repeated after it.
async fn every_operation_fails(errno: i32, for_good: bool, make: impl Fn() -> FaultyDisk) {
    let mut rig = Rig::new().await;
    for at in 0.. {
        let mut disk = make();
        disk.fail_at = AtomicI64::new(at);
        disk.errno = AtomicI64::new(i64::from(errno));
        disk.for_good = for_good;
        let disk = Arc::new(disk);
        rig.engine = engine(&disk);
        let (spec, request) = rig.hub(MIB);
        let result = rig.fetch(request).await;
        let folder = rig.destination().parent().unwrap().to_owned();
        match &result {
            Ok(_) => assert_same(&rig.destination(), &spec),
            Err(error) => {
                let code = error.code();
                let fits = match errno {
                    ENOSPC => code == "disk_full",
                    EROFS => code == "read_only",
                    _ => code == "io",
                };
                assert!(fits, "operation {at}: {error}");
                if rig.destination().exists() {
                    // Only the sync of a folder can fail after the rename.
                    assert_same(&rig.destination(), &spec);
                }
            }
        }
        let seen: Vec<_> = if folder.exists() { crate::support::names_below(&folder) } else { Vec::new() };
        // Where removing itself fails for good, an unfinished copy may stay, under a name nobody loads.
        assert!(
            seen.iter().all(|name| name == "model.safetensors" || name.starts_with(".lorakeep-")),
            "operation {at}: {seen:?}"
        );
        let failed = disk.has_failed();
        // The disk is sound again.
        if !rig.destination().exists() {
            rig.engine = engine(&Arc::new(make()));
            let (_, request) = rig.hub(MIB);
            rig.fetch(request).await.unwrap_or_else(|error| panic!("after operation {at}: {error}"));
            rig.assert_published(&spec);
        }
        std::fs::remove_dir_all(&folder).unwrap();
        if !failed {
            assert!(at > 15, "there are more operations than {at}");
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_at_any_operation_publishes_nothing_half_and_is_survived() {
    every_operation_fails(ENOSPC, false, FaultyDisk::sound).await;
    every_operation_fails(ENOSPC, true, FaultyDisk::sound).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_disk_at_any_operation_publishes_nothing_half_and_is_survived() {
    every_operation_fails(EIO, false, FaultyDisk::sound).await;
    every_operation_fails(EIO, true, FaultyDisk::sound).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_turns_read_only_is_named_as_that() {
    every_operation_fails(EROFS, true, FaultyDisk::sound).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_copy_across_devices_publishes_nothing_half() {
    let crossing = || FaultyDisk { crossing: true, ..FaultyDisk::sound() };
    every_operation_fails(EIO, false, crossing).await;
    every_operation_fails(ENOSPC, true, crossing).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn file_systems_without_the_right_rename_publish_all_the_same_and_overwrite_nothing() {
    let odd: [fn() -> FaultyDisk; 3] = [
        || FaultyDisk { crossing: true, ..FaultyDisk::sound() },
        || FaultyDisk { no_rename_new: true, ..FaultyDisk::sound() },
        || FaultyDisk { no_rename_new: true, no_links: true, ..FaultyDisk::sound() },
    ];
    for make in odd {
        let mut rig = Rig::new().await;
        rig.engine = engine(&Arc::new(make()));
        let (spec, request) = rig.hub(MIB);
        rig.fetch(request).await.unwrap();
        rig.assert_published(&spec);
        // Somebody else puts a file there while ours is under way.
        std::fs::write(rig.destination(), "theirs").unwrap();
        let (_, mut request) = rig.hub(MIB);
        request.destination = rig.folder.path().join("loras/late.safetensors");
        request.gate = Arc::new(Latecomer(request.destination.clone()));
        let late = request.destination.clone();
        let error = rig.fetch(request).await.unwrap_err();
        assert!(matches!(&error, TransferError::Exists(path) if *path == late), "{error}");
        assert_eq!(std::fs::read(&late).unwrap(), b"theirs");
        assert_eq!(crate::support::names_below(late.parent().unwrap()).len(), 2);
    }
}

/// Occupies the destination at the last moment.
struct Latecomer(std::path::PathBuf);

impl lorakeep_transfer::Gate for Latecomer {
    fn admit(&self, _file: &File, _size: u64) -> lorakeep_transfer::Admission {
        std::fs::write(&self.0, "theirs").unwrap();
        lorakeep_transfer::Admission::Publish
    }
}

/// Puts another file in the place of the part, or changes it, while it is judged.
struct Meddler {
    part: std::path::PathBuf,
    swap: bool,
}

impl lorakeep_transfer::Gate for Meddler {
    fn admit(&self, _file: &File, _size: u64) -> lorakeep_transfer::Admission {
        if self.swap {
            let other = self.part.with_extension("other");
            std::fs::copy(&self.part, &other).unwrap();
            std::fs::rename(&other, &self.part).unwrap();
        } else {
            let file = std::fs::OpenOptions::new().write(true).open(&self.part).unwrap();
            std::os::unix::fs::FileExt::write_all_at(&file, b"evil", 100).unwrap();
        }
        lorakeep_transfer::Admission::Publish
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_is_swapped_or_changed_while_it_is_judged_is_not_published() {
    for swap in [true, false] {
        let rig = Rig::new().await;
        let (_, mut request) = rig.hub(MIB);
        request.gate = Arc::new(Meddler { part: rig.part(), swap });
        let error = rig.fetch(request).await.unwrap_err();
        assert_eq!(error.code(), "content_refused", "{error}");
        rig.assert_absent();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_little_room_is_told_before_anything_is_fetched() {
    let mut rig = Rig::new().await;
    let disk = Arc::new(FaultyDisk { free: Some(4 * MIB), ..FaultyDisk::sound() });
    let shared: Arc<dyn Disk> = Arc::<FaultyDisk>::clone(&disk);
    let options = EngineOptions { disk: shared, free_space_reserve: 3 * MIB, ..crate::support::options() };
    rig.engine = Engine::new(options).unwrap();
    let (_, request) = rig.hub(2 * MIB);
    let error = rig.fetch(request).await.unwrap_err();
    let told =
        matches!(error, TransferError::DiskFull { needed, free, .. } if (needed, free) == (5 * MIB, 4 * MIB));
    assert!(told && !error.is_transient(), "{error}");
    rig.assert_absent();
    let (spec, request) = rig.hub(MIB);
    rig.fetch(request).await.unwrap();
    rig.assert_published(&spec);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failed_sync_nothing_of_the_part_is_believed() {
    // The first sync is the new journal's, the second the content's.
    let mut rig = Rig::new().await;
    let mut believed = Vec::new();
    for at in 0.. {
        let disk = Arc::new(FaultyDisk::failing(at, EIO, false));
        rig.engine = engine(&disk);
        let (_, request) = rig.hub(2 * MIB);
        let result = rig.fetch(request).await;
        if !disk.has_failed() {
            break;
        }
        let sync = disk.failed_kind.load(Ordering::SeqCst) == Kind::Sync as usize;
        if let Err(TransferError::Io { action: "sync", .. }) = result {
            assert!(sync);
            rig.engine = engine(&Arc::new(FaultyDisk::sound()));
            let (_, request) = rig.hub(2 * MIB);
            believed.push(rig.fetch(request).await.unwrap().resumed_bytes);
        }
        drop(std::fs::remove_dir_all(rig.folder.path().join("loras")));
        drop(std::fs::remove_dir_all(rig.folder.path().join(".lorakeep")));
    }
    assert!(believed.len() >= 2, "{believed:?}");
    assert!(believed.iter().all(|bytes| *bytes == 0), "{believed:?}");
}
