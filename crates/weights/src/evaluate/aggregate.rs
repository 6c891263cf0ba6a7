//! From modules to the file: distributions, shares of energy, blocks.

use std::collections::BTreeMap;

use super::Options;
use super::measure::Measured;
use super::report::ModuleReport;
use super::report::{
    AdapterFacts, AlphaFacts, BlockFacts, Distribution, MaxNorm, RankFacts, ScaleFacts, SpectrumFacts,
    Utilisation, WeightFacts, share_key,
};
use crate::identify::Identity;
use crate::safetensors::Tensor;

/// Names that a list in a summary holds at most.
pub(super) const NAMES: usize = 20;
/// A module this many times smaller than the median changes nothing beside the others.
const DEAD_RATIO: f64 = 1e-6;
/// A module is an outlier when its mean entry is this many times the median of its algorithm.
pub(super) const OUTLIER_RATIO: f64 = 3.0;
/// The cap that kohya's documentation suggests to begin with for `--scale_weight_norms`.
const MAX_NORM: f64 = 1.0;
/// What the spectrum is of.
const DEFINITION: &str = "singular values of each module's change, kernels flattened to (out, in * kh * kw); energy is sigma squared";

/// Marks the modules that change nothing beside the others.
pub(super) fn mark_dead(modules: &mut [Measured]) {
    let norms: Vec<f64> = modules.iter().filter_map(|module| module.report.rms_entry).collect();
    let Some(median) = median(norms) else { return };
    for module in modules {
        let report = &mut module.report;
        report.dead |= report.rms_entry.is_some_and(|norm| norm <= DEAD_RATIO * median && norm < median);
    }
}

/// What kind of adapter it is.
pub(super) fn adapter(modules: &[Measured], orphans: &[&Tensor], identity: &Identity) -> AdapterFacts {
    let reports = || modules.iter().map(|module| &module.report);
    let shown = orphans.iter().take(NAMES).map(|tensor| crate::safetensors::display_name(&tensor.name));
    AdapterFacts {
        algorithms: tally(reports().map(|report| report.algo.clone())),
        naming: identity.naming.map(str::to_owned),
        trainer: identity.trainer.map(str::to_owned),
        architecture: identity.base_model.map(str::to_owned),
        architecture_confidence: identity.confidence,
        components: tally(reports().map(|report| report.component.clone())),
        rank: ranks(reports().filter_map(|report| report.rank).collect()),
        alpha: alphas(
            reports().filter_map(|report| report.alpha).filter(|alpha| alpha.is_finite()).collect(),
        ),
        scale: scales(modules),
        orphan_tensors: shown.collect(),
    }
}

fn tally(names: impl Iterator<Item = String>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    names.for_each(|name| *counts.entry(name).or_default() += 1);
    counts
}

fn ranks(mut ranks: Vec<u64>) -> Option<RankFacts> {
    ranks.sort_unstable();
    Some(RankFacts { min: *ranks.first()?, max: *ranks.last()?, mode: most_frequent(&ranks)? })
}

fn alphas(mut alphas: Vec<f64>) -> Option<AlphaFacts> {
    alphas.sort_by(f64::total_cmp);
    Some(AlphaFacts { min: *alphas.first()?, max: *alphas.last()?, mode: most_frequent(&alphas)? })
}

/// The most frequent of sorted values; of equals the first.
fn most_frequent<T: PartialEq + Copy>(sorted: &[T]) -> Option<T> {
    let runs = sorted.chunk_by(|one, other| one == other);
    runs.rev().max_by_key(|run| run.len()).map(|run| run[0])
}

fn scales(modules: &[Measured]) -> ScaleFacts {
    let with_scale: Vec<&ModuleReport> = modules
        .iter()
        .map(|module| &module.report)
        .filter(|report| report.scale_source != "none" && report.scale.is_finite())
        .collect();
    let mode = |value: &dyn Fn(&ModuleReport) -> Option<f64>| {
        let mut values: Vec<f64> = with_scale.iter().filter_map(|report| value(report)).collect();
        values.sort_by(f64::total_cmp);
        most_frequent(&values)
    };
    let sources = tally(with_scale.iter().map(|report| report.scale_source.clone()));
    let names = with_scale.iter().flat_map(|report| report.scale_by_runtime.keys()).collect::<Vec<_>>();
    let mut by_runtime = BTreeMap::new();
    for name in names {
        if !by_runtime.contains_key(name)
            && let Some(value) = mode(&|report: &ModuleReport| report.scale_by_runtime.get(name).copied())
        {
            by_runtime.insert(name.clone(), value);
        }
    }
    ScaleFacts {
        mode: mode(&|report: &ModuleReport| Some(report.scale)),
        source: sources
            .iter()
            .max_by_key(|(_, count)| **count)
            .map(|(name, _)| name.clone())
            .unwrap_or_default(),
        sources,
        by_runtime,
        differing_modules: with_scale.iter().filter(|report| scale_differs(report)).count() as u64,
    }
}

/// Some program multiplies with another number than its trainer meant.
pub(super) fn scale_differs(report: &ModuleReport) -> bool {
    report.scale_by_runtime.values().any(|value| (value - report.scale).abs() > 1e-9 * report.scale.abs())
}

/// How strong the changes are.
pub(super) fn weights(modules: &[Measured], options: &Options<'_>) -> WeightFacts {
    let reports: Vec<&ModuleReport> = modules.iter().map(|module| &module.report).collect();
    let total: f64 = reports.iter().filter_map(|report| energy(report)).sum();
    let mut shares: Vec<f64> = reports.iter().filter_map(|report| energy(report)).collect();
    shares.sort_by(|one, other| other.total_cmp(one));
    for share in &mut shares {
        *share = ratio(*share, total);
    }
    let dead: Vec<&&ModuleReport> = reports.iter().filter(|report| report.dead).collect();
    let above = |report: &&&ModuleReport| report.frobenius.is_some_and(|norm| norm > MAX_NORM);
    WeightFacts {
        strength: options.strength,
        measured_modules: shares.len() as u64,
        frobenius_total: total.sqrt(),
        frobenius: spread(&reports, |report| report.frobenius),
        rms_entry: spread(&reports, |report| report.rms_entry),
        spectral_max: reports.iter().filter_map(|report| report.spectral).reduce(f64::max),
        dead_modules: dead.len() as u64,
        dead_module_names: dead.iter().take(NAMES).map(|report| report.name.clone()).collect(),
        outlier_modules: outliers(&reports),
        over_max_norm: MaxNorm { cap: MAX_NORM, count: reports.iter().filter(above).count() as u64 },
        energy_by_component: energy_by(&reports, total, |report| &report.component),
        energy_by_kind: energy_by(&reports, total, |report| &report.kind),
        concentration_hhi: shares.iter().map(|share| share * share).sum(),
        top_tenth_energy: shares.iter().take(shares.len().div_ceil(10)).sum(),
    }
}

/// The squared norm of a module.
pub(super) fn energy(report: &ModuleReport) -> Option<f64> {
    report.frobenius.map(|norm| norm * norm)
}

/// A share; 0 of nothing.
fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

fn energy_by(
    reports: &[&ModuleReport],
    total: f64,
    key: impl Fn(&ModuleReport) -> &String,
) -> BTreeMap<String, f64> {
    let mut sums: BTreeMap<String, f64> = BTreeMap::new();
    for report in reports {
        if let Some(energy) = energy(report) {
            *sums.entry(key(report).clone()).or_default() += ratio(energy, total);
        }
    }
    sums
}

/// Modules far above the median of their algorithm, strongest first; too few modules have no median.
fn outliers(reports: &[&ModuleReport]) -> Vec<String> {
    let mut found = Vec::new();
    let mut algorithms: Vec<&str> = reports.iter().map(|report| &*report.algo).collect();
    algorithms.sort_unstable();
    algorithms.dedup();
    for algorithm in algorithms {
        let own: Vec<(f64, &str)> = reports
            .iter()
            .filter(|report| report.algo == algorithm)
            .filter_map(|report| Some((report.rms_entry?, &*report.name)))
            .collect();
        let Some(middle) = median(own.iter().map(|(norm, _)| *norm).collect()).filter(|_| own.len() >= 8)
        else {
            continue;
        };
        found.extend(own.into_iter().filter(|(norm, _)| *norm > OUTLIER_RATIO * middle && middle > 0.0));
    }
    found.sort_by(|one, other| other.0.total_cmp(&one.0));
    found.into_iter().take(NAMES).map(|(_, name)| name.to_owned()).collect()
}

/// How the changes are spread over directions; `resize` is filled in elsewhere.
pub(super) fn spectrum(modules: &[Measured], options: &Options<'_>) -> SpectrumFacts {
    let reports: Vec<&ModuleReport> = modules.iter().map(|module| &module.report).collect();
    let by_share = |share: &f64| {
        let key = share_key(*share);
        let values = spread(&reports, |report| report.energy_rank.get(&key).map(|rank| *rank as f64))?;
        Some((key, values))
    };
    SpectrumFacts {
        definition: DEFINITION.to_owned(),
        measured_modules: reports.iter().filter(|report| report.effective_rank.is_some()).count() as u64,
        effective_rank: spread(&reports, |report| report.effective_rank),
        effective_rank_l1: spread(&reports, |report| report.effective_rank_l1),
        rank_utilisation: utilisation(&reports),
        stable_rank: spread(&reports, |report| report.stable_rank),
        top1_energy: spread(&reports, |report| report.top1_energy),
        energy_rank: options.energy_targets.iter().filter_map(by_share).collect(),
        resize: Vec::new(),
    }
}

fn utilisation(reports: &[&ModuleReport]) -> Option<Utilisation> {
    let products = || reports.iter().filter(|report| matches!(&*report.algo, "lora" | "dora" | "adalora"));
    let values: Vec<f64> = products().filter_map(|report| report.rank_utilisation).collect();
    let baselines = products().filter_map(|report| Some(noise_utilisation(report.rank?, report.shape?)));
    let spread = distribution(values.into_iter().map(|value| (value, 1.0)).collect())?;
    Some(Utilisation { p50: spread.p50, p90: spread.p90, noise_baseline: median(baselines.collect())? })
}

/// The rank utilisation of Gaussian factors, to the second order of their spread: the energies of the
/// product have a relative variance of about r/out + r/in, and entropy falls by half a variance.
fn noise_utilisation(rank: u64, [out, inner]: [u64; 2]) -> f64 {
    let part = |side: u64| rank as f64 / side.max(1) as f64;
    (-(part(out) + part(inner)) / 2.0).exp()
}

/// By block, in the order of the names.
pub(super) fn blocks(modules: &[Measured]) -> Vec<BlockFacts> {
    let mut groups: BTreeMap<(&str, &str), Vec<&ModuleReport>> = BTreeMap::new();
    for Measured { report, .. } in modules {
        groups.entry((&report.component, &report.block)).or_default().push(report);
    }
    let total: f64 = modules.iter().filter_map(|module| energy(&module.report)).sum();
    let facts = |((component, block), reports): ((&str, &str), Vec<&ModuleReport>)| {
        let own: f64 = reports.iter().filter_map(|report| energy(report)).sum();
        BlockFacts {
            block: block.to_owned(),
            component: component.to_owned(),
            modules: reports.len() as u64,
            frobenius: own.sqrt(),
            energy_share: ratio(own, total),
            effective_rank_p50: median(reports.iter().filter_map(|report| report.effective_rank).collect()),
        }
    };
    groups.into_iter().map(facts).collect()
}

/// The spread of a number over measured modules.
pub(super) fn spread_of(
    modules: &[Measured],
    value: impl Fn(&ModuleReport) -> Option<f64>,
) -> Option<Distribution> {
    spread(&modules.iter().map(|module| &module.report).collect::<Vec<_>>(), value)
}

fn spread(reports: &[&ModuleReport], value: impl Fn(&ModuleReport) -> Option<f64>) -> Option<Distribution> {
    let weighed = |report: &&ModuleReport| Some((value(report)?, energy(report).unwrap_or(0.0)));
    distribution(reports.iter().filter_map(weighed).collect())
}

/// Values and their weights; none of no values.
pub(super) fn distribution(mut values: Vec<(f64, f64)>) -> Option<Distribution> {
    values.retain(|(value, weight)| value.is_finite() && weight.is_finite());
    values.sort_by(|one, other| one.0.total_cmp(&other.0));
    let at = |share: f64| values.get((share * (values.len().saturating_sub(1)) as f64).round() as usize);
    let weight: f64 = values.iter().map(|(_, weight)| weight).sum();
    let mean = if weight > 0.0 {
        values.iter().map(|(value, own)| value * own).sum::<f64>() / weight
    } else {
        values.iter().map(|(value, _)| value).sum::<f64>() / values.len().max(1) as f64
    };
    Some(Distribution {
        count: values.len() as u64,
        min: values.first()?.0,
        p10: at(0.1)?.0,
        p50: at(0.5)?.0,
        p90: at(0.9)?.0,
        max: values.last()?.0,
        mean,
    })
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
