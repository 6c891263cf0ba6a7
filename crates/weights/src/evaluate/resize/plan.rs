//! Which tensors a smaller file has, and how long it will be to the byte.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use serde_json::{Map, Value, json};

use crate::evaluate::measure::Modules;
use crate::evaluate::module::Parts;
use crate::safetensors::{Dtype, Header, Tensor};

use super::encode;

/// Metadata that is no longer true of a smaller file: hashes of the tensors, and alphas by module.
const DROPPED: &[&str] = &["sshs_model_hash", "sshs_legacy_hash"];
/// The configuration of diffusers; its scale is written into the tensors instead.
const CONFIGURATION: &str = "lora_adapter_metadata";

/// Where the bytes of a tensor come from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Source {
    /// From the old file, as they are.
    Copy(Range<u64>),
    /// The outer factor of the module of that place.
    Up(usize),
    /// The inner factor.
    Down(usize),
    /// The alpha of the module of that place.
    Alpha(usize),
}

/// One tensor of the new file.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    name: String,
    pub(super) dtype: Dtype,
    shape: Vec<u64>,
    pub(super) source: Source,
}

impl Planned {
    fn bytes(&self) -> u64 {
        self.shape.iter().product::<u64>() * self.dtype.bits() / 8
    }
}

/// A new file, tensor by tensor in the order in which it is written.
pub(super) struct Plan {
    pub(super) tensors: Vec<Planned>,
    /// The header with its length in front.
    pub(super) head: Vec<u8>,
    /// The whole file's bytes.
    pub(super) size: u64,
}

/// Whether a module's rank can be lowered: two plain factors of a type that can be written.
pub(super) fn is_resizable(parts: &Parts<'_>) -> bool {
    let factor = |role: &str| parts.get(role).filter(|tensor| encode::is_writable(tensor.dtype));
    let (Some(up), Some(down)) = (factor("up"), factor("down")) else { return false };
    let fits = up.shape.len() >= 2 && down.shape.len() >= 2 && up.shape[1] == down.shape[0];
    fits && up.elements() > 0
        && down.elements() > 0
        && ["mid", "adaptive"].iter().all(|role| !parts.contains_key(role))
}

/// Plans the file in which the modules of `ranks`, by place, have those ranks. `bakes` says that scales of
/// the header's configuration go into the tensors, so that the configuration must go.
pub(super) fn plan(
    header: &Header,
    modules: &Modules<'_>,
    ranks: &BTreeMap<usize, u64>,
    bakes: bool,
    note: &Value,
) -> Plan {
    let mut tensors = Vec::with_capacity(header.tensors.len());
    for (place, (_, parts)) in modules.modules.iter().enumerate() {
        let rank = ranks.get(&place).copied();
        tensors.extend(parts.iter().map(|(role, tensor)| planned(tensor, role, place, rank)));
    }
    let known: HashSet<String> = tensors.iter().map(|tensor| tensor.name.clone()).collect();
    let others = header.tensors.iter().filter(|tensor| !known.contains(&*tensor.name));
    tensors.extend(others.map(|tensor| planned(tensor, "", 0, None)));
    let head = head(&tensors, metadata(header, ranks, bakes, note));
    let size = head.len() as u64 + tensors.iter().map(Planned::bytes).sum::<u64>();
    Plan { tensors, head, size }
}

fn planned(tensor: &Tensor, role: &str, place: usize, rank: Option<u64>) -> Planned {
    let mut shape = tensor.shape.to_vec();
    let source = match (role, rank) {
        ("up", Some(rank)) => {
            shape[1] = rank;
            Source::Up(place)
        }
        ("down", Some(rank)) => {
            shape[0] = rank;
            Source::Down(place)
        }
        ("alpha", Some(_)) if tensor.elements() == 1 => Source::Alpha(place),
        _ => Source::Copy(tensor.range.clone()),
    };
    Planned { name: tensor.name.to_string(), dtype: tensor.dtype, shape, source }
}

fn metadata(header: &Header, ranks: &BTreeMap<usize, u64>, bakes: bool, note: &Value) -> Map<String, Value> {
    let same = ranks.values().next().copied().filter(|first| ranks.values().all(|rank| rank == first));
    let mut kept = Map::new();
    for entry in &header.metadata {
        let gone = entry.truncated || DROPPED.contains(&&*entry.key) || (bakes && entry.key == CONFIGURATION);
        if !gone {
            kept.insert(entry.key.clone(), Value::String(entry.value.clone()));
        }
    }
    if kept.contains_key("ss_network_dim") {
        let dim = same.map_or("Dynamic".to_owned(), |rank| rank.to_string());
        kept.insert("ss_network_dim".to_owned(), Value::String(dim));
        kept.insert("ss_network_alpha".to_owned(), Value::String("Dynamic".to_owned()));
    }
    kept.insert("lorakeep_resize".to_owned(), Value::String(note.to_string()));
    kept
}

/// The header, padded to eight bytes as the reference writer does.
fn head(tensors: &[Planned], metadata: Map<String, Value>) -> Vec<u8> {
    let mut document = Map::new();
    document.insert("__metadata__".to_owned(), Value::Object(metadata));
    let mut end = 0;
    for tensor in tensors {
        let start = end;
        end += tensor.bytes();
        let entry =
            json!({ "dtype": tensor.dtype.name(), "shape": tensor.shape, "data_offsets": [start, end] });
        document.insert(tensor.name.clone(), entry);
    }
    let mut text = Value::Object(document).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut head = (text.len() as u64).to_le_bytes().to_vec();
    head.append(&mut text);
    head
}
