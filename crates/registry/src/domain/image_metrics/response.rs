//! How pictures answer to a LoRA's strength: the curve, where it begins, where it burns, what leaks.
//!
//! Each number is a mean over pairs of the same prompt and seed, with and without the LoRA. Where a rule decides, the
//! rule is a constant here and is sent along with what it decided.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{PictureDistance, PictureMetrics};

/// Colours count as burnt when this much more of the picture clips …
pub const BURN_CLIP_HIGH: f64 = 0.10;
/// … and the colourfulness rose by this share.
pub const BURN_COLOURFULNESS: f64 = 0.40;

/// What a prompt is there for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PromptKind {
    /// It calls the LoRA.
    #[default]
    Trigger,
    /// It does not, and should stay as it is.
    Neutral,
    /// It calls the LoRA for something that it was not trained on.
    Ood,
}

/// One picture of the grid that could be measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// Place of the prompt.
    pub prompt: usize,
    /// What the prompt is there for.
    pub kind: PromptKind,
    /// Its seed.
    pub seed: u64,
    /// Strength of the LoRA.
    pub strength: f64,
    /// What it is.
    pub metrics: PictureMetrics,
    /// What changed from the picture of strength 0; none of that picture itself, or where it is missing.
    pub distance: Option<PictureDistance>,
}

/// What a LoRA does to pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// How far pictures of two seeds are apart without the LoRA; none with a single seed.
    pub noise_floor: Option<NoiseFloor>,
    /// By strength, on prompts that call the LoRA.
    pub dose_response: Vec<StrengthPoint>,
    /// The first strength whose change is larger than the noise floor in a measure.
    pub onset_strength: Option<f64>,
    /// The measure that was exceeded there.
    pub onset_measure: Option<String>,
    /// Spearman's rank correlation of strength and distance in L*a*b*; 1 when more strength is always more change.
    pub linearity: Option<f64>,
    /// The largest strength below the first that burns.
    pub max_usable_strength: Option<f64>,
    /// The first strength that burns.
    pub burns_at_strength: Option<f64>,
    /// Change on prompts that call the LoRA less that on neutral ones, at the strength of `leak_neutral`.
    pub trigger_effect: Option<Leak>,
    /// Change on neutral prompts at strength 1, or the nearest to it.
    pub leak_neutral: Option<Leak>,
}

/// Mean distances between pictures of two seeds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NoiseFloor {
    /// Differing bits.
    pub dhash: f64,
    /// Structural similarity.
    pub ssim: f64,
    /// Distance in L*a*b*.
    pub delta_lab: f64,
    /// Distance of histograms.
    pub histogram: f64,
    /// Pairs that it is the mean of.
    pub n: usize,
}

/// Means at one strength.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StrengthPoint {
    /// The strength.
    pub strength: f64,
    /// Differing bits of the difference hashes.
    pub dhash: f64,
    /// Structural similarity.
    pub ssim: f64,
    /// Distance in L*a*b*.
    pub delta_lab: f64,
    /// The least of the pairs.
    pub delta_lab_min: f64,
    /// The most of the pairs.
    pub delta_lab_max: f64,
    /// Distance of histograms, levels.
    pub histogram: f64,
    /// Relative change of the colourfulness.
    pub colourfulness_delta: f64,
    /// Change of the share of burnt pixels.
    pub clip_high_delta: f64,
    /// Change of the share of crushed pixels.
    pub clip_low_delta: f64,
    /// Relative change of the Laplacian's variance.
    pub sharpness_delta: f64,
    /// Mean distance of difference hashes between seeds of one prompt; none with one seed. Smaller than without the
    /// LoRA means that pictures look alike.
    pub diversity_dhash: Option<f64>,
    /// Pictures that are one flat colour.
    pub flat: usize,
    /// Pairs.
    pub n: usize,
}

/// A change at one strength.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Leak {
    /// The strength.
    pub strength: f64,
    /// Differing bits.
    pub dhash: f64,
    /// Distance in L*a*b*.
    pub delta_lab: f64,
    /// Pairs.
    pub n: usize,
}

/// Reads the grid. `noise` are distances between pictures of strength 0 with the same prompt and two seeds.
pub fn response(cells: &[Cell], noise: &[PictureDistance]) -> Response {
    let calls = |cell: &&Cell| cell.kind != PromptKind::Neutral;
    let called: Vec<&Cell> = cells.iter().filter(calls).collect();
    let neutral: Vec<&Cell> = cells.iter().filter(|cell| !calls(cell)).collect();
    let curve = points(if called.is_empty() { &neutral } else { &called });
    let noise_floor = noise_floor(noise);
    let onset = noise_floor.as_ref().and_then(|floor| onset(&curve, floor));
    let burns_at = curve.iter().find(|point| burns(point)).map(|point| point.strength);
    let usable = curve.iter().map(|point| point.strength);
    let max_usable =
        usable.filter(|strength| burns_at.is_none_or(|burns| *strength < burns)).reduce(f64::max);
    let leak = if called.is_empty() { None } else { leak(&points(&neutral)) };
    let trigger_effect = leak.and_then(|leak| {
        let point = curve.iter().find(|point| same(point.strength, leak.strength))?;
        let (dhash, delta_lab) = (point.dhash - leak.dhash, point.delta_lab - leak.delta_lab);
        Some(Leak { dhash, delta_lab, n: point.n, ..leak })
    });
    Response {
        noise_floor,
        linearity: spearman(&curve),
        onset_strength: onset.map(|(strength, _)| strength),
        onset_measure: onset.map(|(_, measure)| measure.to_owned()),
        max_usable_strength: max_usable,
        burns_at_strength: burns_at,
        trigger_effect,
        leak_neutral: leak,
        dose_response: curve,
    }
}

fn points(cells: &[&Cell]) -> Vec<StrengthPoint> {
    let mut strengths: Vec<f64> =
        cells.iter().filter(|cell| cell.distance.is_some()).map(|cell| cell.strength).collect();
    strengths.sort_by(f64::total_cmp);
    strengths.dedup_by(|one, other| same(*one, *other));
    strengths.into_iter().map(|strength| point(cells, strength)).collect()
}

fn point(cells: &[&Cell], strength: f64) -> StrengthPoint {
    let here: Vec<&Cell> = cells.iter().copied().filter(|cell| same(cell.strength, strength)).collect();
    let pairs: Vec<PictureDistance> = here.iter().filter_map(|cell| cell.distance).collect();
    let mean = |value: fn(&PictureDistance) -> f64| mean(pairs.iter().map(value)).unwrap_or_default();
    let lab = || pairs.iter().map(|pair| pair.delta_lab);
    StrengthPoint {
        strength,
        dhash: mean(|pair| pair.dhash),
        ssim: mean(|pair| pair.ssim),
        delta_lab: mean(|pair| pair.delta_lab),
        delta_lab_min: lab().reduce(f64::min).unwrap_or_default(),
        delta_lab_max: lab().reduce(f64::max).unwrap_or_default(),
        histogram: mean(|pair| pair.histogram),
        colourfulness_delta: mean(|pair| pair.colourfulness),
        clip_high_delta: mean(|pair| pair.clip_high),
        clip_low_delta: mean(|pair| pair.clip_low),
        sharpness_delta: mean(|pair| pair.sharpness),
        diversity_dhash: diversity(&here),
        flat: here.iter().filter(|cell| cell.metrics.is_flat).count(),
        n: pairs.len(),
    }
}

/// Over all pairs of seeds of the same prompt.
fn diversity(cells: &[&Cell]) -> Option<f64> {
    let pairs = cells.iter().enumerate().flat_map(|(place, one)| {
        let others = cells[place + 1..].iter().filter(move |other| other.prompt == one.prompt);
        others.map(move |other| f64::from((one.metrics.dhash ^ other.metrics.dhash).count_ones()))
    });
    mean(pairs)
}

fn noise_floor(noise: &[PictureDistance]) -> Option<NoiseFloor> {
    let of = |value: fn(&PictureDistance) -> f64| mean(noise.iter().map(value));
    Some(NoiseFloor {
        dhash: of(|pair| pair.dhash)?,
        ssim: of(|pair| pair.ssim)?,
        delta_lab: of(|pair| pair.delta_lab)?,
        histogram: of(|pair| pair.histogram)?,
        n: noise.len(),
    })
}

/// The first strength whose mean change is beyond what another seed changes, and in which measure.
fn onset(curve: &[StrengthPoint], floor: &NoiseFloor) -> Option<(f64, &'static str)> {
    let beyond = |point: &StrengthPoint| {
        let measures = [
            ("dhash", point.dhash > floor.dhash),
            ("ssim", point.ssim < floor.ssim),
            ("delta_lab", point.delta_lab > floor.delta_lab),
            ("histogram", point.histogram > floor.histogram),
        ];
        measures.into_iter().find(|(_, is_beyond)| *is_beyond).map(|(name, _)| name)
    };
    let weakest_first = curve.iter().filter(|point| point.strength > 0.0);
    weakest_first.into_iter().find_map(|point| beyond(point).map(|measure| (point.strength, measure)))
}

fn burns(point: &StrengthPoint) -> bool {
    point.clip_high_delta >= BURN_CLIP_HIGH && point.colourfulness_delta >= BURN_COLOURFULNESS
}

fn leak(neutral: &[StrengthPoint]) -> Option<Leak> {
    let from_one = |point: &&StrengthPoint| (point.strength - 1.0).abs();
    let nearest = neutral.iter().min_by(|one, other| from_one(one).total_cmp(&from_one(other)))?;
    let StrengthPoint { strength, dhash, delta_lab, n, .. } = *nearest;
    Some(Leak { strength, dhash, delta_lab, n })
}

/// Spearman's rank correlation of strength and distance; none with less than three strengths.
fn spearman(curve: &[StrengthPoint]) -> Option<f64> {
    if curve.len() < 3 {
        return None;
    }
    let ranks = |value: fn(&StrengthPoint) -> f64| {
        let rank = |point: &StrengthPoint| {
            let below = curve.iter().filter(|other| value(other) < value(point)).count();
            let equal = curve.iter().filter(|other| same(value(other), value(point))).count();
            below as f64 + (equal as f64 - 1.0) / 2.0
        };
        curve.iter().map(rank).collect::<Vec<f64>>()
    };
    let (one, other) = (ranks(|point| point.strength), ranks(|point| point.delta_lab));
    let middle = (curve.len() as f64 - 1.0) / 2.0;
    let product = |left: &[f64], right: &[f64]| -> f64 {
        left.iter().zip(right).map(|(left, right)| (left - middle) * (right - middle)).sum()
    };
    let spread = (product(&one, &one) * product(&other, &other)).sqrt();
    (spread > 0.0).then(|| product(&one, &other) / spread)
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_usize), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f64)
}

/// Strengths come from one list; they are compared for being that number.
fn same(one: f64, other: f64) -> bool {
    one.total_cmp(&other).is_eq()
}
