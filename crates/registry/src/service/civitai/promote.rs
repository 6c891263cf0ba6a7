//! Making a LoRA of the models catalog a style: one transaction over both catalogs (decision 12).

use std::sync::Arc;

use crate::domain::{CatalogName, Category, Entry, StyleCategory};
use crate::error::{Error, Result, Thing};
use crate::library::{CatalogChange, Placed};
use crate::service::Registry;
use crate::service::import::Places;

/// What came of it.
#[derive(Debug, Clone)]
pub enum Promoted {
    /// The entry as it stands among the styles now.
    Promoted(Arc<Entry>),
    /// The version is a style already.
    AlreadyExists,
}

impl Registry {
    /// Moves the entry of a version from `models` to `loras`. Its file and its id stay.
    ///
    /// `NotFound` when no catalog knows the version, `Invalid` (`not_a_lora`) when its folder is not `loras`.
    pub async fn promote_version(&self, version_id: u64) -> Result<Promoted> {
        let turn = self.catalog_turn().await;
        let entries = self.library().entries_of_version(version_id).to_vec();
        if entries.iter().any(|entry| entry.catalog == CatalogName::Loras) {
            return Ok(Promoted::AlreadyExists);
        }
        if entries.is_empty() {
            return Err(Error::not_found(Thing::Version, version_id.to_string()));
        }
        let Some(entry) = entries.into_iter().find(|entry| entry.dest() == "loras") else {
            let message = "Only LoRA entries can be promoted to style LoRAs";
            return Err(Error::invalid("not_a_lora", "version_id", message));
        };
        let style = StyleCategory::of(entry.document.base_model());
        let promoted = Arc::new(Entry {
            catalog: CatalogName::Loras,
            category: style.id.to_owned(),
            ..Entry::clone(&entry)
        });
        let mut taken_out = CatalogChange::of(CatalogName::Models, self.next_head(CatalogName::Models));
        taken_out.removed.push(entry.id);
        let put_in = self.put_at_end(&promoted, &Category::new(style.id, style.name))?;
        self.commit(turn, vec![taken_out, put_in]).await?;
        Ok(Promoted::Promoted(promoted))
    }

    /// The change that puts an entry at the end of its category; the caller holds the turn.
    fn put_at_end(&self, entry: &Arc<Entry>, category: &Category) -> Result<CatalogChange> {
        let mut change = CatalogChange::of(entry.catalog, self.next_head(entry.catalog));
        let library = self.library();
        if library.entry_at(entry.catalog, &entry.path).is_some() {
            let message = format!("`{}` is in the catalog `{}` already", entry.path, entry.catalog);
            return Err(Error::conflict("exists", message));
        }
        let position = Places::of(library.catalog(entry.catalog)).next(category, &mut change.categories);
        let changed_version = change.head.version;
        change.entries.push(Placed { entry: Arc::clone(entry), position, changed_version });
        Ok(change)
    }
}
