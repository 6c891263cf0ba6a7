//! Which ranks a target asks for, and what a smaller file would then hold.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{ResizeTarget, plan};
use crate::evaluate::measure::{Measured, Modules};
use crate::evaluate::report::{ResizeMode, ResizeOption};
use crate::evaluate::spectrum::energy_rank;
use crate::safetensors::Header;

/// What smaller files would hold, from the spectra: two modes for each share of the energy.
pub(in crate::evaluate) fn advise(
    header: &Header,
    modules: &Modules<'_>,
    measured: &[Measured],
    shares: &[f64],
) -> Vec<ResizeOption> {
    let spectra = resizable(modules, measured);
    let size = header.data_start() + header.tensors.iter().map(|tensor| tensor.range.end).max().unwrap_or(0);
    let usable = shares.iter().copied().filter(|share| *share > 0.0 && *share <= 1.0);
    let modes = [
        (ResizeMode::Dynamic, ResizeTarget::Energy as fn(f64) -> _),
        (ResizeMode::Fixed, ResizeTarget::FixedEnergy),
    ];
    let option = |share: f64, (mode, target): (ResizeMode, fn(f64) -> ResizeTarget)| {
        let chosen = Chosen::new(&spectra, target(share));
        let planned = plan::plan(header, modules, &chosen.lowered(), false, &note(target(share)));
        Some(ResizeOption {
            energy: share,
            mode,
            size_bytes: planned.size,
            size_ratio: planned.size as f64 / size.max(1) as f64,
            mean_rank: chosen.mean_rank()?,
            max_rank: chosen.max_rank(),
            retained_energy: chosen.retained,
            modules: chosen.ranks.len() as u64,
            kohya_args: kohya_args(mode, share, chosen.max_rank()),
        })
    };
    usable.flat_map(|share| modes.map(|mode| option(share, mode))).flatten().collect()
}

/// kohya compares norms, the roots of energies.
fn kohya_args(mode: ResizeMode, share: f64, rank: u64) -> String {
    match mode {
        ResizeMode::Dynamic => {
            format!("--dynamic_method sv_fro --dynamic_param {:.4} --new_rank {rank}", share.sqrt())
        }
        ResizeMode::Fixed => format!("--new_rank {rank}"),
    }
}

/// One module that can be made smaller.
pub(super) struct Spectrum<'a> {
    place: usize,
    rank: u64,
    values: &'a [f64],
}

pub(super) fn resizable<'a>(modules: &Modules<'_>, measured: &'a [Measured]) -> Vec<Spectrum<'a>> {
    let pairs = modules.modules.iter().zip(measured).enumerate();
    let usable = pairs.filter(|(_, ((_, parts), module))| {
        plan::is_resizable(parts) && module.report.valid && !module.values.is_empty()
    });
    usable
        .map(|(place, (_, module))| Spectrum {
            place,
            rank: module.report.rank.unwrap_or(0),
            values: &module.values,
        })
        .collect()
}

/// The ranks that a target asks for.
pub(super) struct Chosen {
    /// Old and new rank by the module's place.
    pub(super) ranks: BTreeMap<usize, (u64, u64)>,
    /// The share of the energy of all modules that is kept.
    pub(super) retained: f64,
}

impl Chosen {
    pub(super) fn new(spectra: &[Spectrum<'_>], target: ResizeTarget) -> Self {
        let needed =
            |share: f64| spectra.iter().map(move |spectrum| energy_rank(spectrum.values, share) as u64);
        let cap = match target {
            ResizeTarget::Energy(_) => u64::MAX,
            ResizeTarget::FixedEnergy(share) => needed(share).max().unwrap_or(1),
            ResizeTarget::Rank(rank) => rank,
        };
        let rank_of = |spectrum: &Spectrum<'_>| match target {
            ResizeTarget::Energy(share) => energy_rank(spectrum.values, share) as u64,
            _ => cap,
        };
        let (mut kept, mut total, mut ranks) = (0.0, 0.0, BTreeMap::new());
        for spectrum in spectra {
            let rank = rank_of(spectrum).clamp(1, spectrum.rank.max(1));
            let energy = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>();
            kept += energy(&spectrum.values[..spectrum.values.len().min(rank as usize)]);
            total += energy(spectrum.values);
            ranks.insert(spectrum.place, (spectrum.rank, rank));
        }
        Self { ranks, retained: if total > 0.0 { kept / total } else { 1.0 } }
    }

    /// The new ranks of the modules that change.
    pub(super) fn lowered(&self) -> BTreeMap<usize, u64> {
        let changed = self.ranks.iter().filter(|(_, (old, new))| new < old);
        changed.map(|(place, (_, new))| (*place, *new)).collect()
    }

    pub(super) fn mean_rank(&self) -> Option<f64> {
        let sum: u64 = self.ranks.values().map(|(_, new)| new).sum();
        (!self.ranks.is_empty()).then(|| sum as f64 / self.ranks.len() as f64)
    }

    pub(super) fn max_rank(&self) -> u64 {
        self.ranks.values().map(|(_, new)| *new).max().unwrap_or(0)
    }

    pub(super) fn old_max_rank(&self) -> u64 {
        self.ranks.values().map(|(old, _)| *old).max().unwrap_or(0)
    }
}

/// What the new file's metadata says of how it was made.
pub(super) fn note(target: ResizeTarget) -> Value {
    let tool = concat!("lorakeep ", env!("CARGO_PKG_VERSION"));
    match target {
        ResizeTarget::Energy(share) => json!({ "tool": tool, "mode": "dynamic", "energy": share }),
        ResizeTarget::FixedEnergy(share) => json!({ "tool": tool, "mode": "fixed", "energy": share }),
        ResizeTarget::Rank(rank) => json!({ "tool": tool, "mode": "fixed", "rank": rank }),
    }
}
