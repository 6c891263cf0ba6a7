//! What other programs write beside a model: read into one form, and written from an entry.
//!
//! | flavour | file | written by |
//! |---|---|---|
//! | `civitai_info` | `<stem>.civitai.info` | Civitai Helper, A1111 and Forge |
//! | `lora_manager` | `<stem>.metadata.json` | ComfyUI LoRA Manager |
//! | `stability_matrix` | `<stem>.cm-info.json` | Stability Matrix |
//! | `a1111` | `<stem>.json` | A1111, Forge; SD.Next and civitai-browser-plus write other things there |
//!
//! What CivitAI says is taken from the first of them that knows the version; the others add what it lacks, as long as
//! they mean the same version. What a user wrote is taken from LoRA Manager, then A1111, then Stability Matrix.
//! An entry only ever gains what it lacks.

mod a1111;
mod apply;
mod civitai_info;
mod keeping;
mod limits;
mod lora_manager;
mod previews;
mod read;
mod stability_matrix;
#[cfg(test)]
mod tests;
mod write;

use crate::domain::Facts;

pub(super) use apply::apply;
pub(crate) use keeping::Sidecars;
pub use keeping::{SidecarRefusal, SidecarReport};
pub(super) use previews::{Preview, previews_beside};
pub(super) use read::{Beside, SidecarReading, read_beside};
pub(super) use write::{Writing, write_beside};

/// What a sidecar says; everything can be absent.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Said {
    /// What CivitAI says, by way of the sidecar.
    pub(super) facts: Facts,
    /// A description, text or HTML of a stranger.
    pub(super) description: Option<String>,
    /// What the user of the other program wrote.
    pub(super) own: Own,
}

/// A user's own words.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Own {
    /// A name for people.
    pub(super) name: Option<String>,
    /// Notes.
    pub(super) notes: Option<String>,
    /// Words to put into a prompt.
    pub(super) trigger_words: Vec<String>,
    /// Words to put into the negative prompt.
    pub(super) negative: Option<String>,
    /// The strength to use it with.
    pub(super) strength: Option<f64>,
    /// How to use it.
    pub(super) usage_tips: Option<String>,
    /// Tags.
    pub(super) tags: Vec<String>,
    /// Whether it is a favourite.
    pub(super) is_favorite: bool,
}

impl Said {
    /// Adds what another sidecar says where this one says nothing.
    fn add(&mut self, other: Self) {
        let is_same = match (self.facts.version_id, other.facts.version_id) {
            (Some(own), Some(theirs)) => own == theirs,
            _ => true,
        };
        if is_same {
            add_facts(&mut self.facts, other.facts);
        }
        let Own { name, notes, trigger_words, negative, strength, usage_tips, tags, is_favorite } = other.own;
        or(&mut self.description, other.description);
        or(&mut self.own.name, name);
        or(&mut self.own.notes, notes);
        or_list(&mut self.own.trigger_words, trigger_words);
        or(&mut self.own.negative, negative);
        or(&mut self.own.strength, strength);
        or(&mut self.own.usage_tips, usage_tips);
        or_list(&mut self.own.tags, tags);
        self.own.is_favorite |= is_favorite;
    }
}

fn add_facts(own: &mut Facts, other: Facts) {
    or(&mut own.name, other.name);
    or(&mut own.civitai_base_model, other.civitai_base_model);
    or(&mut own.base_model, other.base_model);
    or_list(&mut own.tags, other.tags);
    or_list(&mut own.trained_words, other.trained_words);
    or(&mut own.version, other.version);
    or(&mut own.version_id, other.version_id);
    or(&mut own.model_id, other.model_id);
    or(&mut own.file_id, other.file_id);
    or(&mut own.model_name, other.model_name);
    or(&mut own.kind, other.kind);
    or(&mut own.precision, other.precision);
    or(&mut own.author, other.author);
    or(&mut own.last_modified, other.last_modified);
    or(&mut own.sha256, other.sha256);
    own.is_nsfw |= other.is_nsfw;
}

fn or<T>(own: &mut Option<T>, other: Option<T>) {
    if own.is_none() {
        *own = other;
    }
}

fn or_list(own: &mut Vec<String>, other: Vec<String>) {
    if own.is_empty() {
        *own = other;
    }
}
