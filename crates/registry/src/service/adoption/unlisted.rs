//! Model files that no catalog knows: an entry each, placed by what the file is, then by where it lies, and told about
//! by the sidecars beside it.
//!
//! An adapter goes to the styles, into the category of its base model; everything else to the models, into the category
//! of its folder. A file that says nothing goes where its folder says.

use std::path::Path;
use std::sync::Arc;

use super::run::Run;
use crate::domain::{
    CatalogName, Category, Entry, EntryDocument, EntryId, ModelPath, Sayings, StyleCategory,
    category_of_folder,
};
use crate::error::Result;
use crate::library::{CatalogChange, Placed};
use crate::service::identification::{FileFacts, Words, describe, inspect_file};
use crate::service::import::Places;
use crate::service::presence::adopted_document;
use crate::service::sidecars::{Beside, SidecarReading, apply, read_beside};
use crate::store;

/// Files whose entries are made in one transaction.
const BATCH: usize = 200;
/// Folders of other programs, and the folder of ComfyUI that holds the same; lower case.
const FOLDERS: [(&str, &str); 14] = [
    ("stable-diffusion", "checkpoints"),
    ("stablediffusion", "checkpoints"),
    ("unet", "diffusion_models"),
    ("diffusionmodels", "diffusion_models"),
    ("lora", "loras"),
    ("lycoris", "loras"),
    ("textencoders", "text_encoders"),
    ("clip", "text_encoders"),
    ("clipvision", "clip_vision"),
    ("esrgan", "upscale_models"),
    ("realesrgan", "upscale_models"),
    ("swinir", "upscale_models"),
    ("textualinversion", "embeddings"),
    ("controlnet", "controlnet"),
];
/// Kinds of files that only one category holds, whatever the folder.
const KINDS: [(&str, &str); 7] = [
    ("checkpoint", "checkpoints"),
    ("transformer", "diffusion_models"),
    ("unet", "diffusion_models"),
    ("vae", "vae"),
    ("text_encoder", "text_encoders"),
    ("controlnet", "controlnet"),
    ("upscaler", "upscale_models"),
];

/// A file that becomes an entry.
struct Made {
    entry: Entry,
    category: Category,
    said: Sayings,
    counts: [u64; 4],
    unreadable: u64,
    warnings: Vec<String>,
}

impl Run {
    /// Makes entries of unlisted files, when that is asked for.
    pub(super) async fn unlisted(&mut self) -> Result<()> {
        if !self.request.unlisted {
            return Ok(());
        }
        let files = self.unlisted_files();
        self.begin("unlisted", files.len() as u64);
        if self.request.is_dry {
            self.report.files.adopted = files.len() as u64;
            return Ok(());
        }
        for some in files.chunks(BATCH) {
            if self.is_stopped() {
                return Ok(());
            }
            let made = self.looked_into(some).await?;
            self.add(made).await?;
        }
        Ok(())
    }

    fn unlisted_files(&self) -> Vec<(ModelPath, u64, Beside)> {
        let library = self.registry.library();
        let is_there = |path: &ModelPath| library.file(path).is_some();
        let unlisted = library.unlisted().filter(|(path, _)| !self.planned.contains(*path));
        let mut files: Vec<_> = unlisted
            .map(|(path, fact)| {
                (path.clone(), fact.stamp.size_bytes, Beside::of(path, &self.written, is_there))
            })
            .collect();
        files.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        files
    }

    /// Reads the files and what lies beside them, off the async threads.
    async fn looked_into(&self, files: &[(ModelPath, u64, Beside)]) -> Result<Vec<Made>> {
        let root = self.registry.inner.config.models_dir.clone();
        let (files, now, stop) = (files.to_vec(), self.registry.now(), self.stop.clone());
        let made = move || {
            let wanted = files.into_iter().take_while(|_| !stop.is_cancelled());
            wanted
                .map(|(path, size, beside)| look_into(&root, path, size, &beside, EntryId::new(now)))
                .collect()
        };
        self.registry.blocking("looking into model files", made).await
    }

    async fn add(&mut self, made: Vec<Made>) -> Result<()> {
        let registry = self.registry.clone();
        let turn = registry.catalog_turn().await;
        let mut changes = CatalogName::ALL.map(|name| CatalogChange::of(name, registry.next_head(name)));
        let mut facts = Vec::new();
        {
            let library = registry.library();
            let mut places = CatalogName::ALL.map(|name| Places::of(library.catalog(name)));
            for made in made {
                self.step();
                if !library.entries_at(&made.entry.path).is_empty() {
                    continue;
                }
                let at = usize::from(made.entry.catalog == CatalogName::Loras);
                let position = places[at].next(&made.category, &mut changes[at].categories);
                let changed_version = changes[at].head.version;
                facts.push((made.entry.id, made.said));
                self.made.insert(made.entry.id);
                changes[at].entries.push(Placed { entry: Arc::new(made.entry), position, changed_version });
                self.report.files.adopted += 1;
                self.report.sidecars.count(made.counts);
                self.report.sidecars.unreadable += made.unreadable;
                made.warnings.into_iter().for_each(|warning| self.report.warn(warning));
            }
        }
        let changes: Vec<CatalogChange> =
            changes.into_iter().filter(|change| !change.entries.is_empty()).collect();
        if changes.is_empty() {
            return Ok(());
        }
        facts.retain(|(_, said)| *said != Sayings::default());
        registry.commit_with(turn, changes, Some(store::Beside::Said(facts))).await
    }
}

/// The entry of a file by what it is, where it lies and what is said beside it.
fn look_into(root: &Path, path: ModelPath, size_bytes: u64, beside: &Beside, id: EntryId) -> Made {
    let document = adopted_document(&path, size_bytes);
    let mut entry = Entry { id, catalog: CatalogName::Models, category: String::new(), path, document };
    let SidecarReading { said, counts, faults: mut warnings } = read_beside(root, beside, &entry, size_bytes);
    let unreadable = warnings.len() as u64;
    let said = apply(&mut entry.document, &said, &Sayings::default());
    let facts = match inspect_file(&entry.path.below(root), entry.file()) {
        Ok(facts) => Some(facts),
        Err(error) => {
            warnings.push(format!("`{}` cannot be looked into: {error}", entry.path));
            None
        }
    };
    if let Some(facts) = &facts {
        if facts.verdict["verdict"] == "denied" {
            let reason = facts.verdict["reason"].as_str().unwrap_or("its content may be a program");
            warnings.push(format!("`{}` should not be loaded: {reason}", entry.path));
        }
        describe(&mut entry.document, facts, Words::Named);
    }
    let (catalog, category) = home(&entry.path, &entry.document, facts.as_ref());
    entry.catalog = catalog;
    entry.category.clone_from(&category.id);
    Made { entry, category, said, counts, unreadable, warnings }
}

/// Catalog and category.
fn home(path: &ModelPath, document: &EntryDocument, facts: Option<&FileFacts>) -> (CatalogName, Category) {
    let folder = meant_folder(path);
    let kind = facts.map_or("unknown", |facts| facts.kind.as_str());
    let is_lora = kind == "lora" || (kind == "unknown" && folder == "loras");
    if is_lora {
        let style = StyleCategory::of(document.base_model());
        return (CatalogName::Loras, Category::new(style.id, style.name));
    }
    let by_kind = KINDS.iter().find(|(own, _)| *own == kind).map(|(_, folder)| *folder);
    // A folder that people made says less than the file; one that loaders know says where it is used.
    let folder = if is_usual(&folder) { folder.as_str() } else { by_kind.unwrap_or(&folder) };
    let id = if folder.is_empty() { "other" } else { category_of_folder(folder) };
    (CatalogName::Models, Category::named_after_id(id))
}

/// The first part of the path, in ComfyUI's words.
fn meant_folder(path: &ModelPath) -> String {
    let first = path.folder.as_str().split('/').next().unwrap_or_default();
    let lower = first.to_lowercase();
    let meant = FOLDERS.iter().find(|(own, _)| *own == lower).map(|(_, meant)| (*meant).to_owned());
    meant.unwrap_or(if is_usual(&lower) { lower } else { first.to_owned() })
}

fn is_usual(folder: &str) -> bool {
    const OTHERS: [&str; 8] = [
        "loras",
        "clip_vision",
        "embeddings",
        "ipadapter",
        "hypernetworks",
        "style_models",
        "animatediff_models",
        "ultralytics",
    ];
    KINDS.iter().any(|(_, own)| *own == folder) || OTHERS.contains(&folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(path: &str, kind: &str, base_model: &str) -> (CatalogName, String) {
        let path = ModelPath::parse_relative("path", path).unwrap();
        let mut document = EntryDocument::default();
        document.set("base_model", base_model);
        let facts = FileFacts { kind: kind.to_owned(), ..FileFacts::default() };
        let (catalog, category) = home(&path, &document, Some(&facts));
        (catalog, category.id)
    }

    #[test]
    fn a_file_goes_where_its_content_and_its_folder_say() {
        let cases = [
            ("loras/a.safetensors", "lora", "SDXL 1.0", CatalogName::Loras, "sdxl_loras"),
            ("Lora/a.pt", "unknown", "", CatalogName::Loras, "other_loras"),
            ("checkpoints/deep/a.safetensors", "checkpoint", "", CatalogName::Models, "checkpoints"),
            ("Stable-diffusion/a.safetensors", "checkpoint", "", CatalogName::Models, "checkpoints"),
            ("VAE/a.pt", "unknown", "", CatalogName::Models, "vae"),
            ("mine/a.safetensors", "vae", "", CatalogName::Models, "vae"),
            ("mine/a.bin", "unknown", "", CatalogName::Models, "mine"),
            ("upscale_models/a.pth", "upscaler", "", CatalogName::Models, "upscalers"),
            ("a.safetensors", "unknown", "", CatalogName::Models, "other"),
            ("checkpoints/style.safetensors", "lora", "Flux.1 D", CatalogName::Loras, "flux_loras"),
        ];
        for (path, kind, base_model, catalog, category) in cases {
            assert_eq!(placed(path, kind, base_model), (catalog, category.to_owned()), "{path} {kind}");
        }
    }
}
