//! What kind of model a file is, for which base model, made how: from structure first, from names and
//! shapes of tensors next, from metadata and the file's name last.
//!
//! Rules are rows of tables (`transformers`, `networks`, `words`). An answer says how sure it is and
//! why. Where names and shapes cannot tell models apart, the answer is the set of them.

mod adapter;
mod facts;
mod fingerprint;
mod metadata;
mod networks;
mod rules;
mod transformers;
mod words;

use std::collections::BTreeMap;
use std::io;

pub(crate) use adapter::start as module_start;
pub use metadata::TriggerWord;

use crate::read::ReadAt;
use crate::safetensors::{Dtype, Header, Tensor};
use adapter::{Adapter, Role};
use facts::Facts;
use metadata::Claims;
use rules::{Rule, find};

/// The most alphas that are read from a file.
const ALPHA_READS: usize = 32;
/// LyCORIS writes an alpha this large when the scale is in the weights already.
const ALPHA_BAKED: f64 = 1e8;

/// Names that only diffusers gives.
const DIFFUSERS_NAMES: &[&str] =
    &["^down_blocks_#", "^up_blocks_#", "^transformer_blocks_#", "^encoder_down_blocks_#"];
/// A denoiser that comes with one of these is a whole checkpoint.
const COMPANIONS: &[&str] =
    &["first_stage_model*", "cond_stage_model*", "conditioner_embedders*", "text_encoders*", "^vae_decoder*"];

/// The spread of a number over the modules of an adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    /// The smallest.
    pub least: u64,
    /// The one in the middle.
    pub median: u64,
    /// The largest.
    pub most: u64,
}

/// What a file is, as far as it tells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Identity {
    /// `lora`, `checkpoint`, `unet`, `transformer`, `vae`, `text_encoder`, `controlnet`, `embedding`,
    /// `upscaler` and so on; `unknown` when nothing fits.
    pub kind: &'static str,
    /// The algorithm of an adapter: `lora`, `locon`, `loha`, `lokr`, `dora`, `oft`, `boft`, `ia3`, `full` …
    pub algorithm: Option<&'static str>,
    /// The family of the base model, such as `sdxl` or `flux1`; none when it cannot be told.
    pub base_model: Option<&'static str>,
    /// The variant within the family.
    pub variant: Option<&'static str>,
    /// What it may be, `family` or `family variant`; more than one when the keys cannot decide.
    pub candidates: Vec<String>,
    /// How sure `base_model` is, from 0 to 1.
    pub confidence: f64,
    /// Whose spelling the names are: `kohya`, `diffusers`, `peft`, `comfyui` …
    pub naming: Option<&'static str>,
    /// The program that trained it, by the metadata.
    pub trainer: Option<&'static str>,
    /// The rank of the factors, or the size of the blocks.
    pub rank: Option<Spread>,
    /// The alpha, when it is the same everywhere or the metadata names it.
    pub alpha: Option<f64>,
    /// The type of most elements.
    pub dtype: Option<&'static str>,
    /// The number of elements of all tensors.
    pub parameters: u64,
    /// Words to try in a prompt; hostile text.
    pub trigger_words: Vec<TriggerWord>,
    /// What the metadata says about the training; hostile text.
    pub training: Vec<(String, String)>,
    /// The structure as one number, an MD5 over names and shapes: equal means the same architecture.
    /// Adapters have none, their ranks differ.
    pub fingerprint: Option<String>,
    /// Why it is that.
    pub evidence: Vec<String>,
    /// What does not fit together.
    pub warnings: Vec<String>,
}

/// Identifies a safetensors file whose header was read. `file` gives the alphas, some bytes each.
pub fn identify<F: ReadAt + ?Sized>(header: &Header, file: &F, file_name: &str) -> io::Result<Identity> {
    let mut identity = identify_header(header, file_name);
    if identity.kind == "lora"
        && let Some(alpha) = read_alpha(header, file)?
    {
        identity.alpha = Some(alpha);
    }
    Ok(identity)
}

/// The same from the header alone.
pub fn identify_header(header: &Header, file_name: &str) -> Identity {
    let metadata = header.metadata.iter().map(|entry| (entry.key.as_str(), entry.value.as_str()));
    let claims = Claims::new(metadata, file_name);
    let mut adapter = Adapter::default();
    let mut others: Vec<&Tensor> = Vec::new();
    for tensor in &header.tensors {
        if !adapter.add(&tensor.name, &tensor.shape) {
            others.push(tensor);
        }
    }
    let mut identity = Identity {
        parameters: header.parameters(),
        dtype: most_elements(header).map(Dtype::name),
        trainer: claims.trainer(),
        training: claims.training(),
        ..Identity::default()
    };
    if is_adapter(&adapter, &others) {
        describe_adapter(&mut identity, &adapter, &claims);
    } else {
        describe_model(&mut identity, header);
    }
    weigh_claims(&mut identity, &claims);
    identity
}

/// An adapter is mostly adapter tensors; IA³ has a plain weight beside each of its markers.
fn is_adapter(adapter: &Adapter<'_>, others: &[&Tensor]) -> bool {
    let strong = adapter.modules.values().filter(|module| !module.is_alpha_alone()).count();
    let weights = others
        .iter()
        .filter_map(|tensor| tensor.name.strip_suffix(".weight"))
        .filter(|name| adapter.modules.get(*name).is_some_and(|module| module.has(Role::OnInput)))
        .count();
    strong > 0 && adapter.tensors + 2 * weights > others.len()
}

fn describe_adapter(identity: &mut Identity, adapter: &Adapter<'_>, claims: &Claims<'_>) {
    identity.kind = "lora";
    identity.algorithm = Some(adapter.algorithm());
    identity.naming = adapter.naming();
    identity.rank = spread(adapter.modules.values().filter_map(adapter::Module::rank).collect());
    identity.alpha = claims.peft_alpha().or_else(|| claims.number("ss_network_alpha"));
    identity.trigger_words = claims.trigger_words();
    let algorithms = adapter.algorithms();
    if algorithms.len() > 1 {
        identity.evidence.push(format!("it mixes {}", algorithms.join(", ")));
    }
    let facts = adapter.facts();
    let tables = [
        transformers::MARKED,
        transformers::BFL,
        transformers::DIFFUSERS,
        transformers::PLAIN,
        networks::UNETS,
        networks::TEXT_ADAPTERS,
    ];
    apply(identity, find(&tables, &facts, true), &facts);
}

fn describe_model(identity: &mut Identity, header: &Header) {
    let facts = model_facts(header);
    identity.naming =
        Some(if DIFFUSERS_NAMES.iter().any(|pattern| facts.has(pattern)) { "diffusers" } else { "original" });
    identity.kind = "unknown";
    let fingerprint = fingerprint::of(header.tensors.iter().map(|tensor| (&*tensor.name, &*tensor.shape)));
    let known = fingerprint::find(&fingerprint);
    identity.fingerprint = Some(fingerprint);
    if let Some(known) = known {
        identity.kind = known.kind;
        identity.evidence.push(format!("it has the structure of {}", known.name));
        if !known.base.is_empty() {
            set_base(identity, known.base, known.variant, 98);
        }
    }
    let tables = [
        networks::SMALL,
        networks::CONTROLS,
        transformers::MARKED,
        transformers::BFL,
        transformers::DIFFUSERS,
        transformers::PLAIN,
        networks::UNETS,
        networks::VAES,
        networks::TEXT_ENCODERS,
    ];
    apply(identity, find(&tables, &facts, false), &facts);
    if matches!(identity.kind, "unet" | "transformer") && COMPANIONS.iter().any(|pattern| facts.has(pattern))
    {
        identity.kind = "checkpoint";
    }
    if identity.kind == "unknown" {
        describe_embedding(identity, &header.tensors);
    }
    if identity.kind == "unknown" && header.tensors.iter().any(|tensor| tensor.name.starts_with("lora_")) {
        identity.warnings.push("its names begin with `lora_` but it is no adapter".to_owned());
    }
}

/// Embeddings are named by their token, so only the few rows of a text encoder's width tell them.
fn describe_embedding(identity: &mut Identity, tensors: &[Tensor]) {
    let width = |tensor: &Tensor| (tensor.shape.len() <= 2).then(|| tensor.shape.last().copied()).flatten();
    let widths: Option<Vec<u64>> = tensors.iter().map(width).collect();
    let Some(widths) = widths.filter(|widths| (1..=8).contains(&widths.len())) else { return };
    let has = |width: u64| widths.contains(&width);
    let base = match (has(768), has(1024), has(1280)) {
        (true, false, true) => "sdxl",
        (true, false, false) => "sd-1",
        (false, true, false) => "sd-2",
        _ => return,
    };
    identity.kind = "embedding";
    identity.evidence.push("it holds a few rows as wide as a text encoder".to_owned());
    set_base(identity, base, "", 70);
}

/// The tensors of a whole model; the words in front of the denoiser are taken off.
fn model_facts(header: &Header) -> Facts {
    let mut facts = Facts::default();
    let prefixes =
        ["model.diffusion_model.", "diffusion_model.", "model.model.", "transformer.", "net.", "unet."];
    for tensor in &header.tensors {
        let name =
            prefixes.iter().find_map(|prefix| tensor.name.strip_prefix(prefix)).unwrap_or(&tensor.name);
        let side = |axis: usize| tensor.shape.get(axis).copied();
        facts.add("", name, side(1), side(0), &tensor.shape);
    }
    facts
}

fn apply(identity: &mut Identity, rule: Option<&Rule>, facts: &Facts) {
    let Some(rule) = rule else { return };
    let decided = identity.base_model.is_some();
    if identity.kind.is_empty() || identity.kind == "unknown" {
        identity.kind = rule.kind;
    }
    if decided && identity.base_model != Some(rule.base) {
        return;
    }
    identity.evidence.extend(rule.evidence(facts));
    if !decided {
        if rule.base.is_empty() {
            identity.confidence = f64::from(rule.sure) / 100.0;
        } else {
            set_base(identity, rule.base, rule.variant, rule.sure);
        }
    }
    if !rule.others.is_empty() {
        identity.candidates = rule.others.iter().map(|other| (*other).to_owned()).collect();
    }
}

fn set_base(identity: &mut Identity, base: &'static str, variant: &'static str, sure: u8) {
    identity.base_model = Some(base);
    identity.variant = Some(variant).filter(|variant| !variant.is_empty());
    identity.confidence = f64::from(sure) / 100.0;
    identity.candidates =
        vec![if variant.is_empty() { base.to_owned() } else { format!("{base} {variant}") }];
}

fn family(candidate: &str) -> &str {
    candidate.split(' ').next().unwrap_or(candidate)
}

/// Metadata narrows what the keys allow, and is only believed alone when the keys say nothing.
fn weigh_claims(identity: &mut Identity, claims: &Claims<'_>) {
    for claim in claims.bases() {
        let text = format!("`{}` says {} {}", claim.source, claim.base, claim.variant).trim_end().to_owned();
        let same = identity.base_model == Some(claim.base);
        let possible = identity.candidates.iter().any(|candidate| family(candidate) == claim.base);
        if same || possible {
            accept(identity, claim.base, claim.variant, same);
            identity.evidence.push(text);
        } else if identity.base_model.is_none()
            && identity.candidates.is_empty()
            && identity.kind != "unknown"
        {
            set_base(identity, claim.base, claim.variant, 60);
            identity.evidence.push(text);
        } else if !related(identity, claim.base) {
            identity.warnings.push(format!("{text}, which does not fit its tensors"));
        }
    }
    narrow_by_name(identity, claims);
}

/// Families of which trainers write one for the other.
fn related(identity: &Identity, claimed: &str) -> bool {
    let start = |text: &str| text.chars().take_while(char::is_ascii_alphabetic).collect::<String>();
    let known =
        identity.base_model.into_iter().chain(identity.candidates.iter().map(|candidate| family(candidate)));
    known
        .into_iter()
        .any(|base| start(base) == start(claimed) && !matches!(start(base).as_str(), "sd" | "flux"))
        || (claimed == "sd3" && identity.base_model == Some("sd3.5"))
        || (claimed == "sd3.5" && identity.base_model == Some("sd3"))
}

fn accept(identity: &mut Identity, base: &'static str, variant: &'static str, same: bool) {
    let matching = |candidate: &&String| {
        family(candidate) == base && (variant.is_empty() || candidate.ends_with(variant))
    };
    let fitting: Vec<String> = identity.candidates.iter().filter(matching).cloned().collect();
    identity.base_model = Some(base);
    if !variant.is_empty() && (identity.variant.is_none() || !same) {
        identity.variant = Some(variant);
    }
    if !fitting.is_empty() {
        identity.candidates = fitting;
    } else if !variant.is_empty() && identity.variant == Some(variant) {
        identity.candidates = vec![format!("{base} {variant}")];
    }
    identity.confidence = identity.confidence.max(0.9);
}

/// What neither keys nor base fields can tell: fine-tunes, distillations and experts.
fn narrow_by_name(identity: &mut Identity, claims: &Claims<'_>) {
    let Some(base) = identity.base_model else { return };
    if base.starts_with("wan")
        && let Some(noise) = claims.noise()
    {
        identity.evidence.push(format!("the file name says {noise} noise"));
        identity.variant = Some(if noise == "high" { "a14b high" } else { "a14b low" });
        identity.candidates.retain(|candidate| candidate.contains("a14b"));
    }
    if let Some((variant, source)) = claims.variant(base)
        && matches!(identity.variant, None | Some("dev"))
    {
        identity.variant = Some(variant);
        identity.candidates = vec![format!("{base} {variant}")];
        identity.evidence.push(format!("the {source} says {variant}"));
    }
}

fn spread(mut numbers: Vec<u64>) -> Option<Spread> {
    numbers.sort_unstable();
    Some(Spread { least: *numbers.first()?, median: numbers[numbers.len() / 2], most: *numbers.last()? })
}

fn most_elements(header: &Header) -> Option<Dtype> {
    let mut counts: BTreeMap<Dtype, u64> = BTreeMap::new();
    for tensor in &header.tensors {
        let count = counts.entry(tensor.dtype).or_default();
        *count = count.saturating_add(tensor.elements());
    }
    counts.into_iter().max_by_key(|(_, count)| *count).map(|(dtype, _)| dtype)
}

/// The alpha of the first modules, when they agree.
fn read_alpha<F: ReadAt + ?Sized>(header: &Header, file: &F) -> io::Result<Option<f64>> {
    let scalars =
        header.tensors.iter().filter(|tensor| tensor.name.ends_with(".alpha") && tensor.elements() == 1);
    let mut found: Option<f64> = None;
    for tensor in scalars.take(ALPHA_READS) {
        let Some(value) = read_scalar(tensor, header.data_start(), file)? else { return Ok(None) };
        if found.is_some_and(|known| (known - value).abs() > f64::EPSILON) || value >= ALPHA_BAKED {
            return Ok(None);
        }
        found = Some(value);
    }
    Ok(found.filter(|value| value.is_finite()))
}

fn read_scalar<F: ReadAt + ?Sized>(tensor: &Tensor, data_start: u64, file: &F) -> io::Result<Option<f64>> {
    let mut bytes = [0; 8];
    let length = (tensor.dtype.bits() / 8) as usize;
    if tensor.range.is_empty() {
        return Ok(None);
    }
    file.read_exact_at(&mut bytes[..length], data_start + tensor.range.start)?;
    let half = u16::from_le_bytes([bytes[0], bytes[1]]);
    let word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    Ok(match tensor.dtype {
        Dtype::F32 => Some(f32::from_bits(word).into()),
        Dtype::F64 => Some(f64::from_le_bytes(bytes)),
        Dtype::Bf16 => Some(f32::from_bits(u32::from(half) << 16).into()),
        Dtype::F16 => Some(half_to_double(half)),
        Dtype::I64 => Some(i64::from_le_bytes(bytes) as f64),
        Dtype::I32 => Some((word as i32).into()),
        _ => None,
    })
}

/// IEEE 754 binary16: sign, five bits of exponent, ten of fraction.
fn half_to_double(half: u16) -> f64 {
    let sign = if half & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from((half >> 10) & 0x1f), f64::from(half & 0x3ff));
    match exponent {
        0 => sign * fraction * 2_f64.powi(-24),
        0x1f if fraction == 0.0 => sign * f64::INFINITY,
        0x1f => f64::NAN,
        _ => sign * (1.0 + fraction / 1024.0) * 2_f64.powi(exponent - 15),
    }
}
