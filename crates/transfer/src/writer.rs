//! The blocking side of a running transfer: a thread that writes, one that syncs, one that hashes.
//!
//! Connections hand over blocks of bytes and wait when [`QUEUE_BYTES`] are under way. The writer
//! notes in the journal what it wrote; the syncer makes it durable in the background, which also
//! starts the disk early, so that the last sync before publishing is short.

use std::fs::File;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::digest::Sha256Digest;
use crate::disk::Disk;
use crate::error::TransferError;
use crate::journal::Journal;
use crate::limits::lock;
use crate::prefix::PrefixHash;
use crate::ranges::RangeSet;

/// Bytes of one transfer between network and disk at most.
const QUEUE_BYTES: u32 = 2 << 20;
/// Written bytes are noted and synced at the latest after these times, however slowly they come.
const NOTE_AFTER: Duration = Duration::from_secs(1);
const SYNC_AFTER: Duration = Duration::from_secs(5);
/// The last sync is left to publishing when there is less than this to do.
const LAST_SYNC_BYTES: u64 = 1 << 20;

/// What the writing side needs to know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WriterOptions {
    /// Written bytes after which the journal notes them.
    pub(crate) journal_bytes: u64,
    /// Written bytes after which they are synced.
    pub(crate) sync_bytes: u64,
}

/// Bytes of one place in the file.
#[derive(Debug)]
struct Block {
    offset: u64,
    parts: Vec<Bytes>,
    _room: OwnedSemaphorePermit,
}

/// Takes blocks from the connections. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct BlockSender {
    blocks: mpsc::UnboundedSender<Block>,
    room: Arc<Semaphore>,
}

/// The writer has ended; [`Writer`] knows why.
#[derive(Debug)]
pub(crate) struct WriterGone;

impl BlockSender {
    /// Queues `parts` for `offset`; waits while the disk is behind.
    pub(crate) async fn send(&self, offset: u64, parts: Vec<Bytes>) -> Result<(), WriterGone> {
        let length: usize = parts.iter().map(Bytes::len).sum();
        let share = u32::try_from(length).unwrap_or(QUEUE_BYTES).min(QUEUE_BYTES);
        let room = Arc::clone(&self.room).acquire_many_owned(share).await.map_err(|_| WriterGone)?;
        self.blocks.send(Block { offset, parts, _room: room }).map_err(|_| WriterGone)
    }
}

/// The three threads of a transfer. Dropping it lets them end soon; [`Writer::finish`] and
/// [`Writer::stop`] wait for them.
#[derive(Debug)]
pub(crate) struct Writer {
    sender: Option<BlockSender>,
    shared: Arc<Shared>,
    writing: JoinHandle<Result<(), TransferError>>,
    syncing: JoinHandle<Result<(), TransferError>>,
    hashing: JoinHandle<Result<Option<Sha256Digest>, TransferError>>,
}

#[derive(Debug)]
struct Shared {
    disk: Arc<dyn Disk>,
    file: Arc<File>,
    path: PathBuf,
    options: WriterOptions,
    hash: PrefixHash,
    /// Without one, nothing can be resumed.
    journal: Mutex<Option<Journal>>,
    progress: Mutex<Progress>,
    changed: Condvar,
    /// The transfer is over: write nothing more.
    stopped: AtomicBool,
}

#[derive(Debug, Default)]
struct Progress {
    written: RangeSet,
    unsynced: u64,
    ending: Ending,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Ending {
    #[default]
    Open,
    /// All is written: sync once more, beside the hash, then end.
    Complete,
    /// End at once.
    Abandoned,
}

impl Writer {
    /// Starts the threads for `file`, of which `have` is on disk. `guard` is held until all have
    /// ended.
    pub(crate) fn start<G: Clone + Send + 'static>(
        disk: Arc<dyn Disk>,
        file: Arc<File>,
        path: &Path,
        journal: Option<Journal>,
        have: &RangeSet,
        options: WriterOptions,
        guard: &G,
    ) -> Self {
        let shared = Arc::new(Shared {
            disk,
            file,
            path: path.to_owned(),
            options,
            hash: PrefixHash::new(have.prefix()),
            journal: Mutex::new(journal),
            progress: Mutex::new(Progress { written: have.clone(), ..Progress::default() }),
            changed: Condvar::new(),
            stopped: AtomicBool::new(false),
        });
        let (blocks, receiver) = mpsc::unbounded_channel();
        let sender = BlockSender { blocks, room: Arc::new(Semaphore::new(QUEUE_BYTES as usize)) };
        let room = Arc::clone(&sender.room);
        let writing = thread(&shared, guard, move |shared| shared.write_all(receiver, &room));
        let syncing = thread(&shared, guard, Shared::sync_all);
        let hashing = thread(&shared, guard, Shared::hash_all);
        Self { sender: Some(sender), shared, writing, syncing, hashing }
    }

    /// Where connections hand in their blocks.
    pub(crate) fn sender(&self) -> BlockSender {
        self.sender.clone().expect("taken only by finish and stop, which consume the writer")
    }

    /// A handle that lets [`Writer::finish`] end early.
    pub(crate) fn halter(&self) -> Halter {
        Halter(Arc::clone(&self.shared))
    }

    /// Waits until everything is written and hashed. All senders must be gone.
    pub(crate) async fn finish(mut self) -> Result<Sha256Digest, TransferError> {
        drop(self.sender.take());
        let written = joined((&mut self.writing).await);
        if written.is_ok() {
            self.shared.hash.complete();
            self.shared.end(Ending::Complete);
        } else {
            self.shared.halt();
        }
        let hashed = joined((&mut self.hashing).await);
        let synced = joined((&mut self.syncing).await);
        written?;
        synced?;
        hashed?.ok_or_else(|| TransferError::Internal("the hash was abandoned".to_owned()))
    }

    /// Writes what was handed in, notes it and ends. The part can be resumed afterwards. Returns
    /// the first error that the threads met.
    pub(crate) async fn stop(mut self) -> Result<(), TransferError> {
        drop(self.sender.take());
        self.shared.hash.abandon();
        let written = joined((&mut self.writing).await);
        self.halter().halt();
        // A sync that hangs on a slow disk may outlive us: it changes nothing, and the journal is
        // out of its reach.
        let synced = tokio::time::timeout(Duration::from_secs(1), &mut self.syncing).await;
        let hashed = joined((&mut self.hashing).await);
        written?;
        synced.map_or(Ok(()), joined)?;
        hashed.map(|_| ())
    }
}

/// Ends a writer from outside.
#[derive(Debug)]
pub(crate) struct Halter(Arc<Shared>);

impl Halter {
    /// Lets the threads end soon, and the journal be written no more.
    pub(crate) fn halt(&self) {
        self.0.halt();
        drop(lock(&self.0.journal).take());
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.halt();
    }
}

fn thread<G: Clone + Send + 'static, T: Send + 'static>(
    shared: &Arc<Shared>,
    guard: &G,
    work: impl FnOnce(&Shared) -> T + Send + 'static,
) -> JoinHandle<T> {
    let (shared, guard) = (Arc::clone(shared), guard.clone());
    spawn_blocking(move || {
        let result = work(&shared);
        drop(guard);
        result
    })
}

fn joined<T>(result: Result<Result<T, TransferError>, tokio::task::JoinError>) -> Result<T, TransferError> {
    result.unwrap_or_else(|error| Err(TransferError::Internal(error.to_string())))
}

impl Shared {
    /// The writing thread: until all senders are gone or a write fails.
    fn write_all(
        &self,
        mut blocks: mpsc::UnboundedReceiver<Block>,
        room: &Semaphore,
    ) -> Result<(), TransferError> {
        let mut pending = Pending::new();
        let result = (|| {
            while let Some(block) = blocks.blocking_recv() {
                if self.stopped.load(Ordering::Acquire) {
                    break;
                }
                self.write(block, &mut pending)?;
            }
            self.note(&mut pending)
        })();
        // Whoever waits for room learns that nobody makes any.
        room.close();
        if result.is_err() {
            self.hash.abandon();
        }
        result
    }

    fn write(&self, block: Block, pending: &mut Pending) -> Result<(), TransferError> {
        let Block { offset, parts, _room: room } = block;
        let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
        let length: usize = parts.iter().map(Bytes::len).sum();
        self.disk
            .write_all_at(&self.file, &mut slices, offset)
            .map_err(|source| TransferError::io("write", &self.path, source))?;
        drop(room);
        let range = offset..offset + length as u64;
        let prefix = self.count(range.clone());
        pending.ranges.insert(range);
        if pending.ranges.total() >= self.options.journal_bytes || pending.since.elapsed() > NOTE_AFTER {
            self.note(pending)?;
        }
        self.hash.written(offset, parts, prefix);
        Ok(())
    }

    /// Takes a written range into account; returns how far the file is whole.
    fn count(&self, range: std::ops::Range<u64>) -> u64 {
        let mut progress = lock(&self.progress);
        progress.unsynced += range.end - range.start;
        progress.written.insert(range);
        if progress.unsynced >= self.options.sync_bytes {
            self.changed.notify_all();
        }
        progress.written.prefix()
    }

    fn note(&self, pending: &mut Pending) -> Result<(), TransferError> {
        let noted = std::mem::replace(pending, Pending::new());
        if noted.ranges.is_empty() {
            return Ok(());
        }
        self.with_journal(|journal| journal.note_written(&noted.ranges))
    }

    /// Does something with the journal while there is one and the transfer goes on.
    fn with_journal(&self, action: impl FnOnce(&mut Journal) -> io::Result<()>) -> Result<(), TransferError> {
        lock(&self.journal)
            .as_mut()
            .map_or(Ok(()), action)
            .map_err(|source| TransferError::io("write the journal of", &self.path, source))
    }

    /// The syncing thread.
    fn sync_all(&self) -> Result<(), TransferError> {
        while let Some(written) = self.next_to_sync() {
            self.disk
                .sync_data(&self.file)
                .map_err(|source| TransferError::io("sync", &self.path, source))
                .inspect_err(|_| self.fail_sync())?;
            self.with_journal(|journal| journal.note_durable(&written))?;
        }
        Ok(())
    }

    /// The hashing thread.
    fn hash_all(&self) -> Result<Option<Sha256Digest>, TransferError> {
        self.hash
            .run(&self.file)
            .map_err(|source| TransferError::io("read back", &self.path, source))
            // The writer must not wait for a thread that is gone.
            .inspect_err(|_| self.hash.abandon())
    }

    /// Waits until there is enough to sync; `None` at the end.
    fn next_to_sync(&self) -> Option<RangeSet> {
        let mut progress = lock(&self.progress);
        let due = Instant::now() + SYNC_AFTER;
        while progress.ending == Ending::Open && progress.unsynced < self.options.sync_bytes {
            let wait = due.saturating_duration_since(Instant::now());
            if wait.is_zero() && progress.unsynced > 0 {
                break;
            }
            let wait = if wait.is_zero() { SYNC_AFTER } else { wait };
            (progress, _) = self.changed.wait_timeout(progress, wait).unwrap_or_else(PoisonError::into_inner);
        }
        let worth_it = progress.ending == Ending::Open || progress.unsynced >= LAST_SYNC_BYTES;
        if progress.unsynced == 0 || progress.ending == Ending::Abandoned || !worth_it {
            return None;
        }
        progress.unsynced = 0;
        Some(progress.written.clone())
    }

    /// After a failed sync the system may have thrown written pages away and say nothing the next
    /// time: nothing of this part is believed any more.
    fn fail_sync(&self) {
        self.halt();
        let journal = lock(&self.journal).take();
        if let Some(Err(error)) = journal.map(Journal::remove) {
            tracing::error!(path = %self.path.display(), %error, "cannot remove the journal of a part that failed to sync");
        }
    }

    fn end(&self, ending: Ending) {
        lock(&self.progress).ending = ending;
        self.changed.notify_all();
    }

    /// Lets all three threads end soon.
    fn halt(&self) {
        self.stopped.store(true, Ordering::Release);
        self.hash.abandon();
        self.end(Ending::Abandoned);
    }
}

/// What was written and not yet noted.
#[derive(Debug)]
struct Pending {
    ranges: RangeSet,
    since: Instant,
}

impl Pending {
    fn new() -> Self {
        Self { ranges: RangeSet::default(), since: Instant::now() }
    }
}
