//! What a module's product is multiplied with at strength 1, and who says so.
//!
//! A file may hold its alphas as tensors, or only in its header (diffusers and PEFT), where ComfyUI and
//! kohya's tools do not look: the same file then has another strength there.

use serde::Serialize;
use serde_json::{Map, Value};

use super::module::{self, Parts};
use super::{EvaluateError, decode};
use crate::read::ReadAt;
use crate::safetensors::Header;

/// The header's key under which diffusers keeps the PEFT configurations of a file's components.
const ADAPTER_METADATA: &str = "lora_adapter_metadata";

/// The scale of one module.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Scale {
    /// As it was meant: alpha over rank, or over the rank's root.
    pub value: f64,
    /// `tensor`, `header:lora_adapter_metadata`, or `assumed` where the file says nothing.
    pub source: &'static str,
    /// What ComfyUI and A1111 use, which know the alpha tensor only.
    pub by_tensor: f64,
    /// What diffusers uses.
    pub by_header: f64,
}

/// The configuration in the header, read once a file.
pub(super) struct Claims(Option<Map<String, Value>>);

impl Claims {
    pub(super) fn new(header: &Header) -> Self {
        let text = header.metadata_value(ADAPTER_METADATA);
        Self(text.and_then(|text| serde_json::from_str(text).ok()))
    }

    /// Alpha over rank by the configuration of the module's component.
    fn scale(&self, name: &str, rank: u64) -> Option<f64> {
        let component = ["unet.", "transformer.", "text_encoder_2.", "text_encoder."]
            .into_iter()
            .find(|component| name.starts_with(component))?;
        let claim = |key: &str| self.0.as_ref()?.get(&format!("{component}{key}"));
        let special = claim("alpha_pattern").and_then(|patterns| pattern(patterns, &name[component.len()..]));
        let alpha = special.or_else(|| claim("lora_alpha")?.as_f64())?;
        let rooted = claim("use_rslora").and_then(Value::as_bool).unwrap_or(false);
        let divisor = if rooted { (rank as f64).sqrt() } else { rank as f64 };
        Some(alpha / divisor)
    }
}

/// The alpha of the pattern that is the module's name or the end of it behind a dot.
fn pattern(patterns: &Value, name: &str) -> Option<f64> {
    let fits = |key: &str| name.strip_suffix(key).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
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
    // A LoKr of two whole blocks has no rank, and its alpha is ignored everywhere but in PEFT.
    let Some(rank) = module::rank(parts).filter(|rank| *rank > 0) else { return Ok(equal(1.0, "assumed")) };
    if let Some(alpha) = parts.get("alpha")
        && alpha.elements() == 1
        && decode::is_numeric(alpha.dtype)
    {
        let (values, _) = decode::read(file, header.data_start(), alpha)?;
        return Ok(equal(values[0] / rank as f64, "tensor"));
    }
    let claimed = claims.scale(name, rank).filter(|value| value.is_finite());
    Ok(claimed.map_or(equal(1.0, "assumed"), |value| Scale {
        value,
        source: "header:lora_adapter_metadata",
        by_tensor: 1.0,
        by_header: value,
    }))
}

fn equal(value: f64, source: &'static str) -> Scale {
    Scale { value, source, by_tensor: value, by_header: value }
}
