//! One transfer from start to end: resume, ask, receive, verify, publish, and start over when needed.

mod attempt;
mod finishing;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::active::PartGuard;
use crate::budget::Budget;
use crate::digest::Sha256Digest;
use crate::engine::Shared;
use crate::error::TransferError;
use crate::observer::{Event, Observer};
use crate::part::{Part, create_folder, discard_on};
use crate::probe::Source;
use crate::request::{Facts, Fetched, Request};

/// Why an attempt ended without the whole content.
#[derive(Debug)]
pub(crate) enum Ended {
    /// What is there does not fit to what comes; allowed once.
    Contradiction(String),
    /// Parts do not work with this server: ask for the whole file, after a wait. The budget has
    /// agreed.
    NoRanges {
        reason: String,
        wait: Duration,
    },
    Failed(TransferError),
    /// The writer has ended and knows why.
    WriterGone,
}

impl From<TransferError> for Ended {
    fn from(error: TransferError) -> Self {
        Self::Failed(error)
    }
}

/// All bytes are on disk and hashed.
#[derive(Debug)]
struct Arrived {
    part: Part,
    sha256: Sha256Digest,
}

/// The state of one call of `fetch`.
pub(crate) struct Transfer {
    shared: Arc<Shared>,
    request: Request,
    observer: Arc<dyn Observer>,
    cancel: CancellationToken,
    source: Arc<Source>,
    budget: Budget,
    guard: PartGuard,
    began: Instant,
    fetched_bytes: u64,
    resumed_bytes: u64,
    facts: Facts,
    /// Ask for whole files only.
    no_ranges: bool,
    /// There was a contradiction; the next one is the end.
    contradicted: bool,
    /// The hash was wrong; the next time is the end.
    wrong_hash: bool,
}

impl Transfer {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        request: Request,
        observer: Arc<dyn Observer>,
        cancel: CancellationToken,
    ) -> Result<Self, TransferError> {
        shared.options.hosts.check(&request.url)?;
        let guard = shared.active_parts.claim(&request.part)?;
        let source =
            Arc::new(Source::new(Arc::clone(shared), request.url.clone(), request.credential.clone()));
        Ok(Self {
            budget: Budget::new(shared.options.retry.clone()),
            shared: Arc::clone(shared),
            request,
            observer,
            cancel,
            source,
            guard,
            began: Instant::now(),
            fetched_bytes: 0,
            resumed_bytes: 0,
            facts: Facts::default(),
            no_ranges: false,
            contradicted: false,
            wrong_hash: false,
        })
    }

    /// Fetches, verifies and publishes.
    pub(crate) async fn run(mut self) -> Result<Fetched, TransferError> {
        self.prepare_destination().await?;
        loop {
            let reason = match self.attempt().await {
                Ok(arrived) if self.is_expected(arrived.sha256) => return self.publish(arrived).await,
                Ok(arrived) => self.after_wrong_hash(arrived.sha256).await?,
                Err(ended) => self.after(ended).await?,
            };
            tracing::info!(url = %self.source.masked(), reason, "starting over");
            self.resumed_bytes = 0;
            self.observer.on_event(Event::Restarting { reason });
        }
    }

    /// Why to start over after an attempt that ended early; the error when that is no use.
    async fn after(&mut self, ended: Ended) -> Result<String, TransferError> {
        match ended {
            // Of a page in the place of a file nothing is worth keeping, but what came of the file before is.
            Ended::Failed(error @ TransferError::NotAModel { .. })
                if self.resumed_bytes + self.fetched_bytes == 0 =>
            {
                self.discard().await?;
                Err(error)
            }
            Ended::Failed(error) => Err(error),
            Ended::WriterGone => Err(TransferError::Internal("the writer ended without an error".to_owned())),
            Ended::NoRanges { reason, wait } => {
                self.discard().await?;
                self.pause(wait).await?;
                self.no_ranges = true;
                Ok(reason)
            }
            Ended::Contradiction(detail) => {
                self.discard().await?;
                if std::mem::replace(&mut self.contradicted, true) {
                    return Err(TransferError::Inconsistent { url: self.source.masked(), detail });
                }
                Ok(detail)
            }
        }
    }

    async fn after_wrong_hash(&mut self, actual: Sha256Digest) -> Result<String, TransferError> {
        self.discard().await?;
        let expected = self.expected_hash().unwrap_or(actual);
        if std::mem::replace(&mut self.wrong_hash, true) {
            return Err(TransferError::HashMismatch { expected, actual });
        }
        Ok(format!("the content has the sha-256 `{actual}` and not `{expected}`"))
    }

    fn is_expected(&self, actual: Sha256Digest) -> bool {
        self.expected_hash().is_none_or(|expected| expected == actual)
    }

    async fn pause(&self, wait: Duration) -> Result<(), TransferError> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(TransferError::Cancelled),
            () = tokio::time::sleep(wait) => Ok(()),
        }
    }

    async fn prepare_destination(&self) -> Result<(), TransferError> {
        let (destination, replace) = (self.request.destination.clone(), self.request.replace);
        let disk = Arc::clone(&self.shared.options.disk);
        blocking(move || {
            if !replace && std::fs::symlink_metadata(&destination).is_ok() {
                return Err(TransferError::Exists(destination));
            }
            create_folder(&*disk, &destination)
        })
        .await
    }

    async fn discard(&self) -> Result<(), TransferError> {
        let (disk, path) = (Arc::clone(&self.shared.options.disk), self.request.part.clone());
        blocking(move || discard_on(&*disk, &path)).await
    }

    /// The hash that the content must have: the caller's, else the one that the first hop names.
    fn expected_hash(&self) -> Option<Sha256Digest> {
        self.request.expected.sha256.or_else(|| self.facts.linked_etag.as_deref()?.parse().ok())
    }
}

/// Runs blocking work off the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TransferError> + Send + 'static,
) -> Result<T, TransferError> {
    spawn_blocking(work).await.unwrap_or_else(|error| Err(TransferError::Internal(error.to_string())))
}
