//! Where in the network a module is, by its name: the part of the model, the block, and what the block
//! does there. One spelling for all trainers: `IN04` is the same block under kohya's and diffusers' names.

use crate::identify::module_start;

/// Where a module is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// `unet`, `transformer`, `te`, `te1`, `te2`, `te3` …
    pub(super) component: &'static str,
    /// `BASE`, `IN04`, `MID`, `OUT11`, `DOUBLE18`, `SINGLE37`, `BLOCK39`, `LAYER11`, `OTHER`.
    pub(super) block: String,
    /// What it does in the block.
    pub(super) kind: &'static str,
}

impl Place {
    pub(super) fn of(name: &str) -> Self {
        let (part, rest, _) = module_start(name);
        let lower = rest.to_ascii_lowercase();
        let words: Vec<&str> = lower.split(['.', '_']).filter(|word| !word.is_empty()).collect();
        let (is_unet, block) = block(&words);
        Self { component: component(part, name, is_unet), block, kind: kind(&words) }
    }
}

fn component(part: &str, name: &str, is_unet: Option<bool>) -> &'static str {
    match part.trim_end_matches(':') {
        "te1" => "te1",
        "te2" => "te2",
        "te3" => "te3",
        "te" | "text" | "simo_te" => "te",
        "prior" => "prior",
        "simo" => "unet",
        "lllite" => "controlnet",
        _ => match is_unet {
            Some(true) => "unet",
            Some(false) => "transformer",
            None if name.contains("unet") => "unet",
            None => "model",
        },
    }
}

/// Whether the block is one of a UNet, and its name.
fn block(words: &[&str]) -> (Option<bool>, String) {
    let unet = |name: String| (Some(true), name);
    let numbered = |name: &str, number: usize| (Some(false), format!("{name}{number:02}"));
    for place in 0..words.len() {
        match &words[place..] {
            ["input", "blocks", rest @ ..] => return unet(format!("IN{:02}", first(rest))),
            ["output", "blocks", rest @ ..] => return unet(format!("OUT{:02}", first(rest))),
            ["middle" | "mid", "block", ..] => return unet("MID".to_owned()),
            ["down", "blocks", rest @ ..] => {
                return unet(format!("IN{:02}", 1 + stage(rest, "downsamplers")));
            }
            ["up", "blocks", rest @ ..] => return unet(format!("OUT{:02}", stage(rest, "upsamplers"))),
            ["double", "blocks", rest @ ..] => return numbered("DOUBLE", first(rest)),
            ["single", "blocks", rest @ ..] | ["single", "transformer", "blocks", rest @ ..] => {
                return numbered("SINGLE", first(rest));
            }
            ["joint" | "transformer", "blocks", rest @ ..] => {
                return numbered("BLOCK", first(rest));
            }
            ["blocks", rest @ ..] => return numbered("BLOCK", first(rest)),
            ["layers", rest @ ..] | ["encoder", "block", rest @ ..] => {
                return numbered("LAYER", first(rest));
            }
            ["time", "embed" | "embedding", ..] | ["label", "emb", ..] | ["conv", "in", ..] => {
                return unet("BASE".to_owned());
            }
            _ => {}
        }
    }
    (None, "OTHER".to_owned())
}

fn first(words: &[&str]) -> usize {
    number(words.first())
}

/// A small number; no network has 65,536 blocks.
fn number(word: Option<&&str>) -> usize {
    word.and_then(|word| word.parse::<u16>().ok()).map_or(0, usize::from)
}

/// Diffusers counts stages, three places each; a resampler is the last of its stage.
fn stage(words: &[&str], resampler: &str) -> usize {
    let inner = if words.get(1) == Some(&resampler) { 2 } else { number(words.get(2)) };
    3 * first(words) + inner
}

/// The first rule that holds decides.
fn kind(words: &[&str]) -> &'static str {
    let has = |wanted: &[&str]| words.iter().any(|word| wanted.contains(word));
    let fused = words.windows(2).any(|pair| pair == ["single", "blocks"]) && has(&["linear1", "linear2"]);
    let order = [
        (fused, "attn_mlp"),
        (has(&["adaln", "modulation", "mod", "lin"]), "modulation"),
        (has(&["attn2", "cross", "crossattention", "encdecattention"]), "attn_cross"),
        (has(&["attn1", "self", "selfattention"]), "attn_self"),
        (has(&["attn", "attention", "qkv", "attentions"]) && has(ATTENTION), "attn"),
        (has(&["ff", "mlp", "ffn", "fc1", "fc2", "densereludense", "forward"]) || has(FLUX_MLP), "mlp"),
        (has(&["resnets", "conv", "conv1", "conv2", "op", "skip", "downsamplers", "upsamplers"]), "conv"),
        (words.windows(2).any(|pair| pair == ["in", "layers"] || pair == ["out", "layers"]), "conv"),
        (has(&["norm", "norm1", "norm2", "norm3"]), "norm"),
        (has(&["emb", "embed", "embedder", "embedding", "embedders", "embeddings"]), "embedding"),
        (has(&["proj"]), "projection"),
    ];
    order.iter().find(|(holds, _)| *holds).map_or("other", |(_, kind)| kind)
}

/// A projection of an attention.
const ATTENTION: &[&str] =
    &["q", "k", "v", "o", "to", "qkv", "proj", "out", "wq", "wk", "wv", "wo", "query", "key", "value", "add"];
/// Names of feed-forward layers of which no other word tells.
const FLUX_MLP: &[&str] = &["w1", "w2", "w3"];

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str) -> (&'static str, String, &'static str) {
        let place = Place::of(name);
        (place.component, place.block, place.kind)
    }

    #[test]
    fn both_spellings_of_a_unet_name_the_same_block() {
        let kohya = place("lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k");
        let diffusers = place("unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k");
        assert_eq!(kohya, ("unet", "IN04".to_owned(), "attn_cross"));
        assert_eq!(kohya, diffusers);
        assert_eq!(place("lora_unet_up_blocks_1_attentions_2_proj_out").1, "OUT05");
        assert_eq!(place("lora_unet_down_blocks_0_downsamplers_0_conv"), ("unet", "IN03".to_owned(), "conv"));
        assert_eq!(place("lora_unet_mid_block_resnets_0_conv1"), ("unet", "MID".to_owned(), "conv"));
        assert_eq!(place("lora_unet_middle_block_1_transformer_blocks_3_ff_net_2").2, "mlp");
    }

    #[test]
    fn transformers_are_told_by_their_blocks() {
        assert_eq!(
            place("lora_unet_double_blocks_7_img_attn_qkv"),
            ("transformer", "DOUBLE07".to_owned(), "attn")
        );
        assert_eq!(place("lora_unet_single_blocks_12_linear1").2, "attn_mlp");
        assert_eq!(
            place("diffusion_model.blocks.39.cross_attn.k"),
            ("transformer", "BLOCK39".to_owned(), "attn_cross")
        );
        assert_eq!(place("diffusion_model.blocks.0.ffn.2").2, "mlp");
        assert_eq!(
            place("transformer.single_transformer_blocks.3.attn.to_q"),
            ("transformer", "SINGLE03".to_owned(), "attn")
        );
        assert_eq!(
            place("lora_te1_text_model_encoder_layers_3_mlp_fc1"),
            ("te1", "LAYER03".to_owned(), "mlp")
        );
        assert_eq!(
            place("lora_te2_text_model_encoder_layers_30_self_attn_q_proj"),
            ("te2", "LAYER30".to_owned(), "attn_self")
        );
        assert_eq!(place("anything").1, "OTHER");
    }
}
