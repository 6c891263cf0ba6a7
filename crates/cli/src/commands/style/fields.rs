//! What can be said of a style, and how the API reads it.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};

/// What a style is made from.
#[derive(Debug, Clone, Args)]
pub(super) struct SourceArgs {
    /// A LoRA: its file name, folder/name, or the id of its entry
    #[arg(long, value_name = "FILE", conflicts_with = "pair")]
    entry: Option<String>,
    /// A pair of LoRAs by its pair_id
    #[arg(long, value_name = "PAIR_ID")]
    pair: Option<String>,
    /// Two LoRAs that no catalog calls a pair: the high-noise half
    #[arg(long, value_name = "FILE", requires = "low", conflicts_with_all = ["entry", "pair"])]
    high: Option<String>,
    /// The low-noise half
    #[arg(long, value_name = "FILE", requires = "high")]
    low: Option<String>,
}

/// The rest of it.
#[derive(Debug, Clone, Args)]
pub(super) struct FieldArgs {
    /// Every team may see it
    #[arg(long, conflicts_with = "team")]
    public: bool,
    /// That team alone may see it
    #[arg(long, value_name = "NAME")]
    team: Option<String>,
    /// Its name in addresses; made of the name when absent
    #[arg(long, value_name = "WORD")]
    slug: Option<String>,
    /// What it does
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// What becomes of a prompt, with {prompt}, {trigger_words}, {style}; a brace itself is written twice
    #[arg(long, value_name = "TEXT")]
    template: Option<String>,
    /// Default strength of denoising, 0 to 1
    #[arg(long, value_name = "NUMBER", value_parser = parse_number)]
    denoise: Option<Value>,
    /// Default scale of classifier-free guidance, 0.1 to 30
    #[arg(long, value_name = "NUMBER", value_parser = parse_number)]
    guidance: Option<Value>,
    /// Default steps of diffusion, 1 to 100
    #[arg(long, value_name = "COUNT", value_parser = parse_number)]
    steps: Option<Value>,
    /// How strongly its LoRAs are applied, -10 to 10; 1 when nothing is said
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    strength: Option<f64>,
    /// The same for the high-noise half alone
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    high_strength: Option<f64>,
    /// The same for the low-noise half alone
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    low_strength: Option<f64>,
    /// A picture that shows it: PNG, JPEG or WebP
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath, conflicts_with = "gallery_image")]
    pub(super) preview: Option<PathBuf>,
    /// An image of the gallery that shows it; `none` takes the picture away
    #[arg(long, value_name = "ID", value_parser = parse_number)]
    gallery_image: Option<Value>,
}

impl SourceArgs {
    /// Whether it says anything.
    pub(super) fn is_given(&self) -> bool {
        self.entry.is_some() || self.pair.is_some() || self.high.is_some()
    }
}

impl FieldArgs {
    /// Whether it says who may see the style.
    pub(super) fn says_who_may_see_it(&self) -> bool {
        self.public || self.team.is_some()
    }

    /// What is said, as the API takes it; null takes a value away.
    pub(super) fn body(&self, source: &SourceArgs) -> Map<String, Value> {
        let text = |text: &Option<String>| text.clone().map(Value::from);
        let some = |text: &Option<String>| {
            text.as_ref().map(|text| Some(text.as_str()).filter(|text| !text.trim().is_empty()).into())
        };
        let said = [
            ("entry", text(&source.entry)),
            ("pair", text(&source.pair)),
            ("high", text(&source.high)),
            ("low", text(&source.low)),
            ("is_public", self.public.then(|| true.into())),
            ("team", text(&self.team)),
            ("slug", text(&self.slug)),
            ("description", some(&self.description)),
            ("template", some(&self.template)),
            ("default_denoise_strength", self.denoise.clone()),
            ("default_guidance_scale", self.guidance.clone()),
            ("default_steps", self.steps.clone()),
            ("strength", self.strength.map(Value::from)),
            ("strengths", self.strengths()),
            ("gallery_image", self.gallery_image.clone()),
        ];
        said.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }

    fn strengths(&self) -> Option<Value> {
        let is_said = self.high_strength.is_some() || self.low_strength.is_some();
        is_said.then(|| json!({ "high": self.high_strength, "low": self.low_strength }))
    }
}

/// A number, or `none`, which takes the value away; the server judges which numbers there may be.
fn parse_number(text: &str) -> Result<Value, String> {
    if matches!(text.trim(), "" | "none") {
        return Ok(Value::Null);
    }
    let whole = text.trim().parse::<u64>().ok().map(Value::from);
    let number = || text.trim().parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::from);
    whole.or_else(number).ok_or_else(|| "it is neither a number nor `none`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_taken_as_they_are_written_and_none_takes_away() {
        assert_eq!(parse_number("30").expect("a number"), json!(30));
        assert_eq!(parse_number("7.5").expect("a number"), json!(7.5));
        assert_eq!(parse_number("none").expect("nothing"), Value::Null);
        for wrong in ["many", "NaN", "inf", "1,5"] {
            parse_number(wrong).expect_err(wrong);
        }
    }
}
