//! Measuring the pictures of a grid, each beside the one of the same prompt and seed without the LoRA; blocking.

use std::collections::BTreeMap;
use std::path::Path;

use lorakeep_weights::evaluate::report::{Basis, Code, Finding, Severity};
use serde_json::{Map, Value, json};

use super::super::request::ImageRequest;
use super::picture_path;
use crate::domain::image_metrics::{
    BURN_CLIP_HIGH, BURN_COLOURFULNESS, Cell, Picture, PictureDistance, PictureMetrics, Response, response,
};
use crate::service::picture::decode;
use crate::store::{CellState, StoredCell};

/// Seeds of a prompt between which noise is measured.
const NOISE_SEEDS: usize = 4;
/// From this share on a change on neutral prompts counts as a leak; a rule of thumb.
const LEAKS: f64 = 0.5;

/// What the pixels say.
pub(super) struct Measured {
    /// By place.
    pub(super) cells: BTreeMap<usize, MeasuredCell>,
    /// By file, in the request's order.
    pub(super) responses: Vec<Response>,
}

/// One picture.
pub(super) struct MeasuredCell {
    pub(super) metrics: PictureMetrics,
    pub(super) distance: Option<PictureDistance>,
}

/// Reads every picture once. A picture that cannot be read is left out.
pub(super) fn measure(
    request: &ImageRequest,
    files: usize,
    cells: &[StoredCell],
    folder: &Path,
    is_stopped: &dyn Fn() -> bool,
) -> Measured {
    let mut found = BTreeMap::new();
    let mut noise = Vec::new();
    for prompt in 0..request.prompts.len() {
        let mut baselines: Vec<(Picture, PictureMetrics)> = Vec::new();
        for seed in &request.seeds {
            if is_stopped() {
                break;
            }
            let row: Vec<&StoredCell> =
                cells.iter().filter(|cell| cell.prompt == prompt && cell.seed == *seed).collect();
            let baseline = measure_row(&row, folder, &mut found);
            baselines.extend(baseline.filter(|_| baselines.len() < NOISE_SEEDS));
        }
        noise.extend(pairs(&baselines));
    }
    let responses =
        (0..files).map(|file| response(&cells_of(request, file, cells, &found), &noise)).collect();
    Measured { cells: found, responses }
}

/// Measures the pictures of one prompt and seed and gives back the one without a LoRA.
fn measure_row(
    row: &[&StoredCell],
    folder: &Path,
    found: &mut BTreeMap<usize, MeasuredCell>,
) -> Option<(Picture, PictureMetrics)> {
    let read = |cell: &StoredCell| {
        let picture = (cell.state == CellState::Done).then(|| load(&picture_path(folder, cell.place)))??;
        let metrics = picture.metrics();
        Some((picture, metrics))
    };
    let baseline = row.iter().find(|cell| cell.strength == 0.0).and_then(|cell| {
        let (picture, metrics) = read(cell)?;
        found.insert(cell.place, MeasuredCell { metrics, distance: None });
        Some((picture, metrics))
    });
    for cell in row.iter().filter(|cell| cell.strength != 0.0) {
        let Some((picture, metrics)) = read(cell) else { continue };
        let distance =
            baseline.as_ref().and_then(|(base, of_base)| base.distance(of_base, &picture, &metrics));
        found.insert(cell.place, MeasuredCell { metrics, distance });
    }
    baseline
}

fn load(path: &Path) -> Option<Picture> {
    let decoded = decode(path).inspect_err(|reason| {
        tracing::warn!(path = %path.display(), reason, "a picture of the generator cannot be read");
    });
    let rgb = decoded.ok()?.into_rgb8();
    Picture::new(rgb.width() as usize, rgb.height() as usize, rgb.into_raw())
}

/// Distances between pictures of two seeds.
fn pairs(baselines: &[(Picture, PictureMetrics)]) -> Vec<PictureDistance> {
    let mut distances = Vec::new();
    for (place, (one, of_one)) in baselines.iter().enumerate() {
        let others = &baselines[place + 1..];
        distances.extend(others.iter().filter_map(|(other, of_other)| one.distance(of_one, other, of_other)));
    }
    distances
}

/// The pictures of one file, with those without a LoRA.
fn cells_of(
    request: &ImageRequest,
    file: usize,
    cells: &[StoredCell],
    found: &BTreeMap<usize, MeasuredCell>,
) -> Vec<Cell> {
    let own = cells.iter().filter(|cell| cell.file == file || cell.strength == 0.0);
    own.filter_map(|cell| {
        let measured = found.get(&cell.place)?;
        Some(Cell {
            prompt: cell.prompt,
            kind: request.prompts[cell.prompt].kind,
            seed: cell.seed,
            strength: cell.strength,
            metrics: measured.metrics,
            distance: measured.distance,
        })
    })
    .collect()
}

/// What somebody should know of one file's pictures.
pub(super) fn findings(name: &str, response: &Response) -> Vec<Finding> {
    let found = [burn(response), no_effect(response), leak(response)];
    found.into_iter().flatten().map(|finding| finding.at(name)).collect()
}

fn burn(response: &Response) -> Option<Finding> {
    let strength = response.burns_at_strength?;
    let point = response.dose_response.iter().find(|point| point.strength.total_cmp(&strength).is_eq())?;
    let message = format!(
        "from strength {strength} on colours burn out: {:+.0} % of the picture clips and the colourfulness is {:+.0} % \
         beside the same pictures without it",
        point.clip_high_delta * 100.0,
        point.colourfulness_delta * 100.0
    );
    let finding = Finding::new(Code::BurnAtStrength, Severity::Warning, message).on(Basis::Heuristic);
    Some(
        finding
            .with("strength", strength)
            .with("clip_high_delta", point.clip_high_delta)
            .with("colourfulness_delta", point.colourfulness_delta)
            .with(
                "rule",
                json!({"clip_high_delta": BURN_CLIP_HIGH, "colourfulness_delta": BURN_COLOURFULNESS}),
            ),
    )
}

fn no_effect(response: &Response) -> Option<Finding> {
    let strongest =
        response.dose_response.iter().max_by(|one, other| one.delta_lab.total_cmp(&other.delta_lab))?;
    let (severity, message) = if strongest.delta_lab_max == 0.0 {
        let message =
            "the pictures are the same with and without it, pixel by pixel: the generator does not apply it";
        (Severity::Error, message.to_owned())
    } else if response.noise_floor.is_some() && response.onset_strength.is_none() {
        let message = "at every strength it changes less than another seed does; more strength may be needed";
        (Severity::Info, message.to_owned())
    } else {
        return None;
    };
    let finding = Finding::new(Code::NoMeasurableEffect, severity, message);
    let finding = finding.with("strength", strongest.strength).with("delta_lab", strongest.delta_lab);
    Some(finding.with("noise_delta_lab", response.noise_floor.map(|floor| floor.delta_lab)))
}

fn leak(response: &Response) -> Option<Finding> {
    let (leak, effect) = (response.leak_neutral?, response.trigger_effect?);
    // `trigger_effect` is the change on calling prompts less the one on neutral ones.
    let share = leak.delta_lab / (effect.delta_lab + leak.delta_lab);
    let message = format!(
        "at strength {} prompts that do not call it change by {:.0} % of what those change that do",
        leak.strength,
        share * 100.0
    );
    let finding = Finding::new(Code::LeakOnNeutral, Severity::Info, message).on(Basis::Heuristic);
    (share >= LEAKS)
        .then(|| finding.with("share", share).with("threshold", LEAKS).with("delta_lab", leak.delta_lab))
}

/// What is answered of one picture.
pub(super) fn shown(cell: &StoredCell, measured: Option<&MeasuredCell>) -> Value {
    let mut shown = Map::new();
    let mut put = |name: &str, value: Value| drop(shown.insert(name.to_owned(), value));
    put("place", cell.place.into());
    put("file", if cell.strength == 0.0 { Value::Null } else { cell.file.into() });
    put("prompt", cell.prompt.into());
    put("seed", cell.seed.into());
    put("strength", cell.strength.into());
    put("status", cell.state.as_str().into());
    put("image", (cell.state == CellState::Done).then(|| format!("cells/{}", cell.place)).into());
    put("sha256", cell.image_sha256.clone().into());
    put("seconds", cell.seconds.into());
    put("metrics", json!(measured.map(|measured| measured.metrics)));
    put("distance", json!(measured.and_then(|measured| measured.distance)));
    put("error", cell.error.clone().into());
    Value::Object(shown)
}
