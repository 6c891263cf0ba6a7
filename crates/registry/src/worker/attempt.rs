//! One try: what is there already, where the bytes are now, the transfer, and what became of it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use lorakeep_transfer::{Expected, Fetched, Outcome, Request, Sha256Digest, TransferError};
use lorakeep_weights::Sha256;
use url::Url;

use super::failure::Failure;
use super::gate::ContentGate;
use super::observer::Watch;
use crate::domain::{Download, DownloadState, Entry, FileFact, Origin, QuarantineId};
use crate::files::stamp_at;
use crate::service::Registry;
use crate::service::live::Live;
use crate::store::{StoredDownload, StoredQuarantined};
use crate::upstream::source::Source;

/// Everything that a try needs.
pub(super) struct Attempt {
    pub(super) registry: Registry,
    pub(super) stored: StoredDownload,
    pub(super) live: Arc<Live>,
    /// The rule that the content broke, when it was denied.
    pub(super) broken_rule: Arc<OnceLock<&'static str>>,
}

/// How a try ended well.
pub(super) enum Ended {
    /// The file is in its place.
    Published(FileFact),
    /// The file is whole and may not be loaded.
    Quarantined {
        /// Why.
        reason: String,
    },
}

impl Attempt {
    fn download(&self) -> &Download {
        &self.stored.download
    }

    pub(super) fn destination(&self) -> PathBuf {
        self.download().path.below(&self.registry.inner.config.models_dir)
    }

    pub(super) async fn run(&self) -> Result<Ended, Failure> {
        let entry = self.entry()?;
        if let Some(ended) = self.finish_present(&entry).await? {
            // A process that was killed after publishing had no time to tidy up.
            self.registry.remove_part_files(self.download().id).await?;
            return Ok(ended);
        }
        self.registry.require_changeable(&self.download().path).await?;
        let origin = entry.document.origin().ok_or_else(no_source)?;
        let mut source = self.unless_stopped(self.registry.inner.jobs.upstreams.resolve(&origin)).await??;
        // What the catalog knows exactly is held against what the source leaves open.
        source.size = source.size.or_else(|| entry.document.id("size_bytes"));
        let expected = expected_hash(&entry, &source)?;
        if let Some(total) = source.size.or(source.estimated_size) {
            self.live.expect_bytes(total);
        }
        if let Some(sha256) = expected {
            let (store, id) = (&self.registry.inner.store, self.download().id);
            store.save_download_sha256(id, &sha256.to_string()).await?;
            if let Some(fact) = self.reuse(sha256).await? {
                return Ok(Ended::Published(fact));
            }
        }
        self.make_room(&source).await?;
        self.fetch(&source, expected, &origin).await
    }

    /// Lets the bin free what the disk lacks for the rest of the file; the transfer says so when that is not enough.
    async fn make_room(&self, source: &Source) -> Result<(), Failure> {
        let Some(size) = source.size.or(source.estimated_size) else { return Ok(()) };
        let registry = &self.registry;
        let missing = size.saturating_sub(registry.part_bytes(self.download()).await);
        let at = registry.part_path(self.download());
        registry.make_room(&at, missing + registry.inner.jobs.reserve_bytes).await?;
        Ok(())
    }

    /// The entry, by id; the catalog may have made it anew under the same path.
    fn entry(&self) -> Result<Arc<Entry>, Failure> {
        let library = self.registry.library();
        let Download { entry_id, path, .. } = self.download();
        let found = library.entry(*entry_id).filter(|entry| entry.path == *path);
        let found = found.or_else(|| library.entries_at(path).first()).cloned();
        found.ok_or_else(|| {
            Failure::lasting(
                "entry_removed",
                format!("`{path}` is in no catalog any more; add it again to download it"),
            )
        })
    }

    /// Ends the job when its file is there: published before a kill, or put there by somebody.
    async fn finish_present(&self, entry: &Entry) -> Result<Option<Ended>, Failure> {
        let announced: Option<Sha256> = self.stored.sha256.as_deref().and_then(|text| text.parse().ok());
        let was_interrupted = self.download().attempts > 1;
        // A forced download replaces the file, unless it is what an interrupted run has just published.
        if self.download().force && !(was_interrupted && announced.is_some()) {
            return Ok(None);
        }
        if !self.registry.is_on_disk(&self.download().path).await {
            return Ok(None);
        }
        let published = announced.or_else(|| self.registry.library().published(&entry.path));
        if published.is_none() && !was_interrupted {
            let fact = self.fact(&self.destination(), None, None)?;
            return Ok(Some(Ended::Published(fact)));
        }
        self.live.enter(DownloadState::Verifying);
        let computed = self.hash(self.destination()).await?;
        if self.download().force && published != Some(computed) {
            self.live.enter(DownloadState::Downloading);
            return Ok(None);
        }
        let fact = self.fact(&self.destination(), Some(computed), published)?;
        Ok(Some(Ended::Published(fact)))
    }

    async fn fetch(
        &self,
        source: &Source,
        expected: Option<Sha256>,
        origin: &Origin,
    ) -> Result<Ended, Failure> {
        let mut result = self.transfer(&source.url, source, expected).await;
        for other in &source.other_urls {
            if !is_missing(&result) {
                break;
            }
            let found = self.transfer(other, source, expected).await;
            // The first refusal explains more than that of a guess.
            result = if is_missing(&found) { result } else { found };
        }
        match result {
            Ok(fetched) => self.fetched(fetched, origin).await,
            // Somebody put a file there meanwhile; it is kept.
            Err(TransferError::Exists(_)) => {
                let computed = self.hash(self.destination()).await?;
                Ok(Ended::Published(self.fact(&self.destination(), Some(computed), expected)?))
            }
            Err(error) => Err(Failure::of_transfer(&error, source)),
        }
    }

    async fn transfer(
        &self,
        url: &Url,
        source: &Source,
        expected: Option<Sha256>,
    ) -> Result<Fetched, TransferError> {
        let Download { id, path, force, .. } = self.download();
        let gate = ContentGate {
            file_name: path.file.to_string(),
            quarantine: self.registry.quarantine_path(id.0),
            broken_rule: Arc::clone(&self.broken_rule),
        };
        let request = Request {
            url: url.clone(),
            credential: source.credential.clone(),
            part: self.registry.part_path(self.download()),
            destination: self.destination(),
            expected: Expected {
                size: source.size,
                sha256: expected.map(|sha256| Sha256Digest::new(*sha256.as_bytes())),
            },
            replace: *force,
            gate: Arc::new(gate),
        };
        let watch = Watch { registry: self.registry.clone(), id: *id, live: Arc::clone(&self.live) };
        let engine = &self.registry.inner.jobs.engine;
        engine.fetch(request, Arc::new(watch), self.live.cancel.clone()).await
    }

    async fn fetched(&self, fetched: Fetched, origin: &Origin) -> Result<Ended, Failure> {
        count_bytes(origin, fetched.fetched_bytes);
        tracing::info!(
            download.id = %self.download().id,
            host = fetched.facts.final_host,
            size_bytes = fetched.size,
            fetched_bytes = fetched.fetched_bytes,
            resumed_bytes = fetched.resumed_bytes,
            elapsed_ms = fetched.elapsed.as_millis() as u64,
            "bytes are here"
        );
        match fetched.outcome {
            Outcome::Quarantined { reason } => {
                let sha256 = Sha256::from_bytes(*fetched.sha256.as_bytes());
                let Download { id, path, .. } = self.download();
                let file = StoredQuarantined {
                    id: QuarantineId(id.0),
                    is_upload: false,
                    path: path.clone(),
                    entity_type: None,
                    file_name: path.file.to_string(),
                    size_bytes: fetched.size,
                    sha256,
                    rule: self.broken_rule.get().map(|rule| (*rule).to_owned()),
                    reason: reason.clone(),
                    quarantined_at: self.registry.inner.clock.now(),
                };
                self.registry.inner.store.save_quarantined(&file).await?;
                Ok(Ended::Quarantined { reason })
            }
            Outcome::Published => {
                let sha256 = Sha256::from_bytes(*fetched.sha256.as_bytes());
                let published = Some(sha256).filter(|_| fetched.verified);
                Ok(Ended::Published(self.fact(&fetched.path, Some(sha256), published)?))
            }
        }
    }

    /// What is known of a published file.
    pub(super) fn fact(
        &self,
        file: &Path,
        sha256: Option<Sha256>,
        published: Option<Sha256>,
    ) -> Result<FileFact, Failure> {
        let stamp = stamp_at(file).ok_or_else(|| {
            Failure::lasting("io", format!("`{}` was published and is gone again", file.display()))
        })?;
        let now = self.registry.inner.clock.now();
        Ok(match sha256 {
            Some(sha256) => FileFact::hashed(stamp, sha256, published, now),
            None => FileFact { published, ..FileFact::unverified(stamp) },
        })
    }

    /// Hashes a file off the async threads; stops when the job does.
    pub(super) async fn hash(&self, file: PathBuf) -> Result<Sha256, Failure> {
        let shown = file.display().to_string();
        let cancel = self.live.cancel.clone();
        let work = tokio::task::spawn_blocking(move || {
            let open = File::open(&file)?;
            let size = open.metadata()?.len();
            let stop = AtomicBool::new(false);
            let look = |_| stop.store(cancel.is_cancelled(), Ordering::Relaxed);
            lorakeep_weights::digest::sha256(&open, size, look, &stop)
        });
        let hashed = work.await.map_err(|_| Failure::lasting("internal", "the hash ended unexpectedly"))?;
        hashed.map_err(|error| Failure::lasting("io", format!("`{shown}` cannot be hashed: {error}")))
    }

    /// Waits for something that writes nothing, or for the job to be stopped.
    async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Result<T, Failure> {
        tokio::select! {
            () = self.live.cancel.cancelled() => Err(Failure::lasting("cancelled", "the download was stopped")),
            done = work => Ok(done),
        }
    }
}

/// The hash that the content must have: the catalog's, else the source's; both must agree.
fn expected_hash(entry: &Entry, source: &Source) -> Result<Option<Sha256>, Failure> {
    let published = source.sha256.map(|sha256| Sha256::from_bytes(*sha256.as_bytes()));
    match (entry.document.sha256(), published) {
        (Some(own), Some(published)) if own != published => {
            metrics::counter!("lorakeep_verification_failures_total").increment(1);
            Err(Failure::lasting(
                "hash_mismatch",
                format!(
                    "the catalog wants the sha-256 `{own}` and the source now publishes `{published}`: the file was \
                     replaced there; correct or remove the entry's `sha256` if you want the new one"
                ),
            ))
        }
        (own, published) => Ok(own.or(published)),
    }
}

fn is_missing(result: &Result<Fetched, TransferError>) -> bool {
    matches!(result, Err(TransferError::Refused(refusal)) if refusal.status == 404 && refusal.first_party)
}

fn no_source() -> Failure {
    Failure::lasting(
        "no_source",
        "its entry names no source any more; give it a `url`, a version or a repository file",
    )
}

fn count_bytes(origin: &Origin, bytes: u64) {
    let upstream = match origin {
        Origin::Civitai { .. } => "civitai",
        Origin::HuggingFace { .. } => "huggingface",
        Origin::Url(_) => "url",
    };
    metrics::counter!("lorakeep_downloaded_bytes_total", "upstream" => upstream).increment(bytes);
}
