//! Folders that are linked into the models folder (decision 26).

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use lorakeep_registry::domain::{CatalogName, DownloadState, StatusWord};
use lorakeep_registry::{PageRequest, Registry};
use serde_json::json;

use crate::downloads::support::{Studio, hub_entry, small};
use crate::harness::{Home, both_databases, eventually, on_sqlite};

async fn import(registry: &Registry, entries: &[(&str, &str)]) {
    let entries: Vec<_> = entries.iter().map(|(dest, file)| json!({"file": file, "dest": dest})).collect();
    registry.import(CatalogName::Models, json!(entries).to_string().as_bytes()).await.unwrap();
}

fn status(registry: &Registry, file: &str, dest: &str) -> StatusWord {
    registry.find_entry(file, Some(dest)).unwrap().status
}

/// A folder beside the models folder with one file in it.
fn outside(home: &Home, name: &str) -> PathBuf {
    let folder = home.models.with_file_name(name);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("canary.pt"), "alive").unwrap();
    folder
}

both_databases! {
    async fn a_linked_category_is_a_folder_like_any_other(home: Home) {
        let big = outside(&home, "bigdisk");
        symlink(&big, home.models.join("loras")).unwrap();
        let studio = Studio::open(home).await;
        studio.serve(&[small("a.safetensors")]);
        import(&studio.registry, &[("loras", "canary.pt")]).await;
        studio.import(&[hub_entry("a.safetensors")]).await;
        assert_eq!(status(&studio.registry, "canary.pt", "loras"), StatusWord::Present);
        let job = studio.fetch("a.safetensors").await.download;
        assert_eq!((job.state, job.error), (DownloadState::Done, None));
        assert_eq!(fs::read(big.join("a.safetensors")).unwrap(), small("a.safetensors").bytes());
        let item = studio.registry.delete_file("canary.pt", None, false).await.unwrap().item.unwrap();
        assert!(!big.join("canary.pt").exists());
        studio.registry.rescan().await.unwrap();
        assert_eq!(status(&studio.registry, "canary.pt", "loras"), StatusWord::NotDownloaded);
        let studio = studio.reopen().await;
        studio.registry.restore_bin_item(item.id).await.unwrap();
        assert_eq!(fs::read(big.join("canary.pt")).unwrap(), b"alive");
        assert_eq!(status(&studio.registry, "canary.pt", "loras"), StatusWord::Present);
        assert_eq!(studio.registry.unlisted_files(&PageRequest::default()).unwrap().total, 0);
        studio.registry.close().await;
    }

    async fn two_names_of_one_folder_are_one_folder(home: Home) {
        home.write_model("diffusion_models/wan/a.pt", "x");
        symlink("diffusion_models", home.models.join("unet")).unwrap();
        let registry = home.open().await;
        import(&registry, &[("unet/wan", "a.pt")]).await;
        assert_eq!(status(&registry, "a.pt", "unet/wan"), StatusWord::Present);
        assert_eq!(registry.unlisted_files(&PageRequest::default()).unwrap().total, 0);
        assert_eq!(registry.rescan().await.unwrap().files, 1);
        registry.delete_file("a.pt", Some("unet/wan"), false).await.unwrap();
        registry.rescan().await.unwrap();
        assert_eq!(status(&registry, "a.pt", "unet/wan"), StatusWord::NotDownloaded);
        registry.close().await;
    }

    async fn other_links_are_read_and_never_changed_through(home: Home) {
        let other = outside(&home, "other");
        symlink(&other, home.models.join("stray")).unwrap();
        fs::create_dir(home.models.join("loras")).unwrap();
        symlink(&other, home.models.join("loras/deep")).unwrap();
        let registry = home.open().await;
        import(&registry, &[("stray", "canary.pt"), ("loras/deep", "canary.pt")]).await;
        for dest in ["stray", "loras/deep"] {
            assert_eq!(status(&registry, "canary.pt", dest), StatusWord::Present, "{dest}");
            for purge in [false, true] {
                let error = registry.delete_file("canary.pt", Some(dest), purge).await.expect_err("through a link");
                assert_eq!(error.code(), "linked_folder");
                assert!(error.to_string().contains("LORAKEEP_MODELS_LINKS"), "{error}");
            }
        }
        assert_eq!(fs::read(other.join("canary.pt")).unwrap(), b"alive");
        let checks = registry.doctor().await;
        assert!(checks.iter().any(|check| check.name == "linked_folders" && check.hint.is_some()));
        registry.close().await;
    }

    async fn a_link_that_appears_later_is_not_changed_through(home: Home) {
        let (first, other) = (outside(&home, "first"), outside(&home, "other"));
        symlink(&first, home.models.join("loras")).unwrap();
        home.write_model("vae/canary.pt", "alive");
        let registry = home.open().await;
        import(&registry, &[("loras", "canary.pt"), ("vae", "canary.pt"), ("embeddings", "canary.pt")]).await;
        // One is turned elsewhere, one takes a folder's place, one is new.
        fs::remove_file(home.models.join("loras")).unwrap();
        fs::rename(home.models.join("vae"), home.models.join("was_vae")).unwrap();
        for name in ["loras", "vae", "embeddings"] {
            symlink(&other, home.models.join(name)).unwrap();
            let error = registry.delete_file("canary.pt", Some(name), true).await.expect_err("through a link");
            assert_eq!(error.code(), "linked_folder", "{name}");
        }
        assert!(first.join("canary.pt").exists() && other.join("canary.pt").exists());
        registry.close().await;
    }

    async fn a_link_that_appears_is_noticed(home: Home) {
        let big = outside(&home, "bigdisk");
        let registry = home.open().await;
        registry.start();
        import(&registry, &[("vae", "canary.pt"), ("vae", "new.pt")]).await;
        assert_eq!(status(&registry, "canary.pt", "vae"), StatusWord::NotDownloaded);
        symlink(&big, home.models.join("vae")).unwrap();
        eventually("the linked file is present", || {
            status(&registry, "canary.pt", "vae") == StatusWord::Present
        })
        .await;
        fs::write(big.join("new.pt"), "x").unwrap();
        eventually("what comes into it is present", || status(&registry, "new.pt", "vae") == StatusWord::Present).await;
        fs::remove_file(home.models.join("vae")).unwrap();
        eventually("it is gone with its link", || {
            status(&registry, "canary.pt", "vae") == StatusWord::NotDownloaded
        })
        .await;
        registry.close().await;
    }
}

#[tokio::test]
async fn what_may_be_changed_can_be_named() {
    on_sqlite(async |home| {
        let other = outside(&home, "other");
        fs::create_dir_all(home.models.join("loras")).unwrap();
        symlink(&other, home.models.join("loras/deep")).unwrap();
        let named = other.to_str().unwrap().to_owned();
        let studio = Studio::open_with(home, &[("LORAKEEP_MODELS_LINKS", &named)]).await;
        studio.serve(&[small("a.safetensors")]);
        let mut entry = hub_entry("a.safetensors");
        entry["dest"] = json!("loras/deep/new");
        studio.import(&[entry]).await;
        let job = studio.fetch("a.safetensors").await.download;
        assert_eq!((job.state, job.error), (DownloadState::Done, None));
        assert!(other.join("new/a.safetensors").exists());
        studio.registry.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_download_through_a_strange_link_is_refused_at_once() {
    on_sqlite(async |home| {
        let other = outside(&home, "other");
        fs::create_dir_all(home.models.join("loras")).unwrap();
        symlink(&other, home.models.join("loras/deep")).unwrap();
        let studio = Studio::open(home).await;
        studio.serve(&[small("a.safetensors")]);
        let mut entry = hub_entry("a.safetensors");
        entry["dest"] = json!("loras/deep");
        studio.import(&[entry]).await;
        let error = studio.registry.enqueue("a.safetensors", None, crate::downloads::support::usual()).await;
        assert_eq!(error.expect_err("through a link").code(), "linked_folder");
        let report = studio.registry.enqueue_batch(&["a.safetensors".to_owned()], false).await.unwrap();
        assert_eq!(report.skipped[0].reason, "linked_folder");
        studio.registry.close().await;
    })
    .await;
}

/// A folder on another file system than the temporary one, where there is one.
#[expect(clippy::print_stderr, reason = "what is left out must be seen")]
fn another_file_system(home: &Home) -> Option<tempfile::TempDir> {
    let folder = tempfile::tempdir_in("/dev/shm").ok();
    let device = |path: &Path| fs::metadata(path).unwrap().dev();
    let folder = folder.filter(|folder| device(folder.path()) != device(&home.models));
    if folder.is_none() {
        eprintln!("SKIPPED: there is no second file system at /dev/shm");
    }
    folder
}

#[tokio::test]
async fn another_disk_has_its_own_parts_and_its_own_bin() {
    on_sqlite(async |home| {
        let Some(disk) = another_file_system(&home) else { return };
        symlink(disk.path(), home.models.join("loras")).unwrap();
        fs::create_dir(disk.path().join("wan")).unwrap();
        fs::write(disk.path().join("wan/b.pt"), "kept").unwrap();
        let studio = Studio::open(home).await;
        studio.serve(&[small("a.safetensors")]);
        studio.import(&[hub_entry("a.safetensors")]).await;
        import(&studio.registry, &[("loras/wan", "b.pt")]).await;
        let job = studio.fetch("a.safetensors").await.download;
        assert_eq!((job.state, job.error), (DownloadState::Done, None));
        assert!(disk.path().join(".lorakeep/parts").is_dir(), "the part was on the disk of the file");
        let item = studio.registry.delete_file("b.pt", None, false).await.unwrap().item.unwrap();
        assert!(fs::canonicalize(&item.bin_path).unwrap().starts_with(disk.path().join(".lorakeep/bin")));
        let inode = fs::metadata(&item.bin_path).unwrap().ino();
        let studio = studio.reopen().await;
        studio.registry.restore_bin_item(item.id).await.unwrap();
        assert_eq!(fs::metadata(disk.path().join("wan/b.pt")).unwrap().ino(), inode, "it was never copied");
        assert_eq!(studio.registry.rescan().await.unwrap().files, 2);
        let item = studio.registry.delete_file("b.pt", None, false).await.unwrap().item.unwrap();
        let studio = studio
            .reopen_after(async |home, _, _| {
                // The disk is away for a start.
                fs::rename(home.models.join("loras"), home.data.join("away")).unwrap();
            })
            .await;
        assert_eq!(studio.registry.list_bin(PageRequest::default()).await.unwrap().total, 1);
        let studio = studio
            .reopen_after(async |home, _, _| {
                fs::rename(home.data.join("away"), home.models.join("loras")).unwrap();
            })
            .await;
        studio.registry.purge_bin_item(item.id).await.unwrap();
        assert!(!Path::new(&item.bin_path).exists());
        studio.registry.close().await;
    })
    .await;
}
