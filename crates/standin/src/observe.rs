//! What the stand-in saw: every request, and how many bytes of each file left it.

use crate::faults::names_file;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// Which of the servers was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Upstream {
    /// The CivitAI site and API.
    Civitai,
    /// The Hugging Face Hub.
    HuggingFace,
    /// Object storage and image host, reached under another host name.
    Storage,
    /// The generator.
    ComfyUi,
}

/// One request as it was seen.
#[derive(Debug, Clone, Serialize)]
pub struct Seen {
    /// The server that was asked.
    pub upstream: Upstream,
    /// Number of the TCP connection, counted over all servers.
    pub connection: u64,
    /// HTTP method.
    pub method: String,
    /// `Host` header.
    pub host: String,
    /// Path as sent, percent-encoded.
    pub path: String,
    /// Query as sent, without the question mark.
    pub query: String,
    /// `Range` header.
    pub range: Option<String>,
    /// `If-Range` header.
    pub if_range: Option<String>,
    /// `Authorization` header, whole: the stand-in's keys are not secrets.
    pub authorization: Option<String>,
    /// `User-Agent` header.
    pub user_agent: Option<String>,
    /// All headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Label of the file that was served, as `owner/repo/path` or a bare name.
    pub file: Option<String>,
    /// Status answered; 0 when the connection was reset without an answer or none was sent yet.
    pub status: u16,
    /// Body bytes written to the socket so far.
    pub bytes_sent: u64,
    /// When the request arrived.
    #[serde(skip)]
    pub at: SystemTime,
}

impl Seen {
    /// Value of a header by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// A request under way: shared with the connection that answers it.
#[derive(Debug)]
pub(crate) struct Record {
    seen: Seen,
    file: Mutex<Option<Arc<FileCount>>>,
    status: AtomicU16,
    bytes: AtomicU64,
}

/// Counters of one file.
#[derive(Debug, Default)]
struct FileCount {
    label: String,
    bytes: AtomicU64,
    now: AtomicU64,
    most: AtomicU64,
}

/// Keeps requests and counters.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    records: Mutex<Vec<Arc<Record>>>,
    files: Mutex<BTreeMap<String, Arc<FileCount>>>,
}

impl Recorder {
    /// Notes a request that has arrived.
    pub(crate) fn note(&self, seen: Seen) -> Arc<Record> {
        let record = Arc::new(Record {
            seen,
            file: Mutex::default(),
            status: AtomicU16::new(0),
            bytes: AtomicU64::new(0),
        });
        lock(&self.records).push(Arc::clone(&record));
        record
    }

    /// Counts a response that carries bytes of a file, until the guard is dropped.
    pub(crate) fn begin_file(&self, record: &Record, label: &str) -> Serving {
        let count = Arc::clone(
            lock(&self.files)
                .entry(label.to_owned())
                .or_insert_with(|| Arc::new(FileCount { label: label.to_owned(), ..FileCount::default() })),
        );
        *lock(&record.file) = Some(Arc::clone(&count));
        let now = count.now.fetch_add(1, Ordering::SeqCst) + 1;
        count.most.fetch_max(now, Ordering::SeqCst);
        Serving { count, over: AtomicBool::new(false) }
    }

    pub(crate) fn requests(&self) -> Vec<Seen> {
        lock(&self.records).iter().map(|record| record.snapshot()).collect()
    }

    pub(crate) fn bytes_served(&self, target: &str) -> u64 {
        self.of_file(target).iter().map(|count| count.bytes.load(Ordering::SeqCst)).sum()
    }

    pub(crate) fn most_parallel(&self, target: &str) -> u64 {
        self.of_file(target).iter().map(|count| count.most.load(Ordering::SeqCst)).max().unwrap_or(0)
    }

    pub(crate) fn parallel_now(&self, target: &str) -> u64 {
        self.of_file(target).iter().map(|count| count.now.load(Ordering::SeqCst)).sum()
    }

    pub(crate) fn reset(&self) {
        lock(&self.records).clear();
        lock(&self.files).clear();
    }

    fn of_file(&self, target: &str) -> Vec<Arc<FileCount>> {
        let files = lock(&self.files);
        files.values().filter(|count| names_file(target, &count.label)).map(Arc::clone).collect()
    }
}

impl Record {
    pub(crate) fn answered(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    pub(crate) fn sent(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::SeqCst);
    }

    fn snapshot(&self) -> Seen {
        let mut seen = self.seen.clone();
        seen.status = self.status.load(Ordering::SeqCst);
        seen.bytes_sent = self.bytes.load(Ordering::SeqCst);
        seen.file = lock(&self.file).as_ref().map(|count| count.label.clone());
        seen
    }
}

/// A file is being served while this lives.
#[derive(Debug)]
pub(crate) struct Serving {
    count: Arc<FileCount>,
    over: AtomicBool,
}

impl Serving {
    pub(crate) fn sent(&self, bytes: u64) {
        self.count.bytes.fetch_add(bytes, Ordering::SeqCst);
    }

    /// Ends it early: before the last bytes are written, so that a client which asks again as soon as
    /// it has them is not counted as a second one.
    pub(crate) fn finish(&self) {
        if !self.over.swap(true, Ordering::SeqCst) {
            self.count.now.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Locks, and goes on after a panic elsewhere: counters stay readable for the failing test's report.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
