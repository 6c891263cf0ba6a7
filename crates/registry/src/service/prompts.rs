//! One prompt of the generator: sent under an id of ours, waited for, withdrawn; and keeping the pictures that come.
//!
//! Evaluations and generations both make their pictures so.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lorakeep_weights::digest;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Registry;
use crate::error::{Error, Result};
use crate::upstream::UpstreamError;
use crate::upstream::comfyui::template::Graph;
use crate::upstream::comfyui::{ComfyUi, Ended, OutputImage, QueuePlace};

/// The first pause between two looks at a prompt; pauses double.
const FIRST_GLANCE: Duration = Duration::from_millis(50);
/// The longest.
const LAST_GLANCE: Duration = Duration::from_secs(1);
/// How long the generator may be away, as for a start anew, before the work gives up.
const AWAY: Duration = Duration::from_mins(2);

/// How the wait for a prompt ended.
pub(super) enum Came {
    Done {
        images: Vec<OutputImage>,
        seconds: Option<f64>,
    },
    /// It will not come.
    Failed(String),
    /// The generator does not know it.
    Forgotten,
}

/// Whoever waits for prompts.
pub(super) struct Prompter<'a> {
    pub(super) comfyui: &'a ComfyUi,
    /// Somebody asked for the end of the work, or the program ends.
    pub(super) cancel: &'a CancellationToken,
    /// The program ends.
    pub(super) stopping: &'a CancellationToken,
    /// How long a prompt may take from the moment in which the generator begins it.
    pub(super) patience: Duration,
}

impl Prompter<'_> {
    /// Sends a workflow, waiting for a generator that is away for a moment; the reason when it refuses the workflow.
    pub(super) async fn submit(&self, graph: &Graph, prompt_id: &str) -> Result<Option<String>> {
        let mut away_since = None;
        loop {
            if self.cancel.is_cancelled() {
                return Err(cancelled());
            }
            match self.comfyui.submit(graph, prompt_id).await {
                Ok(()) => return Ok(None),
                Err(error) if error.is_transient => wait_for_return(&error, &mut away_since).await?,
                Err(error) => return Ok(Some(error.message)),
            }
        }
    }

    /// Looks until the prompt is over. Its time runs from the moment in which the generator begins it.
    pub(super) async fn wait(&self, prompt_id: &str) -> Result<Came> {
        let (mut glance, mut running_since, mut away_since) = (FIRST_GLANCE, None, None);
        loop {
            match self.look_at(prompt_id, &mut running_since).await {
                Ok(Some(came)) => return Ok(came),
                Ok(None) => away_since = None,
                Err(error) if error.is_transient => wait_for_return(&error, &mut away_since).await?,
                Err(error) => return Err(error.into()),
            }
            if running_since.is_some_and(|since: Instant| since.elapsed() > self.patience) {
                self.withdraw(prompt_id).await;
                let seconds = self.patience.as_secs();
                return Ok(Came::Failed(format!("the generator did not finish it within {seconds} s")));
            }
            tokio::select! {
                () = self.cancel.cancelled() => {
                    // When the program ends the prompt goes on: the next start takes its picture.
                    if !self.stopping.is_cancelled() {
                        self.withdraw(prompt_id).await;
                    }
                    return Err(cancelled());
                }
                () = tokio::time::sleep(glance) => glance = (glance * 2).min(LAST_GLANCE),
            }
        }
    }

    async fn look_at(
        &self,
        prompt_id: &str,
        running_since: &mut Option<Instant>,
    ) -> Result<Option<Came>, UpstreamError> {
        let ended = |ended| match ended {
            Ended::Done { images, seconds } => Came::Done { images, seconds },
            Ended::Failed { message } => Came::Failed(message),
            Ended::Interrupted => Came::Failed("somebody interrupted it in the generator".to_owned()),
        };
        if let Some(over) = self.comfyui.ended(prompt_id).await? {
            return Ok(Some(ended(over)));
        }
        match self.comfyui.place(prompt_id).await? {
            QueuePlace::Running => {
                running_since.get_or_insert_with(Instant::now);
                Ok(None)
            }
            QueuePlace::Waiting(_) => Ok(None),
            // It may have ended between the two questions.
            QueuePlace::Absent => {
                Ok(Some(self.comfyui.ended(prompt_id).await?.map_or(Came::Forgotten, ended)))
            }
        }
    }

    async fn withdraw(&self, prompt_id: &str) {
        if let Err(error) = self.comfyui.cancel(prompt_id).await {
            tracing::warn!(prompt_id, %error, "a prompt could not be withdrawn from the generator");
        }
    }
}

/// The end that somebody asked for.
pub(super) fn cancelled() -> Error {
    Error::conflict("cancelled", "somebody asked for its end")
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

impl Registry {
    /// The generator's client.
    pub(super) fn generator(&self) -> Result<&ComfyUi> {
        self.inner.jobs.upstreams.comfyui.as_ref().ok_or_else(|| Error::Unavailable {
            code: "generator_not_configured",
            message:
                "pictures need a generator; set `COMFYUI_URL` (or `--comfyui-url`) to the address of ComfyUI"
                    .to_owned(),
        })
    }

    /// Fetches a picture to `target` and answers its SHA-256; the inner error is why this one does not come.
    pub(super) async fn keep_picture(
        &self,
        comfyui: &ComfyUi,
        image: &OutputImage,
        target: &Path,
    ) -> Result<Result<String, String>> {
        let (part, target) = (target.with_extension("part"), target.to_owned());
        if let Err(error) = comfyui.fetch(image, &part).await {
            return Ok(Err(error.message));
        }
        let kept = self.blocking("keeping a picture", move || keep(&part, &target)).await?;
        kept.map(Ok).map_err(|error| Error::internal("a picture cannot be kept", error))
    }
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
