//! What somebody should know: from numbers to findings. Every rule says what it stands on; nothing here
//! grades how good a file is.

use super::aggregate::{self, NAMES, OUTLIER_RATIO};
use super::report::{
    AdapterFacts, Basis, Code, FileFacts, Finding, ModuleReport, Severity, SpectrumFacts, WeightFacts,
};

/// The share of F16 elements that may be subnormal before it is said.
const SUBNORMAL_SHARE: f64 = 0.05;
/// A rank is called oversized when this share of it would hold 99 % of the energy.
const OVERSIZED: f64 = 0.5;

/// Findings about the file itself.
pub(super) fn of_file(file: &FileFacts) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(error) = file.errors.first() {
        findings.push(Finding::new(Code::FileInvalid, Severity::Error, error.clone()));
    }
    if file.nan + file.inf > 0 {
        let message =
            format!("{} elements are NaN and {} infinite: pictures will be black", file.nan, file.inf);
        let finding = Finding::new(Code::NonFinite, Severity::Error, message);
        findings.push(finding.with("nan", file.nan).with("inf", file.inf));
    }
    if let Some(share) = file.subnormal_f16_fraction.filter(|share| *share > SUBNORMAL_SHARE) {
        let message =
            format!("{:.0} % of its F16 elements are so small that they lost precision", share * 100.0);
        findings.push(
            Finding::new(Code::PrecisionLoss, Severity::Info, message).with("subnormal_f16_fraction", share),
        );
    }
    if file.payload_hash_matches_metadata == Some(false) {
        let message =
            "its tensors do not hash to `sshs_model_hash` of its metadata: they were changed after training";
        findings.push(Finding::new(Code::PayloadHashDiffers, Severity::Warning, message));
    }
    findings
}

/// Findings about the modules and what they sum up to.
pub(super) fn of_adapter(
    adapter: &AdapterFacts,
    weights: &WeightFacts,
    spectrum: Option<&SpectrumFacts>,
    modules: &[&ModuleReport],
    orphans: usize,
) -> Vec<Finding> {
    let found = [
        orphan_tensors(adapter, orphans),
        invalid_modules(modules),
        rank_exceeds(modules),
        zero_modules(weights, modules.len()),
        alpha_missing(adapter),
        scale_differs(adapter, modules),
        outliers(weights),
        max_norm(weights),
        spectrum.and_then(|spectrum| oversized(adapter, spectrum)),
        not_measured(modules),
    ];
    found.into_iter().flatten().collect()
}

/// The first names of a list, for a sentence's evidence.
fn names<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    names.take(NAMES).map(crate::safetensors::display_name).collect()
}

fn orphan_tensors(adapter: &AdapterFacts, orphans: usize) -> Option<Finding> {
    let message = format!("{orphans} tensors belong to no adapter that is known");
    let finding = Finding::new(Code::OrphanTensors, Severity::Warning, message);
    (orphans > 0).then(|| finding.with("count", orphans).with("tensors", adapter.orphan_tensors.clone()))
}

fn invalid_modules(modules: &[&ModuleReport]) -> Option<Finding> {
    let bad: Vec<&&ModuleReport> = modules.iter().filter(|module| !module.valid).collect();
    let first = bad.first()?;
    let reason = first.issues.last().map_or("its tensors do not fit", String::as_str);
    let name = crate::safetensors::display_name(&first.name);
    let message = format!("{} of {} modules are damaged; `{name}`: {reason}", bad.len(), modules.len());
    let list = names(bad.iter().map(|module| &*module.name));
    Some(
        Finding::new(Code::ModuleInvalid, Severity::Error, message)
            .with("count", bad.len())
            .with("modules", list),
    )
}

fn rank_exceeds(modules: &[&ModuleReport]) -> Option<Finding> {
    let exceeds = |module: &&&ModuleReport| module.issues.iter().any(|issue| issue.starts_with("its rank "));
    let bad: Vec<&&ModuleReport> = modules.iter().filter(exceeds).collect();
    let message = format!(
        "{} modules have a rank above the smaller side of their weight, which wastes space",
        bad.len()
    );
    let list = names(bad.iter().map(|module| &*module.name));
    (!bad.is_empty()).then(|| {
        Finding::new(Code::RankExceedsShape, Severity::Info, message)
            .with("count", bad.len())
            .with("modules", list)
    })
}

fn zero_modules(weights: &WeightFacts, modules: usize) -> Option<Finding> {
    let dead = weights.dead_modules;
    let all = dead as usize == modules;
    let severity = if all { Severity::Error } else { Severity::Info };
    let message = if all {
        "every module is zero: the file does nothing".to_owned()
    } else {
        format!(
            "{dead} of {modules} modules are zero beside the others; some trainers never train the last layers of a text encoder"
        )
    };
    let list = names(weights.dead_module_names.iter().map(String::as_str));
    (dead > 0)
        .then(|| Finding::new(Code::ZeroModules, severity, message).with("count", dead).with("modules", list))
}

fn alpha_missing(adapter: &AdapterFacts) -> Option<Finding> {
    let count = adapter.scale.sources.get("assumed").copied().filter(|count| *count > 0)?;
    let message = format!("{count} modules have no alpha anywhere: every program takes 1 as their scale");
    Some(Finding::new(Code::AlphaMissing, Severity::Info, message).with("modules", count).on(Basis::Metadata))
}

fn scale_differs(adapter: &AdapterFacts, modules: &[&ModuleReport]) -> Option<Finding> {
    let first = modules.iter().find(|module| aggregate::scale_differs(module))?;
    let message = format!(
        "its scale is {} by `{}`, which not every program reads: {}",
        first.scale,
        first.scale_source,
        first
            .scale_by_runtime
            .iter()
            .map(|(name, value)| format!("{name} {value}"))
            .collect::<Vec<_>>()
            .join(", "),
    );
    let mut finding = Finding::new(Code::ScaleDiffersByRuntime, Severity::Warning, message)
        .on(Basis::Metadata)
        .with("modules", adapter.scale.differing_modules);
    for (name, value) in &first.scale_by_runtime {
        finding = finding.with(name, *value);
    }
    Some(finding)
}

fn outliers(weights: &WeightFacts) -> Option<Finding> {
    let first = weights.outlier_modules.first()?;
    let name = crate::safetensors::display_name(first);
    let message = format!(
        "{} modules are more than {OUTLIER_RATIO} times as strong as the median; the strongest is `{name}`",
        weights.outlier_modules.len()
    );
    let list = names(weights.outlier_modules.iter().map(String::as_str));
    Some(Finding::new(Code::OutlierNorm, Severity::Info, message).on(Basis::Heuristic).with("modules", list))
}

fn max_norm(weights: &WeightFacts) -> Option<Finding> {
    let norm = weights.over_max_norm;
    let message = format!(
        "{} modules have a norm above {}, where kohya's `--scale_weight_norms` usually begins to scale down",
        norm.count, norm.cap
    );
    let finding = Finding::new(Code::MaxNormExceeded, Severity::Info, message).on(Basis::Heuristic);
    (norm.count > 0).then(|| finding.with("count", norm.count).with("cap", norm.cap))
}

fn oversized(adapter: &AdapterFacts, spectrum: &SpectrumFacts) -> Option<Finding> {
    let rank = adapter.rank?.max;
    let needed = spectrum.energy_rank.get("0.99")?.max;
    let message = format!("rank {needed} would hold 99 % of the energy of every module, the file has {rank}");
    let finding = Finding::new(Code::OversizedRank, Severity::Info, message);
    (needed <= OVERSIZED * rank as f64).then(|| finding.with("rank", rank).with("needed", needed))
}

fn not_measured(modules: &[&ModuleReport]) -> Option<Finding> {
    let without = |module: &&&ModuleReport| module.valid && module.frobenius.is_none();
    let bad: Vec<&&ModuleReport> = modules.iter().filter(without).collect();
    let reason = bad.first()?.reason.clone().unwrap_or_default();
    let message = format!("{} of {} modules have no norm: {reason}", bad.len(), modules.len());
    Some(Finding::new(Code::NotMeasured, Severity::Info, message).with("count", bad.len()))
}
