//! Pictures of styles that teams ask for: queued, made through the generator, kept for a week.
//!
//! A generation is a row that a worker claims: [`plan`] says what its pictures follow from, [`run`] makes them.

mod plan;
mod run;
mod workflow;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{MediaFile, Page, PageRequest, Registry, RenderRequest, bad_cursor};
use crate::domain::{
    GenerationId, GenerationState, TeamId, idempotency_key, judge_negative, judge_pictures, judge_side,
};
use crate::error::{Error, Result, Thing};
use crate::store::StoredGeneration;
pub use plan::GenerationPlan;
use plan::{Picture, PictureState};

/// Generations of one team that may wait; more are refused.
const MOST_WAITING_OF_TEAM: u64 = 50;
/// Generations of all teams that may wait.
const MOST_WAITING: u64 = 500;

/// What a team asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct GenerationRequest {
    /// The style, by id or slug.
    pub style: String,
    /// Prompt, settings and strength.
    pub render: RenderRequest,
    /// What the pictures shall not show.
    pub negative_prompt: String,
    /// How many pictures, each with the next seed.
    pub images: u32,
    /// Where chance begins; chosen when absent.
    pub seed: Option<u64>,
    /// Pixels; the workflow's own when absent.
    pub width: Option<u32>,
    /// Pixels.
    pub height: Option<u32>,
}

/// A generation as its team sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Generation {
    /// Its id.
    pub id: GenerationId,
    /// Where it is.
    pub state: GenerationState,
    /// What its pictures follow from.
    pub plan: GenerationPlan,
    /// One a picture that is asked for; those that came have a hash.
    pub images: Vec<GeneratedImage>,
    /// How many wait before it; `None` when it does not wait.
    pub queue_position: Option<u64>,
    /// Why it failed: a stable code, and a text.
    pub error: Option<(String, String)>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When a worker began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it was over.
    pub finished_at: Option<DateTime<Utc>>,
}

/// A picture of a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeneratedImage {
    /// Its place, from 0.
    pub place: usize,
    /// What chance it was made of.
    pub seed: u64,
    /// SHA-256 of the file; `None` until it came.
    pub sha256: Option<String>,
    /// Why it did not come.
    pub error: Option<String>,
}

/// What all generations share.
#[derive(Debug, Default)]
pub(in crate::service) struct Generations {
    /// Wakes the worker.
    wake: Notify,
    /// Those that run here, and how they are ended.
    running: Mutex<HashMap<GenerationId, CancellationToken>>,
}

impl Generations {
    fn running(&self) -> MutexGuard<'_, HashMap<GenerationId, CancellationToken>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name of a generation outside.
pub fn shown_generation_id(id: GenerationId) -> String {
    format!("gen_{id}")
}

fn known_id(text: &str) -> Result<GenerationId> {
    let id = text.strip_prefix("gen_").and_then(|digits| digits.parse().ok());
    id.ok_or_else(|| Error::not_found(Thing::Generation, text))
}

impl Registry {
    /// Takes a request of a team on; `true` beside it when it was taken on before under the same key.
    ///
    /// `NotFound` for a style that the team may not see, `Conflict` for one that cannot be made now (`style_not_ready`,
    /// `no_workflow`) and for a key that named another request (`idempotency_key_reused`), `Unavailable` without a generator
    /// that can make it, `Busy` when too many wait.
    pub async fn generate(
        &self,
        team: TeamId,
        request: GenerationRequest,
        key: Option<&str>,
    ) -> Result<(Generation, bool)> {
        let key = key.map(idempotency_key).transpose()?;
        let hash = plan::request_hash(&request);
        if let Some(known) = self.known_generation(team, key.as_deref(), &hash).await? {
            return Ok((known, true));
        }
        judge_side("width", request.width)?;
        judge_side("height", request.height)?;
        judge_pictures(request.images)?;
        judge_negative(&request.negative_prompt)?;
        let rendered = self.render_style(&request.style, team, request.render.clone()).await?;
        let plan = GenerationPlan::new(&request, &rendered);
        self.prepare_generation(&plan).await?;
        self.refuse_when_many_wait(team).await?;
        let stored = self.new_generation(team, &plan, request.images, key.clone(), hash.clone())?;
        if !self.inner.store.insert_generation(&stored).await? {
            // Somebody was faster with the same key.
            let known = self.known_generation(team, key.as_deref(), &hash).await?;
            let lost = || Error::internal("taking on a generation", "it is neither new nor known");
            return Ok((known.ok_or_else(lost)?, true));
        }
        tracing::info!(generation = %stored.id, style = plan.style, images = request.images, "a generation was asked for");
        self.inner.generations.wake.notify_one();
        Ok((self.generation_of(&stored).await?, false))
    }

    /// What the team asked under that key before.
    async fn known_generation(
        &self,
        team: TeamId,
        key: Option<&str>,
        hash: &str,
    ) -> Result<Option<Generation>> {
        let Some(key) = key else { return Ok(None) };
        let Some(known) = self.inner.store.find_generation_of_key(team, key).await? else { return Ok(None) };
        if known.request_sha256 != hash {
            let message = format!("the idempotency key `{key}` named another request before; use a new one");
            return Err(Error::conflict("idempotency_key_reused", message));
        }
        self.generation_of(&known).await.map(Some)
    }

    fn new_generation(
        &self,
        team: TeamId,
        plan: &GenerationPlan,
        images: u32,
        idempotency_key: Option<String>,
        request_sha256: String,
    ) -> Result<StoredGeneration> {
        let now = self.now();
        Ok(StoredGeneration {
            id: GenerationId::new(now),
            team_id: team,
            state: GenerationState::Queued,
            idempotency_key,
            request_sha256,
            plan: plan::written(plan)?,
            pictures: plan::written(&vec![Picture::default(); images as usize])?,
            is_cancelled: false,
            error_code: None,
            error: None,
            created_at: now,
            started_at: None,
            finished_at: None,
        })
    }

    async fn refuse_when_many_wait(&self, team: TeamId) -> Result<()> {
        let (all, own) = self.inner.store.count_waiting_generations(team).await?;
        if all < MOST_WAITING && own < MOST_WAITING_OF_TEAM {
            return Ok(());
        }
        let message = format!("{own} generations of your team wait already; ask again when some are done");
        Err(Error::Busy { message, retry_after_seconds: Some(30) })
    }

    /// One generation of a team as it is now.
    pub async fn generation(&self, team: TeamId, id: &str) -> Result<Generation> {
        let stored = self.stored_generation(team, id).await?;
        self.generation_of(&stored).await
    }

    /// The generations of a team, the newest first.
    pub async fn list_generations(&self, team: TeamId, page: &PageRequest) -> Result<Page<Generation>> {
        let before = page.cursor.as_deref().map(cursor_id).transpose()?;
        let (mut rows, total) = self.inner.store.list_generations(team, before, page.rows() + 1).await?;
        let has_more = rows.len() > page.rows() as usize;
        rows.truncate(page.rows() as usize);
        let last = rows.last().filter(|_| has_more);
        let next_cursor = last.map(|last| URL_SAFE_NO_PAD.encode(last.id.to_string()));
        let mut items = Vec::with_capacity(rows.len());
        for row in &rows {
            items.push(self.generation_of(row).await?);
        }
        Ok(Page { items, next_cursor, total })
    }

    /// Asks for the end of a generation; pictures that came stay. `Conflict` (`generation_over`) when nothing is left to end.
    pub async fn cancel_generation(&self, team: TeamId, id: &str) -> Result<Generation> {
        let stored = self.stored_generation(team, id).await?;
        if stored.state.is_over() {
            let message = format!("the generation is {} already", stored.state.as_str());
            return Err(Error::conflict("generation_over", message));
        }
        self.inner.store.cancel_generation(stored.id, self.now()).await?;
        if let Some(running) = self.inner.generations.running().get(&stored.id) {
            running.cancel();
        }
        tracing::info!(generation = %stored.id, "a generation was cancelled");
        self.generation(team, id).await
    }

    /// The file of one picture.
    pub async fn generation_image(&self, team: TeamId, id: &str, place: usize) -> Result<MediaFile> {
        let stored = self.stored_generation(team, id).await?;
        let pictures: Vec<Picture> = plan::read(&stored.pictures)?;
        let missing = || Error::not_found(Thing::Image, place.to_string());
        let picture = pictures.get(place).filter(|picture| picture.state == PictureState::Done);
        let media_type = picture.ok_or_else(missing)?.media_type();
        Ok(MediaFile { path: self.generated_picture(stored.id, place), media_type })
    }

    async fn stored_generation(&self, team: TeamId, id: &str) -> Result<StoredGeneration> {
        let found = self.inner.store.find_generation(team, known_id(id)?).await?;
        found.ok_or_else(|| Error::not_found(Thing::Generation, id))
    }

    async fn generation_of(&self, stored: &StoredGeneration) -> Result<Generation> {
        let plan: GenerationPlan = plan::read(&stored.plan)?;
        let pictures: Vec<Picture> = plan::read(&stored.pictures)?;
        let image = |(place, picture): (usize, Picture)| GeneratedImage {
            place,
            seed: plan.seed_of(place),
            sha256: picture.sha256,
            error: picture.error,
        };
        let queue_position = match stored.state {
            GenerationState::Queued => {
                Some(self.inner.store.count_generations_before(stored.created_at).await?)
            }
            _ => None,
        };
        Ok(Generation {
            id: stored.id,
            state: stored.state,
            images: pictures.into_iter().enumerate().map(image).collect(),
            plan,
            queue_position,
            error: stored.error_code.clone().zip(stored.error.clone()),
            created_at: stored.created_at,
            started_at: stored.started_at,
            finished_at: stored.finished_at,
        })
    }

    /// Where the pictures of a generation are.
    fn generation_folder(&self, id: GenerationId) -> PathBuf {
        self.inner.config.data_dir.join("generations").join(id.to_string())
    }

    fn generated_picture(&self, id: GenerationId, place: usize) -> PathBuf {
        self.generation_folder(id).join(format!("{place}.image"))
    }
}

fn cursor_id(cursor: &str) -> Result<GenerationId> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.and_then(|text| text.parse().ok()).ok_or_else(bad_cursor)
}
