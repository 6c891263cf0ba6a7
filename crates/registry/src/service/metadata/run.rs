//! The worker: takes a batch from the queue, asks the upstreams for all of it with few requests, then saves entry by entry.

use std::sync::Arc;

use serde_json::json;

use super::queue::FetchWord;
use super::upstream::{Answers, Finding};
use crate::domain::{Entry, EntryId, TakenOver, take_over};
use crate::error::Result;
use crate::service::activity::ActivityLevel;
use crate::service::{Registry, Severity};

/// Entries that one round of requests is made for.
const BATCH: usize = 50;

impl Registry {
    /// Starts the worker; part of `start`.
    pub(crate) fn start_metadata(&self) {
        let registry = self.clone();
        self.inner.tasks.spawn(async move { registry.work_off_fetches().await });
    }

    async fn work_off_fetches(&self) {
        while !self.inner.stopping.is_cancelled() {
            if let Err(error) = self.fetch_all_queued().await {
                tracing::error!(error = %crate::error::chain(&error), "the metadata fetch stands still");
            }
            tokio::select! {
                () = self.inner.studio.fetches.wake.notified() => {}
                () = self.inner.stopping.cancelled() => {}
            }
        }
    }

    /// Works the queue off; ends early when the registry closes, and what is left is queued at the next start.
    pub(in crate::service) async fn fetch_all_queued(&self) -> Result<()> {
        let mut ended = Vec::new();
        loop {
            let ids = self.inner.studio.fetches.next(BATCH);
            if ids.is_empty() {
                self.tell_batch(&ended);
                return Ok(());
            }
            ended.extend(ids.iter().copied());
            let entries = self.entries_of(&ids).await?;
            let answers = tokio::select! {
                answers = self.ask_for(&entries) => answers,
                () = self.inner.stopping.cancelled() => return Ok(()),
            };
            for entry in entries {
                tokio::select! {
                    saved = self.fetch_one(&entry, &answers) => saved?,
                    () = self.inner.stopping.cancelled() => return Ok(()),
                }
            }
        }
    }

    /// Tells how a whole queue went.
    fn tell_batch(&self, ended: &[EntryId]) {
        if ended.is_empty() {
            return;
        }
        let failed = ended.iter().filter(|id| self.has_failed_fetch(**id)).count();
        let (total, done) = (ended.len(), ended.len() - failed);
        let severity = if failed == 0 { Severity::Success } else { Severity::Warning };
        let data = json!({ "total": total, "done": done, "failed": failed });
        let message = format!("Metadata fetched for {done} of {total} files");
        self.tell("model.metadata.batch.completed", severity, message, data);
    }

    /// The entries as they are now; fetches of those that are gone are forgotten.
    async fn entries_of(&self, ids: &[EntryId]) -> Result<Vec<Arc<Entry>>> {
        let mut entries = Vec::with_capacity(ids.len());
        for id in ids {
            let entry = self.library().entry(*id).cloned();
            match entry {
                Some(entry) => entries.push(entry),
                None => self.forget_fetch(*id).await?,
            }
        }
        Ok(entries)
    }

    async fn fetch_one(&self, entry: &Arc<Entry>, answers: &Answers) -> Result<()> {
        self.change_fetch(entry.id, FetchWord::Fetching, None).await?;
        let file = entry.file();
        let is_dated_only = entry.document.id("civitai_version_id").is_none()
            && entry.document.some_text("hf_repo").is_some();
        let beginning = if is_dated_only { "Fetching HF date for" } else { "Fetching metadata for" };
        self.log_activity(ActivityLevel::Info, format!("{beginning} {file}...")).await;
        match self.finding(entry, answers).await {
            Ok(finding) => {
                let changes = self.save_finding(entry, &finding).await?;
                let changes = match (changes.is_empty(), is_dated_only) {
                    (false, _) => changes.join(", "),
                    (true, true) if finding.facts.last_modified.is_none() => "no date found".to_owned(),
                    (true, _) => "no changes".to_owned(),
                };
                let origin = if finding.is_local { " (read from the file)" } else { "" };
                self.log_activity(ActivityLevel::Ok, format!("OK -- {file}: {changes}{origin}")).await;
                let data = json!({ "file": file, "changes": changes, "local": finding.is_local });
                self.tell(
                    "model.metadata.fetched",
                    Severity::Success,
                    format!("Metadata of {file} fetched"),
                    data,
                );
                self.change_fetch(entry.id, FetchWord::Done, None).await
            }
            Err(reason) => {
                self.log_activity(ActivityLevel::Error, format!("ERROR -- {file}: {reason}")).await;
                let message = format!("Metadata of {file} could not be fetched: {reason}");
                self.tell(
                    "model.metadata.failed",
                    Severity::Error,
                    message,
                    json!({ "file": file, "error": reason }),
                );
                self.change_fetch(entry.id, FetchWord::Error, Some(reason)).await
            }
        }
    }

    /// Saves what was found through the catalog, and remembers what was said.
    pub(in crate::service) async fn save_finding(
        &self,
        entry: &Arc<Entry>,
        finding: &Finding,
    ) -> Result<Vec<String>> {
        // What users say is read while nobody can edit.
        let turn = self.catalog_turn().await;
        let mut sayings = self.sayings_of(entry.id).await?;
        let mut taken = TakenOver::default();
        let edited = self.update_entry(turn, entry.id, |document| {
            taken = take_over(document, &finding.facts, &sayings);
        });
        match edited.await {
            Ok(_) => {}
            // Taken out of the catalog in the meantime.
            Err(crate::Error::NotFound { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        }
        let changes = std::mem::take(&mut taken.changes);
        sayings.extend(taken);
        self.inner.store.save_fetched_facts(entry.id, &sayings).await?;
        self.compare_entry(entry.id).await;
        Ok(changes)
    }
}
