//! Finds the modules of a file and measures each.

use std::collections::{BTreeMap, btree_map::Entry};

use super::decode::Tally;
use super::delta::measure_grams;
use super::module::{self, Parts};
use super::orthogonal;
use super::place::Place;
use super::reader::{Reader, Unmeasured};
use super::report::{ModuleReport, share_key};
use super::scale::{self, Claims, Scale};
use super::spectrum::{Spectrum, energy_rank};
use super::{Control, EvaluateError, Options, decode};
use crate::read::ReadAt;
use crate::safetensors::{Header, Tensor};

/// The most singular values of one module that are kept; products have fewer, LoKr may have more.
const VALUES_KEPT: usize = 4096;

/// A module's name and its tensors.
pub(super) type Module<'a> = (&'a str, Parts<'a>);

/// The tensors of a file by module.
pub(super) struct Modules<'a> {
    pub(super) modules: Vec<Module<'a>>,
    /// Tensors that belong to none.
    pub(super) orphans: Vec<&'a Tensor>,
}

/// One module's report, and what only the evaluation itself needs.
pub(super) struct Measured {
    pub(super) report: ModuleReport,
    pub(super) tally: Tally,
    /// The singular values, scaled, largest first.
    pub(super) values: Vec<f64>,
}

/// Sorts tensors into modules by the ends of their names.
pub(super) fn group(tensors: &[Tensor]) -> Modules<'_> {
    let mut modules: BTreeMap<&str, Parts<'_>> = BTreeMap::new();
    let mut orphans = Vec::new();
    for tensor in tensors {
        let Some((name, role)) = module::split(&tensor.name) else {
            orphans.push(tensor);
            continue;
        };
        match modules.entry(name).or_default().entry(role) {
            Entry::Vacant(place) => {
                place.insert(tensor);
            }
            Entry::Occupied(_) => orphans.push(tensor),
        }
    }
    // The IA3 of LyCORIS has a plain weight beside its marker.
    orphans.retain(|tensor| {
        let parts = tensor.name.strip_suffix(".weight").and_then(|name| modules.get_mut(name));
        match parts.filter(|parts| parts.contains_key("on_input")) {
            Some(parts) => parts.insert("ia3", tensor).is_some(),
            None => true,
        }
    });
    // VeRA's random matrices are shared by all modules and are none themselves.
    modules.retain(|_, parts| !parts.contains_key("vera_shared"));
    Modules { modules: modules.into_iter().collect(), orphans }
}

/// Measures all modules, in the order of their names.
pub(super) fn measure<F: ReadAt + Sync + ?Sized>(
    header: &Header,
    file: &F,
    modules: &Modules<'_>,
    options: &Options<'_>,
    control: &Control<'_>,
) -> Result<Vec<Measured>, EvaluateError> {
    let claims = Claims::new(header, options.adapter_config);
    control
        .each(&modules.modules, |(name, parts)| measure_module(header, file, &claims, options, name, parts))
}

/// Looks at the elements of the tensors that belong to no module.
pub(super) fn scan_orphans<F: ReadAt + Sync + ?Sized>(
    header: &Header,
    file: &F,
    orphans: &[&Tensor],
    control: &Control<'_>,
) -> Result<Tally, EvaluateError> {
    let mut tally = Tally::default();
    for tensor in orphans {
        control.check()?;
        tally.count(tensor.dtype, decode::stream(file, header.data_start(), tensor, |_| {})?);
    }
    Ok(tally)
}

fn measure_module<F: ReadAt + ?Sized>(
    header: &Header,
    file: &F,
    claims: &Claims,
    options: &Options<'_>,
    name: &str,
    parts: &Parts<'_>,
) -> Result<Measured, EvaluateError> {
    let scale = scale::scale(header, file, claims, name, parts)?;
    let mut reader = Reader::new(file, header.data_start(), parts);
    let numbers = match numbers(&mut reader, &scale, options) {
        Ok(numbers) => numbers,
        Err(Unmeasured::Because(reason)) => Numbers { reason: Some(reason), ..Numbers::default() },
        Err(Unmeasured::Failed(error)) => return Err(error),
    };
    reader.scan_rest()?;
    let mut report = describe(name, parts, scale);
    report.census = reader.tally.census;
    let values = enter(&mut report, numbers, options);
    judge(&mut report, parts);
    Ok(Measured { report, tally: reader.tally, values })
}

/// What could be computed of a module.
#[derive(Default)]
struct Numbers {
    norm: Option<f64>,
    values: Option<Vec<f64>>,
    rotation: Option<super::report::Rotation>,
    bound: Option<f64>,
    reason: Option<String>,
}

fn numbers<F: ReadAt + ?Sized>(
    reader: &mut Reader<'_, F>,
    scale: &Scale,
    options: &Options<'_>,
) -> Result<Numbers, Unmeasured> {
    reader.check_size()?;
    let strength = options.strength.abs();
    match module::algorithm(reader.parts) {
        "oft" | "boft" => {
            let (turned, stretch) = reader.turned()?;
            let bound = orthogonal::bound(&turned.factor_angles) * (1.0 + stretch) + stretch;
            let reason = Some("it multiplies the base weight, so its norm needs the base".to_owned());
            Ok(Numbers { rotation: Some(turned.rotation), bound: Some(bound), reason, ..Numbers::default() })
        }
        "ia3" => {
            let bound = Some(reader.multiplier()? * strength);
            let reason = Some("it multiplies the base weight, so its norm needs the base".to_owned());
            Ok(Numbers { bound, reason, ..Numbers::default() })
        }
        "glora" => {
            let mut numbers = product(reader, scale, options)?;
            let values = reader.glora_factor()?.measure().and_then(|(_, values)| values);
            let largest = values.and_then(|values| values.into_iter().reduce(f64::max));
            numbers.bound = largest.map(|largest| largest * scale.value.abs() * strength);
            numbers.reason = Some("the norm is of the part that needs no base weight".to_owned());
            Ok(numbers)
        }
        _ => product(reader, scale, options),
    }
}

/// A change that is in the file alone.
fn product<F: ReadAt + ?Sized>(
    reader: &mut Reader<'_, F>,
    scale: &Scale,
    options: &Options<'_>,
) -> Result<Numbers, Unmeasured> {
    let because = |reason: &str| Ok(Numbers { reason: Some(reason.to_owned()), ..Numbers::default() });
    let (grams, delta) = match reader.grams()? {
        Some(grams) => (Some(grams), None),
        None => (None, Some(reader.delta()?)),
    };
    let size = (scale.value * options.strength).abs();
    if !reader.tally.census.is_finite() || !size.is_finite() {
        return because("it has numbers that are not finite");
    }
    let measured = match (grams, delta) {
        (Some((left, right)), _) => Some(measure_grams(left, &right)),
        (None, delta) => delta.and_then(|delta| delta.measure()),
    };
    let Some((norm, values)) = measured else {
        return because("its change is too large to be measured");
    };
    let reason = values.is_none().then(|| "its spectrum would take too long".to_owned());
    let values = values.map(|values| values.into_iter().map(|value| value * size).collect());
    Ok(Numbers { norm: Some(norm * size), values, reason, ..Numbers::default() })
}

/// What names, shapes and scale say.
fn describe(name: &str, parts: &Parts<'_>, scale: Scale) -> ModuleReport {
    let place = Place::of(name);
    ModuleReport {
        name: name.to_owned(),
        algo: module::algorithm(parts).to_owned(),
        component: place.component.to_owned(),
        block: place.block,
        kind: if parts.contains_key("norm") { "norm" } else { place.kind }.to_owned(),
        shape: module::sides(parts),
        rank: module::rank(parts),
        bytes: parts.values().map(|tensor| tensor.range.end - tensor.range.start).sum(),
        alpha: scale.alpha,
        scale: scale.value,
        scale_source: scale.source.to_owned(),
        scale_by_runtime: scale.by_runtime(),
        issues: scale.issue.into_iter().collect(),
        ..ModuleReport::default()
    }
}

/// Writes the numbers into the report and gives back the singular values.
fn enter(report: &mut ModuleReport, numbers: Numbers, options: &Options<'_>) -> Vec<f64> {
    report.frobenius = numbers.norm;
    report.rotation = numbers.rotation;
    report.relative_bound = numbers.bound;
    report.reason = numbers.reason;
    report.rms_entry = numbers
        .norm
        .zip(report.shape)
        .map(|(norm, [out, inner])| norm / (out as f64 * inner as f64).sqrt().max(1.0));
    let Some(spectrum) = numbers.values.map(Spectrum::new) else { return Vec::new() };
    report.spectral = Some(spectrum.spectral);
    if !options.spectrum {
        return Vec::new();
    }
    report.nuclear = Some(spectrum.nuclear);
    report.stable_rank = Some(spectrum.stable_rank);
    report.effective_rank = Some(spectrum.effective_rank);
    report.effective_rank_l1 = Some(spectrum.effective_rank_l1);
    report.rank_utilisation =
        report.rank.filter(|rank| *rank > 0).map(|rank| spectrum.effective_rank / rank as f64);
    let shares = options.energy_targets.iter();
    report.energy_rank = shares
        .map(|share| (share_key(*share), energy_rank(&spectrum.singular_values, *share) as u64))
        .collect();
    report.top1_energy = spectrum.top1_energy();
    report.dominance = spectrum.dominance();
    let mut values = spectrum.singular_values;
    report.top_singular_values = values.iter().copied().take(options.top_singular_values).collect();
    values.truncate(VALUES_KEPT);
    values
}

/// Whether the tensors are what the algorithm asks for.
fn judge(report: &mut ModuleReport, parts: &Parts<'_>) {
    if let (Some(rank), Some([out, inner])) = (report.rank, report.shape)
        && !matches!(&*report.algo, "oft" | "boft" | "lokr" | "loha")
        && rank > out.min(inner)
    {
        report.issues.push(format!("its rank {rank} is above the smaller side of {out} × {inner}"));
    }
    let mut types: Vec<_> = parts
        .iter()
        .filter(|(role, _)| !matches!(**role, "alpha" | "on_input" | "magnitude" | "reshape"))
        .map(|(_, tensor)| tensor.dtype.name())
        .collect();
    types.sort_unstable();
    types.dedup();
    if types.len() > 1 {
        report.issues.push(format!("its tensors have the types {}", types.join(", ")));
    }
    let has_numbers = report.frobenius.is_some() || report.relative_bound.is_some();
    let known = matches!(&*report.algo, "tlora" | "vera" | "fourierft" | "hra" | "bias" | "full");
    report.valid = report.census.is_finite() && report.scale.is_finite() && (has_numbers || known);
    if !report.valid
        && let Some(reason) = &report.reason
    {
        report.issues.push(reason.clone());
    }
    report.dead = report.frobenius == Some(0.0);
}
