//! Reading what lies beside a model. Whatever is wrong with a sidecar costs that sidecar and no more.

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;

use super::limits::tamed;
use super::{Said, a1111, civitai_info, lora_manager, stability_matrix};
use crate::domain::{Entry, ModelPath, Sha256, SidecarFlavour};
use crate::files::read_up_to;

/// The largest sidecar, bytes; CivitAI's longest answers are a tenth of it.
const MAX_BYTES: u64 = 8 << 20;

/// The sidecars of one model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::service) struct Beside {
    /// Those that are there, in the order of belief, with the hash of what we wrote into them ourselves.
    pub(in crate::service) sidecars: Vec<(SidecarFlavour, ModelPath, Option<Sha256>)>,
}

/// What was read of them.
#[derive(Debug, Default, PartialEq)]
pub(in crate::service) struct SidecarReading {
    /// What they say together.
    pub(in crate::service) said: Said,
    /// How many there were of each flavour, in the order of [`SidecarFlavour::ALL`].
    pub(in crate::service) counts: [u64; 4],
    /// What could not be read and why, each naming its file.
    pub(in crate::service) faults: Vec<String>,
}

impl Beside {
    /// Those that are on disk, asked by `is_there`.
    pub(in crate::service) fn of(
        model: &ModelPath,
        written: &HashMap<ModelPath, Sha256>,
        is_there: impl Fn(&ModelPath) -> bool,
    ) -> Self {
        let all = SidecarFlavour::ALL.into_iter();
        let there = all.filter_map(|flavour| {
            let path = flavour.beside(model).filter(|path| is_there(path))?;
            let own = written.get(&path).copied();
            Some((flavour, path, own))
        });
        Self { sidecars: there.collect() }
    }
}

/// Reads them all; blocking. `size_bytes` is the model's length.
pub(in crate::service) fn read_beside(
    root: &Path,
    beside: &Beside,
    entry: &Entry,
    size_bytes: u64,
) -> SidecarReading {
    let mut reading = SidecarReading::default();
    let mut all: Vec<(SidecarFlavour, Said)> = Vec::new();
    for (flavour, path, own) in &beside.sidecars {
        let at = SidecarFlavour::ALL.iter().position(|own| own == flavour).unwrap_or_default();
        match read_one(root, path, *own) {
            Ok(None) => {}
            Ok(Some(value)) => {
                let said = understood(*flavour, &value, entry, size_bytes);
                reading.counts[at] += u64::from(said.is_some());
                all.extend(said.map(|said| (*flavour, tamed(said))));
            }
            Err(error) => reading.faults.push(format!("`{path}` was left out: {error}")),
        }
    }
    reading.said = together(&all);
    reading
}

/// The object; `None` for what we wrote ourselves, which says nothing new.
fn read_one(root: &Path, path: &ModelPath, own: Option<Sha256>) -> Result<Option<Value>, String> {
    let bytes = read_up_to(&path.below(root), MAX_BYTES).map_err(|error| error.to_string())?;
    if own == Some(Sha256::of(&bytes)) {
        return Ok(None);
    }
    let value: Value = serde_json::from_slice(&bytes).map_err(|error| format!("it is no JSON: {error}"))?;
    if value.is_object() { Ok(Some(value)) } else { Err("it is JSON, but no object".to_owned()) }
}

/// `None` when it is none of those that we know.
fn understood(flavour: SidecarFlavour, value: &Value, entry: &Entry, size_bytes: u64) -> Option<Said> {
    match flavour {
        SidecarFlavour::CivitaiInfo => Some(civitai_info::read(value, entry, size_bytes)),
        SidecarFlavour::LoraManager => Some(lora_manager::read(value, entry, size_bytes)),
        SidecarFlavour::StabilityMatrix => Some(stability_matrix::read(value)),
        SidecarFlavour::A1111 => a1111::read(value, entry, size_bytes),
    }
}

/// What they say together: CivitAI's facts in the order of flavours, a user's words in another.
fn together(all: &[(SidecarFlavour, Said)]) -> Said {
    let mut facts = Said::default();
    for (_, said) in all {
        facts.add(Said { own: super::Own::default(), ..said.clone() });
    }
    let mut own = Said::default();
    for flavour in [SidecarFlavour::LoraManager, SidecarFlavour::A1111, SidecarFlavour::StabilityMatrix] {
        for (_, said) in all.iter().filter(|(theirs, _)| *theirs == flavour) {
            own.add(Said { own: said.own.clone(), ..Said::default() });
        }
    }
    Said { own: own.own, ..facts }
}
