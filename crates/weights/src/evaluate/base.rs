//! Whether an adapter fits a base model, by keys and shapes, and how strong its changes are beside the
//! weights that they change.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::aggregate::{self, NAMES};
use super::base_weight::{BaseWeight, WeightMemory, WeightNorms};
use super::measure::Measured;
use super::names::{Canonical, Piece, canonical, canonical_base};
use super::report::{BaseFit, Code, Finding, ModuleReport, Severity, Skipped};
use super::subject::Opened;
use super::true_change;
use super::{Control, EvaluateError};
use crate::read::ReadAt;
use crate::safetensors::{Header, Tensor, display_name};

/// A base model that an adapter is laid beside.
#[derive(Clone, Copy)]
pub struct Base<'a> {
    /// The name by which answers call it.
    pub name: &'a str,
    /// Its header.
    pub header: &'a Header,
    /// Its bytes, when its weights are to be read too; without it keys and shapes are compared.
    pub file: Option<&'a (dyn ReadAt + Sync)>,
    /// Remembers what its weights measure.
    pub memory: Option<&'a dyn WeightMemory>,
}

/// One weight of the base.
struct Weight<'a> {
    piece: Option<Piece>,
    tensor: &'a Tensor,
}

impl Weight<'_> {
    /// Outer side, and inner side with the kernel flattened.
    fn sides(&self) -> [u64; 2] {
        let rest = self
            .tensor
            .shape
            .get(1..)
            .unwrap_or_default()
            .iter()
            .fold(1, |all: u64, side| all.saturating_mul(*side));
        [self.tensor.shape.first().copied().unwrap_or(0), rest]
    }
}

/// The weights of a base by canonical path.
struct Index<'a>(BTreeMap<String, Vec<Weight<'a>>>);

/// What a module finds in the base.
enum Found<'a> {
    /// Its weight, or some rows of it.
    Rows(&'a Tensor, Range<u64>),
    /// Its weight in pieces.
    Pieces(Vec<&'a Tensor>),
    /// A weight of another shape.
    Mismatch([u64; 2]),
    Missing,
}

impl<'a> Index<'a> {
    fn new(header: &'a Header) -> Self {
        let mut weights: BTreeMap<String, Vec<Weight<'a>>> = BTreeMap::new();
        for tensor in &header.tensors {
            let name = tensor.name.strip_suffix(".weight").or_else(|| tensor.name.strip_suffix("_weight"));
            if let Some(name) = name {
                let Canonical { path, piece } = canonical_base(name);
                weights.entry(path).or_default().push(Weight { piece, tensor });
            }
        }
        Self(weights)
    }

    fn has_part(&self, part: &str) -> bool {
        self.0.keys().any(|path| path.split(':').next() == Some(part))
    }

    fn find(&self, name: &str, sides: Option<[u64; 2]>) -> Found<'_> {
        let own = canonical(name);
        if let Some(weights) = self.0.get(&own.path) {
            return find_among(weights, own.piece, sides);
        }
        // OpenCLIP fuses what the names of its adapters split.
        if let Some((path, piece)) = open_clip(&own.path)
            && let Some(weights) = self.0.get(&path)
        {
            return find_among(weights, piece, sides);
        }
        Found::Missing
    }
}

fn find_among<'a>(weights: &'a [Weight<'_>], piece: Option<Piece>, sides: Option<[u64; 2]>) -> Found<'a> {
    let whole = weights.iter().find(|weight| weight.piece.is_none() || weight.piece == piece);
    let Some(weight) = whole else {
        // The base is split where the adapter is fused.
        let rows: u64 = weights.iter().map(|weight| weight.sides()[0]).sum();
        let inner = weights.first().map_or(0, |weight| weight.sides()[1]);
        let fits = sides.is_none_or(|sides| sides == [rows, inner]);
        return if fits {
            Found::Pieces(weights.iter().map(|weight| weight.tensor).collect())
        } else {
            Found::Mismatch([rows, inner])
        };
    };
    let [rows, inner] = weight.sides();
    // The blocks of an orthogonal algorithm do not tell which sides they are for.
    let Some(own) = sides.or_else(|| Some(piece.filter(|_| weight.piece.is_none())?.sides([rows, inner])))
    else {
        return Found::Rows(weight.tensor, 0..rows);
    };
    let first = piece.filter(|_| weight.piece.is_none()).map_or(0, |piece| piece.first_row(own));
    let fits = own[1] == inner
        && if piece.is_some() && weight.piece.is_none() {
            first.saturating_add(own[0]) <= rows
        } else {
            own[0] == rows
        };
    if fits { Found::Rows(weight.tensor, first..first + own[0]) } else { Found::Mismatch([rows, inner]) }
}

/// The path in OpenCLIP's words of a text encoder's module in those of Transformers.
fn open_clip(path: &str) -> Option<(String, Option<Piece>)> {
    let (part, rest) = path.split_once(':')?;
    let rest = rest.strip_prefix("text_model_encoder_layers_")?;
    let (number, end) = rest.split_once('_')?;
    let (own, piece) = match end {
        "self_attn_q_proj" => ("attn_in_proj", Some(Piece::Third(0))),
        "self_attn_k_proj" => ("attn_in_proj", Some(Piece::Third(1))),
        "self_attn_v_proj" => ("attn_in_proj", Some(Piece::Third(2))),
        "self_attn_out_proj" => ("attn_out_proj", None),
        "mlp_fc1" => ("mlp_c_fc", None),
        "mlp_fc2" => ("mlp_c_proj", None),
        _ => return None,
    };
    Some((format!("{part}:transformer_resblocks_{number}_{own}"), piece))
}

/// A module's place, and the weights, or rows of them, that it changes.
type Changed<'a> = (usize, Vec<(&'a Tensor, Option<Range<u64>>)>);

/// Lays every module beside the base. With the base's bytes, the reports get norms relative to it.
pub(super) fn fit(
    base: &Base<'_>,
    adapter: &Opened<'_>,
    measured: &mut [Measured],
    (strength, control): (f64, &Control<'_>),
) -> Result<BaseFit, EvaluateError> {
    let index = Index::new(base.header);
    let mut fit = BaseFit { file: base.name.to_owned(), ..BaseFit::default() };
    let mut norms: Vec<Changed<'_>> = Vec::new();
    let (mut touched, mut parts) = (BTreeSet::new(), BTreeSet::new());
    for (place, module) in measured.iter().enumerate() {
        let report = &module.report;
        let part = canonical(&report.name).path;
        let part = part.split(':').next().unwrap_or("").to_owned();
        if !index.has_part(&part) {
            *fit.absent_components.entry(report.component.clone()).or_default() += 1;
            continue;
        }
        parts.insert(part);
        match index.find(&report.name, report.shape) {
            Found::Rows(tensor, rows) => {
                fit.mapped += 1;
                touched.insert(tensor.range.start);
                norms.push((place, vec![(tensor, Some(rows))]));
            }
            Found::Pieces(tensors) => {
                fit.mapped += 1;
                touched.extend(tensors.iter().map(|tensor| tensor.range.start));
                norms.push((place, tensors.into_iter().map(|tensor| (tensor, None)).collect()));
            }
            Found::Mismatch(sides) => {
                fit.shape_mismatch += 1;
                let own = report.shape.unwrap_or_default();
                note(
                    &mut fit.mismatch_examples,
                    format!("{}: {own:?}, in the base {sides:?}", display_name(&report.name)),
                );
            }
            Found::Missing => {
                fit.unmapped += 1;
                note(&mut fit.unmapped_examples, display_name(&report.name));
            }
        }
    }
    debug_assert_eq!(adapter.modules.modules.len(), measured.len());
    fit.coverage = coverage(&index, &parts, touched.len());
    if let Some(file) = base.file {
        relate(adapter, base, file, &norms, measured, (strength, control))?;
        fit.relative_frobenius = aggregate::spread_of(measured, |report| report.relative_frobenius);
        fit.relative_spectral = aggregate::spread_of(measured, |report| report.relative_spectral);
    }
    Ok(fit)
}

fn note(names: &mut Vec<String>, name: String) {
    if names.len() < NAMES {
        names.push(name);
    }
}

/// The share of the base's matrices, of the parts that the adapter is for, that it changes.
fn coverage(index: &Index<'_>, parts: &BTreeSet<String>, touched: usize) -> f64 {
    let is_matrix = |weight: &Weight<'_>| weight.tensor.shape.len() >= 2;
    let own = index.0.iter().filter(|(path, _)| parts.contains(path.split(':').next().unwrap_or("")));
    let matrices = own.flat_map(|(_, weights)| weights).filter(|weight| is_matrix(weight)).count();
    if matrices > 0 { touched as f64 / matrices as f64 } else { 0.0 }
}

/// Reads the weights that are changed, and enters what they and the changes measure.
fn relate(
    adapter: &Opened<'_>,
    base: &Base<'_>,
    file: &(dyn ReadAt + Sync),
    changed: &[Changed<'_>],
    measured: &mut [Measured],
    (strength, control): (f64, &Control<'_>),
) -> Result<(), EvaluateError> {
    let found = control.each(changed, |(place, tensors)| {
        let pieces = tensors.iter().map(|(tensor, rows)| rows_of(tensor, rows.as_ref())).collect();
        let Some(weight) = BaseWeight::new(base.header, file, pieces) else { return Ok((None, None)) };
        let own = weight_norms(&weight, tensors, base.memory, control)?;
        let module = &adapter.modules.modules[*place];
        let change = if true_change::needs_base(module) && own.is_some() {
            true_change::norms(adapter, module, &weight, control)?
        } else {
            None
        };
        Ok((own, change))
    })?;
    for ((place, _), (own, change)) in changed.iter().zip(found) {
        let needs_base = true_change::needs_base(&adapter.modules.modules[*place]);
        enter(&mut measured[*place].report, own, change, needs_base, strength.abs());
    }
    Ok(())
}

/// The norms of a weight, as they are remembered or computed now.
fn weight_norms(
    weight: &BaseWeight<'_>,
    tensors: &[(&Tensor, Option<Range<u64>>)],
    memory: Option<&dyn WeightMemory>,
    control: &Control<'_>,
) -> Result<Option<WeightNorms>, EvaluateError> {
    let name = |(tensor, rows): &(&Tensor, Option<Range<u64>>)| match rows {
        Some(rows) => format!("{}[{}..{}]", tensor.name, rows.start, rows.end),
        None => tensor.name.to_string(),
    };
    let name = tensors.iter().map(name).collect::<Vec<_>>().join(" ");
    if let Some(known) = memory.and_then(|memory| memory.recall(&name)) {
        return Ok(Some(known));
    }
    let norms = weight.norms(control)?;
    if let (Some(memory), Some(norms)) = (memory, norms) {
        memory.remember(&name, norms);
    }
    Ok(norms)
}

/// Enters what was found. The norms of a module's own tensors stand for its change where they are its change.
fn enter(
    report: &mut ModuleReport,
    own: Option<WeightNorms>,
    change: Option<WeightNorms>,
    needs_base: bool,
    strength: f64,
) {
    let Some(own) = own else { return };
    report.base_frobenius = Some(own.frobenius);
    report.base_spectral = own.spectral;
    (report.change_frobenius, report.change_spectral) = match (change, needs_base) {
        (Some(change), _) => {
            (Some(change.frobenius * strength), change.spectral.map(|value| value * strength))
        }
        (None, false) => (report.frobenius, report.spectral),
        (None, true) => (None, None),
    };
    let over = |change: Option<f64>, size: Option<f64>| {
        let share = change? / size.filter(|size| *size > 0.0)?;
        share.is_finite().then_some(share)
    };
    report.relative_frobenius = over(report.change_frobenius, report.base_frobenius);
    report.relative_spectral = over(report.change_spectral, report.base_spectral);
}

/// What was asked of the base's weights and could not be found.
pub(super) fn gaps(fit: &BaseFit, measured: &[Measured]) -> Vec<Skipped> {
    let found = |value: &dyn Fn(&ModuleReport) -> Option<f64>| {
        measured.iter().filter(|module| value(&module.report).is_some()).count() as u64
    };
    let gap = |check: &str, missing: u64| {
        let reason = format!(
            "{missing} of {} modules that fit the base have no number: their change or its largest singular value cannot be computed",
            fit.mapped
        );
        (missing > 0).then(|| Skipped::new(check, reason))
    };
    let frobenius = found(&|report: &ModuleReport| report.relative_frobenius);
    let spectral = found(&|report: &ModuleReport| report.relative_spectral);
    let missing = [
        gap("base.relative_frobenius", fit.mapped.saturating_sub(frobenius)),
        gap("base.relative_spectral", fit.mapped.saturating_sub(spectral)),
    ];
    missing.into_iter().flatten().collect()
}

/// Some rows of a tensor, as a tensor of their own.
fn rows_of(tensor: &Tensor, rows: Option<&Range<u64>>) -> Tensor {
    let all = tensor.shape.first().copied().unwrap_or(1).max(1);
    let Some(rows) = rows.filter(|rows| rows.end <= all) else { return tensor.clone() };
    let row_bytes = (tensor.range.end - tensor.range.start) / all;
    let start = tensor.range.start + rows.start * row_bytes;
    let mut shape = tensor.shape.clone();
    if let Some(first) = shape.first_mut() {
        *first = rows.end - rows.start;
    }
    Tensor { shape, range: start..start + (rows.end - rows.start) * row_bytes, ..tensor.clone() }
}

/// What somebody should know of it.
pub(super) fn finding(fit: &BaseFit) -> Option<Finding> {
    let bad = fit.shape_mismatch + fit.unmapped;
    let all = bad + fit.mapped;
    let severity = if fit.mapped == 0 { Severity::Error } else { Severity::Warning };
    let message = format!(
        "{bad} of {all} modules do not fit the base `{}`: {} have another shape there, {} are not there",
        display_name(&fit.file),
        fit.shape_mismatch,
        fit.unmapped
    );
    let finding = Finding::new(Code::BaseMismatch, severity, message);
    (bad > 0).then(|| finding.with("shape_mismatch", fit.shape_mismatch).with("unmapped", fit.unmapped))
}
