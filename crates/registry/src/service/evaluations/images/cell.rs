//! One picture: asked for under an id that is written down before, waited for, fetched.

use std::path::PathBuf;
use std::time::Duration;

use lorakeep_weights::digest;
use serde_json::Value;
use tokio::time::Instant;
use uuid::Uuid;

use super::super::run::Work;
use super::preflight::Prepared;
use super::{Pictures, picture_path};
use crate::error::{Error, Result};
use crate::store::{CellState, StoredCell};
use crate::upstream::UpstreamError;
use crate::upstream::comfyui::template::{self, Graph};
use crate::upstream::comfyui::{Ended, OutputImage, QueuePlace};

/// The first pause between two looks at a prompt; pauses double.
const FIRST_GLANCE: Duration = Duration::from_millis(50);
/// The longest.
const LAST_GLANCE: Duration = Duration::from_secs(1);
/// How long the generator may be away, as for a start anew, before the evaluation gives up.
const AWAY: Duration = Duration::from_mins(2);
/// How often a prompt that the generator forgot is asked for again.
const RETRIES: usize = 2;

/// How the wait for a prompt ended.
enum Came {
    Done {
        images: Vec<OutputImage>,
        seconds: Option<f64>,
    },
    /// It will not come.
    Failed(String),
    /// The generator does not know it.
    Forgotten,
}

impl Work {
    /// Brings one picture to its end; what goes wrong with this picture alone is noted in it.
    pub(super) async fn make_cell(&self, pictures: &Pictures<'_>, cell: &mut StoredCell) -> Result<()> {
        for _ in 0..=RETRIES {
            let prompt_id = self.ask_for(pictures, cell).await?;
            let Some(prompt_id) = prompt_id else { return self.save_cell(cell).await };
            match self.await_prompt(pictures, &prompt_id).await? {
                Came::Done { images, seconds } => {
                    cell.seconds = seconds;
                    self.take_picture(pictures, cell, images.first()).await?;
                    return self.save_cell(cell).await;
                }
                Came::Failed(reason) => {
                    (cell.state, cell.error) = (CellState::Failed, Some(reason));
                    return self.save_cell(cell).await;
                }
                Came::Forgotten => (cell.state, cell.prompt_id) = (CellState::Waiting, None),
            }
        }
        cell.state = CellState::Failed;
        cell.error =
            Some("the generator forgot the prompt each time it was asked; look at its log".to_owned());
        self.save_cell(cell).await
    }

    /// Asks the generator, unless it was asked before the program was ended; none when it refuses the workflow.
    async fn ask_for(&self, pictures: &Pictures<'_>, cell: &mut StoredCell) -> Result<Option<String>> {
        if let (CellState::Submitted, Some(known)) = (cell.state, &cell.prompt_id) {
            return Ok(Some(known.clone()));
        }
        let prompt_id = Uuid::now_v7().to_string();
        (cell.state, cell.prompt_id) = (CellState::Submitted, Some(prompt_id.clone()));
        // Written first: a program that is killed now finds the prompt again, or learns that it never came.
        self.save_cell(cell).await?;
        let graph = graph_of(pictures, cell);
        let mut away_since = None;
        loop {
            self.go_on()?;
            match pictures.comfyui.submit(&graph, &prompt_id).await {
                Ok(()) => return Ok(Some(prompt_id)),
                Err(error) if error.is_transient => wait_for_return(&error, &mut away_since).await?,
                Err(error) => {
                    (cell.state, cell.error) = (CellState::Failed, Some(error.message));
                    return Ok(None);
                }
            }
        }
    }

    /// Looks until the prompt is over. Its time runs from the moment in which the generator begins it.
    async fn await_prompt(&self, pictures: &Pictures<'_>, prompt_id: &str) -> Result<Came> {
        let patience = Duration::from_secs(pictures.request.timeout_seconds);
        let (mut glance, mut running_since, mut away_since) = (FIRST_GLANCE, None, None);
        loop {
            let looked = self.look_at(pictures, prompt_id, &mut running_since).await;
            match looked {
                Ok(Some(came)) => return Ok(came),
                Ok(None) => away_since = None,
                Err(error) if error.is_transient => wait_for_return(&error, &mut away_since).await?,
                Err(error) => return Err(error.into()),
            }
            if running_since.is_some_and(|since: Instant| since.elapsed() > patience) {
                self.withdraw(pictures, prompt_id).await;
                let seconds = patience.as_secs();
                return Ok(Came::Failed(format!("the generator did not finish it within {seconds} s")));
            }
            tokio::select! {
                () = self.live.stopped() => {
                    self.stop_prompt(pictures, prompt_id).await;
                    return Err(super::super::report::cancelled());
                }
                () = tokio::time::sleep(glance) => glance = (glance * 2).min(LAST_GLANCE),
            }
        }
    }

    async fn look_at(
        &self,
        pictures: &Pictures<'_>,
        prompt_id: &str,
        running_since: &mut Option<Instant>,
    ) -> Result<Option<Came>, UpstreamError> {
        let comfyui = pictures.comfyui;
        let ended = |ended| match ended {
            Ended::Done { images, seconds } => Came::Done { images, seconds },
            Ended::Failed { message } => Came::Failed(message),
            Ended::Interrupted => Came::Failed("somebody interrupted it in the generator".to_owned()),
        };
        if let Some(over) = comfyui.ended(prompt_id).await? {
            return Ok(Some(ended(over)));
        }
        match comfyui.place(prompt_id).await? {
            QueuePlace::Running => {
                running_since.get_or_insert_with(Instant::now);
                Ok(None)
            }
            QueuePlace::Waiting(_) => Ok(None),
            // It may have ended between the two questions.
            QueuePlace::Absent => Ok(Some(comfyui.ended(prompt_id).await?.map_or(Came::Forgotten, ended))),
        }
    }

    /// When the program ends the prompt goes on: the next start takes its picture.
    async fn stop_prompt(&self, pictures: &Pictures<'_>, prompt_id: &str) {
        if !self.registry.inner.stopping.is_cancelled() {
            self.withdraw(pictures, prompt_id).await;
        }
    }

    async fn withdraw(&self, pictures: &Pictures<'_>, prompt_id: &str) {
        if let Err(error) = pictures.comfyui.cancel(prompt_id).await {
            tracing::warn!(prompt_id, %error, "a prompt could not be withdrawn from the generator");
        }
    }

    async fn take_picture(
        &self,
        pictures: &Pictures<'_>,
        cell: &mut StoredCell,
        image: Option<&OutputImage>,
    ) -> Result<()> {
        let Some(image) = image else {
            let reason = "the workflow ended without a picture; its end should be a `SaveImage`";
            (cell.state, cell.error) = (CellState::Failed, Some(reason.to_owned()));
            return Ok(());
        };
        let target = picture_path(&pictures.folder, cell.place);
        let part = target.with_extension("part");
        if let Err(error) = pictures.comfyui.fetch(image, &part).await {
            (cell.state, cell.error) = (CellState::Failed, Some(error.message));
            return Ok(());
        }
        let kept = self.registry.blocking("keeping a picture", move || keep(&part, &target)).await?;
        let sha256 = kept.map_err(|error| Error::internal("a picture cannot be kept", error))?;
        (cell.state, cell.image_sha256, cell.error) = (CellState::Done, Some(sha256), None);
        Ok(())
    }

    async fn save_cell(&self, cell: &StoredCell) -> Result<()> {
        self.registry.inner.store.save_cell(self.id(), cell).await
    }
}

/// Waits a little for a generator that is away; gives up when it is away for long.
async fn wait_for_return(error: &UpstreamError, away_since: &mut Option<Instant>) -> Result<()> {
    let since = *away_since.get_or_insert_with(Instant::now);
    if since.elapsed() > AWAY {
        let message = format!("the generator went away: {error}");
        return Err(Error::Unavailable { code: "generator_unreachable", message });
    }
    tokio::time::sleep(LAST_GLANCE / 2).await;
    Ok(())
}

/// Publishes a fetched picture under its name and answers its hash; blocks the thread.
fn keep(part: &PathBuf, target: &PathBuf) -> std::io::Result<String> {
    let file = std::fs::File::open(part)?;
    let size = file.metadata()?.len();
    let sha256 = digest::sha256(&file, size, |_| {}, &std::sync::atomic::AtomicBool::new(false));
    let sha256 = sha256.map_err(std::io::Error::other)?;
    std::fs::rename(part, target)?;
    Ok(sha256.to_string())
}

/// The workflow of one picture.
fn graph_of(pictures: &Pictures<'_>, cell: &StoredCell) -> Graph {
    let Prepared { graph, fixed, loras, .. } = pictures.prepared;
    let prompt = &pictures.request.prompts[cell.prompt];
    let mut values = fixed.clone();
    let varying: [(&'static str, Value); 6] = [
        ("prompt", prompt.text.as_str().into()),
        ("negative", prompt.negative.as_str().into()),
        ("seed", cell.seed.into()),
        ("lora", loras[cell.file].as_str().into()),
        ("strength", cell.strength.into()),
        ("prefix", format!("lorakeep/{}", pictures.id).into()),
    ];
    values.extend(varying);
    template::filled(graph, &values)
}
