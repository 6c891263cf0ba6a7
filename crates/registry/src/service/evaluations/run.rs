//! The workers: each claims an evaluation of its lane, keeps its lease alive, takes its steps, and writes its end.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::json;

use super::answer::Outcome;
use super::live::{LiveEvaluation, lock};
use super::report::{cancelled, is_cancelled};
use super::request::EvaluationRequest;
use super::subject::Subject;
use crate::domain::{EvaluationId, EvaluationLane, EvaluationState};
use crate::error::{Error, Result, chain};
use crate::service::Registry;
use crate::store::{Lease, StoredEvaluation};

/// How long one counts as alive without a sign of its holder.
const LEASE: TimeDelta = TimeDelta::seconds(60);
/// How often a sign is given.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How often abandoned ones are looked for.
const LOOK_AROUND: Duration = Duration::from_secs(30);

/// An evaluation at work: its row as it will be written next.
pub(super) struct Work {
    pub(super) registry: Registry,
    pub(super) request: EvaluationRequest,
    pub(super) live: Arc<LiveEvaluation>,
    row: Mutex<StoredEvaluation>,
}

impl EvaluationLane {
    /// Evaluations of it that run at once on one node.
    pub(super) fn workers(self) -> usize {
        match self {
            Self::Weights => 2,
            Self::Images => 1,
        }
    }
}

impl Registry {
    /// Puts evaluations that a killed process held back into the queue; part of `open`.
    pub(crate) async fn open_evaluations(&self) -> Result<()> {
        let (holder, now) = (&self.inner.jobs.holder, self.inner.clock.now());
        let requeued = self.inner.store.requeue_abandoned_evaluations(holder, now).await?;
        if requeued > 0 {
            tracing::info!(count = requeued, "evaluations of an interrupted run are queued again");
        }
        Ok(())
    }

    /// Works on what waits, now and whenever somebody asks; part of `start`.
    pub(crate) fn start_evaluations(&self) {
        let registry = self.clone();
        self.inner.tasks.spawn(async move {
            loop {
                if let Err(error) = registry.dispatch_evaluations().await {
                    tracing::error!(error = %chain(&error), "the queue of evaluations cannot be read; trying again");
                }
                tokio::select! {
                    () = registry.inner.stopping.cancelled() => break,
                    () = tokio::time::sleep(LOOK_AROUND) => registry.take_back_evaluations().await,
                }
            }
        });
    }

    /// Those of a node that died. An empty holder is nobody's: only leases that ran out come back.
    async fn take_back_evaluations(&self) {
        match self.inner.store.requeue_abandoned_evaluations("", self.inner.clock.now()).await {
            Ok(0) => {}
            Ok(count) => tracing::warn!(count, "evaluations of a node that died are queued again"),
            Err(error) => {
                tracing::error!(error = %chain(&error), "abandoned evaluations cannot be looked for");
            }
        }
    }

    /// Starts workers while there is work and room for them.
    pub(super) async fn dispatch_evaluations(&self) -> Result<()> {
        for lane in EvaluationLane::ALL {
            while let Some(stored) = self.claim_for_new_worker(lane).await? {
                let registry = self.clone();
                self.inner.tasks.spawn(async move { registry.work(lane, stored).await });
            }
        }
        Ok(())
    }

    async fn claim_for_new_worker(&self, lane: EvaluationLane) -> Result<Option<StoredEvaluation>> {
        let _turn = self.inner.evaluations.turn.lock().await;
        if self.inner.stopping.is_cancelled() || !self.inner.evaluations.take_place(lane, lane.workers()) {
            return Ok(None);
        }
        let claimed = self.claim_evaluation(lane).await;
        if !matches!(claimed, Ok(Some(_))) {
            self.inner.evaluations.leave_place(lane);
        }
        claimed
    }

    async fn claim_evaluation(&self, lane: EvaluationLane) -> Result<Option<StoredEvaluation>> {
        self.inner.store.claim_evaluation(lane, self.inner.clock.now(), &self.evaluation_lease()).await
    }

    fn evaluation_lease(&self) -> Lease {
        Lease { holder: self.inner.jobs.holder.clone(), until: self.inner.clock.now() + LEASE }
    }

    /// One worker: until nothing waits in its lane.
    async fn work(&self, lane: EvaluationLane, first: StoredEvaluation) {
        let mut next = Some(first);
        while let Some(stored) = next {
            self.run_evaluation(stored).await;
            let _turn = self.inner.evaluations.turn.lock().await;
            let is_stopping = self.inner.stopping.is_cancelled();
            let claimed = if is_stopping { Ok(None) } else { self.claim_evaluation(lane).await };
            next = claimed.unwrap_or_else(|error| {
                tracing::error!(error = %chain(&error), "the next evaluation cannot be claimed");
                None
            });
            if next.is_none() {
                self.inner.evaluations.leave_place(lane);
            }
        }
    }

    async fn run_evaluation(&self, stored: StoredEvaluation) {
        let id = stored.id;
        let live = self.inner.evaluations.begin(id);
        if stored.is_cancelled {
            live.stop();
        }
        let began = std::time::Instant::now();
        let ended = match serde_json::from_str(&stored.request) {
            Ok(request) => {
                let work = Work { registry: self.clone(), request, live, row: Mutex::new(stored) };
                work.to_its_end().await
            }
            Err(error) => self.give_up(stored, &Error::internal("a request cannot be read", error)).await,
        };
        match ended {
            Ok(state) => {
                let seconds = began.elapsed().as_secs_f64();
                tracing::info!(evaluation = %id, state = state.as_str(), seconds, "an evaluation ended");
                metrics::counter!("lorakeep_evaluations_total", "state" => state.as_str()).increment(1);
            }
            Err(error) => tracing::error!(evaluation = %id, error = %chain(&error), "an evaluation was lost"),
        }
        self.inner.evaluations.end(id);
    }

    async fn give_up(&self, mut stored: StoredEvaluation, error: &Error) -> Result<EvaluationState> {
        stored.state = EvaluationState::Failed;
        (stored.error_code, stored.error) = (Some(error.code().to_owned()), Some(error.to_string()));
        stored.finished_at = Some(self.inner.clock.now());
        self.inner.store.finish_evaluation(&stored, &self.inner.jobs.holder).await?;
        Ok(stored.state)
    }
}

impl Work {
    /// Takes the steps while the lease is kept alive, and writes the end.
    async fn to_its_end(&self) -> Result<EvaluationState> {
        // Both are polled all the time: a step that holds the one writing connection must go on while a sign of life
        // waits for it.
        let ended = tokio::select! {
            ended = self.steps() => ended,
            error = self.stay_alive() => Err(error),
        };
        if self.registry.inner.stopping.is_cancelled() && ended.is_err() {
            // The row stays with its holder: the next start takes it up again.
            return Ok(EvaluationState::Queued);
        }
        self.finish(ended).await
    }

    /// Gives signs of life, and passes the end of the program on; comes back only when it cannot.
    async fn stay_alive(&self) -> Error {
        loop {
            tokio::select! {
                () = tokio::time::sleep(HEARTBEAT) => {}
                () = self.registry.inner.stopping.cancelled(), if !self.live.is_stopped() => self.live.stop(),
            }
            if let Err(error) = self.save().await {
                return error;
            }
        }
    }

    async fn finish(&self, ended: Result<()>) -> Result<EvaluationState> {
        let mut row = lock(&self.row).clone();
        row.finished_at = Some(self.registry.inner.clock.now());
        row.state = match &ended {
            Ok(()) => EvaluationState::Completed,
            Err(error) if is_cancelled(error) => EvaluationState::Cancelled,
            Err(error) => {
                tracing::warn!(evaluation = %row.id, error = %chain(error), "an evaluation failed");
                (row.error_code, row.error) = (Some(error.code().to_owned()), Some(error.to_string()));
                EvaluationState::Failed
            }
        };
        let holder = &self.registry.inner.jobs.holder;
        if !self.registry.inner.store.finish_evaluation(&row, holder).await? {
            return Err(Error::internal("writing the end of an evaluation", "another worker has it by now"));
        }
        Ok(row.state)
    }

    pub(super) fn id(&self) -> EvaluationId {
        lock(&self.row).id
    }

    /// Writes how far it is; hears whether somebody asked for the end.
    pub(super) async fn save(&self) -> Result<()> {
        let row = lock(&self.row).clone();
        match self.registry.inner.store.touch_evaluation(&row, &self.registry.evaluation_lease()).await? {
            Some(false) => {}
            // Asked for, or another worker has it by now.
            Some(true) | None => self.live.stop(),
        }
        self.registry.inner.evaluations.bump();
        Ok(())
    }

    /// Ends with [`cancelled`] when somebody asked for the end.
    pub(super) fn go_on(&self) -> Result<()> {
        if self.live.is_stopped() { Err(cancelled()) } else { Ok(()) }
    }

    async fn steps(&self) -> Result<()> {
        let mut subjects = self.subjects()?;
        let pictures = self.request.images.as_ref().map_or(0, |images| images.cells(subjects.len()));
        self.set_steps(subjects.len() + super::pairs::count(&self.request) + pictures);
        self.change_outcome(|outcome| {
            *outcome = Outcome { images: outcome.images.take(), ..Outcome::default() }
        })?;
        self.measure_files(&mut subjects).await?;
        self.compare_files(&subjects).await?;
        self.make_pictures(&subjects).await
    }

    /// A report of each file; one that cannot be read does not keep the others from theirs.
    async fn measure_files(&self, subjects: &mut [Subject]) -> Result<()> {
        let mut last = None;
        for place in 0..subjects.len() {
            self.go_on()?;
            let measured =
                self.registry.evaluate_subject(&self.request, &mut subjects[place], &self.live).await;
            if let Err(error) = measured {
                if is_cancelled(&error) || self.live.is_stopped() {
                    return Err(cancelled());
                }
                subjects[place].error = Some(error.to_string());
                last = Some(error);
            }
            self.note_files(subjects)?;
            self.step_done().await?;
        }
        match last {
            Some(error) if subjects.iter().all(|subject| subject.error.is_some()) => Err(error),
            _ => Ok(()),
        }
    }

    fn subjects(&self) -> Result<Vec<Subject>> {
        let files = lock(&self.row).files.clone();
        serde_json::from_str(&files)
            .map_err(|error| Error::internal("the files of an evaluation cannot be read", error))
    }

    fn note_files(&self, subjects: &[Subject]) -> Result<()> {
        let files = serde_json::to_string(subjects)
            .map_err(|error| Error::internal("the files of an evaluation cannot be written", error))?;
        lock(&self.row).files = files;
        Ok(())
    }

    fn set_steps(&self, total: usize) {
        let mut row = lock(&self.row);
        (row.steps_done, row.steps_total) = (0, total as u64);
    }

    pub(super) async fn step_done(&self) -> Result<()> {
        lock(&self.row).steps_done += 1;
        self.save().await
    }

    /// Changes what is kept beside the reports.
    pub(super) fn change_outcome(&self, change: impl FnOnce(&mut Outcome)) -> Result<()> {
        let mut row = lock(&self.row);
        let known = row.outcome.as_deref().map(serde_json::from_str::<Outcome>).transpose();
        let mut outcome = known
            .map_err(|error| Error::internal("the outcome of an evaluation cannot be read", error))?
            .unwrap_or_default();
        change(&mut outcome);
        row.outcome = Some(json!(outcome).to_string());
        Ok(())
    }
}
