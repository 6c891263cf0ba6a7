//! One transfer from start to end: resume, ask, receive, verify, publish, and start over when needed.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::budget::Budget;
use crate::content::not_a_model;
use crate::crew::Crew;
use crate::digest::Sha256Digest;
use crate::engine::Shared;
use crate::error::TransferError;
use crate::journal::{Journal, Subject};
use crate::limits::lock;
use crate::observer::{Event, Observer};
use crate::part::{Part, create_folder, discard_on, folder_of, journal_path};
use crate::plan::Plan;
use crate::probe::{Answer, Ask, Content, Failure, Length, Patience, Source};
use crate::publish::{Publisher, Replace};
use crate::ranges::RangeSet;
use crate::request::{Admission, Facts, Fetched, Outcome, Request};
use crate::segment::{First, Lanes};
use crate::writer::{Writer, WriterOptions};

/// Smaller files are fetched anew sooner than a journal is synced.
const WORTH_A_JOURNAL: u64 = 256 * 1024;

/// The part files that transfers of this process are writing.
#[derive(Debug, Default)]
pub(crate) struct ActiveParts(Arc<Mutex<HashSet<PathBuf>>>);

/// Keeps a part file to one transfer, until the last of its threads has let go.
#[derive(Debug, Clone)]
struct PartGuard {
    _claim: Arc<Claim>,
}

#[derive(Debug)]
struct Claim {
    parts: Arc<Mutex<HashSet<PathBuf>>>,
    path: PathBuf,
}

impl ActiveParts {
    fn claim(&self, path: &Path) -> Result<PartGuard, TransferError> {
        if !lock(&self.0).insert(path.to_owned()) {
            return Err(TransferError::Busy(path.to_owned()));
        }
        let claim = Claim { parts: Arc::clone(&self.0), path: path.to_owned() };
        Ok(PartGuard { _claim: Arc::new(claim) })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        lock(&self.parts).remove(&self.path);
    }
}

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
        })
    }

    /// Fetches, verifies and publishes.
    pub(crate) async fn run(mut self) -> Result<Fetched, TransferError> {
        self.prepare_destination().await?;
        let (mut contradicted, mut wrong_hash) = (false, false);
        loop {
            let reason = match self.attempt().await {
                Ok(arrived) => match self.expected_hash() {
                    Some(expected) if expected != arrived.sha256 => {
                        let actual = arrived.sha256;
                        self.discard().await?;
                        if std::mem::replace(&mut wrong_hash, true) {
                            return Err(TransferError::HashMismatch { expected, actual });
                        }
                        format!("the content has the sha-256 `{actual}` and not `{expected}`")
                    }
                    _ => return self.publish(arrived).await,
                },
                Err(Ended::Contradiction(reason)) => {
                    self.discard().await?;
                    if std::mem::replace(&mut contradicted, true) {
                        return Err(TransferError::Inconsistent {
                            url: self.source.masked(),
                            detail: reason,
                        });
                    }
                    reason
                }
                Err(Ended::NoRanges { reason, wait }) => {
                    self.discard().await?;
                    self.pause(wait).await?;
                    self.no_ranges = true;
                    reason
                }
                Err(Ended::Failed(error)) => return Err(error),
                Err(Ended::WriterGone) => {
                    return Err(TransferError::Internal("the writer ended without an error".to_owned()));
                }
            };
            tracing::info!(url = %self.source.masked(), reason, "starting over");
            self.resumed_bytes = 0;
            self.observer.on_event(Event::Restarting { reason });
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

    /// From what is on disk to the whole content.
    async fn attempt(&mut self) -> Result<Arrived, Ended> {
        let mut part = self.open_part().await?;
        let (have, size) = match &part.known {
            Some(known) => (known.trusted.clone(), Some(known.header.size)),
            None => (RangeSet::default(), None),
        };
        if let Some(size) = size
            && have.total() == size
        {
            return self.hash_only(part, have).await;
        }
        let ask = self.first_ask(&part, &have);
        let first = self.open_source(&ask).await?;
        let (size, have) = self.agree(&mut part, &ask, &first.answer, have).await?;
        self.receive(part, have, size, first, ask.range.is_some()).await
    }

    async fn open_part(&mut self) -> Result<Part, TransferError> {
        let (disk, path) = (Arc::clone(&self.shared.options.disk), self.request.part.clone());
        let expected = self.request.expected;
        let fresh = self.no_ranges;
        let part =
            blocking(
                move || {
                    if fresh { Part::create(&disk, &path) } else { Part::open(&disk, &path, &expected) }
                },
            )
            .await?;
        if let Some(known) = &part.known {
            self.facts = known.header.facts.clone();
            self.resumed_bytes = known.trusted.total();
        }
        Ok(part)
    }

    /// An earlier run had fetched everything: only the hash is left to do.
    async fn hash_only(&mut self, part: Part, have: RangeSet) -> Result<Arrived, Ended> {
        self.budget.note(have.total());
        let size = Some(have.total());
        let resumed_bytes = have.total();
        self.observer.on_event(Event::Started { size, resumed_bytes, connections: 0 });
        let writer = self.start_writer(&part, None, &have);
        self.finish(part, writer).await
    }

    fn first_ask(&self, part: &Part, have: &RangeSet) -> Ask {
        if self.no_ranges || self.request.expected.size == Some(0) {
            return Ask::default();
        }
        let pieces = &self.shared.options.piece_size;
        let known = part.known.as_ref();
        let size = known.map(|known| known.header.size).or(self.request.expected.size);
        let range = match size {
            Some(size) => Plan::new(size, have, pieces).take(0, self.connections(), Instant::now()),
            None => Some(0..*pieces.start()),
        };
        Ask { range, etag: known.and_then(|known| known.header.etag.clone()) }
    }

    fn connections(&self) -> usize {
        self.shared.options.connections_per_file.max(1)
    }

    /// Asks until there is an answer whose body begins, or the budget is spent.
    async fn open_source(&mut self, ask: &Ask) -> Result<First, Ended> {
        loop {
            let source = Arc::clone(&self.source);
            let asking = first_answer(&source, ask, self.shared.options.timeouts.response);
            let failure = tokio::select! {
                biased;
                () = self.cancel.cancelled() => return Err(TransferError::Cancelled.into()),
                answered = asking => match answered {
                    Ok(first) => return Ok(first),
                    Err(failure) => failure,
                },
            };
            let trouble = match failure {
                Failure::Passing(trouble) => trouble,
                Failure::Final(error) => return Err(error.into()),
                Failure::Contradiction(reason) => return Err(Ended::Contradiction(reason)),
                Failure::RangeIgnored | Failure::NoConnection | Failure::WriterGone => {
                    return Err(
                        TransferError::Internal("an answer failed before it was used".to_owned()).into()
                    );
                }
            };
            let wait = self.budget.fail(&trouble, &*self.observer)?;
            self.pause(wait).await?;
        }
    }

    async fn pause(&self, wait: Duration) -> Result<(), TransferError> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(TransferError::Cancelled),
            () = tokio::time::sleep(wait) => Ok(()),
        }
    }

    /// Compares the first answer with what is asked, known and on disk. Gives the size of the file
    /// if it is known, and what of it need not be fetched.
    async fn agree(
        &mut self,
        part: &mut Part,
        ask: &Ask,
        answer: &Answer,
        have: RangeSet,
    ) -> Result<(Option<u64>, RangeSet), Ended> {
        let before = std::mem::replace(&mut self.facts, self.source.learn_final(answer));
        // What only a redirect tells is not lost when this run was spared it.
        self.facts.linked_etag = self.facts.linked_etag.take().or(before.linked_etag);
        self.facts.linked_size = self.facts.linked_size.or(before.linked_size);
        self.facts.repo_commit = self.facts.repo_commit.take().or(before.repo_commit);
        self.observer.on_event(Event::Facts(self.facts.clone()));
        if let Some(known) = &part.known {
            let other = |ours: &Option<String>, theirs: &Option<String>| {
                ours.is_some() && theirs.is_some() && ours != theirs
            };
            let hashes = (known.header.sha256(), self.expected_hash());
            if other(&known.header.etag, &answer.etag)
                || matches!(hashes, (Some(ours), theirs) if theirs != Some(ours))
            {
                return Err(Ended::Contradiction("the file changed at its source".to_owned()));
            }
        }
        let size = self.size_of(ask, answer, &have)?;
        for promised in [self.request.expected.size, self.facts.linked_size].into_iter().flatten() {
            if let Some(actual) = size
                && actual != promised
            {
                let url = self.source.masked();
                return Err(TransferError::SizeMismatch { url, expected: promised, actual }.into());
            }
        }
        if matches!(answer.content, Content::Whole { .. }) && part.known.is_some() {
            // The body at hand is the whole file from its beginning; the rest of the old is of no use.
            *part = self.new_part().await?;
            self.resumed_bytes = 0;
            return Ok((size, RangeSet::default()));
        }
        Ok((size, have))
    }

    fn size_of(&self, ask: &Ask, answer: &Answer, have: &RangeSet) -> Result<Option<u64>, Ended> {
        let expected = self.request.expected.size.or(self.facts.linked_size);
        match &answer.content {
            Content::Part { range, total } => {
                let asked = ask.range.clone().unwrap_or(0..0);
                if range.start != asked.start || range.end > asked.end {
                    return Err(Ended::Contradiction(
                        "the server sent other bytes than were asked for".to_owned(),
                    ));
                }
                match total.or(expected) {
                    Some(size) if range.end <= size && have.end() <= size => Ok(Some(size)),
                    Some(_) => {
                        Err(Ended::Contradiction("the file is shorter than what is there of it".to_owned()))
                    }
                    None => Err(no_ranges("the server does not say how long the file is")),
                }
            }
            Content::Whole { length: Length::Known(size) } => Ok(Some(*size)),
            Content::Whole { length: Length::Marked } => Ok(expected),
            Content::Whole { length: Length::Unknown } => {
                if expected.is_none() && self.expected_hash().is_none() {
                    return Err(TransferError::UnknownLength { url: self.source.masked() }.into());
                }
                Ok(expected)
            }
            Content::Beyond { total: Some(0) } if have.is_empty() => Ok(Some(0)),
            Content::Beyond { .. } if have.is_empty() && ask.range.is_some() => {
                Err(no_ranges("the server refused the first bytes of the file"))
            }
            Content::Beyond { .. } => {
                Err(Ended::Contradiction("the server says that the file is shorter than before".to_owned()))
            }
        }
    }

    async fn new_part(&self) -> Result<Part, TransferError> {
        let (disk, path) = (Arc::clone(&self.shared.options.disk), self.request.part.clone());
        blocking(move || Part::create(&disk, &path)).await
    }

    /// Receives what is missing and hashes everything.
    async fn receive(
        &mut self,
        part: Part,
        have: RangeSet,
        size: Option<u64>,
        first: First,
        ranged: bool,
    ) -> Result<Arrived, Ended> {
        let etag =
            part.known.as_ref().and_then(|known| known.header.etag.clone()).or(first.answer.etag.clone());
        let (part, journal) = self.prepare_part(part, size, etag.clone()).await?;
        let partial = matches!(first.answer.content, Content::Part { .. });
        // Parts are only put together under one validator, or when a hash will judge the whole.
        let divisible = ranged && partial && (etag.is_some() || self.expected_hash().is_some());
        let connections = if divisible { self.connections() } else { 1 };
        let writer = self.start_writer(&part, journal, &have);
        let lanes = self.lanes(&have, size, etag, connections, &first, &writer);
        self.observer.on_event(Event::Started { size, resumed_bytes: have.total(), connections });
        let mut crew = Crew::new(lanes, have.total(), divisible);
        let driven = tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(TransferError::Cancelled.into()),
            driven = crew.drive(first, &mut self.budget, &*self.observer) => driven,
        };
        self.fetched_bytes += crew.dismiss().await;
        match driven {
            Ok(()) => self.finish(part, writer).await,
            Err(ended) => Err(self.wind_up(writer, ended).await),
        }
    }

    async fn prepare_part(
        &self,
        part: Part,
        size: Option<u64>,
        etag: Option<String>,
    ) -> Result<(Part, Option<Journal>), TransferError> {
        let reserve = self.shared.options.free_space_reserve;
        let sha256 = self.expected_hash();
        let resumable = etag.is_some() || sha256.is_some();
        let subject = size.filter(|size| resumable && *size >= WORTH_A_JOURNAL).map(|size| {
            let (url, facts) = (self.source.masked().to_string(), self.facts.clone());
            Subject { url, size, etag, sha256, facts }
        });
        blocking(move || match size {
            Some(size) => part.prepare(size, reserve, subject).map(|journal| (part, journal)),
            None => part.check_space(0, reserve).map(|()| (part, None)),
        })
        .await
    }

    fn lanes(
        &self,
        have: &RangeSet,
        size: Option<u64>,
        etag: Option<String>,
        connections: usize,
        first: &First,
        writer: &Writer,
    ) -> Arc<Lanes> {
        let mut plan = Plan::new(size.unwrap_or(u64::MAX), have, &self.shared.options.piece_size);
        let piece = match &first.answer.content {
            Content::Part { range, .. } => range.clone(),
            _ => 0..u64::MAX,
        };
        plan.claim(0, &piece, Instant::now());
        Arc::new(Lanes {
            shared: Arc::clone(&self.shared),
            source: Arc::clone(&self.source),
            plan: Mutex::new(plan),
            sender: writer.sender(),
            size,
            etag,
            connections,
            arrived: AtomicU64::new(0),
        })
    }

    fn start_writer(&self, part: &Part, journal: Option<Journal>, have: &RangeSet) -> Writer {
        let options = &self.shared.options;
        Writer::start(
            Arc::clone(&options.disk),
            Arc::clone(&part.file),
            &self.request.part,
            journal,
            have,
            WriterOptions { journal_bytes: options.journal_bytes, sync_bytes: options.sync_bytes },
            &self.guard,
        )
    }

    /// Waits for the last writes and the hash.
    async fn finish(&mut self, part: Part, writer: Writer) -> Result<Arrived, Ended> {
        self.observer.on_event(Event::Verifying);
        let halter = writer.halter();
        let finishing = writer.finish();
        tokio::pin!(finishing);
        let finished = tokio::select! {
            biased;
            () = self.cancel.cancelled() => None,
            finished = &mut finishing => Some(finished),
        };
        let Some(finished) = finished else {
            halter.halt();
            // What hangs in a slow disk's sync has nothing left that it could change.
            let _ = tokio::time::timeout(Duration::from_secs(1), finishing).await;
            return Err(TransferError::Cancelled.into());
        };
        let sha256 = finished.map_err(|error| self.explain(error))?;
        Ok(Arrived { part, sha256 })
    }

    /// Ends the writing side after a failure; its own error is the better explanation.
    async fn wind_up(&self, writer: Writer, ended: Ended) -> Ended {
        match (writer.stop().await, ended) {
            (Err(error), Ended::WriterGone) => self.explain(error).into(),
            (Err(error), ended) => {
                tracing::warn!(part = %self.request.part.display(), %error, "the writer failed as well");
                ended
            }
            (Ok(()), ended) => ended,
        }
    }

    /// Fills in how much room is missing, which the failed write cannot know.
    fn explain(&self, error: TransferError) -> TransferError {
        match error {
            TransferError::DiskFull { path, needed: 0, .. } => {
                let disk = &self.shared.options.disk;
                let free = disk.free_space(folder_of(&path)).unwrap_or_default();
                TransferError::DiskFull { path, needed: self.shared.options.free_space_reserve, free }
            }
            error => error,
        }
    }

    /// Syncs, asks the gate, renames.
    async fn publish(self, arrived: Arrived) -> Result<Fetched, TransferError> {
        let Arrived { part, sha256 } = arrived;
        let (disk, path) = (Arc::clone(&self.shared.options.disk), self.request.part.clone());
        let file = Arc::clone(&part.file);
        let publisher = blocking(move || Publisher::new(disk, file, &path)).await?;
        let size = publisher.size();
        if let Err(error) = self.cancellable(&publisher, Publisher::sync).await {
            // After a failed sync nobody knows what is on the disk, and the next one would lie.
            if !matches!(error, TransferError::Cancelled) {
                self.discard().await?;
            }
            return Err(error);
        }
        let gate = Arc::clone(&self.request.gate);
        let admission = self.cancellable(&publisher, move |publisher| Ok(publisher.admit(&*gate))).await?;
        let (path, outcome) = self.place(publisher, admission).await?;
        Ok(Fetched {
            path,
            size,
            sha256,
            verified: self.expected_hash() == Some(sha256),
            outcome,
            fetched_bytes: self.fetched_bytes,
            resumed_bytes: self.resumed_bytes,
            facts: self.facts,
            elapsed: self.began.elapsed(),
        })
    }

    /// Runs a step that changes nothing anybody sees, and leaves it behind when cancelled.
    async fn cancellable<T: Send + 'static>(
        &self,
        publisher: &Publisher,
        step: impl FnOnce(&Publisher) -> Result<T, TransferError> + Send + 'static,
    ) -> Result<T, TransferError> {
        let (publisher, guard) = (publisher.clone(), self.guard.clone());
        let stepping = blocking(move || {
            let result = step(&publisher);
            drop(guard);
            result
        });
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(TransferError::Cancelled),
            result = stepping => result,
        }
    }

    async fn place(
        &self,
        publisher: Publisher,
        admission: Admission,
    ) -> Result<(PathBuf, Outcome), TransferError> {
        if self.cancel.is_cancelled() {
            return Err(TransferError::Cancelled);
        }
        let disk = Arc::clone(&self.shared.options.disk);
        let journal = journal_path(&self.request.part);
        let destination = self.request.destination.clone();
        let replace = if self.request.replace { Replace::Yes } else { Replace::Never };
        let (part, guard) = (self.request.part.clone(), self.guard.clone());
        blocking(move || {
            let _guard = guard;
            let placed = match admission {
                Admission::Publish => {
                    publisher.publish(&destination, replace)?;
                    (destination, Outcome::Published)
                }
                Admission::Quarantine { to, reason } => {
                    publisher.quarantine(&to)?;
                    (to, Outcome::Quarantined { reason })
                }
                Admission::Refuse { reason } => {
                    discard_on(&*disk, &part)?;
                    return Err(TransferError::ContentRefused { reason });
                }
            };
            if let Err(error) = disk.remove(&journal) {
                tracing::warn!(path = %journal.display(), %error, "cannot remove a journal that is done with");
            }
            Ok(placed)
        })
        .await
    }
}

fn no_ranges(reason: &str) -> Ended {
    Ended::NoRanges { reason: reason.to_owned(), wait: Duration::ZERO }
}

/// The first answer with the beginning of its body, which tells a page from a model.
async fn first_answer(source: &Source, ask: &Ask, patience: Duration) -> Result<First, Failure> {
    let mut answer = source.ask(ask, Patience::Wait).await?;
    let from_start = match &answer.content {
        Content::Part { range, .. } => range.start == 0,
        Content::Whole { .. } => true,
        Content::Beyond { .. } => false,
    };
    if !from_start {
        return Ok(First { answer, head: None });
    }
    let head = match tokio::time::timeout(patience, answer.response.chunk()).await {
        Ok(Ok(head)) => head,
        Ok(Err(_)) => return Err(Failure::passing("the connection was closed before the first byte")),
        Err(_) => return Err(Failure::passing("the first byte did not come in time")),
    };
    let start = head.as_deref().unwrap_or_default();
    match not_a_model(&answer.url, answer.response.headers(), start) {
        Some(error) => Err(error.into()),
        None => Ok(First { answer, head }),
    }
}

/// Runs blocking work off the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TransferError> + Send + 'static,
) -> Result<T, TransferError> {
    spawn_blocking(work).await.unwrap_or_else(|error| Err(TransferError::Internal(error.to_string())))
}

/// Bytes that arrived in this run.
pub(crate) fn arrived(lanes: &Lanes) -> u64 {
    lanes.arrived.load(Ordering::Relaxed)
}
