//! Headers of valid safetensors files: an 8-byte length, JSON, tensors that cover exactly the data.
//! Format: <https://github.com/huggingface/safetensors#format>.

use serde_json::{Map, Value, json};

/// Tensors of a plain file are cut at this size, as a checkpoint has many.
const TENSOR: u64 = 16 * 1024 * 1024;
/// Below this a file holds an empty header only.
const SMALLEST_WITH_TENSORS: u64 = 512;

/// The family whose layer names and metadata a generated LoRA carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoraFamily {
    /// Stable Diffusion 1.5, kohya names.
    Sd15,
    /// Stable Diffusion XL, kohya names.
    Sdxl,
    /// FLUX.1, diffusers (PEFT) names.
    Flux,
    /// WAN 2.2 14B, native names.
    Wan,
}

/// One adapted linear layer: name, inputs, outputs.
struct Layer {
    name: String,
    inputs: u64,
    outputs: u64,
}

/// The header of a file of `size` bytes with F16 tensors and, when it does not divide, one U8 rest.
pub(super) fn plain_header(size: u64) -> Vec<u8> {
    if size < 10 {
        return Vec::new();
    }
    if size < SMALLEST_WITH_TENSORS {
        return framed(&Map::new(), size as usize - 8);
    }
    let room = aligned(to_text(&plain_tensors(size)).len());
    let data = size - 8 - room as u64;
    framed(&plain_tensors(data), room)
}

/// Size in bytes of a generated LoRA.
pub(super) fn lora_size(family: LoraFamily, rank: u64) -> u64 {
    let data: u64 = layers(family).iter().map(|layer| 2 * rank * (layer.inputs + layer.outputs)).sum();
    lora_header(family, rank).len() as u64 + data
}

/// The header of a generated LoRA.
pub(super) fn lora_header(family: LoraFamily, rank: u64) -> Vec<u8> {
    let mut header = Map::new();
    header.insert("__metadata__".into(), metadata(family, rank));
    let mut at = 0;
    let (down, up) = names_of_pair(family);
    for layer in layers(family) {
        push_matrix(&mut header, format!("{}{down}", layer.name), [rank, layer.inputs], &mut at);
        push_matrix(&mut header, format!("{}{up}", layer.name), [layer.outputs, rank], &mut at);
    }
    let room = aligned(to_text(&header).len());
    framed(&header, room)
}

fn plain_tensors(data: u64) -> Map<String, Value> {
    let mut tensors = Map::new();
    let mut at = 0;
    while data - at >= 128 {
        let rows = (data - at).min(TENSOR) / 128;
        let name = format!("model.diffusion_model.blocks.{}.weight", tensors.len());
        push_matrix(&mut tensors, name, [rows, 64], &mut at);
    }
    if at < data {
        let rest = json!({"dtype": "U8", "shape": [data - at], "data_offsets": [at, data]});
        tensors.insert("model.rest".into(), rest);
    }
    tensors
}

fn push_matrix(tensors: &mut Map<String, Value>, name: String, shape: [u64; 2], at: &mut u64) {
    let end = *at + 2 * shape[0] * shape[1];
    tensors.insert(name, json!({"dtype": "F16", "shape": shape, "data_offsets": [*at, end]}));
    *at = end;
}

fn names_of_pair(family: LoraFamily) -> (&'static str, &'static str) {
    match family {
        LoraFamily::Sd15 | LoraFamily::Sdxl => (".lora_down.weight", ".lora_up.weight"),
        LoraFamily::Flux | LoraFamily::Wan => (".lora_A.weight", ".lora_B.weight"),
    }
}

fn metadata(family: LoraFamily, rank: u64) -> Value {
    let base = match family {
        LoraFamily::Sd15 => "sd_v1",
        LoraFamily::Sdxl => "sdxl_base_v1-0",
        LoraFamily::Flux => "flux1",
        LoraFamily::Wan => "wan2.2",
    };
    json!({
        "format": "pt",
        "ss_base_model_version": base,
        "ss_network_module": "networks.lora",
        "ss_network_dim": rank.to_string(),
        "ss_network_alpha": rank.to_string(),
    })
}

/// Twelve or sixteen layers of the family, enough to be recognised by their names and widths.
fn layers(family: LoraFamily) -> Vec<Layer> {
    let parts: &[&str] = if family == LoraFamily::Wan { &["q", "k", "v", "o"] } else { &["q", "k", "v"] };
    (0..4).flat_map(|block| parts.iter().map(move |part| layer(family, block, part))).collect()
}

fn layer(family: LoraFamily, block: u64, part: &str) -> Layer {
    let cross = part != "q"; // keys and values read the text encoder's width
    let (name, inputs, outputs) = match family {
        LoraFamily::Sd15 => {
            let (down, attention) = (block / 2, block % 2);
            let width = 320 << down;
            let name = format!(
                "lora_unet_down_blocks_{down}_attentions_{attention}_transformer_blocks_0_attn2_to_{part}"
            );
            (name, if cross { 768 } else { width }, width)
        }
        LoraFamily::Sdxl => {
            let name = format!("lora_unet_input_blocks_7_1_transformer_blocks_{block}_attn2_to_{part}");
            (name, if cross { 2048 } else { 1280 }, 1280)
        }
        LoraFamily::Flux => (format!("transformer.transformer_blocks.{block}.attn.to_{part}"), 3072, 3072),
        LoraFamily::Wan => (format!("diffusion_model.blocks.{block}.self_attn.{part}"), 5120, 5120),
    };
    Layer { name, inputs, outputs }
}

/// The length, the JSON and spaces up to `room` bytes of JSON.
fn framed(header: &Map<String, Value>, room: usize) -> Vec<u8> {
    let mut bytes = (room as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(to_text(header).as_bytes());
    bytes.resize(8 + room, b' ');
    bytes
}

fn to_text(header: &Map<String, Value>) -> String {
    Value::Object(header.clone()).to_string()
}

/// The next multiple of eight, with room for a tensor more or digits less.
fn aligned(length: usize) -> usize {
    (length + 128).next_multiple_of(8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FileKind, FileSpec};

    /// Reads the file as a strict reader would and returns the number of tensors.
    fn check(spec: &FileSpec) -> usize {
        let bytes = spec.bytes();
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header: Map<String, Value> = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
        let mut at = 0;
        let tensors: Vec<_> = header.iter().filter(|(name, _)| *name != "__metadata__").collect();
        for (name, tensor) in &tensors {
            let offsets = tensor["data_offsets"].as_array().unwrap();
            let width = if tensor["dtype"] == "U8" { 1 } else { 2 };
            let count: u64 =
                tensor["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).product();
            assert_eq!(offsets[0].as_u64().unwrap(), at, "{name} leaves a hole");
            at += width * count;
            assert_eq!(offsets[1].as_u64().unwrap(), at, "{name} has another length than its shape");
        }
        assert_eq!(8 + length as u64 + at, spec.size(), "tensors cover the data exactly");
        tensors.len()
    }

    #[test]
    fn a_generated_file_of_any_size_is_valid() {
        for size in [10, 11, 100, 511, 512, 513, 640, 4_096, 65_535, 1_000_003, 40_000_001] {
            check(&FileSpec::new("a.safetensors", size));
        }
    }

    #[test]
    fn a_generated_lora_is_valid_and_has_pairs() {
        for family in [LoraFamily::Sd15, LoraFamily::Sdxl, LoraFamily::Flux, LoraFamily::Wan] {
            let spec = FileSpec::lora("l.safetensors", family, 8);
            assert_eq!(spec.size(), spec.bytes().len() as u64);
            assert!(check(&spec) >= 24);
            assert!(matches!(spec.clone().kind(FileKind::Raw), spec if spec.bytes()[8] != b'{'));
        }
    }
}
