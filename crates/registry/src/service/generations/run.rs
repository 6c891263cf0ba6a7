//! The worker: claims a generation, keeps its lease alive, makes one picture after the other, and writes the end.

use std::time::Duration;

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::plan::{self, GenerationPlan, Picture, PictureState};
use super::workflow::{PATIENCE_SECONDS, Workflow};
use crate::domain::{GenerationState, MediaFormat};
use crate::error::{Error, Result, chain};
use crate::files::io_error;
use crate::service::Registry;
use crate::service::prompts::{Came, Prompter};
use crate::store::{Lease, StoredGeneration};
use crate::upstream::comfyui::OutputImage;

/// How long one counts as alive without a sign of its holder.
const LEASE: TimeDelta = TimeDelta::seconds(60);
/// How often a sign is given.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How often work of others, abandoned and old ones are looked for.
const LOOK_AROUND: Duration = Duration::from_secs(20);
/// How long generations and their pictures are kept.
const KEPT: TimeDelta = TimeDelta::days(7);
/// How often a prompt that the generator forgot is sent again.
const RETRIES: usize = 2;

impl Registry {
    /// Puts generations that a killed process held back into the queue; part of `open`.
    pub(in crate::service) async fn open_generations(&self) -> Result<()> {
        let requeued =
            self.inner.store.requeue_abandoned_generations(&self.inner.jobs.holder, self.now()).await?;
        if requeued > 0 {
            tracing::info!(count = requeued, "generations of an interrupted run are queued again");
        }
        Ok(())
    }

    /// Makes what waits, one after the other, as the generator does; part of `start`.
    pub(in crate::service) fn start_generations(&self) {
        let registry = self.clone();
        self.inner.tasks.spawn(async move {
            while !registry.inner.stopping.is_cancelled() {
                match registry.claim_generation().await {
                    Ok(Some(stored)) => {
                        registry.run_generation(stored).await;
                        continue;
                    }
                    Ok(None) => {}
                    Err(error) => {
                        tracing::error!(error = %chain(&error), "the queue of generations cannot be read");
                    }
                }
                tokio::select! {
                    () = registry.inner.stopping.cancelled() => break,
                    () = registry.inner.generations.wake.notified() => {}
                    () = tokio::time::sleep(LOOK_AROUND) => registry.look_after_generations().await,
                }
            }
        });
    }

    /// A node without a generator leaves the work to others.
    async fn claim_generation(&self) -> Result<Option<StoredGeneration>> {
        if self.inner.jobs.upstreams.comfyui.is_none() {
            return Ok(None);
        }
        self.inner.store.claim_generation(self.now(), &self.generation_lease()).await
    }

    fn generation_lease(&self) -> Lease {
        Lease { holder: self.inner.jobs.holder.clone(), until: self.now() + LEASE }
    }

    async fn look_after_generations(&self) {
        // An empty holder is nobody's: only leases that ran out come back.
        if let Err(error) = self.inner.store.requeue_abandoned_generations("", self.now()).await {
            tracing::error!(error = %chain(&error), "abandoned generations cannot be looked for");
        }
        if let Err(error) = self.forget_old_generations().await {
            tracing::error!(error = %chain(&error), "old generations cannot be removed");
        }
    }

    /// Removes what is older than [`KEPT`], rows first: pictures without a row are nobody's.
    pub(super) async fn forget_old_generations(&self) -> Result<()> {
        for id in self.inner.store.forget_generations(self.now() - KEPT).await? {
            let folder = self.generation_folder(id);
            let removed = self.blocking("removing pictures", move || std::fs::remove_dir_all(folder)).await?;
            if let Err(error) = removed
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(generation = %id, %error, "the pictures of a generation cannot be removed");
            }
        }
        Ok(())
    }

    async fn run_generation(&self, stored: StoredGeneration) {
        let (id, began) = (stored.id, std::time::Instant::now());
        let cancel = self.inner.stopping.child_token();
        self.inner.generations.running().insert(id, cancel.clone());
        if stored.is_cancelled {
            cancel.cancel();
        }
        let work = Work { registry: self.clone(), cancel, row: tokio::sync::Mutex::new(stored) };
        match work.to_its_end().await {
            Ok(state) => {
                let seconds = began.elapsed().as_secs_f64();
                tracing::info!(generation = %id, state = state.as_str(), seconds, "a generation ended");
                metrics::counter!("lorakeep_generations_total", "state" => state.as_str()).increment(1);
            }
            Err(error) => tracing::error!(generation = %id, error = %chain(&error), "a generation was lost"),
        }
        self.inner.generations.running().remove(&id);
    }
}

/// A generation at work.
struct Work {
    registry: Registry,
    cancel: CancellationToken,
    row: tokio::sync::Mutex<StoredGeneration>,
}

impl Work {
    async fn to_its_end(&self) -> Result<GenerationState> {
        let ended = tokio::select! {
            ended = self.make_pictures() => ended,
            error = self.stay_alive() => Err(error),
        };
        if self.registry.inner.stopping.is_cancelled() && ended.is_err() {
            // The row stays with its holder: the next start takes it up again.
            return Ok(GenerationState::Queued);
        }
        self.finish(ended).await
    }

    /// Gives signs of life; comes back only when it cannot.
    async fn stay_alive(&self) -> Error {
        loop {
            tokio::time::sleep(HEARTBEAT).await;
            if let Err(error) = self.save().await {
                return error;
            }
        }
    }

    /// Writes what came; hears whether somebody asked for the end.
    async fn save(&self) -> Result<()> {
        let row = self.row.lock().await;
        match self.registry.inner.store.touch_generation(&row, &self.registry.generation_lease()).await? {
            Some(false) => {}
            // Asked for, or another worker has it by now.
            Some(true) | None => self.cancel.cancel(),
        }
        Ok(())
    }

    async fn save_pictures(&self, pictures: &[Picture]) -> Result<()> {
        self.row.lock().await.pictures = plan::written(&pictures)?;
        self.save().await
    }

    async fn finish(&self, ended: Result<()>) -> Result<GenerationState> {
        let registry = &self.registry;
        let mut row = self.row.lock().await;
        row.finished_at = Some(registry.now());
        row.state = match &ended {
            Ok(()) => GenerationState::Completed,
            Err(Error::Conflict { code: "cancelled", .. }) => GenerationState::Cancelled,
            Err(error) => {
                tracing::warn!(generation = %row.id, error = %chain(error), "a generation failed");
                (row.error_code, row.error) = (Some(error.code().to_owned()), Some(error.to_string()));
                GenerationState::Failed
            }
        };
        if !registry.inner.store.finish_generation(&row, &registry.inner.jobs.holder).await? {
            return Err(Error::internal("writing the end of a generation", "another worker has it by now"));
        }
        Ok(row.state)
    }

    /// Makes the pictures that are not there; fails when none came at all.
    async fn make_pictures(&self) -> Result<()> {
        let (id, plan, mut pictures) = {
            let row = self.row.lock().await;
            (row.id, plan::read::<GenerationPlan>(&row.plan)?, plan::read::<Vec<Picture>>(&row.pictures)?)
        };
        let workflow = self.registry.prepare_generation(&plan).await?;
        let folder = self.registry.generation_folder(id);
        let made = self.registry.blocking("making a folder", move || std::fs::create_dir_all(folder)).await?;
        made.map_err(|error| io_error("the folder of the pictures", error))?;
        for place in 0..pictures.len() {
            if matches!(pictures[place].state, PictureState::Waiting | PictureState::Submitted) {
                self.make_picture(&plan, &workflow, &mut pictures, place).await?;
            }
        }
        let reason = pictures.iter().find_map(|picture| picture.error.clone());
        match reason.filter(|_| pictures.iter().all(|picture| picture.state == PictureState::Failed)) {
            Some(message) => Err(Error::Upstream { code: "generator_failed", status: None, message }),
            None => Ok(()),
        }
    }

    async fn make_picture(
        &self,
        plan: &GenerationPlan,
        workflow: &Workflow,
        pictures: &mut [Picture],
        place: usize,
    ) -> Result<()> {
        let prompter = Prompter {
            comfyui: self.registry.generator()?,
            cancel: &self.cancel,
            stopping: &self.registry.inner.stopping,
            patience: Duration::from_secs(PATIENCE_SECONDS),
        };
        for _ in 0..=RETRIES {
            let Some(prompt_id) = self.ask_for(plan, workflow, &prompter, pictures, place).await? else {
                return self.save_pictures(pictures).await;
            };
            match prompter.wait(&prompt_id).await? {
                Came::Done { images, .. } => {
                    self.take_picture(&prompter, &mut pictures[place], place, images.first()).await?;
                    return self.save_pictures(pictures).await;
                }
                Came::Failed(reason) => {
                    fail(&mut pictures[place], reason);
                    return self.save_pictures(pictures).await;
                }
                Came::Forgotten => pictures[place] = Picture::default(),
            }
        }
        fail(&mut pictures[place], "the generator forgot the prompt each time it was asked".to_owned());
        self.save_pictures(pictures).await
    }

    /// Sends the workflow, unless it was sent before the program was ended; none when it is refused.
    async fn ask_for(
        &self,
        plan: &GenerationPlan,
        workflow: &Workflow,
        prompter: &Prompter<'_>,
        pictures: &mut [Picture],
        place: usize,
    ) -> Result<Option<String>> {
        if let Some(known) = &pictures[place].prompt_id {
            return Ok(Some(known.clone()));
        }
        let prompt_id = Uuid::now_v7().to_string();
        let picture = &mut pictures[place];
        (picture.state, picture.prompt_id) = (PictureState::Submitted, Some(prompt_id.clone()));
        // Written first: a program that is killed now finds the prompt again, or learns that it never came.
        self.save_pictures(pictures).await?;
        let prefix = format!("lorakeep/{}", self.row.lock().await.id);
        let graph = workflow.filled(plan.seed_of(place), &prefix);
        let Some(refusal) = prompter.submit(&graph, &prompt_id).await? else { return Ok(Some(prompt_id)) };
        fail(&mut pictures[place], refusal);
        Ok(None)
    }

    async fn take_picture(
        &self,
        prompter: &Prompter<'_>,
        picture: &mut Picture,
        place: usize,
        image: Option<&OutputImage>,
    ) -> Result<()> {
        let Some(image) = image else {
            fail(picture, "the workflow ended without a picture; its end should be a `SaveImage`".to_owned());
            return Ok(());
        };
        let target = self.registry.generated_picture(self.row.lock().await.id, place);
        match self.registry.keep_picture(prompter.comfyui, image, &target).await? {
            Ok(sha256) => {
                let format =
                    self.registry.blocking("looking at a picture", move || format_of(&target)).await?;
                match format {
                    Some(format) => {
                        (picture.state, picture.sha256) = (PictureState::Done, Some(sha256));
                        picture.format = Some(format.to_owned());
                    }
                    None => fail(picture, "what the generator made is no PNG, JPEG or WebP".to_owned()),
                }
            }
            Err(reason) => fail(picture, reason),
        }
        Ok(())
    }
}

fn fail(picture: &mut Picture, reason: String) {
    (picture.state, picture.error) = (PictureState::Failed, Some(reason));
}

/// What a picture is, by its first bytes; blocks the thread.
fn format_of(path: &std::path::Path) -> Option<&'static str> {
    use std::io::Read as _;
    let mut head = Vec::new();
    std::fs::File::open(path).ok()?.take(64).read_to_end(&mut head).ok()?;
    match MediaFormat::sniff(&head)? {
        MediaFormat::Png => Some("png"),
        MediaFormat::Jpeg => Some("jpeg"),
        MediaFormat::Webp => Some("webp"),
        _ => None,
    }
}
