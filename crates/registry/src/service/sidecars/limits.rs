//! How much of a sidecar an entry takes: texts of strangers, in a document that has a limit of its own.

use super::Said;

/// Characters of a name and the like.
const SHORT: usize = 300;
/// Characters of notes and descriptions.
const LONG: usize = 16_000;
/// Words of a list.
const WORDS: usize = 50;

/// Cuts what is longer than anybody writes.
pub(super) fn tamed(mut said: Said) -> Said {
    let facts = &mut said.facts;
    for text in [
        &mut facts.name,
        &mut facts.civitai_base_model,
        &mut facts.base_model,
        &mut facts.version,
        &mut facts.model_name,
        &mut facts.kind,
        &mut facts.precision,
        &mut facts.author,
        &mut facts.last_modified,
        &mut said.own.name,
    ] {
        cut(text, SHORT);
    }
    for text in [&mut said.description, &mut said.own.notes, &mut said.own.negative, &mut said.own.usage_tips]
    {
        cut(text, LONG);
    }
    for list in [&mut facts.tags, &mut facts.trained_words, &mut said.own.trigger_words, &mut said.own.tags] {
        list.truncate(WORDS);
        for word in list.iter_mut() {
            cut_text(word, SHORT);
        }
    }
    said
}

fn cut(text: &mut Option<String>, most: usize) {
    if let Some(text) = text {
        cut_text(text, most);
    }
}

fn cut_text(text: &mut String, most: usize) {
    if let Some((end, _)) = text.char_indices().nth(most) {
        text.truncate(end);
    }
}
