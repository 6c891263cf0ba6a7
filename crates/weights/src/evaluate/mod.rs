//! How strong the change of every module of an adapter is, how it is spread over directions, and whether
//! it will do what it was trained for, from the file alone.
//!
//! A change is never spread out: products are measured by the Gram matrices of their factors, LoHa by
//! Khatri-Rao products, LoKr by its blocks, OFT by its angles. All sums are in double precision. Decided
//! per module, so that files of several algorithms are measured whole. `docs/evaluation.md` says what each
//! number means.

mod aggregate;
mod base;
mod base_weight;
pub mod compare;
mod control;
mod decode;
mod delta;
mod eigen;
mod judgement;
mod lanczos;
mod matrix;
mod measure;
mod module;
mod names;
mod orthogonal;
mod place;
mod reader;
pub mod report;
pub mod resize;
mod runtimes;
mod scale;
mod spectrum;
mod subject;
mod true_change;
mod turning;

use std::io::{self, BufRead as _};

pub use base::Base;
pub use base_weight::{WeightMemory, WeightNorms};
pub use compare::Subject;
pub use control::Control;
pub use decode::Census;
pub use runtimes::runtime_names;

use sha2::Digest as _;

use crate::read::{ReadAt, Window};
use crate::safetensors::{Header, Malformed};
use decode::Tally;
use measure::{Measured, Modules};
use report::{Compatibility, FileFacts, FileReport, SCHEMA_VERSION, Skipped, SpectrumFacts, Verdict};
use subject::Opened;

/// Why an evaluation ended without an answer. A damaged file is no error: its report says so.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// A tensor could not be read.
    #[error("tensor `{tensor}` cannot be read: {source}")]
    Read {
        /// The tensor's name, shortened for display.
        tensor: String,
        /// What the system said.
        source: io::Error,
    },
    /// The header could not be read.
    #[error("the file cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Somebody asked for the end.
    #[error("the evaluation was cancelled")]
    Cancelled,
}

/// How much of a report is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// The file alone.
    Summary,
    /// The file and its blocks.
    #[default]
    Blocks,
    /// Every module too.
    Modules,
}

/// What is asked about a file.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// The file's name, which may tell what its tensors do not.
    pub file_name: &'a str,
    /// The text of PEFT's `adapter_config.json` beside the file.
    pub adapter_config: Option<&'a str>,
    /// Whether spectra are described; norms come in any case.
    pub spectrum: bool,
    /// How much is kept.
    pub detail: Detail,
    /// Shares of the energy, above 0 and at most 1, for which ranks are found.
    pub energy_targets: &'a [f64],
    /// How many singular values of a module its report holds.
    pub top_singular_values: usize,
    /// The strength at which norms are given.
    pub strength: f64,
    /// The programs whose applicability is answered, of [`runtime_names`].
    pub runtimes: &'a [&'a str],
    /// The base model that the file is laid beside.
    pub base: Option<Base<'a>>,
    /// Whether the tensors are hashed when the metadata holds a hash of them.
    pub verify_payload: bool,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            file_name: "",
            adapter_config: None,
            spectrum: true,
            detail: Detail::Blocks,
            energy_targets: &[0.9, 0.95, 0.99],
            top_singular_values: 4,
            strength: 1.0,
            runtimes: &["comfyui", "diffusers"],
            base: None,
            verify_payload: true,
        }
    }
}

/// Evaluates one file of `size` bytes.
///
/// A damaged file gives a report that says what is wrong with it; an error means that the file could not
/// be read or that the work was cancelled.
pub fn evaluate<F: ReadAt + Sync + ?Sized>(
    file: &F,
    size: u64,
    options: &Options<'_>,
    control: &Control<'_>,
) -> Result<FileReport, EvaluateError> {
    match Header::read(file, size) {
        Ok(header) => evaluate_adapter(&header, file, size, options, control),
        Err(Malformed::Read(error)) => Err(error.into()),
        Err(malformed) => Ok(damaged(file, size, &malformed)),
    }
}

/// The report of a file that is no sound safetensors file.
fn damaged<F: ReadAt + ?Sized>(file: &F, size: u64, malformed: &Malformed) -> FileReport {
    let facts = FileFacts {
        format: crate::format::sniff(&file.head(crate::format::SNIFF_LENGTH).unwrap_or_default(), size)
            .name()
            .to_owned(),
        size_bytes: size,
        errors: vec![malformed.to_string()],
        ..FileFacts::default()
    };
    let findings = judgement::of_file(&facts);
    FileReport { findings, skipped: vec![Skipped::new("weights", "the file is damaged")], ..empty(facts) }
}

fn empty(file: FileFacts) -> FileReport {
    FileReport {
        schema_version: SCHEMA_VERSION,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        file,
        adapter: None,
        weights: None,
        spectrum: None,
        blocks: Vec::new(),
        modules: Vec::new(),
        compatibility: None,
        findings: Vec::new(),
        skipped: Vec::new(),
    }
}

fn evaluate_adapter<F: ReadAt + Sync + ?Sized>(
    header: &Header,
    file: &F,
    size: u64,
    options: &Options<'_>,
    control: &Control<'_>,
) -> Result<FileReport, EvaluateError> {
    let modules = measure::group(&header.tensors);
    if modules.modules.is_empty() {
        let skipped = vec![Skipped::new("weights", "the file holds no adapter module")];
        return Ok(FileReport { skipped, ..empty(file_facts(header, size, &Tally::default())) });
    }
    let mut tally = measure::scan_orphans(header, file, &modules.orphans, control)?;
    let mut measured = measure::measure(header, file, &modules, options, control)?;
    for module in &measured {
        tally.add(module.tally);
    }
    aggregate::mark_dead(&mut measured);
    let mut facts = file_facts(header, size, &tally);
    if options.verify_payload {
        facts.payload_hash_matches_metadata = payload_matches(header, file, size, control)?;
    }
    let identity = crate::identify::identify_header(header, options.file_name);
    let mut compatibility = Compatibility::default();
    if let Some(base) = &options.base {
        let subject =
            Subject { name: options.file_name, file: &file, header, adapter_config: options.adapter_config };
        let work = (options.strength, control);
        compatibility.base = Some(base::fit(base, &Opened::new(subject), &mut measured, work)?);
    }
    let fit = |name: &&str| runtimes::fit(name, identity.base_model, &modules.modules, &measured);
    compatibility.runtimes = options.runtimes.iter().filter_map(fit).collect();
    let reads_base = options.base.as_ref().is_some_and(|base| base.file.is_some());
    let fit = compatibility.base.as_ref().filter(|_| reads_base);
    let gaps = fit.map(|fit| base::gaps(fit, &measured)).unwrap_or_default();
    let mut report = assemble(header, facts, &identity, &modules, measured, options);
    report.skipped.extend(gaps);
    Ok(with_compatibility(report, compatibility, options))
}

/// Adds where the file can be used, and what of it somebody should know.
fn with_compatibility(mut report: FileReport, found: Compatibility, options: &Options<'_>) -> FileReport {
    report.findings.extend(found.runtimes.iter().flat_map(runtimes::findings));
    report.findings.extend(found.base.as_ref().and_then(base::finding));
    report.findings = Verdict::new(report.findings).findings;
    for name in options.runtimes.iter().filter(|name| !runtime_names().contains(*name)) {
        let reason = format!("there are no rules for the program `{name}`");
        report.skipped.push(Skipped::new("compatibility.runtimes", reason));
    }
    report.compatibility = Some(found);
    report
}

/// Puts the parts of the report together.
fn assemble(
    header: &Header,
    facts: FileFacts,
    identity: &crate::identify::Identity,
    modules: &Modules<'_>,
    measured: Vec<Measured>,
    options: &Options<'_>,
) -> FileReport {
    let adapter = aggregate::adapter(&measured, &modules.orphans, identity);
    let weights = aggregate::weights(&measured, options);
    let spectrum = options.spectrum.then(|| SpectrumFacts {
        resize: resize::advise(header, modules, &measured, options.energy_targets),
        ..aggregate::spectrum(&measured, options)
    });
    let reports: Vec<_> = measured.iter().map(|module| &module.report).collect();
    let mut findings = judgement::of_file(&facts);
    findings.extend(judgement::of_adapter(
        &adapter,
        &weights,
        spectrum.as_ref(),
        &reports,
        modules.orphans.len(),
    ));
    let blocks = if options.detail >= Detail::Blocks { aggregate::blocks(&measured) } else { Vec::new() };
    let kept = if options.detail >= Detail::Modules { measured } else { Vec::new() };
    FileReport {
        adapter: Some(adapter),
        weights: Some(weights),
        spectrum,
        blocks,
        modules: kept.into_iter().map(|module| module.report).collect(),
        findings,
        ..empty(facts)
    }
}

fn file_facts(header: &Header, size: u64, tally: &Tally) -> FileFacts {
    let mut facts = FileFacts {
        valid: tally.census.is_finite(),
        format: "safetensors".to_owned(),
        size_bytes: size,
        header_bytes: header.length,
        tensors: header.tensors.len() as u64,
        parameters: header.parameters(),
        nan: tally.census.nan,
        inf: tally.census.infinite,
        zero_tensors: tally.zero_tensors,
        saturated_f16: tally.halves.saturated,
        ..FileFacts::default()
    };
    let halves = tally.halves;
    facts.subnormal_f16_fraction =
        (halves.elements > 0).then(|| halves.subnormal as f64 / halves.elements as f64);
    for tensor in &header.tensors {
        *facts.dtypes.entry(tensor.dtype.name().to_owned()).or_default() += 1;
    }
    facts
}

/// Whether the tensors hash to what kohya's trainers wrote into the metadata.
fn payload_matches<F: ReadAt + ?Sized>(
    header: &Header,
    file: &F,
    size: u64,
    control: &Control<'_>,
) -> Result<Option<bool>, EvaluateError> {
    let Some(claimed) = header.metadata_value("sshs_model_hash") else { return Ok(None) };
    let mut window = Window::new(file, header.data_start(), size);
    let mut hasher = sha2::Sha256::new();
    loop {
        control.check()?;
        let chunk = window.fill_buf()?;
        if chunk.is_empty() {
            break;
        }
        hasher.update(chunk);
        let count = chunk.len();
        window.consume(count);
    }
    Ok(Some(hex::encode(hasher.finalize()).eq_ignore_ascii_case(claimed)))
}
