//! What CivitAI knows of a hash, a name or a version, remembered for a while so that pages of images cost few requests.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use crate::service::Registry;
use crate::upstream::UpstreamError;
use crate::upstream::civitai::{Model, Version, choose_file};

/// How long a find is believed.
const FOUND_FOR: TimeDelta = TimeDelta::hours(1);
/// How long a miss is believed.
const MISSED_FOR: TimeDelta = TimeDelta::minutes(10);
/// Answers that are kept; then all are forgotten.
const MOST: usize = 4096;

/// What CivitAI calls a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CivitaiMatch {
    /// Model id.
    pub model_id: Option<u64>,
    /// Version id.
    pub version_id: Option<u64>,
    /// The model's name.
    pub model_name: Option<String>,
    /// The version's name.
    pub version_name: Option<String>,
    /// The base model.
    pub base_model: Option<String>,
    /// `LORA`, `TextualInversion`, …
    pub kind: Option<String>,
    /// The primary file's name.
    pub file: Option<String>,
    /// Where its bytes are asked for.
    pub download_url: Option<String>,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Question {
    Hash(String),
    /// A name and the type of model that it should be.
    Name(String, &'static str),
    Version(u64),
}

/// Answers by question.
#[derive(Debug, Default)]
pub(crate) struct Lookups(Mutex<HashMap<Question, Known>>);

#[derive(Debug, Clone)]
struct Known {
    found: Option<Arc<CivitaiMatch>>,
    until: DateTime<Utc>,
}

impl Lookups {
    fn find(&self, question: &Question, now: DateTime<Utc>) -> Option<Known> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(question).filter(|known| known.until > now).cloned()
    }

    fn keep(&self, question: Question, found: Option<Arc<CivitaiMatch>>, now: DateTime<Utc>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        let until = now + if found.is_some() { FOUND_FOR } else { MISSED_FOR };
        known.insert(question, Known { found, until });
    }
}

impl Registry {
    /// Asks CivitAI unless it was asked lately; failures are not remembered.
    pub(super) async fn look_up(
        &self,
        question: Question,
    ) -> Result<Option<Arc<CivitaiMatch>>, UpstreamError> {
        let lookups = &self.inner.studio.lookups;
        if let Some(known) = lookups.find(&question, self.now()) {
            return Ok(known.found);
        }
        let found = self.ask(&question).await?.map(Arc::new);
        lookups.keep(question, found.clone(), self.now());
        Ok(found)
    }

    async fn ask(&self, question: &Question) -> Result<Option<CivitaiMatch>, UpstreamError> {
        let civitai = &self.inner.jobs.upstreams.civitai;
        let version = match question {
            Question::Hash(hash) => civitai.version_by_hash(hash).await?,
            Question::Version(version_id) => match civitai.version(*version_id, None).await {
                Ok(version) => Some(version),
                Err(error) if error.code == "not_found" => None,
                Err(error) => return Err(error),
            },
            Question::Name(name, kind) => best_of(name, civitai.search_models(name, kind).await?),
        };
        Ok(version.map(|version| self.match_of(&version)))
    }

    fn match_of(&self, version: &Version) -> CivitaiMatch {
        let file = choose_file(version, None);
        let file_id = file.and_then(|file| file.id);
        let url = self.inner.jobs.upstreams.civitai.download_url(version.id, file_id);
        CivitaiMatch {
            model_id: version.model_id,
            version_id: Some(version.id),
            model_name: version.model.name.clone(),
            version_name: version.name.clone(),
            base_model: version.base_model.clone(),
            kind: version.model.kind.clone(),
            file: file.and_then(|file| file.name.clone()),
            download_url: Some(url.to_string()),
        }
    }
}

/// The newest version of the first model that goes by the name: the same words but for separators, a file of that
/// name, or at least two and six in ten of its words.
fn best_of(name: &str, models: Vec<Model>) -> Option<Version> {
    let wanted = words(name);
    let is_meant = |model: &Model| {
        let own = words(model.head.name.as_deref().unwrap_or_default());
        let shared = wanted.iter().filter(|word| own.contains(word)).count();
        let files = model.versions.iter().flat_map(|version| &version.files);
        let stems = files.filter_map(|file| Some(words(file.name.as_deref()?.rsplit_once('.')?.0)));
        own == wanted
            || shared >= 2 && shared * 10 >= wanted.len() * 6
            || stems.into_iter().any(|stem| stem == wanted)
    };
    models.into_iter().find(is_meant)?.versions.into_iter().next()
}

fn words(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split([' ', '_', '-', '.'])
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}
