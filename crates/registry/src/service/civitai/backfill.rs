//! Names of models that styles lack, asked for many at once.

use std::collections::{BTreeSet, HashMap};

use crate::domain::{CatalogName, EntryDocument, EntryId};
use crate::error::Result;
use crate::service::Registry;

/// What was filled in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NamesFilled {
    /// Entries that have a name of their model now.
    pub filled: u64,
    /// Models that CivitAI was asked for.
    pub model_ids_checked: u64,
}

impl Registry {
    /// Fills in `civitai_model_name` where a style names its model by id alone.
    pub async fn fill_model_names(&self) -> Result<NamesFilled> {
        let nameless = self.nameless_styles();
        let model_ids: Vec<u64> =
            nameless.iter().map(|(_, model_id)| *model_id).collect::<BTreeSet<_>>().into_iter().collect();
        let models = self.inner.jobs.upstreams.civitai.models(&model_ids).await?;
        let names: HashMap<u64, String> =
            models.into_iter().filter_map(|model| Some((model.id, model.head.name?))).collect();
        let mut filled = 0;
        for (id, model_id) in nameless {
            let Some(name) = names.get(&model_id) else { continue };
            let turn = self.catalog_turn().await;
            let set_name = |document: &mut EntryDocument| document.set("civitai_model_name", name.as_str());
            let edited = self.update_entry(turn, id, set_name).await;
            match edited {
                Ok(_) => filled += 1,
                // Taken out of the catalog in the meantime.
                Err(crate::Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(NamesFilled { filled, model_ids_checked: model_ids.len() as u64 })
    }

    fn nameless_styles(&self) -> Vec<(EntryId, u64)> {
        let library = self.library();
        let styles = library.catalog(CatalogName::Loras).entries();
        styles
            .filter(|entry| entry.document.some_text("civitai_model_name").is_none())
            .filter_map(|entry| Some((entry.id, entry.document.id("civitai_model_id")?)))
            .collect()
    }
}
