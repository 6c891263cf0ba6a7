//! What a generator needs of a style: the prompt as it is meant, the settings, the files.

use std::sync::Arc;

use super::{StyleFileState, StyleState};
use crate::domain::{GenerationSettings, PairRole, Sha256, Style, StyleStrengths, TeamId, TemplateValues};
use crate::error::{Error, Result, Thing};
use crate::service::Registry;

/// Longest prompt, characters.
const MAX_PROMPT_CHARACTERS: usize = 20_000;

/// What a customer asks of a style.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RenderRequest {
    /// What the picture shall show.
    pub prompt: String,
    /// What stands in the place of the style's defaults.
    pub settings: GenerationSettings,
    /// What the strengths of the files are multiplied with.
    pub strength: Option<f64>,
}

/// A request with everything of the style in it.
#[derive(Debug, Clone, PartialEq)]
pub struct RenderedStyle {
    /// The style.
    pub style: StyleState,
    /// The prompt with the template applied.
    pub prompt: String,
    /// What the request said, else the style's defaults; what is `None` is left to the generator.
    pub settings: GenerationSettings,
    /// The LoRAs to apply, in the order of the roles.
    pub files: Vec<RenderedFile>,
}

/// One LoRA to apply.
#[derive(Debug, Clone, PartialEq)]
pub struct RenderedFile {
    /// Which model it is for.
    pub role: PairRole,
    /// The file name.
    pub file: String,
    /// The path that a ComfyUI loader knows it by: below its `loras` folder.
    pub path: String,
    /// How strongly it is applied.
    pub strength: f64,
    /// SHA-256 of its content; `None` until the file was hashed.
    pub sha256: Option<Sha256>,
    /// Length in bytes.
    pub size_bytes: u64,
}

impl Registry {
    /// Prepares a request of a team for a generator.
    ///
    /// `NotFound` for a style that the team may not see; `Conflict` (`style_not_ready`) while one of its files is missing.
    pub async fn render_style(
        &self,
        id_or_slug: &str,
        team: TeamId,
        request: RenderRequest,
    ) -> Result<RenderedStyle> {
        let settings = request.settings.judge("")?;
        let factor = StyleStrengths::all(request.strength).judge()?.of(PairRole::Both);
        judge_prompt(&request.prompt)?;
        let shelf = self.style_shelf().await?;
        let found = shelf.find(id_or_slug).filter(|listed| listed.style.is_visible_to(team));
        let listed = found.ok_or_else(|| Error::not_found(Thing::Style, id_or_slug))?;
        let state = self.style_state(Arc::clone(&listed.style), None);
        must_be_ready(&state)?;
        Ok(RenderedStyle {
            prompt: applied(&state, &request.prompt),
            settings: settings.or(state.style.defaults),
            files: state.files.iter().map(|file| RenderedFile::of(file, factor)).collect(),
            style: state,
        })
    }
}

fn judge_prompt(prompt: &str) -> Result<()> {
    let wrong = if prompt.chars().count() > MAX_PROMPT_CHARACTERS {
        "is longer than 20,000 characters"
    } else if prompt.contains('\0') {
        "holds a zero byte"
    } else {
        return Ok(());
    };
    Err(Error::invalid("bad_prompt", "prompt", format!("the prompt {wrong}")))
}

fn must_be_ready(state: &StyleState) -> Result<()> {
    if state.is_ready() {
        return Ok(());
    }
    let missing: Vec<String> = state
        .files
        .iter()
        .filter(|file| !file.is_present)
        .map(|file| format!("`{}`", file.path().file.as_str()))
        .collect();
    let missing = if missing.is_empty() { "its files".to_owned() } else { missing.join(", ") };
    Err(Error::conflict(
        "style_not_ready",
        format!("the style `{}` cannot be used now: {missing} is not on this server", state.style.id),
    ))
}

fn applied(state: &StyleState, prompt: &str) -> String {
    let Style { name, template, .. } = state.style.as_ref();
    let Some(template) = template else { return prompt.to_owned() };
    let trigger_words = state.trigger_words.join(", ");
    template.apply(&TemplateValues { prompt, trigger_words: &trigger_words, style: name })
}

impl RenderedFile {
    fn of(state: &StyleFileState, factor: f64) -> Self {
        Self {
            role: state.role(),
            file: state.path().file.as_str().to_owned(),
            path: state.loader_path(),
            strength: state.file.strength * factor,
            sha256: state.sha256,
            size_bytes: state.size_bytes.unwrap_or_default(),
        }
    }
}
