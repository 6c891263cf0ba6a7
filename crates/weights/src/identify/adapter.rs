//! What the end of a tensor's name says about the algorithm of an adapter, and what the start says about
//! where it goes and who wrote it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::facts::Facts;

/// What one tensor of an adapter is for its module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Down,
    Up,
    Mid,
    Alpha,
    Magnitude,
    LohaOut,
    LohaIn,
    LohaOther,
    KroneckerFirst,
    KroneckerFirstOut,
    KroneckerFirstIn,
    KroneckerSecond,
    KroneckerSecondOut,
    KroneckerSecondIn,
    KroneckerCore,
    OrthogonalBlocks,
    Butterfly,
    Scale,
    OnInput,
    Ia3,
    Difference,
    BiasDifference,
    GloraA,
    GloraB,
    Vera,
    AdaLora,
    Fourier,
    Householder,
    SparseBias,
}

/// Ends of names, longest first where one is the end of another.
const ENDS: &[(&str, Role)] = &[
    (".lora_down.weight", Role::Down),
    (".lora_up.weight", Role::Up),
    (".lora_mid.weight", Role::Mid),
    (".lora_linear_layer.down.weight", Role::Down),
    (".lora_linear_layer.up.weight", Role::Up),
    (".lora.down.weight", Role::Down),
    (".lora.up.weight", Role::Up),
    ("_lora.down.weight", Role::Down),
    ("_lora.up.weight", Role::Up),
    ("_lora1.down.weight", Role::Down),
    ("_lora1.up.weight", Role::Up),
    ("_lora2.down.weight", Role::Down),
    ("_lora2.up.weight", Role::Up),
    ("_lora_down.weight", Role::Down),
    ("_lora_up.weight", Role::Up),
    (".lora_A.weight", Role::Down),
    (".lora_B.weight", Role::Up),
    (".lora_embedding_A", Role::Down),
    (".lora_embedding_B", Role::Up),
    (".lora_A", Role::Down),
    (".lora_B", Role::Up),
    (".lora_E", Role::AdaLora),
    (".ranknum", Role::AdaLora),
    (".lora_magnitude_vector.weight", Role::Magnitude),
    (".lora_magnitude_vector", Role::Magnitude),
    (".dora_scale", Role::Magnitude),
    (".alpha", Role::Alpha),
    (".hada_w1_a", Role::LohaOut),
    (".hada_w1_b", Role::LohaIn),
    (".hada_w2_a", Role::LohaOther),
    (".hada_w2_b", Role::LohaOther),
    (".hada_t1", Role::LohaOther),
    (".hada_t2", Role::LohaOther),
    (".lokr_w1_a", Role::KroneckerFirstOut),
    (".lokr_w1_b", Role::KroneckerFirstIn),
    (".lokr_w1", Role::KroneckerFirst),
    (".lokr_w2_a", Role::KroneckerSecondOut),
    (".lokr_w2_b", Role::KroneckerSecondIn),
    (".lokr_w2", Role::KroneckerSecond),
    (".lokr_t2", Role::KroneckerCore),
    (".oft_blocks", Role::OrthogonalBlocks),
    (".oft_diag", Role::OrthogonalBlocks),
    (".oft_R.weight", Role::OrthogonalBlocks),
    (".oft_R", Role::OrthogonalBlocks),
    (".oft_r", Role::OrthogonalBlocks),
    (".boft_R", Role::Butterfly),
    (".boft_s", Role::Scale),
    (".rescale", Role::Scale),
    (".on_input", Role::OnInput),
    (".ia3_l", Role::Ia3),
    (".diff", Role::Difference),
    (".set_weight", Role::Difference),
    (".reshape_weight", Role::Scale),
    (".diff_b", Role::BiasDifference),
    (".w_norm", Role::Difference),
    (".b_norm", Role::BiasDifference),
    (".a1.weight", Role::GloraA),
    (".a2.weight", Role::GloraA),
    (".b1.weight", Role::GloraB),
    (".b2.weight", Role::GloraB),
    (".bm.weight", Role::GloraB),
    (".vera_lambda_b", Role::Vera),
    (".vera_lambda_d", Role::Vera),
    (".vera_A", Role::Vera),
    (".vera_B", Role::Vera),
    (".fourierft_spectrum", Role::Fourier),
    (".hra_u", Role::Householder),
    (".bias_indices", Role::SparseBias),
    (".bias_values", Role::SparseBias),
    (".bias_size", Role::SparseBias),
];

/// Starts of names: what is behind them, and whose spelling it is. Longest first.
const STARTS: &[(&str, &str, &str)] = &[
    ("lora_unet_unet_", "", "kohya"),
    ("lora_unet__", "", "kohya"),
    ("lora_unet_", "", "kohya"),
    ("lora_te1_", "te1:", "kohya"),
    ("lora_te2_", "te2:", "kohya"),
    ("lora_te3_", "te3:", "kohya"),
    ("lora_te_", "te:", "kohya"),
    ("lora_transformer_", "", "onetrainer"),
    ("lora_prior_unet_", "prior:", "kohya"),
    ("lora_prior_te_", "te:", "kohya"),
    ("oft_unet_", "", "kohya"),
    ("oft_te1_", "te1:", "kohya"),
    ("oft_te2_", "te2:", "kohya"),
    ("oft_te_", "te:", "kohya"),
    ("lycoris_", "", "lycoris"),
    ("lllite_unet_", "lllite:", "lllite"),
    ("lllite_dit_", "lllite:", "lllite"),
    ("base_model.model.transformer.", "", "peft"),
    ("base_model.model.unet.", "", "peft"),
    ("base_model.model.diffusion_model.", "", "peft"),
    ("base_model.model.", "", "peft"),
    ("model.diffusion_model.", "", "comfyui"),
    ("diffusion_model.", "", "comfyui"),
    ("transformer.", "", "diffusers"),
    ("unet.", "", "diffusers"),
    ("unet:", "simo:", "cloneofsimo"),
    ("text_encoder:", "simo_te:", "cloneofsimo"),
    ("text_encoder_3.", "te3:", "diffusers"),
    ("text_encoder_2.", "te2:", "diffusers"),
    ("text_encoder.", "text:", "diffusers"),
    ("text_encoders.", "text:", "comfyui"),
];

/// The role of a tensor and the name of its module.
pub(super) fn split(name: &str) -> Option<(&str, Role)> {
    if let Some((end, role)) = ENDS.iter().find(|(end, _)| name.ends_with(end)) {
        return Some((&name[..name.len() - end.len()], *role));
    }
    split_named_adapter(name).or_else(|| split_numbered(name))
}

/// PEFT may put the adapter's own name before the last word: `to_q.lora_A.default.weight`.
fn split_named_adapter(name: &str) -> Option<(&str, Role)> {
    let ends = [("lora_A", Role::Down), ("lora_B", Role::Up), ("lora_magnitude_vector", Role::Magnitude)];
    let body = name.strip_suffix(".weight").unwrap_or(name);
    let (body, _adapter) = body.rsplit_once('.')?;
    ends.iter().find_map(|(end, role)| Some((body.strip_suffix(end)?.strip_suffix('.')?, *role)))
}

/// The first LoRA files counted their modules: `unet:12:down`.
fn split_numbered(name: &str) -> Option<(&str, Role)> {
    let (body, role) = match name.rsplit_once(':')? {
        (body, "down") => (body, Role::Down),
        (body, "up") => (body, Role::Up),
        _ => return None,
    };
    (body.starts_with("unet:") || body.starts_with("text_encoder:")).then_some((body, role))
}

/// Part, module name behind the start, and whose spelling it is.
pub(crate) fn start(name: &str) -> (&'static str, &str, Option<&'static str>) {
    let found = STARTS
        .iter()
        .find_map(|(start, part, naming)| Some((*part, name.strip_prefix(start)?, Some(*naming))));
    found.unwrap_or(("", name, None))
}

/// The tensors of one adapted module.
#[derive(Debug, Default)]
pub(super) struct Module<'a> {
    shapes: Vec<(Role, &'a [u64])>,
}

impl<'a> Module<'a> {
    pub(super) fn has(&self, role: Role) -> bool {
        self.shape(role).is_some()
    }

    /// Nothing but a scale, which says nothing about an algorithm.
    pub(super) fn is_alpha_alone(&self) -> bool {
        self.shapes.iter().all(|(role, _)| *role == Role::Alpha)
    }

    fn shape(&self, role: Role) -> Option<&'a [u64]> {
        self.shapes.iter().find(|(known, _)| *known == role).map(|(_, shape)| *shape)
    }

    fn side(&self, role: Role, axis: usize) -> Option<u64> {
        self.shape(role)?.get(axis).copied()
    }

    /// The width of the vectors that the adapted module takes.
    fn input(&self) -> Option<u64> {
        let kronecker = || {
            let first = self.side(Role::KroneckerFirst, 1).or(self.side(Role::KroneckerFirstIn, 1))?;
            let second = self.side(Role::KroneckerSecond, 1).or(self.side(Role::KroneckerSecondIn, 1))?;
            first.checked_mul(second)
        };
        self.side(Role::Down, 1)
            .or_else(|| self.side(Role::LohaIn, 1))
            .or_else(|| self.side(Role::Difference, 1))
            .or_else(kronecker)
    }

    /// The width of the vectors that it gives.
    fn output(&self) -> Option<u64> {
        let kronecker = || {
            let first = self.side(Role::KroneckerFirst, 0).or(self.side(Role::KroneckerFirstOut, 0))?;
            let second = self.side(Role::KroneckerSecond, 0).or(self.side(Role::KroneckerSecondOut, 0))?;
            first.checked_mul(second)
        };
        let orthogonal = || {
            let blocks = self.shape(Role::OrthogonalBlocks)?;
            let (count, size) = (blocks.len().checked_sub(3)?, blocks.last()?);
            blocks[count].checked_mul(*size)
        };
        self.side(Role::Up, 0)
            .or_else(|| self.side(Role::LohaOut, 0))
            .or_else(|| self.side(Role::Difference, 0))
            .or_else(kronecker)
            .or_else(orthogonal)
    }

    /// The rank of the factors, or the size of the blocks.
    pub(super) fn rank(&self) -> Option<u64> {
        self.side(Role::Down, 0)
            .or_else(|| self.side(Role::LohaIn, 0))
            .or_else(|| self.side(Role::KroneckerSecondIn, 0))
            .or_else(|| self.side(Role::KroneckerFirstIn, 0))
            .or_else(|| self.shape(Role::OrthogonalBlocks)?.last().copied())
            .or_else(|| self.shape(Role::Butterfly)?.last().copied())
            .or_else(|| self.side(Role::Householder, 1))
    }

    /// A convolution with a kernel wider than one.
    pub(super) fn is_wide_convolution(&self) -> bool {
        self.has(Role::Mid) || self.shape(Role::Down).is_some_and(|shape| shape.len() > 2 && shape[2] > 1)
    }

    /// Blocks of four dimensions are BOFT's, of three OFT's.
    pub(super) fn is_butterfly(&self) -> bool {
        self.has(Role::Butterfly) || self.shape(Role::OrthogonalBlocks).is_some_and(|shape| shape.len() == 4)
    }
}

/// The modules of an adapter by their whole names.
#[derive(Debug, Default)]
pub(super) struct Adapter<'a> {
    pub(super) modules: HashMap<&'a str, Module<'a>>,
    roles: BTreeSet<Role>,
    pub(super) tensors: usize,
}

impl<'a> Adapter<'a> {
    /// Takes a tensor in when its name is one of an adapter.
    pub(super) fn add(&mut self, name: &'a str, shape: &'a [u64]) -> bool {
        let Some((module, role)) = split(name) else { return false };
        self.modules.entry(module).or_default().shapes.push((role, shape));
        self.roles.insert(role);
        self.tensors += 1;
        true
    }

    /// Enters every module under its name behind the start, with the widths that its factors tell.
    pub(super) fn facts(&self) -> Facts {
        let mut facts = Facts::default();
        for (name, module) in &self.modules {
            let (part, rest, _) = start(name);
            let output = module.output().or_else(|| module.shapes.first()?.1.first().copied());
            facts.add(part, rest, module.input(), output, &[]);
        }
        facts
    }

    fn any(&self, holds: impl Fn(&Module<'a>) -> bool) -> bool {
        self.modules.values().any(holds)
    }

    /// The algorithm that most tells this file from others: rare roles before common ones.
    pub(super) fn algorithm(&self) -> &'static str {
        let has = |role: Role| self.roles.contains(&role);
        let order: &[(bool, &'static str)] = &[
            (has(Role::LohaIn), "loha"),
            (has(Role::KroneckerFirst) || has(Role::KroneckerFirstIn), "lokr"),
            (self.any(Module::is_butterfly), "boft"),
            (has(Role::OrthogonalBlocks), "oft"),
            (has(Role::OnInput) || has(Role::Ia3), "ia3"),
            (has(Role::GloraA) && has(Role::GloraB), "glora"),
            (has(Role::Vera), "vera"),
            (has(Role::AdaLora), "adalora"),
            (has(Role::Fourier), "fourierft"),
            (has(Role::Householder), "hra"),
            (has(Role::Magnitude), "dora"),
            (self.any(Module::is_wide_convolution), "locon"),
            (has(Role::Down) || has(Role::Up), "lora"),
            (has(Role::Difference) || has(Role::BiasDifference), "full"),
            (has(Role::SparseBias), "sparse_bias"),
        ];
        order.iter().find(|(holds, _)| *holds).map_or("lora", |(_, name)| name)
    }

    /// Several algorithms in one file, as LyCORIS presets make them.
    pub(super) fn algorithms(&self) -> Vec<&'static str> {
        let kinds: &[(Role, &'static str)] = &[
            (Role::Down, "lora"),
            (Role::LohaIn, "loha"),
            (Role::KroneckerFirst, "lokr"),
            (Role::OrthogonalBlocks, "oft"),
            (Role::OnInput, "ia3"),
            (Role::Difference, "full"),
            (Role::GloraA, "glora"),
        ];
        kinds.iter().filter(|(role, _)| self.roles.contains(role)).map(|(_, name)| *name).collect()
    }

    /// The spelling of most modules.
    pub(super) fn naming(&self) -> Option<&'static str> {
        let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
        for name in self.modules.keys() {
            *counts.entry(self.naming_of(name)).or_default() += 1;
        }
        counts.into_iter().max_by_key(|(_, count)| *count).map(|(naming, _)| naming)
    }

    fn naming_of(&self, name: &str) -> &'static str {
        if name.contains(".processor.") && name.starts_with(['d', 's']) && name.contains("_blocks.") {
            return if name.contains("attn") { "diffusers" } else { "xlabs" };
        }
        match start(name).2 {
            Some(naming) => naming,
            None if self.modules[name].has(Role::Down) => "diffusers",
            None => "bare",
        }
    }
}
