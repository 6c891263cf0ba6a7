//! What a file says of itself, when no upstream knows it.

use std::fs::File;
use std::path::Path;

use lorakeep_weights::{Header, identify::identify_header};

use crate::domain::{FactOrigin, Facts, ModelPath};
use crate::service::Registry;

/// Trigger words that are taken over.
const MOST_WORDS: usize = 10;

impl Registry {
    /// Reads the header of a safetensors file; `None` when there is no such file or it says nothing.
    pub(super) async fn facts_of_file(&self, path: &ModelPath) -> Option<Facts> {
        let (path, name) = (path.below(&self.inner.config.models_dir), path.file.as_str().to_owned());
        let facts = self.blocking("reading a file's header", move || read(&path, &name)).await.ok()??;
        let says_something = facts.base_model.is_some() || !facts.trained_words.is_empty();
        says_something.then_some(facts)
    }
}

fn read(path: &Path, name: &str) -> Option<Facts> {
    let file = File::open(path).ok()?;
    let header = Header::read(&file, file.metadata().ok()?.len()).ok()?;
    let identity = identify_header(&header, name);
    let words = identity.trigger_words.into_iter().take(MOST_WORDS).map(|trigger| trigger.word);
    Some(Facts {
        origin: FactOrigin::File,
        base_model: identity.base_model.map(str::to_owned),
        trained_words: words.collect(),
        ..Facts::default()
    })
}
