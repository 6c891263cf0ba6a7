//! The catalog file of a process that is killed while it writes.

use std::fs;
use std::sync::Arc;

use super::*;
use crate::clock::SystemClock;
use crate::config::{Config, ConfigFlags};

async fn open(data: &Path) -> Registry {
    let flags = ConfigFlags { data_dir: Some(data.to_owned()), ..ConfigFlags::default() };
    let config = Config::load(&flags, &|_| None).unwrap();
    Registry::open(config, Arc::new(SystemClock)).await.unwrap()
}

fn files(registry: &Registry) -> Vec<String> {
    let library = registry.library();
    library.catalog(CatalogName::Models).entries().map(|entry| entry.file().to_owned()).collect()
}

#[tokio::test]
async fn a_kill_while_writing_is_not_taken_for_an_edit() {
    for point in ["face_remembered", "face_replaced"] {
        let folder = tempfile::tempdir().unwrap();
        let registry = open(folder.path()).await;
        registry.import(CatalogName::Models, br#"[{"file": "a.pt"}, {"file": "b.pt"}]"#).await.unwrap();
        registry.sync_catalog_files().await;
        registry.import(CatalogName::Models, br#"[{"file": "c.pt"}]"#).await.unwrap();
        *registry.inner.fault_at.lock().unwrap() = Some(point);
        registry.sync_catalog_files().await;
        assert!(registry.health().degraded[0].contains(point), "the writing breaks off");
        // A removal that no file on disk knows of: were the file an edit, the entry would come back.
        registry.remove_entry("a.pt", None).await.unwrap();
        drop(registry);
        let registry = open(folder.path()).await;
        assert_eq!(files(&registry), ["b.pt", "c.pt"], "{point}");
        registry.sync_catalog_files().await;
        let text = fs::read_to_string(folder.path().join("catalogs/models.json")).unwrap();
        assert_eq!(text, registry.export(CatalogName::Models));
        registry.close().await;
    }
}

#[tokio::test]
async fn a_catalog_file_that_cannot_be_read_degrades_and_the_database_serves() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(folder.path()).await;
    registry.import(CatalogName::Models, br#"[{"file": "a.pt"}]"#).await.unwrap();
    drop(registry);
    fs::create_dir_all(folder.path().join("catalogs/models.json")).unwrap();
    let registry = open(folder.path()).await;
    assert_eq!(files(&registry), ["a.pt"]);
    assert!(registry.health().degraded[0].contains("models.json"));
    registry.close().await;
}
