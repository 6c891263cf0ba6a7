//! The catalogs of an adopted folder: every entry as it stands, in its category and order, with fields that we do not
//! know. In place they were taken over as an edit of our own catalog files; from elsewhere they are read here.

use std::collections::HashSet;
use std::path::Path;

use super::report::{CatalogFinding, CategoryFinding, EntryFinding};
use super::run::Run;
use crate::domain::catalog_file::{self, CatalogFile, RawEntry, judged};
use crate::domain::{CatalogName, Category, EntryId, ModelPath};
use crate::error::Result;
use crate::files::read_up_to;
use crate::service::Registry;
use crate::service::import::{Tagging, category_of, plan_edit, plan_import};

/// The largest catalog file, bytes.
const MAX_CATALOG_BYTES: u64 = 256 << 20;

impl Run {
    /// Takes both catalogs over.
    pub(super) async fn catalogs(&mut self) -> Result<()> {
        let Some(folder) = self.folder.catalogs.clone() else { return Ok(()) };
        self.begin("catalogs", CatalogName::ALL.len() as u64);
        if self.is_in_place {
            // The catalog files are our own; what was edited lately is taken over first.
            self.registry.sync_catalog_files().await;
        }
        for catalog in CatalogName::ALL {
            let path = folder.join(format!("{catalog}.json"));
            if path.is_file() {
                let finding = self.catalog(catalog, &path).await?;
                if let Some(error) = &finding.error {
                    self.report.warn(format!("`{}` was not taken: {error}", path.display()));
                }
                self.report.catalogs.push(finding);
            }
            self.step();
        }
        Ok(())
    }

    async fn catalog(&mut self, catalog: CatalogName, path: &Path) -> Result<CatalogFinding> {
        let mut finding = CatalogFinding {
            catalog: catalog.to_string(),
            path: path.display().to_string(),
            ..CatalogFinding::default()
        };
        let source = path.to_owned();
        let read = self.registry.blocking("reading a catalog", move || read(&source)).await?;
        let file = match read {
            Ok(file) => file,
            Err(error) => {
                finding.error = Some(error);
                return Ok(finding);
            }
        };
        (finding.version, finding.date) = (file.version, file.date.clone());
        let new = describe(&self.registry, &file, catalog, &mut finding);
        if self.request.is_dry {
            self.planned.extend(new);
        }
        if !self.request.is_dry && !self.is_in_place && finding.added > 0 {
            self.take(catalog, file).await?;
        }
        Ok(finding)
    }

    /// An empty catalog becomes the file itself, with its version; to others only what is new is added.
    async fn take(&self, catalog: CatalogName, file: CatalogFile) -> Result<()> {
        let registry = &self.registry;
        let turn = registry.catalog_turn().await;
        let (now, head) = (registry.now(), registry.next_head(catalog));
        let change = {
            let library = registry.library();
            let is_empty = library.catalog(catalog).entries().next().is_none();
            if is_empty {
                plan_edit(&library, catalog, head, file, || EntryId::new(now)).change
            } else {
                plan_import(&library, catalog, head, file, Tagging::AsTheyAre, || EntryId::new(now)).0
            }
        };
        registry.commit(turn, vec![change]).await
    }
}

/// Counts by category what the file holds and what of it is here already; answers the files of what is not.
fn describe(
    registry: &Registry,
    file: &CatalogFile,
    catalog: CatalogName,
    finding: &mut CatalogFinding,
) -> Vec<ModelPath> {
    let library = registry.library();
    let (mut index, mut new) = (0, Vec::new());
    let mut seen = HashSet::new();
    for group in &file.groups {
        if let Some(category) = &group.category {
            category_of_finding(finding, category);
        }
        for entry in &group.entries {
            match judged(RawEntry::clone(entry)) {
                Ok((_, path)) if !seen.insert(path.clone()) => {}
                Ok((_, path)) => {
                    let is_known = library.entry_at(catalog, &path).is_some();
                    let is_present = library.file(&path).is_some();
                    finding.entries += 1;
                    *(if is_known { &mut finding.known } else { &mut finding.added }) += 1;
                    if !is_known {
                        new.push(path.clone());
                    }
                    *(if is_present { &mut finding.present } else { &mut finding.missing }) += 1;
                    let category = group.category.clone().unwrap_or_else(|| category_of(&path));
                    let own = category_of_finding(finding, &category);
                    own.entries += 1;
                    *(if is_present { &mut own.present } else { &mut own.missing }) += 1;
                }
                Err(fault) => finding.errors.push(EntryFinding {
                    index,
                    file: fault.file,
                    field: fault.field,
                    message: fault.message,
                }),
            }
            index += 1;
        }
    }
    new
}

fn category_of_finding<'a>(finding: &'a mut CatalogFinding, category: &Category) -> &'a mut CategoryFinding {
    let known = finding.categories.iter().position(|own| own.id == category.id);
    let at = known.unwrap_or_else(|| {
        let (id, name) = (category.id.clone(), category.name.clone());
        finding.categories.push(CategoryFinding { id, name, ..CategoryFinding::default() });
        finding.categories.len() - 1
    });
    &mut finding.categories[at]
}

fn read(path: &Path) -> Result<CatalogFile, String> {
    let bytes = read_up_to(path, MAX_CATALOG_BYTES).map_err(|error| error.to_string())?;
    catalog_file::read(&bytes).map_err(|invalid| invalid.to_string())
}
