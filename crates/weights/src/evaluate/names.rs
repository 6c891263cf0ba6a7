//! One name for a module in every trainer's spelling, so that two files, or a file and a base model, can be
//! laid beside each other.
//!
//! A canonical name is the part of the model, a colon, and the path in the words of the original checkpoint
//! with `_` between them: `:input_blocks_4_1_transformer_blocks_0_attn2_to_k`. Where diffusers splits what
//! the original fuses (FLUX), the name also says which rows.

use crate::identify::module_start;

/// A module's name in one spelling.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Canonical {
    /// Part and path.
    pub(super) path: String,
    /// Which rows of the weight there, when the module is a piece of it.
    pub(super) piece: Option<Piece>,
}

/// A piece of a fused weight, by the module's own sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Piece {
    /// The n-th of three equal parts: query, key, value.
    Third(u64),
    /// What comes behind three parts as wide as the input.
    Behind,
}

impl Piece {
    /// The first row of the piece, given the outer and inner side of the module itself.
    pub(super) fn first_row(self, [out, inner]: [u64; 2]) -> u64 {
        match self {
            Self::Third(place) => place.saturating_mul(out),
            Self::Behind => inner.saturating_mul(3),
        }
    }

    /// The sides of the piece, given those of the fused weight.
    pub(super) fn sides(self, [out, inner]: [u64; 2]) -> [u64; 2] {
        match self {
            Self::Third(_) => [out / 3, inner],
            Self::Behind => [out.saturating_sub(inner.saturating_mul(3)), inner],
        }
    }
}

/// The canonical name of an adapter's module.
pub(super) fn canonical(name: &str) -> Canonical {
    let (part, rest, _) = module_start(name);
    let rest = rest.strip_prefix("model.").unwrap_or(rest);
    of_path(part, rest)
}

/// The canonical name of a weight of a base model, `.weight` taken off.
pub(super) fn canonical_base(name: &str) -> Canonical {
    let found = BASE_STARTS.iter().find_map(|(start, part)| Some((*part, name.strip_prefix(start)?)));
    let (part, rest) = found.unwrap_or(("", name));
    of_path(part, rest)
}

/// Starts of names in checkpoints, longest first.
const BASE_STARTS: &[(&str, &str)] = &[
    ("model.diffusion_model.", ""),
    ("diffusion_model.", ""),
    ("conditioner.embedders.0.transformer.", "te1:"),
    ("conditioner.embedders.1.model.", "te2:"),
    ("conditioner.embedders.1.transformer.", "te2:"),
    ("cond_stage_model.transformer.", "te:"),
    ("cond_stage_model.model.", "te:"),
    ("text_encoders.clip_l.transformer.", "te1:"),
    ("text_encoders.clip_g.transformer.", "te2:"),
    ("text_encoders.t5xxl.transformer.", "te3:"),
    ("first_stage_model.", "vae:"),
    ("text_model.", "te:text_model."),
];

fn of_path(part: &str, rest: &str) -> Canonical {
    let mut path = rest.replace('.', "_");
    for (from, to) in [("_processor_", "_"), ("_self_attn_processor", "_self_attn")] {
        path = path.replace(from, to);
    }
    if path.ends_with("_to_out") {
        path.push_str("_0");
    }
    if let Some(unet) = unet_path(&path).or_else(|| upsample_path(&path)) {
        path = unet;
    }
    // A file for one text encoder calls it `te`, one for two calls it `te1`.
    let part = match part {
        "te:" | "text:" | "simo_te:" => "te1:",
        other => other,
    };
    let (path, piece) = flux_path(&path).unwrap_or((path, None));
    Canonical { path: format!("{}{path}", if part.is_empty() { ":" } else { part }), piece }
}

/// A path of diffusers' UNet in the words of the original one.
fn unet_path(path: &str) -> Option<String> {
    if let Some(rest) = path.strip_prefix("mid_block_") {
        let (kind, rest) = rest.split_once('_')?;
        let (place, tail) = numbered(rest)?;
        return match kind {
            "attentions" => Some(format!("middle_block_{}_{tail}", 2 * place + 1)),
            "resnets" => Some(format!("middle_block_{}_{}", 2 * place, resnet(tail)?)),
            _ => None,
        };
    }
    let (side, rest) = match path.strip_prefix("down_blocks_") {
        Some(rest) => ("input", rest),
        None => ("output", path.strip_prefix("up_blocks_")?),
    };
    let (stage, rest) = numbered(rest)?;
    let (kind, rest) = rest.split_once('_')?;
    let (place, tail) = numbered(rest)?;
    // The first input block is a convolution alone.
    let block = 3 * stage + place + usize::from(side == "input");
    match kind {
        "attentions" => Some(format!("{side}_blocks_{block}_1_{tail}")),
        "resnets" => Some(format!("{side}_blocks_{block}_0_{}", resnet(tail)?)),
        "downsamplers" => Some(format!("input_blocks_{}_0_op", 3 * stage + 3)),
        "upsamplers" => Some(format!("output_blocks_{}_upsample_conv", 3 * stage + 2)),
        _ => None,
    }
}

/// The number that a path begins with, and what is behind it; no network has 65,536 blocks.
fn numbered(path: &str) -> Option<(usize, &str)> {
    let (number, rest) = path.split_once('_').unwrap_or((path, ""));
    Some((usize::from(number.parse::<u16>().ok()?), rest))
}

/// The original counts the upsampler of a block behind its attention, which not every block has.
fn upsample_path(path: &str) -> Option<String> {
    let rest = path.strip_prefix("output_blocks_")?.strip_suffix("_conv")?;
    let (block, place) = rest.split_once('_')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_number(block) && is_number(place)).then(|| format!("output_blocks_{block}_upsample_conv"))
}

fn resnet(tail: &str) -> Option<&'static str> {
    match tail {
        "norm1" => Some("in_layers_0"),
        "conv1" => Some("in_layers_2"),
        "time_emb_proj" => Some("emb_layers_1"),
        "norm2" => Some("out_layers_0"),
        "conv2" => Some("out_layers_3"),
        "conv_shortcut" => Some("skip_connection"),
        _ => None,
    }
}

/// Ends of a double block of FLUX in diffusers' words, in the original's, and which piece they are.
const DOUBLE: &[(&str, &str, Option<Piece>)] = &[
    ("attn_to_q", "img_attn_qkv", Some(Piece::Third(0))),
    ("attn_to_k", "img_attn_qkv", Some(Piece::Third(1))),
    ("attn_to_v", "img_attn_qkv", Some(Piece::Third(2))),
    ("attn_add_q_proj", "txt_attn_qkv", Some(Piece::Third(0))),
    ("attn_add_k_proj", "txt_attn_qkv", Some(Piece::Third(1))),
    ("attn_add_v_proj", "txt_attn_qkv", Some(Piece::Third(2))),
    ("attn_to_out_0", "img_attn_proj", None),
    ("attn_to_add_out", "txt_attn_proj", None),
    ("ff_net_0_proj", "img_mlp_0", None),
    ("ff_net_2", "img_mlp_2", None),
    ("ff_context_net_0_proj", "txt_mlp_0", None),
    ("ff_context_net_2", "txt_mlp_2", None),
    ("norm1_linear", "img_mod_lin", None),
    ("norm1_context_linear", "txt_mod_lin", None),
];
/// The same of a single block.
const SINGLE: &[(&str, &str, Option<Piece>)] = &[
    ("attn_to_q", "linear1", Some(Piece::Third(0))),
    ("attn_to_k", "linear1", Some(Piece::Third(1))),
    ("attn_to_v", "linear1", Some(Piece::Third(2))),
    ("proj_mlp", "linear1", Some(Piece::Behind)),
    ("proj_out", "linear2", None),
    ("norm_linear", "modulation_lin", None),
];

/// A path of diffusers' FLUX in the words of the original one. Other transformers whose blocks have these
/// names get one more spelling, the same on both sides of a comparison.
fn flux_path(path: &str) -> Option<(String, Option<Piece>)> {
    let (rest, block, table) = match path.strip_prefix("single_transformer_blocks_") {
        Some(rest) => (rest, "single_blocks", SINGLE),
        None => (path.strip_prefix("transformer_blocks_")?, "double_blocks", DOUBLE),
    };
    let (number, end) = rest.split_once('_')?;
    let (_, original, piece) = table.iter().find(|(diffusers, ..)| *diffusers == end)?;
    Some((format!("{block}_{number}_{original}"), *piece))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> String {
        canonical(name).path
    }

    #[test]
    fn all_spellings_of_a_unet_module_are_one() {
        let kohya = path("lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k");
        assert_eq!(kohya, ":input_blocks_4_1_transformer_blocks_0_attn2_to_k");
        for other in [
            "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k",
            "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k",
            "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.processor.to_k",
        ] {
            assert_eq!(path(other), kohya, "{other}");
        }
        let base = "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k";
        assert_eq!(canonical_base(base).path, kohya);
        assert_eq!(
            path("unet.mid_block.attentions.0.transformer_blocks.9.attn1.to_out.0"),
            path("lora_unet_middle_block_1_transformer_blocks_9_attn1_to_out_0")
        );
        assert_eq!(
            path("lora_unet_up_blocks_1_resnets_2_conv_shortcut"),
            canonical_base("model.diffusion_model.output_blocks.5.0.skip_connection").path
        );
    }

    #[test]
    fn the_split_projections_of_flux_are_pieces_of_the_fused_one() {
        let query = canonical("transformer.transformer_blocks.3.attn.to_k");
        assert_eq!(query.path, path("lora_unet_double_blocks_3_img_attn_qkv"));
        assert_eq!(query.piece.unwrap().first_row([3072, 3072]), 3072);
        let mlp = canonical("transformer.single_transformer_blocks.3.proj_mlp");
        assert_eq!(mlp.piece.unwrap().first_row([12288, 3072]), 9216);
    }

    #[test]
    fn text_encoders_are_told_apart() {
        assert_eq!(
            path("lora_te_text_model_encoder_layers_3_mlp_fc1"),
            path("text_encoder.text_model.encoder.layers.3.mlp.fc1")
        );
        assert_eq!(
            path("lora_te2_text_model_encoder_layers_3_mlp_fc1"),
            path("text_encoder_2.text_model.encoder.layers.3.mlp.fc1")
        );
        assert_ne!(path("lora_te1_x"), path("lora_te2_x"));
    }
}
