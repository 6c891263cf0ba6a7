//! Adding versions of one model to the styles, fetching their files and pictures of them.

use super::add::{entry_of, no_file, place, restriction};
use super::previews::Previews;
use crate::domain::{
    CatalogName, Category, EntryDocument, ModelFolder, ModelHome, StyleCategory, Trigger, cleaned_name,
    plain_text,
};
use crate::error::{Error, Result};
use crate::service::add::Place;
use crate::service::{Enqueue, Registry, Severity};
use crate::upstream::civitai::{Model, Version, VersionFile, choose_file};

/// Characters of a description that an entry keeps.
const DESCRIPTION: usize = 500;

/// What is to be added. What the client says of the model stands before what CivitAI says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AddStyles {
    /// Model id.
    pub model_id: u64,
    /// Its versions.
    pub versions: Vec<WantedVersion>,
    /// Who made it.
    pub author: Option<String>,
    /// Text or HTML.
    pub description: Option<String>,
    /// Tags of the new entries.
    pub tags: Option<Vec<String>>,
    /// Stars, or whatever the client counts.
    pub rating: Option<f64>,
    /// How often it was downloaded.
    pub downloads: Option<u64>,
}

/// One version, and perhaps one of its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WantedVersion {
    /// Version id.
    pub version_id: u64,
    /// File id; the primary file when absent.
    pub file_id: Option<u64>,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StylesAdded {
    /// Files that are new and queued.
    pub added: Vec<String>,
    /// What was left out.
    pub skipped: Vec<SkippedVersion>,
}

/// A version that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedVersion {
    /// Its file here, else its id.
    pub name: String,
    /// Why, for people.
    pub reason: String,
}

impl Registry {
    /// Adds versions of a model to the catalog `loras`, queues their files, and fetches pictures in the background.
    ///
    /// A version that cannot be added is left out with its reason; CivitAI's refusal of the model is an error.
    pub async fn add_styles(&self, wanted: AddStyles) -> Result<StylesAdded> {
        let model = self.inner.jobs.upstreams.civitai.model(wanted.model_id).await?;
        let mut outcome = StylesAdded::default();
        for version in &wanted.versions {
            match self.add_style(&model, *version, &wanted).await {
                Ok(file) => outcome.added.push(file),
                Err(Left::Out(skipped)) => outcome.skipped.push(skipped),
                Err(Left::Failed(error)) => return Err(error),
            }
        }
        if !outcome.added.is_empty() {
            let count = outcome.added.len();
            let name = model.head.name.as_deref().unwrap_or("a model");
            let data = serde_json::json!({ "model_id": model.id, "files": outcome.added });
            self.tell(
                "lora.added",
                Severity::Success,
                format!("Added {count} of {name} to the styles"),
                data,
            );
        }
        Ok(outcome)
    }

    async fn add_style(
        &self,
        model: &Model,
        wanted: WantedVersion,
        said: &AddStyles,
    ) -> Result<String, Left> {
        let WantedVersion { version_id, file_id } = wanted;
        let left_out = |reason: String| Left::Out(SkippedVersion { name: version_id.to_string(), reason });
        if let Some(entry) = self.entry_of_version(version_id, file_id) {
            let reason = format!("it is in the catalog `{}` already", entry.catalog);
            return Err(Left::Out(SkippedVersion { name: entry.file().to_owned(), reason }));
        }
        let version = self.version_of_model(model, version_id).await?;
        let version = &version.ok_or_else(|| left_out(format!("model {} has no such version", model.id)))?;
        if let Some(reason) = restriction(version, false, self.now()) {
            return Err(left_out(reason));
        }
        let file = choose_file(version, file_id)
            .ok_or_else(|| left_out(no_file(version_id, file_id).to_string()))?;
        let (home, mut document) = entry_of(version, file);
        if !is_lora(home) {
            let kind = version.model.kind.as_deref().unwrap_or("of no type");
            return Err(left_out(format!("it is no LoRA but {kind}; add it with `civitai/add`")));
        }
        describe(&mut document, model, version, file, said);
        let previews = Previews::of(version);
        document.set("images", previews.names());
        let file = self.insert_style(version, file, home, document).await?;
        self.fetch_previews(model.id, previews);
        let how = Enqueue { force: false, trigger: Trigger::Batch, priority: 0 };
        self.enqueue(&file, Some(home.dest), how).await?;
        Ok(file)
    }

    /// The version by its own record: a model's list does not say who may have it.
    async fn version_of_model(&self, model: &Model, version_id: u64) -> Result<Option<Version>> {
        match self.inner.jobs.upstreams.civitai.version(version_id, Some(model.id)).await {
            Ok(version) if version.model_id == Some(model.id) => {
                Ok(Some(Version { model: model.head.clone(), ..version }))
            }
            Ok(_) => Ok(None),
            Err(error) if error.code == "not_found" => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Puts the entry among the styles under a name that is free, and answers that name.
    async fn insert_style(
        &self,
        version: &Version,
        file: &VersionFile,
        home: ModelHome,
        mut document: EntryDocument,
    ) -> Result<String, Left> {
        let folder = ModelFolder::parse("dest", home.dest).map_err(Error::from)?;
        let style = StyleCategory::of(version.base_model.as_deref().unwrap_or_default());
        let category = Category::new(style.id, style.name);
        // The name may be taken between choosing it and adding the entry; then it is chosen again.
        loop {
            let name = file.name.as_deref().unwrap_or_default();
            match place(&self.library(), version, file, &folder, name)? {
                Place::Taken(entry) => {
                    let reason = format!("the same file is in the catalog `{}` already", entry.catalog);
                    return Err(Left::Out(SkippedVersion { name: entry.file().to_owned(), reason }));
                }
                Place::Free(path) => document.set("file", path.file.as_str()),
            }
            match self.insert_entry(CatalogName::Loras, &category, document.clone()).await {
                Err(Error::Conflict { code: "exists", .. }) => {}
                other => return Ok(other?.file().to_owned()),
            }
        }
    }
}

/// Why a version was not added.
enum Left {
    /// Told beside the others.
    Out(SkippedVersion),
    /// Ends the whole call.
    Failed(Error),
}

impl From<Error> for Left {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

fn is_lora(home: ModelHome) -> bool {
    home.dest == "loras"
}

/// What the contract's entries of styles say beyond those of models.
fn describe(
    document: &mut EntryDocument,
    model: &Model,
    version: &Version,
    file: &VersionFile,
    said: &AddStyles,
) {
    let head = &model.head;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (base_model, precision) = (text(&version.base_model), text(&file.precision));
    document.set("name", cleaned_name(&text(&head.name), &text(&version.name), &base_model, &precision));
    document.set("tags", said.tags.clone().unwrap_or_else(|| head.tags.clone()));
    document.set("trigger_words", version.trained_words.clone());
    let description = said.description.as_ref().or(head.description.as_ref());
    document.set("description", plain_text(description.map_or("", String::as_str), DESCRIPTION));
    document.set("author", text(&said.author.clone().or_else(|| head.creator.clone())));
    if let Some(rating) = said.rating.or(head.rating) {
        document.set("rating", rating);
    }
    if let Some(downloads) = said.downloads.or(head.downloads) {
        document.set("downloads", downloads);
    }
}
