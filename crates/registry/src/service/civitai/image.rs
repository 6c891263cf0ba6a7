//! What an image on CivitAI was made with, and which of it is here.
//!
//! Upstreams change their shapes: whatever can be read is answered, the rest is named in `warnings`.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use serde_json::{Map, Value, json};

use super::lookups::{CivitaiMatch, Question};
use super::map::MappedEntry;
use crate::domain::{
    CatalogName, Dependency, Entry, clean_prompt, dependencies, inferred_process, workflow_type,
};
use crate::error::Result;
use crate::service::Registry;
use crate::upstream::UpstreamError;
use crate::upstream::civitai::{GenerationData, Image};

/// Questions to CivitAI at once; how often it is asked is the client's matter.
const AT_ONCE: usize = 4;
/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// Dependencies and resources that are looked at.
const MOST: usize = 40;

/// What an image was made with.
#[derive(Debug, Clone)]
pub struct ImageGeneration {
    /// CivitAI's whole answer.
    pub raw: Value,
    /// What CivitAI says it was made with.
    pub resources: Vec<Resource>,
    /// What its prompts and metadata name beside that.
    pub detected: Vec<Detected>,
    /// The prompt without LoRA tags.
    pub clean_prompt: String,
    /// The metadata: prompt, steps, …
    pub meta: Value,
    /// `image` or `video`.
    pub kind: String,
    /// `txt2img`, `img2img`, …
    pub process: Option<String>,
    /// As answered.
    pub techniques: Vec<Value>,
    /// As answered.
    pub tools: Vec<Value>,
    /// `t2i`, `i2i`, `t2v`, `i2v` or `unknown`.
    pub detected_type: &'static str,
    /// What could not be read or found out.
    pub warnings: Vec<String>,
}

/// One thing that CivitAI lists.
#[derive(Debug, Clone)]
pub struct Resource {
    /// As answered.
    pub record: Map<String, Value>,
    /// Its entry, when a catalog has it.
    pub entry: Option<MappedEntry>,
}

/// One thing that prompts or metadata name.
#[derive(Debug, Clone)]
pub struct Detected {
    /// As written.
    pub dependency: Dependency,
    /// What CivitAI calls it, when it was found there.
    pub civitai: Option<Arc<CivitaiMatch>>,
    /// Its entry, when a catalog has it.
    pub entry: Option<MappedEntry>,
}

impl Registry {
    /// Reads the generation data of an image and looks up what it was made with.
    pub async fn image_generation(&self, image_id: u64) -> Result<ImageGeneration> {
        let mut warnings = Vec::new();
        let GenerationData { raw, data } = self.generation_data(image_id, &mut warnings).await?;
        let resources = self.resources(&data, &mut warnings).await;
        let known: Vec<String> = resources
            .iter()
            .filter_map(|resource| Some(resource.record.get("modelName")?.as_str()?.to_lowercase()))
            .collect();
        let meta = match data.get("meta") {
            Some(Value::Object(meta)) => Value::Object(meta.clone()),
            None | Some(Value::Null) => json!({}),
            Some(_) => {
                warnings.push("`meta` is not an object".to_owned());
                json!({})
            }
        };
        let detected = self.detected(dependencies(&meta, &known), &mut warnings).await;
        let text = |field: &str| data.get(field).and_then(Value::as_str).map(str::to_owned);
        Ok(ImageGeneration {
            resources,
            detected,
            clean_prompt: clean_prompt(meta.get("prompt").and_then(Value::as_str).unwrap_or_default()),
            kind: text("type").unwrap_or_else(|| "image".to_owned()),
            process: text("process"),
            techniques: listed(&data, "techniques", &mut warnings),
            tools: listed(&data, "tools", &mut warnings),
            detected_type: workflow_type(&data),
            meta,
            raw,
            warnings,
        })
    }

    /// The site's own data with a key, else what its public API tells.
    async fn generation_data(&self, image_id: u64, warnings: &mut Vec<String>) -> Result<GenerationData> {
        let civitai = &self.inner.jobs.upstreams.civitai;
        match civitai.generation_data(image_id).await {
            Ok(Some(data)) => return Ok(data),
            Ok(None) => {}
            Err(error) => warnings.push(format!("{error}; the public API was asked instead")),
        }
        let image = civitai.image(image_id).await?;
        if image.meta.is_null() {
            warnings.push("its author hides how the image was made, or nothing is known of it".to_owned());
        }
        Ok(GenerationData::of(public_data(&image)))
    }

    /// The resources that CivitAI lists, each with its entry; what the public API leaves out is looked up.
    async fn resources(&self, data: &Value, warnings: &mut Vec<String>) -> Vec<Resource> {
        let records = listed(data, "resources", warnings);
        let (objects, others): (Vec<Value>, Vec<Value>) = records.into_iter().partition(Value::is_object);
        if !others.is_empty() {
            warnings.push(format!("{} of `resources` are not objects", others.len()));
        }
        let work = objects.into_iter().take(MOST).map(|record| self.resource(record));
        let done: Vec<(Resource, Option<String>)> = stream::iter(work).buffered(AT_ONCE).collect().await;
        let (resources, faults): (Vec<_>, Vec<_>) = done.into_iter().unzip();
        warnings.extend(faults.into_iter().flatten());
        resources
    }

    async fn resource(&self, record: Value) -> (Resource, Option<String>) {
        let Value::Object(mut record) = record else {
            return (Resource { record: Map::new(), entry: None }, None);
        };
        let version_id =
            ["versionId", "modelVersionId"].into_iter().find_map(|field| record.get(field)?.as_u64());
        let entry =
            version_id.and_then(|version_id| self.library().entries_of_version(version_id).last().cloned());
        let mut fault = None;
        if let (Some(version_id), false) = (version_id, record.contains_key("modelName")) {
            match self.look_up_patiently(Question::Version(version_id)).await {
                Ok(Some(found)) => complete(&mut record, &found),
                Ok(None) => fault = Some(format!("CivitAI knows no version {version_id} any more")),
                Err(error) => fault = Some(error),
            }
        }
        (Resource { record, entry: entry.map(|entry| self.mapped(entry)) }, fault)
    }

    async fn detected(&self, dependencies: Vec<Dependency>, warnings: &mut Vec<String>) -> Vec<Detected> {
        if dependencies.len() > MOST {
            warnings
                .push(format!("only the first {MOST} of {} dependencies are answered", dependencies.len()));
        }
        let work = dependencies.into_iter().take(MOST).map(|dependency| self.resolve(dependency));
        let done: Vec<(Detected, Option<String>)> = stream::iter(work).buffered(AT_ONCE).collect().await;
        let (detected, faults): (Vec<_>, Vec<_>) = done.into_iter().unzip();
        warnings.extend(faults.into_iter().flatten());
        detected
    }

    /// Looks into the catalogs, then asks CivitAI by hash, then by name.
    async fn resolve(&self, dependency: Dependency) -> (Detected, Option<String>) {
        if let Some(entry) = self.entry_like(&dependency) {
            let civitai = match_of_entry(&entry).map(Arc::new);
            return (Detected { dependency, civitai, entry: Some(self.mapped(entry)) }, None);
        }
        let (civitai, fault) = match self.ask_civitai(&dependency).await {
            Ok(found) => (found, None),
            Err(error) => (None, Some(format!("`{}` could not be looked up: {error}", dependency.name))),
        };
        let version_id = civitai.as_ref().and_then(|found| found.version_id);
        let entry = version_id.and_then(|id| self.library().entries_of_version(id).last().cloned());
        (Detected { dependency, civitai, entry: entry.map(|entry| self.mapped(entry)) }, fault)
    }

    async fn ask_civitai(&self, dependency: &Dependency) -> Result<Option<Arc<CivitaiMatch>>, String> {
        if let Some(hash) = dependency.hash.as_deref().filter(|hash| is_hash(hash)) {
            let found = self.look_up_patiently(Question::Hash(hash.to_uppercase())).await?;
            if found.is_some() {
                return Ok(found);
            }
        }
        let kind = if dependency.kind.as_deref() == Some("embedding") { "TextualInversion" } else { "LORA" };
        self.look_up_patiently(Question::Name(dependency.name.clone(), kind)).await
    }

    async fn look_up_patiently(&self, question: Question) -> Result<Option<Arc<CivitaiMatch>>, String> {
        match tokio::time::timeout(PATIENCE, self.look_up(question)).await {
            Ok(answer) => answer.map_err(|error: UpstreamError| error.message),
            Err(_) => Err("CivitAI did not answer in time".to_owned()),
        }
    }

    /// The entry whose content has that hash, else whose file has that name.
    fn entry_like(&self, dependency: &Dependency) -> Option<Arc<Entry>> {
        let library = self.library();
        let entries = || CatalogName::ALL.into_iter().flat_map(|catalog| library.catalog(catalog).entries());
        let hash = dependency.hash.as_deref().filter(|hash| is_hash(hash)).map(str::to_lowercase);
        let by_hash = hash.and_then(|hash| {
            let begins = |sha256: lorakeep_weights::Sha256| sha256.to_string().starts_with(&hash);
            let on_disk = |entry: &Entry| library.file(&entry.path).and_then(|fact| fact.sha256);
            entries().find(|entry| {
                entry.document.sha256().is_some_and(begins) || on_disk(entry).is_some_and(begins)
            })
        });
        let by_name =
            || entries().find(|entry| entry.path.file.stem().eq_ignore_ascii_case(&dependency.name));
        by_hash.or_else(by_name).cloned()
    }
}

/// The form of the site's own data, from what its public API tells.
fn public_data(image: &Image) -> Value {
    let resources: Vec<Value> = image
        .resources()
        .into_iter()
        .map(|(version_id, kind, weight)| {
            json!({
                "imageId": image.id, "modelVersionId": version_id, "versionId": version_id, "strength": weight,
                "modelType": kind,
            })
        })
        .collect();
    json!({
        "type": image.kind, "process": inferred_process(&image.meta), "meta": image.meta, "resources": resources,
        "techniques": [], "tools": [],
    })
}

/// Names of a version that the record lacks.
fn complete(record: &mut Map<String, Value>, found: &CivitaiMatch) {
    let known = [
        ("modelId", found.model_id.map(Value::from)),
        ("modelName", found.model_name.clone().map(Value::from)),
        ("modelType", found.kind.clone().map(Value::from)),
        ("versionName", found.version_name.clone().map(Value::from)),
        ("baseModel", found.base_model.clone().map(Value::from)),
    ];
    for (field, value) in known.into_iter().filter_map(|(field, value)| Some((field, value?))) {
        record.insert(field.to_owned(), value);
    }
}

/// What the catalog knows of a file of CivitAI.
fn match_of_entry(entry: &Entry) -> Option<CivitaiMatch> {
    let document = &entry.document;
    let text = |field: &str| document.some_text(field).map(str::to_owned);
    Some(CivitaiMatch {
        version_id: Some(document.id("civitai_version_id")?),
        model_id: document.id("civitai_model_id"),
        model_name: text("civitai_model_name"),
        version_name: text("civitai_version"),
        base_model: text("civitai_base_model").or_else(|| text("base_model")),
        kind: text("civitai_type"),
        file: Some(entry.file().to_owned()),
        download_url: None,
    })
}

/// Eight or more hexadecimal digits; shorter ones are shared by too many files.
fn is_hash(text: &str) -> bool {
    (8..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The elements of a field; absent and null count as none.
fn listed(data: &Value, field: &str, warnings: &mut Vec<String>) -> Vec<Value> {
    match data.get(field) {
        Some(Value::Array(list)) => list.clone(),
        None | Some(Value::Null) => Vec::new(),
        Some(_) => {
            warnings.push(format!("`{field}` is not a list"));
            Vec::new()
        }
    }
}
