//! What moves while evaluations run: in memory beside their rows.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::domain::{EvaluationId, EvaluationLane};
use crate::store::ResultKey;

/// What all evaluations share.
#[derive(Debug)]
pub(crate) struct Evaluations {
    running: Mutex<HashMap<EvaluationId, Arc<LiveEvaluation>>>,
    /// Workers that are alive by lane; changed under `turn` only.
    workers: Mutex<HashMap<EvaluationLane, usize>>,
    /// Held while one is claimed or a worker goes, so that nothing waits without a worker.
    pub(super) turn: tokio::sync::Mutex<()>,
    /// Counts up with every change.
    revision: watch::Sender<u64>,
    /// Held by whoever computes the result of that key, so that nothing is computed twice.
    computing: Mutex<HashMap<ResultKey, Weak<tokio::sync::Mutex<()>>>>,
    /// What the generator last said.
    pub(super) probe: tokio::sync::Mutex<Option<super::generator::Probe>>,
    /// When this process began.
    pub(super) started: std::time::Instant,
}

/// One that runs.
#[derive(Debug)]
pub(crate) struct LiveEvaluation {
    cancel: CancellationToken,
    /// The same for code that knows no tokens.
    flag: Arc<AtomicBool>,
    step: Mutex<Option<Step>>,
}

/// What it is at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    /// As `modules of a.safetensors`.
    pub(crate) what: String,
    pub(crate) done: usize,
    pub(crate) total: usize,
}

impl Default for Evaluations {
    fn default() -> Self {
        Self {
            running: Mutex::default(),
            workers: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            revision: watch::Sender::new(0),
            computing: Mutex::default(),
            probe: tokio::sync::Mutex::default(),
            started: std::time::Instant::now(),
        }
    }
}

impl Evaluations {
    pub(super) fn begin(&self, id: EvaluationId) -> Arc<LiveEvaluation> {
        let live = Arc::new(LiveEvaluation::new());
        lock(&self.running).insert(id, Arc::clone(&live));
        self.bump();
        live
    }

    pub(super) fn end(&self, id: EvaluationId) {
        lock(&self.running).remove(&id);
        self.bump();
    }

    pub(super) fn live(&self, id: EvaluationId) -> Option<Arc<LiveEvaluation>> {
        lock(&self.running).get(&id).map(Arc::clone)
    }

    /// Takes a worker's place in a lane; `false` when all are taken.
    pub(super) fn take_place(&self, lane: EvaluationLane, most: usize) -> bool {
        let mut workers = lock(&self.workers);
        let count = workers.entry(lane).or_default();
        let is_free = *count < most;
        *count += usize::from(is_free);
        is_free
    }

    pub(super) fn leave_place(&self, lane: EvaluationLane) {
        if let Some(count) = lock(&self.workers).get_mut(&lane) {
            *count = count.saturating_sub(1);
        }
    }

    pub(super) fn bump(&self) {
        self.revision.send_modify(|revision| *revision += 1);
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    /// Waits for whoever computes that result now.
    pub(super) async fn computing(&self, key: &ResultKey) -> tokio::sync::OwnedMutexGuard<()> {
        let turn = {
            let mut computing = lock(&self.computing);
            computing.retain(|_, turn| turn.strong_count() > 0);
            let turn = computing.get(key).and_then(Weak::upgrade).unwrap_or_default();
            computing.insert(key.clone(), Arc::downgrade(&turn));
            turn
        };
        turn.lock_owned().await
    }
}

impl LiveEvaluation {
    pub(super) fn new() -> Self {
        Self { cancel: CancellationToken::new(), flag: Arc::default(), step: Mutex::default() }
    }

    /// Asks for its end.
    pub(super) fn stop(&self) {
        self.flag.store(true, Ordering::Relaxed);
        self.cancel.cancel();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }

    pub(super) fn cancel_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.flag)
    }

    /// Cancelled when its end was asked for.
    pub(super) fn token(&self) -> &CancellationToken {
        &self.cancel
    }

    pub(super) fn note(&self, what: &str, done: usize, total: usize) {
        *lock(&self.step) = Some(Step { what: what.to_owned(), done, total });
    }

    pub(super) fn step(&self) -> Option<Step> {
        lock(&self.step).clone()
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
