//! Pictures through the generator: a grid of prompts, seeds and strengths, each beside the same picture without the
//! LoRA.
//!
//! - [`preflight`]: can the generator make them
//! - [`grid`]: which pictures, in which order
//! - [`cell`]: one picture from the prompt to the file
//! - [`mod@measure`], [`sheet`]: what they say, and all of them on one page

mod cell;
mod grid;
mod measure;
mod preflight;
mod sheet;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::request::ImageRequest;
use super::run::Work;
use super::subject::Subject;
use crate::domain::EvaluationId;
use crate::domain::image_metrics::Response;
use crate::error::{Error, Result, Thing};
use crate::service::{MediaFile, Registry};
use crate::store::{CellState, StoredCell};
use crate::upstream::comfyui::ComfyUi;
use measure::{Measured, findings, measure, shown};
use preflight::Prepared;

/// After so many failures and no picture at all the rest is not tried.
const HOPELESS: usize = 3;
/// The file of the contact sheet.
const SHEET: &str = "grid.webp";

/// What all pictures of an evaluation have in common.
struct Pictures<'a> {
    id: EvaluationId,
    request: &'a ImageRequest,
    prepared: &'a Prepared,
    comfyui: &'a ComfyUi,
    folder: PathBuf,
}

/// Where the picture of a place is.
fn picture_path(folder: &Path, place: usize) -> PathBuf {
    folder.join(format!("{place:03}.png"))
}

impl Registry {
    fn pictures_folder(&self, id: EvaluationId) -> PathBuf {
        self.inner.config.data_dir.join("evaluations").join(id.to_string())
    }

    /// The file of one picture, or of the contact sheet without a place; with its content type.
    pub(super) async fn picture_file(&self, id: EvaluationId, place: Option<usize>) -> Result<MediaFile> {
        let folder = self.pictures_folder(id);
        let path = place.map_or_else(|| folder.join(SHEET), |place| picture_path(&folder, place));
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let at = path.clone();
        let is_there = self.blocking("looking for a picture", move || at.is_file()).await?;
        let media_type = if place.is_some() { "image/png" } else { "image/webp" };
        if is_there { Ok(MediaFile { path, media_type }) } else { Err(Error::not_found(Thing::File, name)) }
    }

    /// Removes the pictures of an evaluation that is forgotten.
    pub(super) async fn forget_pictures(&self, id: EvaluationId) -> Result<()> {
        let folder = self.pictures_folder(id);
        let removed = self.blocking("removing pictures", move || std::fs::remove_dir_all(folder)).await?;
        match removed {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(crate::files::io_error("the pictures cannot be removed", error))
            }
            _ => Ok(()),
        }
    }
}

impl Work {
    /// Makes and measures the pictures that are asked for; those of an interrupted run are taken as they are.
    pub(super) async fn make_pictures(&self, subjects: &[Subject]) -> Result<()> {
        let Some(request) = &self.request.images else { return Ok(()) };
        let registry = &self.registry;
        let (id, comfyui) = (self.id(), registry.generator()?);
        let prepared = registry.prepare_pictures(request, subjects).await?;
        let folder = registry.pictures_folder(id);
        let at = folder.clone();
        let made = registry.blocking("making a folder", move || std::fs::create_dir_all(at)).await?;
        made.map_err(|error| crate::files::io_error("the folder of the pictures", error))?;
        registry.inner.store.insert_cells(id, &grid::cells(request, subjects.len())).await?;
        let pictures = Pictures { id, request, prepared: &prepared, comfyui, folder };
        let made = self.make_cells(&pictures).await;
        if registry.inner.stopping.is_cancelled() {
            return made;
        }
        // What there is is measured, also when the rest does not come.
        let cells = registry.inner.store.list_cells(id).await?;
        self.measure_pictures(&pictures, subjects, cells).await?;
        made
    }

    async fn make_cells(&self, pictures: &Pictures<'_>) -> Result<()> {
        let mut cells = self.registry.inner.store.list_cells(pictures.id).await?;
        let total = cells.len();
        for place in 0..total {
            self.go_on()?;
            self.live.note("pictures", place, total);
            let cell = &mut cells[place];
            if matches!(cell.state, CellState::Waiting | CellState::Submitted) {
                self.make_cell(pictures, cell).await?;
            }
            self.step_done().await?;
            refuse_hopeless(&cells)?;
        }
        Ok(())
    }

    async fn measure_pictures(
        &self,
        pictures: &Pictures<'_>,
        subjects: &[Subject],
        cells: Vec<StoredCell>,
    ) -> Result<()> {
        let (request, folder, files) = (pictures.request.clone(), pictures.folder.clone(), subjects.len());
        let stopping = self.registry.inner.stopping.clone();
        let work = move || {
            let measured = measure(&request, files, &cells, &folder, &|| stopping.is_cancelled());
            let sheet = sheet::write(&request, files, &cells, &folder, &folder.join(SHEET));
            (cells, measured, sheet)
        };
        let (cells, measured, sheet) = self.registry.blocking("measuring pictures", work).await?;
        if let Err(error) = &sheet {
            tracing::warn!(evaluation = %pictures.id, %error, "the contact sheet cannot be written");
        }
        let names: Vec<&str> = subjects.iter().map(Subject::name).collect();
        let answer = answer(pictures, &names, &cells, &measured, sheet.is_ok());
        self.change_outcome(|outcome| {
            outcome.images = Some(answer);
            outcome.skipped.push(json!({"check": "images.clip_t", "reason": "no image encoder configured"}));
            let of = |(name, response): (&&str, &Response)| findings(name, response);
            outcome.findings.extend(names.iter().zip(&measured.responses).flat_map(of));
        })
    }
}

/// A workflow that never gives a picture is not tried two hundred times.
fn refuse_hopeless(cells: &[StoredCell]) -> Result<()> {
    let of = |state| cells.iter().filter(move |cell| cell.state == state);
    if of(CellState::Done).next().is_some() || of(CellState::Failed).count() < HOPELESS {
        return Ok(());
    }
    let reason = of(CellState::Failed).next_back().and_then(|cell| cell.error.clone()).unwrap_or_default();
    let message = format!("the first {HOPELESS} pictures failed, the rest is not tried: {reason}");
    Err(Error::Upstream { code: "generator_failed", status: None, message })
}

/// What is answered of the pictures.
fn answer(
    pictures: &Pictures<'_>,
    names: &[&str],
    cells: &[StoredCell],
    measured: &Measured,
    has_sheet: bool,
) -> Value {
    let stats = &pictures.prepared.stats;
    let count = |state| cells.iter().filter(|cell| cell.state == state).count();
    let mut answer = json!({
        "generator": {
            "kind": "comfyui", "version": stats.version, "device": stats.device, "pytorch": stats.pytorch,
        },
        "settings": pictures.prepared.settings(),
        "prompts": pictures.request.prompts,
        "cells_total": cells.len(),
        "cells_done": count(CellState::Done),
        "cells_failed": count(CellState::Failed),
    });
    let response = |name: &&str, response: &Response| {
        let mut shown = json!(response);
        shown["file"] = (*name).into();
        shown
    };
    let mut responses = names.iter().zip(&measured.responses).map(|(name, found)| response(name, found));
    match names.len() {
        1 => {
            let only = responses.next().unwrap_or_default();
            let fields = only.as_object().cloned().unwrap_or_default();
            fields
                .into_iter()
                .filter(|(name, _)| name != "file")
                .for_each(|(name, value)| answer[name] = value);
        }
        _ => answer["by_file"] = responses.collect(),
    }
    answer["encoder"] = Value::Null;
    answer["grid_image"] = has_sheet.then_some("grid").into();
    answer["cells"] = cells.iter().map(|cell| shown(cell, measured.cells.get(&cell.place))).collect();
    answer
}
