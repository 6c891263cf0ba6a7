//! The event stream of downloads: a frame at once, then one each second, made once for all who watch.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, Stream};
use http::StatusCode;
use lorakeep_registry::Registry;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::event_stream::{answer, data_frame};
use super::views::DownloadView;
use crate::app::AppState;
use crate::envelope::Refusal;
use crate::openapi::{Operation, tagged};
use crate::problem::Problem;

/// Watchers at once; each costs a connection.
pub(super) const MAX_WATCHERS: usize = 512;
/// The pace of the frames that the contract promises.
const PACE: Duration = Duration::from_secs(1);

pub(super) fn operations() -> Vec<Operation> {
    tagged(
        "Downloads",
        [Operation::get("/api/admin/models/status", "Watches downloads")
            .about(
                "Server-sent events without names: one at once, then one each second. Each is \
                 `{\"downloads\": {file name: download}, \"timestamp\": Unix seconds}`, where a download has the fields of \
                 `GET /api/admin/downloads/{id}`. At most 512 watch at once.",
            )
            .event_stream("What is active or queued, and what ended in the last 15 minutes")
            .refuses([503])],
    )
}

/// One ticker for all watchers; it runs while there are any.
pub(super) struct StatusStream {
    ticker: Arc<Ticker>,
    places: Arc<Semaphore>,
}

struct Ticker {
    registry: Registry,
    shutdown: CancellationToken,
    frames: watch::Sender<Bytes>,
    is_running: Mutex<bool>,
}

/// What a frame says.
#[derive(Serialize, JsonSchema)]
struct FrameView {
    downloads: BTreeMap<String, DownloadView>,
    /// Unix seconds with fraction.
    timestamp: f64,
}

impl StatusStream {
    pub(super) fn new(registry: Registry, shutdown: CancellationToken) -> Self {
        let ticker =
            Ticker { registry, shutdown, frames: watch::Sender::default(), is_running: Mutex::new(false) };
        Self { ticker: Arc::new(ticker), places: Arc::new(Semaphore::new(MAX_WATCHERS)) }
    }

    /// The frames for one watcher; an error when there are too many.
    fn watch(&self) -> Result<impl Stream<Item = Bytes> + use<>, Refusal> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Refusal::from(too_many()))?;
        let frames = self.ticker.subscribe();
        let first = self.ticker.frame();
        let shutdown = self.ticker.shutdown.clone();
        let rest = stream::unfold((frames, place), next_frame);
        Ok(stream::once(async move { first }).chain(rest).take_until(shutdown.cancelled_owned()))
    }
}

pub(super) fn too_many() -> Problem {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let detail = format!("{MAX_WATCHERS} clients watch already, try again later");
    Problem { retry_after_seconds: Some(5), ..Problem::new(status, "busy", detail) }
}

type Watcher = (watch::Receiver<Bytes>, OwnedSemaphorePermit);

/// The latest frame; a watcher that is slow to read misses the ones between.
async fn next_frame((mut frames, place): Watcher) -> Option<(Bytes, Watcher)> {
    frames.changed().await.ok()?;
    let frame = frames.borrow_and_update().clone();
    Some((frame, (frames, place)))
}

impl Ticker {
    fn is_running(&self) -> MutexGuard<'_, bool> {
        self.is_running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A receiver of frames from now on; starts the ticker for the first one.
    fn subscribe(self: &Arc<Self>) -> watch::Receiver<Bytes> {
        let mut is_running = self.is_running();
        let frames = self.frames.subscribe();
        if !*is_running {
            *is_running = true;
            tokio::spawn(Arc::clone(self).run());
        }
        frames
    }

    async fn run(self: Arc<Self>) {
        let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + PACE, PACE);
        loop {
            tokio::select! {
                () = self.shutdown.cancelled() => return,
                _ = ticks.tick() => {}
            }
            if self.has_nobody_left() {
                return;
            }
            self.frames.send_replace(self.frame());
        }
    }

    /// Checked and noted under one lock, so that a new watcher either is seen here or starts the ticker again.
    fn has_nobody_left(&self) -> bool {
        let mut is_running = self.is_running();
        *is_running = self.frames.receiver_count() > 0;
        !*is_running
    }

    fn frame(&self) -> Bytes {
        let mut downloads: BTreeMap<String, DownloadView> = BTreeMap::new();
        for job in self.registry.live_downloads() {
            let view = DownloadView::new(&self.registry, &job);
            let file = job.download.path.file.as_str();
            // Of two files of one name the one that moves is of interest.
            if view.is_live() || !downloads.get(file).is_some_and(DownloadView::is_live) {
                downloads.insert(file.to_owned(), view);
            }
        }
        // Bare data: nothing else is ever sent.
        data_frame(&FrameView { downloads, timestamp: self.registry.now().timestamp_micros() as f64 / 1e6 })
    }
}

pub(super) async fn stream(State(app): AppState) -> Result<Response, Refusal> {
    Ok(answer(app.studio().status.watch()?))
}
