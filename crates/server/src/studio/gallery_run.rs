//! What a client asks a gallery run for. The original's clients send more than one form of many fields.

use http::StatusCode;
use lorakeep_registry::{GalleryRequest, SearchMode};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::extract;
use crate::envelope::Refusal;

/// The body as it comes.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct RunBody {
    action: String,
    mode: Option<String>,
    nsfw: Option<Value>,
    sort: Option<String>,
    period: Option<String>,
    version_id: Option<u64>,
    types: Option<Value>,
    with_meta: Option<bool>,
    from_platform: Option<bool>,
    is_remix: Option<bool>,
    workers: Option<u32>,
}

/// What it means.
pub(super) enum Action {
    /// `start`, `start:N` (N images), `start:cards` (those of the author).
    Start(GalleryRequest),
    /// `stop`.
    Stop,
}

impl RunBody {
    pub(super) fn into_action(self) -> Result<Action, Refusal> {
        if self.action == "stop" {
            return Ok(Action::Stop);
        }
        let unknown =
            || Refusal::new(StatusCode::BAD_REQUEST, "unknown_action", "action must be 'start' or 'stop'");
        let limit = match self.action.strip_prefix("start").ok_or_else(unknown)? {
            "" | ":cards" => None,
            rest => Some(rest.strip_prefix(':').and_then(|number| number.parse().ok()).ok_or_else(unknown)?),
        };
        let mode = self.mode.as_deref().filter(|mode| !mode.is_empty());
        let mode =
            mode.map(|mode| SearchMode::parse(mode).ok_or_else(|| fault("mode", MODES))).transpose()?;
        let some = |text: Option<String>| text.filter(|text| !text.is_empty());
        Ok(Action::Start(GalleryRequest {
            limit,
            only_author: self.action == "start:cards",
            version_id: self.version_id,
            sort: some(self.sort),
            period: some(self.period),
            browsing_level: self.nsfw.as_ref().map_or(Ok(None), browsing_level)?,
            kinds: self.types.as_ref().map_or(Ok(Vec::new()), kinds)?,
            needs_meta: self.with_meta.unwrap_or_default(),
            from_platform: self.from_platform.unwrap_or_default(),
            is_remix: self.is_remix.unwrap_or_default(),
            workers: self.workers,
            mode: mode.unwrap_or_default(),
        }))
    }
}

const MODES: &str = "Input should be 'fixed', 'trpc' or 'rest'";
const LEVELS: &str = "Input should be a boolean, 'None', 'Soft', 'Mature' or 'X'";
const KINDS: &str = "Input should be 'image', 'video' or a list of them";

fn fault(field: &str, msg: &str) -> Refusal {
    Refusal::unreadable(vec!["body".into(), field.into()], msg, "enum")
}

/// CivitAI's bits: true means everything, false what anybody may see; absent and null mean everything too.
fn browsing_level(nsfw: &Value) -> Result<Option<u32>, Refusal> {
    let word = match nsfw {
        Value::Null => return Ok(None),
        Value::Bool(true) => "X",
        Value::Bool(false) => "None",
        Value::String(word) => word.as_str(),
        _ => return Err(fault("nsfw", LEVELS)),
    };
    match word {
        "" => Ok(None),
        "None" => Ok(Some(1)),
        "Soft" => Ok(Some(3)),
        "Mature" => Ok(Some(7)),
        "X" => Ok(Some(31)),
        other => match extract::bool_of(other) {
            Some(all) => Ok(Some(if all { 31 } else { 1 })),
            None => Err(fault("nsfw", LEVELS)),
        },
    }
}

/// A word, words separated by commas, or a list of words.
fn kinds(types: &Value) -> Result<Vec<String>, Refusal> {
    let words: Vec<&str> = match types {
        Value::Null => Vec::new(),
        Value::String(text) => text.split(',').collect(),
        Value::Array(list) => {
            list.iter().map(Value::as_str).collect::<Option<_>>().ok_or_else(|| fault("types", KINDS))?
        }
        _ => return Err(fault("types", KINDS)),
    };
    let words = words.into_iter().map(str::trim).filter(|word| !word.is_empty());
    let mut kinds: Vec<String> = Vec::new();
    for word in words.filter(|word| *word != "all") {
        if !kinds.iter().any(|known| known == word) {
            kinds.push(word.to_owned());
        }
    }
    Ok(kinds)
}
