//! The activity log: what the metadata fetch did, for people. Capped, and the same after a restart.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Registry;
use crate::error::Result;
use crate::store::StoredActivity;

/// Lines that are kept.
const CAPACITY: usize = 1000;

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivityLine {
    /// `HH:MM:SS` in the configured zone.
    pub time: String,
    /// What happened.
    pub message: String,
    /// How it went.
    pub level: String,
}

/// How a line is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ActivityLevel {
    Info,
    Ok,
    Error,
}

/// The lines that the table holds.
#[derive(Debug, Default)]
pub(crate) struct Activity(Mutex<Lines>);

#[derive(Debug, Default)]
struct Lines {
    kept: VecDeque<StoredActivity>,
    last_id: i64,
}

impl ActivityLevel {
    fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Ok => "ok",
            Self::Error => "error",
        }
    }
}

impl Activity {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    /// Takes the lines over from the table; part of `open`.
    pub(crate) async fn open_activity(&self) -> Result<()> {
        let stored = self.inner.store.list_activity().await?;
        let mut lines = self.inner.studio.activity.lines();
        lines.last_id = stored.last().map_or(0, |line| line.id);
        lines.kept = stored.into();
        Ok(())
    }

    /// The log, oldest first.
    pub fn activity(&self) -> Vec<ActivityLine> {
        let zone = self.inner.config.server.time_zone;
        let lines = self.inner.studio.activity.lines();
        let shown = lines.kept.iter().map(|line| ActivityLine {
            time: line.at.with_timezone(&zone).format("%H:%M:%S").to_string(),
            message: line.message.clone(),
            level: line.level.clone(),
        });
        shown.collect()
    }

    /// Empties the log.
    pub async fn clear_activity(&self) -> Result<()> {
        let last_id = {
            let mut lines = self.inner.studio.activity.lines();
            lines.kept.clear();
            lines.last_id
        };
        self.inner.store.prune_activity(last_id).await
    }

    /// Adds a line; a database that fails costs the line its life after a restart, not the work that it tells of.
    pub(crate) async fn log_activity(&self, level: ActivityLevel, message: impl Into<String>) {
        let (line, oldest) = self.draft_activity(level, message.into());
        self.show_activity(line.clone());
        if let Err(error) = self.inner.store.add_activity(&line, oldest).await {
            tracing::warn!(error = %crate::error::chain(&error), "a line of the activity log was not stored");
        }
    }

    /// A line that is stored with what it tells of, and shown after; with it the newest line that goes for it.
    pub(super) fn draft_activity(&self, level: ActivityLevel, message: String) -> (StoredActivity, i64) {
        let mut lines = self.inner.studio.activity.lines();
        lines.last_id += 1;
        let line =
            StoredActivity { id: lines.last_id, at: self.now(), level: level.as_str().to_owned(), message };
        (line, lines.last_id - CAPACITY as i64)
    }

    pub(super) fn show_activity(&self, line: StoredActivity) {
        let mut lines = self.inner.studio.activity.lines();
        let place = lines.kept.partition_point(|own| own.id < line.id);
        lines.kept.insert(place, line);
        if lines.kept.len() > CAPACITY {
            lines.kept.pop_front();
        }
    }
}
