//! Writes a smaller adapter: each product is cut to the rank that holds a share of its energy.
//!
//! Modules that are no plain product (Tucker cores, LoHa, LoKr, OFT …) are copied as they are. The scale of
//! a module stays what it was: an alpha tensor becomes scale times the new rank, and a scale that only the
//! header or a file beside it knows is written into the tensors, so that every program then agrees.

mod advice;
mod encode;
mod plan;
mod truncate;

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use super::compare::{self, CompareOptions};
use super::delta::Delta;
use super::matrix::Matrix;
use super::subject::{Opened, Subject};
use super::{Control, EvaluateError};
use crate::read::ReadAt;
use crate::safetensors::{Header, Malformed};
pub(super) use advice::advise;
use advice::{Chosen, note, resizable};
use plan::{Plan, Planned, Source};

/// Bytes that are copied at once.
const PIECE: usize = 1024 * 1024;
/// Steps of progress: measuring the old file, writing the new one, and comparing both.
const TOTAL: usize = 100;
const MEASURING: usize = 25;
const WRITING: usize = 50;
/// Modules that are in memory at once.
const AT_ONCE: usize = 8;

/// What a smaller file is to hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ResizeTarget {
    /// Each module the lowest rank that holds this share of its energy, above 0 and at most 1.
    Energy(f64),
    /// All modules the lowest rank at which each of them holds this share.
    FixedEnergy(f64),
    /// All modules at most this rank.
    Rank(u64),
}

/// Why a file was not made smaller.
#[derive(Debug, thiserror::Error)]
pub enum ResizeError {
    /// The file could not be read, or somebody asked for the end.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// The target is none.
    #[error("an energy of `{0}` is no share: give one above 0 and at most 1, as `0.95`")]
    Energy(f64),
    /// The target is none.
    #[error("rank `0` would leave nothing: give 1 or more")]
    Rank,
    /// Nothing in the file can be made smaller.
    #[error("none of its modules is a plain product of two factors whose rank can be lowered")]
    NothingToResize,
    /// The new file could not be written.
    #[error("the smaller file cannot be written: {0}")]
    Write(#[source] io::Error),
    /// What was written is not what was meant.
    #[error("the smaller file was written but is not right: {0}; delete it")]
    Wrong(String),
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resized {
    /// Bytes of the old file's header and tensors.
    pub size_before: u64,
    /// Bytes of the new file.
    pub size_after: u64,
    /// Modules with a lower rank.
    pub changed_modules: u64,
    /// Modules that already were small enough, or that cannot be made smaller.
    pub copied_modules: u64,
    /// The highest rank before.
    pub rank_before: u64,
    /// The highest rank after.
    pub rank_after: u64,
    /// The mean rank after.
    pub mean_rank: f64,
    /// The share of the energy that the singular values promise.
    pub predicted_energy: f64,
    /// The share that the written file has, measured against the old one: rounding included.
    pub measured_energy: f64,
    /// The cosine of both changes, measured.
    pub cosine: f64,
    /// What somebody should know.
    pub notes: Vec<String>,
}

/// Writes `subject` at a lower rank to `output`, reads it back and measures what was kept.
///
/// `output` must be empty and read back what was written to it. On any error it holds a part of a file
/// that nobody should load: write to a name that is not loadable, and rename when this answers.
pub fn resize<W: Write + ReadAt + Sync>(
    subject: Subject<'_>,
    target: ResizeTarget,
    output: &mut W,
    control: &Control<'_>,
) -> Result<Resized, ResizeError> {
    match target {
        ResizeTarget::Energy(share) | ResizeTarget::FixedEnergy(share) if !(share > 0.0 && share <= 1.0) => {
            return Err(ResizeError::Energy(share));
        }
        ResizeTarget::Rank(0) => return Err(ResizeError::Rank),
        _ => {}
    }
    let opened = Opened::applied(subject);
    let options = super::Options { adapter_config: subject.adapter_config, ..super::Options::default() };
    let measured = control.part((0, MEASURING, TOTAL), |control| {
        super::measure::measure(subject.header, subject.file, &opened.modules, &options, control)
    })?;
    let chosen = Chosen::new(&resizable(&opened.modules, &measured), target);
    if chosen.ranks.is_empty() {
        return Err(ResizeError::NothingToResize);
    }
    let mut job = Job { opened, ranks: chosen.lowered(), bakes: BTreeMap::new(), notes: Vec::new() };
    let bakes = job.include_configured(&chosen)?;
    job.settle_scales()?;
    let planned = plan::plan(subject.header, &job.opened.modules, &job.ranks, bakes, &note(target));
    control.part((MEASURING, WRITING, TOTAL), |control| job.write(&planned, output, control))?;
    let check = (MEASURING + WRITING, TOTAL - MEASURING - WRITING, TOTAL);
    let verified = control.part(check, |control| verify(subject, &planned, output, control))?;
    Ok(Resized {
        size_before: subject.header.data_start()
            + subject.header.tensors.iter().map(|tensor| tensor.range.end).max().unwrap_or(0),
        size_after: planned.size,
        changed_modules: job.ranks.len() as u64,
        copied_modules: (job.opened.modules.modules.len() - job.ranks.len()) as u64,
        rank_before: chosen.old_max_rank(),
        rank_after: chosen.max_rank(),
        mean_rank: chosen.mean_rank().unwrap_or(0.0),
        predicted_energy: chosen.retained,
        measured_energy: verified.0,
        cosine: verified.1,
        notes: job.notes,
    })
}

/// A resizing in work.
struct Job<'a> {
    opened: Opened<'a>,
    /// New ranks by the module's place.
    ranks: BTreeMap<usize, u64>,
    /// What the outer factor is multiplied with, and the alpha beside it, by the module's place.
    bakes: BTreeMap<usize, (f64, f64)>,
    notes: Vec<String>,
}

/// The new factors of one module.
struct Factors {
    up: Matrix,
    down: Matrix,
}

impl Job<'_> {
    /// A scale that only a configuration knows goes into the tensors, so the modules that keep their rank are
    /// written anew too. Answers whether the configuration has to go.
    fn include_configured(&mut self, chosen: &Chosen) -> Result<bool, ResizeError> {
        let (mut baked, mut left) = (0, 0);
        for (place, (name, parts)) in self.opened.modules.modules.iter().enumerate() {
            if !self.opened.scale(name, parts)?.is_configured() {
                continue;
            }
            if let Some((_, rank)) = chosen.ranks.get(&place) {
                self.ranks.insert(place, *rank);
                baked += 1;
            } else {
                left += 1;
            }
        }
        if baked > 0 {
            self.notes.push(format!(
                "the scale of {baked} modules was in a configuration that not every program reads; it is in the tensors now"
            ));
        }
        if left > 0 {
            self.notes.push(format!("{left} modules that were copied lose the scale of the configuration"));
        }
        Ok(baked > 0)
    }

    /// Decides for every resized module which alpha it gets and what goes into its factors.
    fn settle_scales(&mut self) -> Result<(), ResizeError> {
        for (place, rank) in &self.ranks {
            let (name, parts) = &self.opened.modules.modules[*place];
            let scale = self.opened.scale(name, parts)?;
            let bake = match parts.get("alpha") {
                Some(tensor) if scale.source == "tensor" => {
                    let wanted = scale.value * *rank as f64;
                    let alpha = encode::rounded(tensor.dtype, wanted);
                    let alpha = if alpha == 0.0 || !alpha.is_finite() { 1.0 } else { alpha };
                    (wanted / alpha, alpha)
                }
                Some(_) => (scale.value, *rank as f64),
                None => (scale.value, 0.0),
            };
            self.bakes.insert(*place, bake);
        }
        Ok(())
    }

    fn write<W: Write>(&self, plan: &Plan, output: &mut W, control: &Control<'_>) -> Result<(), ResizeError> {
        output.write_all(&plan.head).map_err(ResizeError::Write)?;
        let places: Vec<usize> = self.ranks.keys().copied().collect();
        let mut ready: BTreeMap<usize, Factors> = BTreeMap::new();
        let mut waiting = places.chunks(AT_ONCE).enumerate();
        for tensor in &plan.tensors {
            control.check()?;
            if let Source::Up(place) | Source::Down(place) = tensor.source {
                while !ready.contains_key(&place) {
                    let (number, batch) = waiting.next().expect("every resized module is in some batch");
                    ready.retain(|known, _| *known >= place);
                    let part = (number * AT_ONCE, batch.len(), places.len());
                    let factors =
                        control.part(part, |control| control.each(batch, |place| self.factors(*place)))?;
                    ready.extend(batch.iter().copied().zip(factors));
                }
            }
            self.write_tensor(tensor, &ready, output)?;
        }
        output.flush().map_err(ResizeError::Write)
    }

    fn write_tensor<W: Write>(
        &self,
        tensor: &Planned,
        ready: &BTreeMap<usize, Factors>,
        output: &mut W,
    ) -> Result<(), ResizeError> {
        let mut bytes = Vec::new();
        match &tensor.source {
            Source::Copy(range) => return self.copy(range.start, range.end, output),
            Source::Up(place) => encode::encode(tensor.dtype, &ready[place].up.values, &mut bytes),
            Source::Down(place) => encode::encode(tensor.dtype, &ready[place].down.values, &mut bytes),
            Source::Alpha(place) => encode::encode(tensor.dtype, &[self.bakes[place].1], &mut bytes),
        }
        output.write_all(&bytes).map_err(ResizeError::Write)
    }

    fn copy<W: Write>(&self, mut start: u64, end: u64, output: &mut W) -> Result<(), ResizeError> {
        let subject = self.opened.subject;
        let mut piece = vec![0; PIECE.min((end - start) as usize)];
        while start < end {
            let count = (piece.len() as u64).min(end - start) as usize;
            let at = subject.header.data_start() + start;
            subject.file.read_exact_at(&mut piece[..count], at).map_err(EvaluateError::Io)?;
            output.write_all(&piece[..count]).map_err(ResizeError::Write)?;
            start += count as u64;
        }
        Ok(())
    }

    fn factors(&self, place: usize) -> Result<Factors, EvaluateError> {
        let (_, parts) = &self.opened.modules.modules[place];
        let rank = self.ranks[&place] as usize;
        let Some(Delta::Product(up, down)) = self.opened.delta(parts)? else {
            // It was measured a moment ago; only a file that changed meanwhile gets here.
            return Err(EvaluateError::Io(io::Error::other("the file changed while it was read")));
        };
        let (mut up, down) = truncate::truncate(&up, &down, rank);
        let bake = self.bakes[&place].0;
        up.values.iter_mut().for_each(|value| *value *= bake);
        Ok(Factors { up, down })
    }
}

/// Reads the new file back; answers the energy that is left and the cosine.
fn verify<W: ReadAt + Sync>(
    subject: Subject<'_>,
    plan: &Plan,
    output: &W,
    control: &Control<'_>,
) -> Result<(f64, f64), ResizeError> {
    let header = Header::read(output, plan.size).map_err(|error| match error {
        Malformed::Read(error) => ResizeError::Write(error),
        malformed => ResizeError::Wrong(malformed.to_string()),
    })?;
    let written = Subject { name: "resized", file: output, header: &header, adapter_config: None };
    let options = CompareOptions { spectrum: false, overlaps: false, ..CompareOptions::default() };
    let sums = compare::sums(&Opened::applied(subject), &Opened::applied(written), &options, control)?;
    if sums.only_a + sums.only_b > 0 {
        return Err(ResizeError::Wrong("it does not have the modules of the old one".to_owned()));
    }
    // The energy of a projection is its inner product with what it is a projection of.
    let lost = (sums.energy_a - 2.0 * sums.inner + sums.energy_b) / sums.energy_a.max(f64::MIN_POSITIVE);
    let cosine = sums.cosine().unwrap_or(1.0);
    let kept = if sums.energy_a > 0.0 { 1.0 - lost } else { 1.0 };
    if !kept.is_finite() || kept < -1.0 {
        return Err(ResizeError::Wrong(format!("it keeps {kept} of the energy")));
    }
    Ok((kept, cosine))
}
