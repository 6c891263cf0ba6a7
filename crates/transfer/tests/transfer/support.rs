//! A stand-in, an engine with short waits and small pieces, a folder, and a record of the events.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lorakeep_standin::{FileSpec, HfRepo, Options, Standin};
use lorakeep_transfer::{
    Engine, EngineOptions, Event, Expected, Fetched, Gate, HostPolicy, MinSpeed, Observer, Open, Request,
    RetryPolicy, Timeouts, TransferError,
};
use tokio_util::sync::CancellationToken;

pub(crate) const KIB: u64 = 1024;
pub(crate) const MIB: u64 = 1024 * KIB;

/// Everything that one test needs.
pub(crate) struct Rig {
    pub(crate) standin: Standin,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) engine: Engine,
    pub(crate) recorder: Arc<Recorder>,
}

/// Keeps the events.
#[derive(Default)]
pub(crate) struct Recorder {
    events: Mutex<Vec<Event>>,
}

impl Recorder {
    pub(crate) fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone()
    }

    pub(crate) fn count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.events().iter().filter(|event| wanted(event)).count()
    }

    pub(crate) fn retries(&self) -> usize {
        self.count(|event| matches!(event, Event::Retrying { .. }))
    }

    pub(crate) fn restarts(&self) -> usize {
        self.count(|event| matches!(event, Event::Restarting { .. }))
    }
}

impl Observer for Recorder {
    fn on_event(&self, event: Event) {
        self.events.lock().unwrap().push(event);
    }
}

/// Short waits, small pieces, as many connections as are allowed.
pub(crate) fn options() -> EngineOptions {
    EngineOptions {
        hosts: HostPolicy::public_only().allow_host("localhost").unwrap(),
        piece_size: 256 * KIB..=MIB,
        enough_per_connection: u64::MAX,
        free_space_reserve: 0,
        journal_bytes: 64 * KIB,
        sync_bytes: 4 * MIB,
        progress_interval: Duration::from_millis(5),
        min_speed: MinSpeed { bytes_per_second: 1024, window: Duration::from_millis(400) },
        timeouts: Timeouts { connect: Duration::from_secs(5), response: Duration::from_secs(5) },
        retry: RetryPolicy {
            max_attempts: 5,
            base_delay: Duration::from_millis(2),
            max_delay: Duration::from_millis(20),
            ..RetryPolicy::default()
        },
        ..EngineOptions::default()
    }
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut EngineOptions)) -> Self {
        let mut options = options();
        change(&mut options);
        Self {
            standin: Standin::start(Options::default()).await.unwrap(),
            folder: tempfile::tempdir().unwrap(),
            engine: Engine::new(options).unwrap(),
            recorder: Arc::default(),
        }
    }

    /// A plain file on the storage host.
    pub(crate) fn plain(&self, size: u64) -> (FileSpec, Request) {
        let spec = FileSpec::new("plain.safetensors", size);
        self.standin.add_file(spec.clone());
        let request = self.request(&self.standin.file_url("plain.safetensors"));
        (spec, request)
    }

    /// A large file of a repository: a redirect to signed storage, its hash on the first hop.
    pub(crate) fn hub(&self, size: u64) -> (FileSpec, Request) {
        let spec = FileSpec::new("hub.safetensors", size);
        self.standin.add_repo(HfRepo::new("standin/demo").file(spec.clone()));
        let url = format!("{}/standin/demo/resolve/main/hub.safetensors", self.standin.huggingface_url());
        let request = self.request(&url);
        (spec, request)
    }

    pub(crate) fn request(&self, url: &str) -> Request {
        Request {
            url: url.parse().unwrap(),
            credential: None,
            part: self.part(),
            destination: self.destination(),
            expected: Expected::default(),
            replace: false,
            gate: Arc::new(Open),
        }
    }

    pub(crate) fn part(&self) -> PathBuf {
        self.folder.path().join(".lorakeep/1.part")
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.folder.path().join(".lorakeep/1.journal")
    }

    pub(crate) fn destination(&self) -> PathBuf {
        self.folder.path().join("loras/model.safetensors")
    }

    pub(crate) async fn fetch(&self, request: Request) -> Result<Fetched, TransferError> {
        self.fetch_until(request, CancellationToken::new()).await
    }

    pub(crate) async fn fetch_until(
        &self,
        request: Request,
        cancel: CancellationToken,
    ) -> Result<Fetched, TransferError> {
        let observer = Arc::clone(&self.recorder);
        self.engine.fetch(request, observer, cancel).await
    }

    /// The published file is exactly `spec`, and nothing else is left.
    pub(crate) fn assert_published(&self, spec: &FileSpec) {
        assert_same(&self.destination(), spec);
        self.assert_no_leftovers();
    }

    pub(crate) fn assert_absent(&self) {
        assert!(!self.destination().exists(), "nothing may be published");
    }

    pub(crate) fn assert_no_leftovers(&self) {
        let left: Vec<_> = names_below(&self.folder.path().join(".lorakeep"));
        assert_eq!(left, Vec::<String>::new());
    }
}

pub(crate) fn names_below(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Compares a file with what was served, byte by byte.
pub(crate) fn assert_same(path: &Path, spec: &FileSpec) {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("`{}`: {error}", path.display()));
    assert_eq!(bytes.len() as u64, spec.size(), "size");
    let mut expected = vec![0; 1 << 20];
    for (at, block) in bytes.chunks(1 << 20).enumerate() {
        let count = spec.read_at((at << 20) as u64, &mut expected);
        assert!(block == &expected[..count], "block {at} differs");
    }
}

/// A gate that answers what it is told.
pub(crate) struct Verdict(pub(crate) lorakeep_transfer::Admission);

impl Gate for Verdict {
    fn admit(&self, _file: &std::fs::File, _size: u64) -> lorakeep_transfer::Admission {
        self.0.clone()
    }
}

/// Waits until `condition` holds, at most ten seconds.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "waited too long until {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
