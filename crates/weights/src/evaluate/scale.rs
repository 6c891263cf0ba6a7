//! What a module's product is multiplied with at strength 1, and who says so.
//!
//! A file may hold its alphas as tensors, or only in its header (diffusers, PEFT) or in a file beside it,
//! where ComfyUI and kohya's tools do not look: the same file then has another strength there.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::module::{self, Parts};
use super::{EvaluateError, decode};
use crate::read::ReadAt;
use crate::safetensors::{Header, Tensor};

/// The header's key under which diffusers keeps the PEFT configurations of a file's components.
const ADAPTER_METADATA: &str = "lora_adapter_metadata";
/// The parts of a model, as diffusers prefixes them there.
const COMPONENTS: &[&str] = &["unet.", "transformer.", "text_encoder_3.", "text_encoder_2.", "text_encoder."];
/// Programs whose scale is told apart. All of them know the alpha tensor.
const RUNTIMES: &[&str] = &["a1111", "comfyui", "diffusers", "kohya"];

/// The scale of one module.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scale {
    /// As it was meant: alpha over rank, or over the rank's root.
    pub(super) value: f64,
    /// The alpha behind it.
    pub(super) alpha: Option<f64>,
    /// Who says so.
    pub(super) source: &'static str,
    /// The program that alone reads the source; all others use 1.
    only: Option<&'static str>,
    /// What is wrong with the alpha that is there.
    pub(super) issue: Option<String>,
}

impl Scale {
    /// Nothing says anything: what all programs assume.
    fn assumed() -> Self {
        Self { value: 1.0, alpha: None, source: "assumed", only: None, issue: None }
    }

    /// The algorithm has no scale.
    fn none() -> Self {
        Self { source: "none", ..Self::assumed() }
    }

    /// Some program gets it from a configuration and not from the tensors.
    pub(super) fn is_configured(&self) -> bool {
        self.only.is_some()
    }

    /// What each program uses.
    pub(super) fn by_runtime(&self) -> BTreeMap<String, f64> {
        let read_by_all = matches!(self.source, "tensor" | "assumed" | "none");
        let value = |runtime: &str| {
            if read_by_all || self.only == Some(runtime) { self.value } else { 1.0 }
        };
        let own = self.only.filter(|only| !RUNTIMES.contains(only));
        RUNTIMES.iter().copied().chain(own).map(|name| (name.to_owned(), value(name))).collect()
    }
}

/// What the header, and the configuration beside the file, say about alphas; read once a file.
#[derive(Default)]
pub(super) struct Claims {
    header: Option<Map<String, Value>>,
    beside: Option<Map<String, Value>>,
    network: Option<(f64, f64)>,
}

impl Claims {
    /// `adapter_config` is the text of PEFT's `adapter_config.json` beside the file.
    pub(super) fn new(header: &Header, adapter_config: Option<&str>) -> Self {
        let number = |key: &str| {
            header.metadata_value(key)?.parse::<f64>().ok().filter(|value| value.is_finite() && *value > 0.0)
        };
        Self {
            header: header.metadata_value(ADAPTER_METADATA).and_then(|text| serde_json::from_str(text).ok()),
            beside: adapter_config.and_then(|text| serde_json::from_str(text).ok()),
            network: number("ss_network_dim").zip(number("ss_network_alpha")),
        }
    }

    /// Without what only the metadata of a trainer remembers, which no program applies.
    pub(super) fn applied(mut self) -> Self {
        self.network = None;
        self
    }

    fn scale(&self, name: &str, rank: u64) -> Option<Scale> {
        self.by_header(name, rank).or_else(|| self.by_file(name, rank)).or_else(|| self.by_network(rank))
    }

    /// diffusers: one configuration for each part of the model.
    fn by_header(&self, name: &str, rank: u64) -> Option<Scale> {
        let component = COMPONENTS.iter().find(|component| name.starts_with(**component))?;
        let (value, alpha) = configured(self.header.as_ref()?, component, &name[component.len()..], rank)?;
        let source = "header:lora_adapter_metadata";
        Some(Scale { value, alpha: Some(alpha), source, only: Some("diffusers"), issue: None })
    }

    /// PEFT: one configuration for the whole file.
    fn by_file(&self, name: &str, rank: u64) -> Option<Scale> {
        let (value, alpha) = configured(self.beside.as_ref()?, "", name, rank)?;
        let source = "file:adapter_config.json";
        Some(Scale { value, alpha: Some(alpha), source, only: Some("peft"), issue: None })
    }

    /// A trainer of kohya's family wrote what the alpha was, but the tensors are gone; no program looks there.
    fn by_network(&self, rank: u64) -> Option<Scale> {
        let (dim, alpha) = self.network.filter(|(dim, _)| (dim - rank as f64).abs() < 0.5)?;
        let source = "header:ss_network_alpha";
        Some(Scale { value: alpha / dim, alpha: Some(alpha), source, only: None, issue: None })
    }
}

/// Scale and alpha of a module by a PEFT configuration whose keys begin with `prefix`.
fn configured(config: &Map<String, Value>, prefix: &str, name: &str, rank: u64) -> Option<(f64, f64)> {
    let claim = |key: &str| config.get(&format!("{prefix}{key}"));
    let special = claim("alpha_pattern").and_then(|patterns| pattern(patterns, name));
    let alpha = special.or_else(|| claim("lora_alpha").or_else(|| claim("alpha"))?.as_f64())?;
    let rooted = claim("use_rslora").and_then(Value::as_bool).unwrap_or(false);
    let divisor = if rooted { (rank as f64).sqrt() } else { rank as f64 };
    Some((alpha / divisor, alpha)).filter(|(value, _)| value.is_finite())
}

/// The alpha of the pattern that is the module's name or the end of it behind a dot.
fn pattern(patterns: &Value, name: &str) -> Option<f64> {
    let fits = |key: &str| {
        let key = key.trim_start_matches('^').trim_end_matches('$');
        name.strip_suffix(key).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    patterns.as_object()?.iter().find(|(key, _)| fits(key))?.1.as_f64()
}

/// The scale of a module: an alpha tensor counts before the header, the header before 1.
pub(super) fn scale<F: ReadAt + ?Sized>(
    header: &Header,
    file: &F,
    claims: &Claims,
    name: &str,
    parts: &Parts<'_>,
) -> Result<Scale, EvaluateError> {
    match module::algorithm(parts) {
        "full" | "norm" | "ia3" => return Ok(Scale::none()),
        // The alpha of an orthogonal algorithm is a constraint on its angle.
        "oft" | "boft" => return Ok(Scale { alpha: read_alpha(header, file, parts)?, ..Scale::none() }),
        _ => {}
    }
    // A LoKr of two whole blocks has no rank, and its alpha is ignored everywhere but in PEFT.
    let Some(rank) = module::rank(parts).filter(|rank| *rank > 0) else { return Ok(Scale::assumed()) };
    let Some(tensor) = parts.get("alpha") else {
        return Ok(claims.scale(name, rank).unwrap_or_else(Scale::assumed));
    };
    if let Some(alpha) = read_alpha(header, file, parts)? {
        return Ok(stored(alpha, rank));
    }
    let issue = format!("its alpha of type `{}` and shape {:?} is no number", tensor.dtype, tensor.shape);
    Ok(Scale { issue: Some(issue), ..Scale::assumed() })
}

/// The alpha tensor, when it is one number.
fn read_alpha<F: ReadAt + ?Sized>(
    header: &Header,
    file: &F,
    parts: &Parts<'_>,
) -> Result<Option<f64>, EvaluateError> {
    let is_number = |tensor: &&&Tensor| tensor.elements() == 1 && decode::is_numeric(tensor.dtype);
    let Some(alpha) = parts.get("alpha").filter(is_number) else { return Ok(None) };
    let (values, _) = decode::read(file, header.data_start(), alpha)?;
    Ok(values.first().copied())
}

fn stored(alpha: f64, rank: u64) -> Scale {
    let issue = if !alpha.is_finite() {
        Some("its alpha is not finite".to_owned())
    } else if alpha <= 0.0 {
        Some(format!("its alpha is {alpha}"))
    } else {
        None
    };
    Scale { value: alpha / rank as f64, alpha: Some(alpha), source: "tensor", only: None, issue }
}
