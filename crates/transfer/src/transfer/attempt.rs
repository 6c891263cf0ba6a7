//! One attempt: from what is on disk, over the first answer, to the whole content.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::{Arrived, Ended, Transfer, blocking};
use crate::answer::{Answer, Content, Length};
use crate::content::not_a_model;
use crate::crew::Crew;
use crate::error::TransferError;
use crate::failure::Failure;
use crate::journal::{Journal, Subject};
use crate::observer::Event;
use crate::part::Part;
use crate::plan::Plan;
use crate::probe::{Ask, Patience, Source};
use crate::ranges::RangeSet;
use crate::segment::{First, Lanes};
use crate::writer::{Writer, WriterOptions};

/// Smaller files are fetched anew sooner than a journal is synced.
const WORTH_A_JOURNAL: u64 = 256 * 1024;

impl Transfer {
    /// From what is on disk to the whole content.
    pub(super) async fn attempt(&mut self) -> Result<Arrived, Ended> {
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
        if let Content::Part { range, .. } = &answer.content
            && Some(range.end - range.start) != size
            && !self.may_join_parts(part, answer)
        {
            return Err(no_ranges("the server names no version of the file that parts could be held to"));
        }
        if matches!(answer.content, Content::Whole { .. }) && part.known.is_some() {
            // The body at hand is the whole file from its beginning; the rest of the old is of no use.
            *part = self.new_part().await?;
            self.resumed_bytes = 0;
            return Ok((size, RangeSet::default()));
        }
        Ok((size, have))
    }

    /// Parts are only put together under one strong validator, or when a hash will judge the whole.
    fn may_join_parts(&self, part: &Part, answer: &Answer) -> bool {
        let known = part.known.as_ref().is_some_and(|known| known.header.etag.is_some());
        known || answer.etag.is_some() || self.expected_hash().is_some()
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
        // What comes as one body cannot be taken up in its middle.
        let partial = ranged && matches!(first.answer.content, Content::Part { .. });
        let divisible = partial && self.may_join_parts(&part, &first.answer);
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
