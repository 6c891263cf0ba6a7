//! The bin of a process that is killed between two steps.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::TimeDelta;

use super::*;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, ConfigFlags};
use crate::domain::CatalogName;

const CONTENT: &str = "the only copy";

struct Home {
    _folder: tempfile::TempDir,
    data: PathBuf,
    models: PathBuf,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (data, models) = (folder.path().join("data"), folder.path().join("models"));
        fs::create_dir_all(models.join("vae")).unwrap();
        fs::write(models.join("vae/a.pt"), CONTENT).unwrap();
        Self { _folder: folder, data, models }
    }

    async fn open(&self) -> Registry {
        let flags = ConfigFlags {
            data_dir: Some(self.data.clone()),
            models_dir: Some(self.models.clone()),
            ..ConfigFlags::default()
        };
        let config = Config::load(&flags, &|_| None).unwrap();
        let registry = Registry::open(config, Arc::new(SystemClock)).await.unwrap();
        registry.import(CatalogName::Models, br#"[{"file": "a.pt", "dest": "vae"}]"#).await.unwrap();
        registry
    }

    fn file(&self) -> PathBuf {
        self.models.join("vae/a.pt")
    }
}

/// Runs an operation that breaks off at `point`, then opens the folder again as after a kill.
async fn killed_at<T>(
    home: &Home,
    registry: Registry,
    point: &'static str,
    work: impl AsyncFnOnce(&Registry) -> Result<T>,
) -> Registry {
    *registry.inner.fault_at.lock().unwrap() = Some(point);
    let outcome = work(&registry).await;
    assert!(outcome.is_err_and(|error| error.to_string().contains(point)), "it must reach `{point}`");
    drop(registry);
    home.open().await
}

async fn bin_of(registry: &Registry) -> Vec<BinItem> {
    registry.list_bin(PageRequest::default()).await.unwrap().items
}

fn is_whole(path: &Path) -> bool {
    fs::read_to_string(path).is_ok_and(|text| text == CONTENT)
}

/// The file is in its place and the bin is empty, or the other way round.
async fn is_in_one_place(home: &Home, registry: &Registry) -> bool {
    let items = bin_of(registry).await;
    let is_present = registry.find_entry("a.pt", None).unwrap().file.is_some();
    let bytes: u64 = items.iter().map(|item| item.size_bytes).sum();
    assert_eq!(registry.listing(CatalogName::Models).stats.bin_bytes, bytes);
    match items.as_slice() {
        [] => is_whole(&home.file()) && is_present,
        [item] => is_whole(Path::new(&item.bin_path)) && !home.file().exists() && !is_present,
        _ => false,
    }
}

#[tokio::test]
async fn a_kill_during_a_delete_leaves_the_file_in_one_place() {
    for point in ["bin_row_written", "bin_file_moved"] {
        let home = Home::new();
        let registry = home.open().await;
        let registry =
            killed_at(&home, registry, point, async |own| own.delete_file("a.pt", None, false).await).await;
        assert!(is_in_one_place(&home, &registry).await, "{point}");
        assert_eq!(bin_of(&registry).await.len(), usize::from(point == "bin_file_moved"));
    }
}

#[tokio::test]
async fn a_kill_during_a_restore_leaves_the_file_in_one_place() {
    for point in ["restore_row_written", "restore_file_moved"] {
        let home = Home::new();
        let registry = home.open().await;
        let item = registry.delete_file("a.pt", None, false).await.unwrap().item.unwrap();
        let registry =
            killed_at(&home, registry, point, async |own| own.restore_bin_item(item.id).await).await;
        assert!(is_in_one_place(&home, &registry).await, "{point}");
        assert_eq!(home.file().exists(), point == "restore_file_moved");
    }
}

#[tokio::test]
async fn a_purge_that_was_killed_is_finished() {
    let home = Home::new();
    let registry = home.open().await;
    registry.delete_file("a.pt", None, false).await.unwrap();
    let registry = killed_at(&home, registry, "purge_row_written", async |own| own.purge_bin(0).await).await;
    assert!(bin_of(&registry).await.is_empty() && !home.data.join("bin/models").exists());
}

#[tokio::test]
async fn files_and_rows_without_each_other_are_reconciled_at_the_start() {
    let home = Home::new();
    let registry = home.open().await;
    let item = registry.delete_file("a.pt", None, false).await.unwrap().item.unwrap();
    drop(registry);
    fs::rename(&item.bin_path, home.data.join("bin/models/vae/b c.pt")).unwrap();
    let registry = home.open().await;
    let items = bin_of(&registry).await;
    assert_eq!(items.iter().map(|item| item.path.relative()).collect::<Vec<_>>(), ["vae/b c.pt"]);
    registry.restore_bin_item(items[0].id).await.unwrap();
    assert!(is_whole(&home.models.join("vae/b c.pt")));
}

#[tokio::test]
async fn the_bin_makes_room_with_its_oldest_items_first() {
    let home = Home::new();
    let registry = home.open().await;
    registry.delete_file("a.pt", None, false).await.unwrap();
    fs::write(home.file(), CONTENT).unwrap();
    let newer = registry.delete_file("a.pt", None, false).await.unwrap().item.unwrap();
    registry.make_room(&home.models, 1).await.unwrap();
    assert_eq!(bin_of(&registry).await.len(), 2, "there was room");
    registry.purge_oldest(&home.models, CONTENT.len() as u64 / 2).await.unwrap();
    registry.purge_oldest(&home.models, u64::MAX).await.unwrap();
    let left: Vec<_> = bin_of(&registry).await.into_iter().map(|item| item.id).collect();
    assert_eq!(left, [newer.id], "one item was enough, and what cannot be enough is left alone");
    assert!(SystemClock.now() - newer.deleted_at < TimeDelta::minutes(5));
}
