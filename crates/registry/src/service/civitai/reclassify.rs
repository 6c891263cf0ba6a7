//! Sorting styles into the categories of their base models again, after base models were filled in.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::{CatalogName, Category, Entry, StyleCategory};
use crate::error::Result;
use crate::library::{CatalogChange, Placed};
use crate::service::Registry;
use crate::service::import::Places;

impl Registry {
    /// Moves every style that stands in one of our own categories to the one of its base model; categories that users
    /// made are left alone. Answers how many styles each of our categories holds then.
    pub async fn reclassify_styles(&self) -> Result<BTreeMap<String, u64>> {
        let turn = self.catalog_turn().await;
        let mut counts = BTreeMap::new();
        let mut change = CatalogChange::of(CatalogName::Loras, self.next_head(CatalogName::Loras));
        {
            let library = self.library();
            let state = library.catalog(CatalogName::Loras);
            let mut places = Places::of(state);
            for entry in state.entries().filter(|entry| StyleCategory::is_own(&entry.category)) {
                let style = StyleCategory::of(entry.document.base_model());
                *counts.entry(style.id.to_owned()).or_default() += 1;
                if entry.category == style.id {
                    continue;
                }
                let category = Category::new(style.id, style.name);
                let position = places.next(&category, &mut change.categories);
                let moved = Entry { category: style.id.to_owned(), ..Entry::clone(entry) };
                let changed_version = change.head.version;
                change.entries.push(Placed { entry: Arc::new(moved), position, changed_version });
            }
        }
        if !change.entries.is_empty() {
            self.commit(turn, vec![change]).await?;
        }
        Ok(counts)
    }
}
