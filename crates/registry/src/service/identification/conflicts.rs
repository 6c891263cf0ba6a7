//! Where CivitAI says another base model than the file's keys: somebody chose the wrong one there, or the file is not
//! what it is thought to be.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::{FileFacts, SURE};
use crate::domain::{BaseModelFamilies, Entry, EntryId, ModelPath};
use crate::service::Registry;
use crate::service::activity::ActivityLevel;
use crate::store::OfFile;

impl Registry {
    /// What CivitAI and the file do not agree about, for people; by path.
    pub fn base_model_conflicts(&self) -> Vec<(ModelPath, Arc<str>)> {
        let conflicts =
            self.inner.studio.identifications.conflicts.lock().unwrap_or_else(PoisonError::into_inner);
        conflicts.iter().map(|(path, text)| (path.clone(), Arc::clone(text))).collect()
    }

    /// The same of one file.
    pub(in crate::service) fn base_model_conflict(&self, path: &ModelPath) -> Option<Arc<str>> {
        let conflicts =
            self.inner.studio.identifications.conflicts.lock().unwrap_or_else(PoisonError::into_inner);
        conflicts.get(path).cloned()
    }

    /// Counts up whenever the list of conflicts changes.
    pub(in crate::service) fn conflicts_revision(&self) -> u64 {
        self.inner.studio.identifications.revision.load(Ordering::Relaxed)
    }

    /// Compares what CivitAI says of the file with what it says itself, and tells the log when they begin to differ.
    pub(super) async fn compare_base_model(&self, path: &ModelPath, facts: &FileFacts) {
        let text = self.library().entries_at(path).iter().find_map(|entry| conflict(entry, facts));
        if self.set_conflict(path, text.clone())
            && let Some(text) = text
        {
            tracing::warn!(file = %path, "{text}");
            self.log_activity(ActivityLevel::Error, format!("CHECK -- {path}: {text}")).await;
        }
    }

    /// The same after CivitAI said something new.
    pub(in crate::service) async fn compare_entry(&self, id: EntryId) {
        let Some(path) = self.find_entry_by_id(id).map(|entry| entry.path.clone()) else { return };
        match self.file_facts(&path).await {
            Ok(Some(facts)) => self.compare_base_model(&path, &facts).await,
            Ok(None) => {}
            Err(error) => tracing::warn!(file = %path, %error, "what a file says was not compared"),
        }
    }

    /// Answers whether that is new.
    fn set_conflict(&self, path: &ModelPath, text: Option<Arc<str>>) -> bool {
        let identifications = &self.inner.studio.identifications;
        let mut conflicts = identifications.conflicts.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = conflicts.get(path) != text.as_ref();
        match text {
            Some(text) => conflicts.insert(path.clone(), text),
            None => conflicts.remove(path),
        };
        if is_new {
            identifications.revision.fetch_add(1, Ordering::Relaxed);
        }
        is_new
    }

    /// What is known since an earlier start; nothing is told again.
    pub(super) fn recall_conflicts(&self, said: &[OfFile]) {
        for file in said {
            let facts = serde_json::from_str::<FileFacts>(&file.text).ok();
            let library = self.library();
            let text = facts.and_then(|facts| {
                library.entries_at(&file.path).iter().find_map(|entry| conflict(entry, &facts))
            });
            drop(library);
            self.set_conflict(&file.path, text);
        }
    }
}

/// CivitAI's word against the keys', when the keys are sure and the two have nothing in common.
fn conflict(entry: &Entry, facts: &FileFacts) -> Option<Arc<str>> {
    let said = entry.document.some_text("civitai_base_model")?;
    let own = facts.base_model.as_deref().filter(|_| facts.confidence >= SURE)?;
    let families = BaseModelFamilies::builtin();
    let mut may_be = std::iter::once(own).chain(facts.candidates.iter().map(String::as_str));
    let is_other = |name: &str| {
        families.differ(said, name) || families.differ(said, name.split(' ').next().unwrap_or(name))
    };
    may_be
        .all(is_other)
        .then(|| format!("CivitAI says base model `{said}`, the file's keys say `{own}`").into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::{CatalogName, EntryDocument};

    fn between(said: &str, own: &str, candidates: &[&str], confidence: f64) -> Option<String> {
        let document = json!({"file": "a.safetensors", "dest": "loras", "civitai_base_model": said});
        let serde_json::Value::Object(fields) = document else { unreachable!() };
        let id = EntryId::new(chrono::DateTime::UNIX_EPOCH);
        let entry = Entry::from_document(id, CatalogName::Loras, "x", EntryDocument::from(fields)).unwrap();
        let facts = FileFacts {
            base_model: Some(own.to_owned()),
            candidates: candidates.iter().map(|name| (*name).to_owned()).collect(),
            confidence,
            ..FileFacts::default()
        };
        conflict(&entry, &facts).map(|text| text.to_string())
    }

    #[test]
    fn only_what_cannot_be_meant_by_the_same_word_is_a_conflict() {
        let text = between("SD 1.5", "sdxl", &[], 0.9).unwrap();
        assert_eq!(text, "CivitAI says base model `SD 1.5`, the file's keys say `sdxl`");
        assert!(between("Flux.1 D", "wan2.1 t2v-14b", &[], 0.9).is_some());
        assert!(between("Pony", "sdxl", &[], 0.9).is_none(), "the keys of both are the same");
        assert!(between("Illustrious", "sdxl", &[], 0.9).is_none());
        assert!(between("Flux.2 Klein 9B", "flux2 klein-9b", &[], 0.9).is_none());
        assert!(between("Wan Video 2.2 I2V-A14B", "wan2.1 i2v-14b", &[], 0.9).is_none());
        assert!(between("SD 1.5", "sdxl", &["sd-1"], 0.9).is_none(), "the keys cannot decide");
        assert!(between("SD 1.5", "sdxl", &[], 0.5).is_none(), "the keys are not sure");
        assert!(between("Other", "sdxl", &[], 0.9).is_none(), "nobody knows what that is");
    }
}
