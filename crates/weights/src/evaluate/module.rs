//! The tensors of one adapted module: what each is for, and what they say of it without being read.

use std::collections::BTreeMap;

use super::orthogonal;
use crate::safetensors::Tensor;

/// Ends of names and the short name of the role; the first that fits counts.
const ENDS: &[(&str, &str)] = &[
    (".lora_down.weight", "down"),
    (".lora_up.weight", "up"),
    (".lora_mid.weight", "mid"),
    (".lora_linear_layer.down.weight", "down"),
    (".lora_linear_layer.up.weight", "up"),
    (".lora.down.weight", "down"),
    (".lora.up.weight", "up"),
    ("_lora.down.weight", "down"),
    ("_lora.up.weight", "up"),
    (".lora_A.weight", "down"),
    (".lora_B.weight", "up"),
    (".lora_A.default.weight", "down"),
    (".lora_B.default.weight", "up"),
    (".lora_A", "down"),
    (".lora_B", "up"),
    (".lora_E", "adaptive"),
    (".alpha", "alpha"),
    (".dora_scale", "magnitude"),
    (".lora_magnitude_vector.weight", "magnitude"),
    (".lora_magnitude_vector", "magnitude"),
    (".hada_w1_a", "w1_a"),
    (".hada_w1_b", "w1_b"),
    (".hada_w2_a", "w2_a"),
    (".hada_w2_b", "w2_b"),
    (".hada_t1", "t1"),
    (".hada_t2", "t2"),
    (".lokr_w1", "kron1"),
    (".lokr_w1_a", "kron1_a"),
    (".lokr_w1_b", "kron1_b"),
    (".lokr_w2", "kron2"),
    (".lokr_w2_a", "kron2_a"),
    (".lokr_w2_b", "kron2_b"),
    (".lokr_t2", "kron2_t"),
    (".lora_B.bias", "bias"),
    (".lora_up.bias", "bias"),
    (".diff", "diff"),
    (".set_weight", "replacement"),
    (".diff_b", "bias"),
    (".w_norm", "norm"),
    (".b_norm", "bias"),
    (".reshape_weight", "reshape"),
    (".oft_blocks", "oft"),
    (".oft_diag", "oft"),
    (".oft_R.weight", "oft_triangle"),
    (".oft_R", "oft_triangle"),
    (".boft_R", "boft"),
    (".boft_s", "rescale"),
    (".rescale", "rescale"),
    (".on_input", "on_input"),
    (".ia3_l", "ia3_factor"),
    (".a1.weight", "glora_a1"),
    (".a2.weight", "glora_a2"),
    (".b1.weight", "glora_b1"),
    (".b2.weight", "glora_b2"),
    (".bm.weight", "glora_bm"),
    (".q_layer.weight", "tlora"),
    (".p_layer.weight", "tlora_out"),
    (".lambda_layer", "tlora_scale"),
    (".vera_lambda_b", "vera"),
    (".vera_lambda_d", "vera_inner"),
    (".vera_A", "vera_shared"),
    (".vera_B", "vera_shared_out"),
    (".fourierft_spectrum", "fourierft"),
    (".hra_u", "hra"),
    (".ranknum", "ranknum"),
];

/// The module's name and the role of a tensor; none for what belongs to no adapter.
pub(super) fn split(name: &str) -> Option<(&str, &'static str)> {
    ENDS.iter()
        .find_map(|(end, role)| Some((name.strip_suffix(end)?, *role)))
        .or_else(|| split_named_adapter(name))
}

/// PEFT may put the adapter's own name before the last word: `to_q.lora_A.style.weight`.
fn split_named_adapter(name: &str) -> Option<(&str, &'static str)> {
    let ends = [(".lora_A", "down"), (".lora_B", "up"), (".lora_magnitude_vector", "magnitude")];
    let (body, _adapter) = name.strip_suffix(".weight").unwrap_or(name).rsplit_once('.')?;
    ends.iter().find_map(|(end, role)| Some((body.strip_suffix(end)?, *role)))
}

/// The tensors of a module by role.
pub(super) type Parts<'a> = BTreeMap<&'static str, &'a Tensor>;

/// The algorithm by the tensors that are there.
pub(super) fn algorithm(parts: &Parts<'_>) -> &'static str {
    let has = |role: &str| parts.contains_key(role);
    let order = [
        (has("w1_a") || has("w1_b"), "loha"),
        (has("kron1") || has("kron1_a") || has("kron2") || has("kron2_a"), "lokr"),
        (has("adaptive"), "adalora"),
        (has("magnitude"), "dora"),
        (has("down") || has("up"), "lora"),
        (has("glora_a1") || has("glora_b1"), "glora"),
        (has("boft") || parts.get("oft").is_some_and(|tensor| tensor.shape.len() == 4), "boft"),
        (has("oft") || has("oft_triangle"), "oft"),
        (has("ia3") || has("ia3_factor"), "ia3"),
        (has("diff") || has("replacement"), "full"),
        (has("norm"), "norm"),
        (has("tlora"), "tlora"),
        (has("vera") || has("vera_shared"), "vera"),
        (has("fourierft"), "fourierft"),
        (has("hra"), "hra"),
        (has("bias"), "bias"),
    ];
    order.iter().find(|(holds, _)| *holds).map_or("unknown", |(_, name)| name)
}

/// The divisor of alpha: the rank of the factors; none when LoKr has no factors.
pub(super) fn rank(parts: &Parts<'_>) -> Option<u64> {
    let side = |role: &str| parts.get(role)?.shape.first().copied();
    let glora = || if is_new_glora(parts) { side("glora_a2") } else { side("glora_a1") };
    let block = |role: &str| parts.get(role)?.shape.last().copied();
    side("down")
        .or_else(|| side("w1_b"))
        .or_else(|| side("kron2_b"))
        .or_else(|| side("kron1_b"))
        .or_else(glora)
        .or_else(|| block("oft").or_else(|| block("boft")))
        .or_else(|| orthogonal::triangle_side(block("oft_triangle")?))
        .or_else(|| side("tlora"))
        .or_else(|| block("hra"))
}

/// Whether the factors of a GLoRA are in the order of today, outer factor first. A square weight allows both
/// orders; the rank is then the smaller side.
pub(super) fn is_new_glora(parts: &Parts<'_>) -> bool {
    let side = |role: &str, axis: usize| parts.get(role)?.shape.get(axis).copied();
    let inner = side("glora_b1", 1);
    let fits = inner.is_some() && inner == side("glora_b2", 0) && side("glora_a1", 1) == side("glora_a2", 0);
    let outer = side("glora_b1", 0);
    let fits_old = outer.is_some() && outer == side("glora_b2", 1) && outer == side("glora_a1", 0);
    fits && !(fits_old && inner > outer)
}

/// Outer side, and inner side with the kernel flattened, of the weight that is adapted.
pub(super) fn sides(parts: &Parts<'_>) -> Option<[u64; 2]> {
    let shape = |role: &str| parts.get(role).map(|tensor| &*tensor.shape);
    let first = |role: &str| shape(role)?.first().copied();
    let rest = |role: &str| shape(role)?.get(1..).map(product);
    let kernel = |role: &str| shape(role).and_then(|shape| shape.get(2..)).map_or(1, product);
    match algorithm(parts) {
        "lora" | "dora" | "adalora" => Some([first("up")?, rest("down")?.checked_mul(kernel("mid"))?]),
        "loha" if parts.contains_key("t1") => Some([rest("w1_a")?, rest("w1_b")?.checked_mul(kernel("t1"))?]),
        "loha" => Some([first("w1_a")?, rest("w1_b")?]),
        "lokr" => {
            let out = first("kron1").or(first("kron1_a"))?;
            let inner = rest("kron1").or(rest("kron1_b"))?;
            let with_core = parts.contains_key("kron2_t");
            let second_out =
                if with_core { rest("kron2_a")? } else { first("kron2").or(first("kron2_a"))? };
            let second = rest("kron2").or(rest("kron2_b"))?.checked_mul(kernel("kron2_t"))?;
            Some([out.checked_mul(second_out)?, inner.checked_mul(second)?])
        }
        "glora" if is_new_glora(parts) => Some([first("glora_b1")?, rest("glora_b2")?]),
        "glora" => Some([first("glora_b2")?, rest("glora_b1")?]),
        "full" => Some([first("diff").or(first("replacement"))?, rest("diff").or(rest("replacement"))?]),
        "norm" => Some([first("norm")?, 1]),
        _ => None,
    }
}

/// A product of sides that was checked when the header was read, or stays at the top.
pub(super) fn product(sides: &[u64]) -> u64 {
    sides.iter().copied().fold(1, u64::saturating_mul)
}
