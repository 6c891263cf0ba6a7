//! Evaluating files: is it sound, how strong is it, where does it work, what does it do to pictures.
//!
//! An evaluation is a row that a worker claims: [`run`] is the worker, [`report`] computes and keeps what is found of
//! a content, [`answer`] puts it together for whoever asks. What was computed once is not computed again.

mod answer;
mod base;
mod generator;
mod health;
mod images;
pub(crate) mod live;
mod pairs;
mod plain;
mod report;
mod request;
mod run;
mod schema;
mod subject;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

pub use answer::{EvaluationAnswer, Tool};
pub use health::EvaluationHealth;
pub use plain::{SmallerTo, evaluate_plain, resize_plain};
pub use request::{
    BaseRequest, BuiltIn, Check as EvaluationCheck, EvaluationRequest, ImageRequest, PathStep, PromptRequest,
    ReportDetail, RequestFault, Template,
};

use super::{MediaFile, Page, PageRequest, Registry, bad_cursor};
use crate::domain::{Caller, EvaluationId, EvaluationLane, EvaluationState, Right};
use crate::error::{Error, Result, Thing};
use crate::store::StoredEvaluation;

/// Evaluations that may wait; more are refused.
const MOST_WAITING: u64 = 200;
/// How often a waiting caller looks at the row although nobody woke it: another node may have it.
const GLANCE: Duration = Duration::from_secs(1);

impl Registry {
    /// Takes an evaluation on and waits for its answer as long as the request says; the answer of one that is not over
    /// by then tells how far it is.
    ///
    /// `NotFound` names the file that is not there, `Invalid` the field that cannot be meant, `Unavailable` the
    /// generator that does not answer, `Busy` a queue that is full. With `evaluation_id` it asks for that one.
    pub async fn evaluate(&self, caller: &Caller, request: EvaluationRequest) -> Result<EvaluationAnswer> {
        caller.require(Right::Evaluate)?;
        let wait = Duration::from_secs(request.wait_seconds);
        if let Some(id) = &request.evaluation_id {
            let id = known_id(id)?;
            self.load_evaluation(id).await?;
            return self.await_evaluation(id, wait).await;
        }
        let id = self.take_on(caller, request).await?;
        self.dispatch_evaluations().await?;
        self.await_evaluation(id, wait).await
    }

    /// One evaluation as it is now.
    pub async fn evaluation(&self, caller: &Caller, id: &str) -> Result<EvaluationAnswer> {
        caller.require(Right::Evaluate)?;
        let stored = self.load_evaluation(known_id(id)?).await?;
        self.answer_of(&stored).await
    }

    /// Evaluations, the newest first.
    pub async fn list_evaluations(
        &self,
        caller: &Caller,
        page: &PageRequest,
    ) -> Result<Page<EvaluationAnswer>> {
        caller.require(Right::Evaluate)?;
        let before = page.cursor.as_deref().map(cursor_id).transpose()?;
        let mut rows = self.inner.store.list_evaluations(before, page.rows() + 1).await?;
        let has_more = rows.len() > page.rows() as usize;
        rows.truncate(page.rows() as usize);
        let last = rows.last().filter(|_| has_more);
        let next_cursor = last.map(|last| URL_SAFE_NO_PAD.encode(last.id.to_string()));
        let total = self.inner.store.count_evaluations().await?.into_iter().map(|(_, count)| count).sum();
        let mut items = Vec::with_capacity(rows.len());
        for row in &rows {
            items.push(self.answer_of(row).await?.without_reports());
        }
        Ok(Page { items, next_cursor, total })
    }

    /// Asks for the end of an evaluation and answers it as it is then; what was found until then is kept.
    ///
    /// `Conflict` (`evaluation_over`) when nothing is left to end.
    pub async fn cancel_evaluation(&self, caller: &Caller, id: &str) -> Result<EvaluationAnswer> {
        caller.require(Right::Evaluate)?;
        let id = known_id(id)?;
        let stored = self.load_evaluation(id).await?;
        if stored.state.is_over() {
            let message = format!("the evaluation is {} already", stored.state.as_str());
            return Err(Error::conflict("evaluation_over", message));
        }
        self.inner.store.cancel_evaluation(id, self.inner.clock.now()).await?;
        if let Some(live) = self.inner.evaluations.live(id) {
            live.stop();
        }
        self.inner.evaluations.bump();
        tracing::info!(evaluation = %id, by = caller.name(), "an evaluation was cancelled");
        self.await_evaluation(id, Duration::from_secs(5)).await
    }

    /// Forgets an evaluation that is over, with its pictures. What was found of contents is kept.
    ///
    /// `Conflict` (`evaluation_runs`) before its end.
    pub async fn delete_evaluation(&self, caller: &Caller, id: &str) -> Result<()> {
        caller.require(Right::Evaluate)?;
        let id = known_id(id)?;
        self.load_evaluation(id).await?;
        if !self.inner.store.delete_evaluation(id).await? {
            return Err(Error::conflict("evaluation_runs", "the evaluation is not over; cancel it first"));
        }
        self.forget_pictures(id).await
    }

    /// The file of one picture of an evaluation, or of the contact sheet when no place is given.
    pub async fn evaluation_picture(
        &self,
        caller: &Caller,
        id: &str,
        place: Option<usize>,
    ) -> Result<MediaFile> {
        caller.require(Right::Evaluate)?;
        let id = known_id(id)?;
        self.load_evaluation(id).await?;
        self.picture_file(id, place).await
    }

    /// Writes the row of a request that can be meant.
    async fn take_on(&self, caller: &Caller, request: EvaluationRequest) -> Result<EvaluationId> {
        if let Some(fault) = request.faults().into_iter().next() {
            return Err(Error::invalid(
                "bad_request",
                fault.field(),
                format!("`{}`: {}", fault.field(), fault.message),
            ));
        }
        let subjects = request.files.iter().map(|file| self.subject(file)).collect::<Result<Vec<_>>>()?;
        if let Some(base) = &request.base {
            self.base_path(&base.file)?;
        }
        if let Some(images) = &request.images {
            self.prepare_pictures(images, &subjects).await?;
        }
        self.refuse_when_full().await?;
        let now = self.inner.clock.now();
        let written = |error| Error::internal("a request cannot be written", error);
        let stored = StoredEvaluation {
            id: EvaluationId::new(now),
            state: EvaluationState::Queued,
            request: serde_json::to_string(&request).map_err(written)?,
            files: serde_json::to_string(&subjects).map_err(written)?,
            outcome: None,
            steps_done: 0,
            steps_total: subjects.len() as u64,
            is_cancelled: false,
            asked_by: caller.name().to_owned(),
            error_code: None,
            error: None,
            created_at: now,
            started_at: None,
            finished_at: None,
        };
        let lane = if request.has(EvaluationCheck::Images) {
            EvaluationLane::Images
        } else {
            EvaluationLane::Weights
        };
        self.inner.store.insert_evaluation(&stored, lane).await?;
        tracing::info!(evaluation = %stored.id, files = subjects.len(), by = stored.asked_by, "an evaluation was asked for");
        Ok(stored.id)
    }

    async fn refuse_when_full(&self) -> Result<()> {
        let counts = self.inner.store.count_evaluations().await?;
        let waiting = counts.iter().find(|(state, _)| *state == EvaluationState::Queued);
        if waiting.is_some_and(|(_, count)| *count >= MOST_WAITING) {
            let message = format!("{MOST_WAITING} evaluations wait already; ask again when some are done");
            return Err(Error::Busy { message, retry_after_seconds: Some(30) });
        }
        Ok(())
    }

    async fn load_evaluation(&self, id: EvaluationId) -> Result<StoredEvaluation> {
        let stored = self.inner.store.load_evaluation(id).await?;
        stored.ok_or_else(|| Error::not_found(Thing::Evaluation, answer::shown_id(id)))
    }

    /// Waits until it is over, or until patience ends.
    async fn await_evaluation(&self, id: EvaluationId, wait: Duration) -> Result<EvaluationAnswer> {
        let until = tokio::time::Instant::now() + wait;
        let mut changes = self.inner.evaluations.changes();
        loop {
            let stored = self.load_evaluation(id).await?;
            if stored.state.is_over() || tokio::time::Instant::now() >= until {
                return self.answer_of(&stored).await;
            }
            let glance = until.min(tokio::time::Instant::now() + GLANCE);
            // A closed channel cannot be: the sender lives as long as we do.
            drop(tokio::time::timeout_at(glance, changes.changed()).await);
        }
    }
}

fn known_id(text: &str) -> Result<EvaluationId> {
    answer::parse_id(text).ok_or_else(|| Error::not_found(Thing::Evaluation, text))
}

fn cursor_id(cursor: &str) -> Result<EvaluationId> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.and_then(|text| text.parse().ok()).ok_or_else(bad_cursor)
}

#[cfg(test)]
mod tests;
