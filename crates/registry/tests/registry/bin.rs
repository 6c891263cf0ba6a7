//! Deleting, restoring, purging.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use chrono::TimeDelta;
use lorakeep_registry::domain::{CatalogName, StatusWord};
use lorakeep_registry::{PageRequest, Registry};
use serde_json::json;

use crate::harness::{both_databases, eventually};

async fn import(registry: &Registry, entries: &[(&str, &str)]) {
    let entries: Vec<_> = entries.iter().map(|(dest, file)| json!({"file": file, "dest": dest})).collect();
    registry.import(CatalogName::Models, json!(entries).to_string().as_bytes()).await.unwrap();
}

fn bin_bytes(registry: &Registry) -> u64 {
    registry.listing(CatalogName::Models).stats.bin_bytes
}

both_databases! {
    async fn a_deleted_file_is_in_the_bin_and_comes_back(home: Home) {
        home.write_model("vae/a b, c.pt", "content");
        let registry = home.open().await;
        import(&registry, &[("vae", "a b, c.pt")]).await;
        let deleted = registry.delete_file("a b, c.pt", None, false).await.unwrap();
        let item = deleted.item.unwrap();
        assert_eq!(item.bin_path, home.data.join("bin/models/vae/a b, c.pt").to_str().unwrap());
        assert_eq!((item.size_bytes, item.expires_at - item.deleted_at), (7, TimeDelta::days(7)));
        assert_eq!(registry.find_entry("a b, c.pt", None).unwrap().status, StatusWord::NotDownloaded);
        assert_eq!(bin_bytes(&registry), 7);
        assert!(!home.models.join("vae/a b, c.pt").exists());
        registry.restore_bin_item(item.id).await.unwrap();
        assert_eq!(fs::read(home.models.join("vae/a b, c.pt")).unwrap(), b"content");
        assert_eq!(registry.find_entry("a b, c.pt", None).unwrap().status, StatusWord::Present);
        assert_eq!(bin_bytes(&registry), 0);
        assert!(!home.data.join("bin/models").exists(), "no empty folders are left");
        let error = registry.restore_bin_item(item.id).await.expect_err("restored");
        assert_eq!(error.code(), "not_found");
        registry.close().await;
    }

    async fn nothing_is_ever_replaced(home: Home) {
        home.write_model("vae/a.pt", "first");
        let registry = home.open().await;
        import(&registry, &[("vae", "a.pt")]).await;
        let first = registry.delete_file("a.pt", None, false).await.unwrap().item.unwrap();
        home.write_model("vae/a.pt", "second");
        let second = registry.delete_file("a.pt", None, false).await.unwrap().item.unwrap();
        assert_ne!(first.bin_path, second.bin_path);
        assert_eq!(fs::read(&first.bin_path).unwrap(), b"first");
        assert_eq!(fs::read(&second.bin_path).unwrap(), b"second");
        registry.restore_bin_item(second.id).await.unwrap();
        let error = registry.restore_bin_item(first.id).await.expect_err("taken");
        assert_eq!(error.code(), "exists");
        assert_eq!(fs::read(home.models.join("vae/a.pt")).unwrap(), b"second");
        assert_eq!(registry.list_bin(PageRequest::default()).await.unwrap().total, 1);
        registry.close().await;
    }

    async fn a_purge_frees_by_age_one_or_all(home: Home) {
        let registry = home.open().await;
        import(&registry, &[("vae", "a.pt"), ("vae", "b.pt"), ("vae", "c.pt")]).await;
        for file in ["a.pt", "b.pt", "c.pt"] {
            home.write_model(&format!("vae/{file}"), "1234");
            registry.delete_file(file, None, false).await.unwrap();
            home.clock.advance(TimeDelta::days(2));
        }
        let page = registry.list_bin(PageRequest { limit: Some(2), cursor: None }).await.unwrap();
        let files: Vec<_> = page.items.iter().map(|item| item.path.file.as_str()).collect();
        assert_eq!((files, page.total), (vec!["c.pt", "b.pt"], 3));
        let next = registry.list_bin(PageRequest { limit: Some(2), cursor: page.next_cursor }).await.unwrap();
        assert_eq!((next.items[0].path.file.as_str(), next.next_cursor), ("a.pt", None));
        let purged = registry.purge_bin(5).await.unwrap();
        assert_eq!((purged.items, purged.bytes), (1, 4));
        let purged = registry.purge_bin_item(page.items[0].id).await.unwrap();
        assert_eq!((purged.items, bin_bytes(&registry)), (1, 4));
        home.clock.advance(TimeDelta::days(30));
        registry.start();
        eventually("age purges the rest", || bin_bytes(&registry) == 0).await;
        registry.close().await;
    }

    async fn deleting_twice_or_without_a_file_is_fine(home: Home) {
        home.write_model("vae/a.pt", "x");
        let registry = home.open().await;
        import(&registry, &[("vae", "a.pt"), ("nowhere", "b.pt")]).await;
        assert!(registry.delete_file("a.pt", None, true).await.unwrap().item.is_none(), "purged at once");
        assert!(registry.delete_file("a.pt", None, false).await.unwrap().item.is_none());
        assert!(registry.delete_file("b.pt", Some("nowhere"), false).await.unwrap().item.is_none());
        assert_eq!(registry.delete_file("c.pt", None, false).await.expect_err("unknown").code(), "not_found");
        assert_eq!((bin_bytes(&registry), registry.list_bin(PageRequest::default()).await.unwrap().total), (0, 0));
        registry.close().await;
    }

    async fn links_are_deleted_themselves_and_never_followed(home: Home) {
        let outside = home.data.join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("canary.pt"), "alive").unwrap();
        fs::create_dir(home.models.join("vae")).unwrap();
        symlink(outside.join("canary.pt"), home.models.join("vae/canary.pt")).unwrap();
        symlink(&outside, home.models.join("loras")).unwrap();
        fs::create_dir_all(home.models.join("vae/folder.pt")).unwrap();
        let registry = home.open().await;
        import(&registry, &[("vae", "canary.pt"), ("loras", "canary.pt"), ("vae", "folder.pt")]).await;
        let error = registry.delete_file("canary.pt", Some("loras"), false).await.expect_err("through a link");
        assert_eq!(error.code(), "linked_folder");
        assert_eq!(registry.delete_file("folder.pt", None, true).await.expect_err("a folder").code(), "not_a_file");
        let item = registry.delete_file("canary.pt", Some("vae"), false).await.unwrap().item.unwrap();
        assert_eq!(fs::read(outside.join("canary.pt")).unwrap(), b"alive");
        registry.restore_bin_item(item.id).await.unwrap();
        assert_eq!(fs::read(home.models.join("vae/canary.pt")).unwrap(), b"alive");
        registry.close().await;
    }

    async fn a_failed_move_leaves_no_trace(home: Home) {
        home.write_model("vae/a.pt", "x");
        let registry = home.open().await;
        import(&registry, &[("vae", "a.pt")]).await;
        // A file stands where the bin's folder should be; this works as root, too.
        fs::write(home.data.join("bin"), "in the way").unwrap();
        assert!(registry.delete_file("a.pt", None, false).await.is_err());
        assert!(home.models.join("vae/a.pt").exists());
        assert_eq!(registry.find_entry("a.pt", None).unwrap().status, StatusWord::Present);
        assert_eq!((bin_bytes(&registry), registry.list_bin(PageRequest::default()).await.unwrap().total), (0, 0));
        fs::remove_file(home.data.join("bin")).unwrap();
        assert!(registry.delete_file("a.pt", None, false).await.unwrap().item.is_some());
        registry.close().await;
    }

    async fn a_folder_that_cannot_be_written_is_said_so(home: Home) {
        if rustix::process::geteuid().is_root() {
            // Root writes everywhere; the test above covers the ordering.
            return;
        }
        home.write_model("vae/a.pt", "x");
        let registry = home.open().await;
        import(&registry, &[("vae", "a.pt")]).await;
        let vae = home.models.join("vae");
        fs::set_permissions(&vae, fs::Permissions::from_mode(0o500)).unwrap();
        let error = registry.delete_file("a.pt", None, false).await.expect_err("read-only");
        fs::set_permissions(&vae, fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(error.code(), "not_writable");
        registry.close().await;
    }
}
