//! One picture: asked for under an id that is written down before, waited for, fetched.

use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use super::super::run::Work;
use super::preflight::Prepared;
use super::{Pictures, picture_path};
use crate::error::Result;
use crate::service::prompts::{Came, Prompter};
use crate::store::{CellState, StoredCell};
use crate::upstream::comfyui::OutputImage;
use crate::upstream::comfyui::template::{self, Graph};

/// How often a prompt that the generator forgot is asked for again.
const RETRIES: usize = 2;

impl Work {
    /// Brings one picture to its end; what goes wrong with this picture alone is noted in it.
    pub(super) async fn make_cell(&self, pictures: &Pictures<'_>, cell: &mut StoredCell) -> Result<()> {
        let prompter = Prompter {
            comfyui: pictures.comfyui,
            cancel: self.live.token(),
            stopping: &self.registry.inner.stopping,
            patience: Duration::from_secs(pictures.request.timeout_seconds),
        };
        for _ in 0..=RETRIES {
            let prompt_id = self.ask_for(pictures, &prompter, cell).await?;
            let Some(prompt_id) = prompt_id else { return self.save_cell(cell).await };
            match prompter.wait(&prompt_id).await? {
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
    async fn ask_for(
        &self,
        pictures: &Pictures<'_>,
        prompter: &Prompter<'_>,
        cell: &mut StoredCell,
    ) -> Result<Option<String>> {
        if let (CellState::Submitted, Some(known)) = (cell.state, &cell.prompt_id) {
            return Ok(Some(known.clone()));
        }
        let prompt_id = Uuid::now_v7().to_string();
        (cell.state, cell.prompt_id) = (CellState::Submitted, Some(prompt_id.clone()));
        // Written first: a program that is killed now finds the prompt again, or learns that it never came.
        self.save_cell(cell).await?;
        let Some(refusal) = prompter.submit(&graph_of(pictures, cell), &prompt_id).await? else {
            return Ok(Some(prompt_id));
        };
        (cell.state, cell.error) = (CellState::Failed, Some(refusal));
        Ok(None)
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
        match self.registry.keep_picture(pictures.comfyui, image, &target).await? {
            Ok(sha256) => {
                (cell.state, cell.image_sha256, cell.error) = (CellState::Done, Some(sha256), None);
            }
            Err(reason) => (cell.state, cell.error) = (CellState::Failed, Some(reason)),
        }
        Ok(())
    }

    async fn save_cell(&self, cell: &StoredCell) -> Result<()> {
        self.registry.inner.store.save_cell(self.id(), cell).await
    }
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
