//! What is on disk, noticed without reading it.

use std::fs;
use std::os::unix::fs::symlink;

use lorakeep_registry::domain::{CatalogName, StatusWord};
use lorakeep_registry::{PageRequest, Registry};
use serde_json::json;

use crate::harness::{both_databases, eventually};

async fn import(registry: &Registry, files: &[&str]) {
    let entries: Vec<_> = files.iter().map(|file| json!({"file": file, "dest": "vae"})).collect();
    let document = json!(entries).to_string();
    assert_eq!(
        registry.import(CatalogName::Models, document.as_bytes()).await.unwrap().added.len(),
        files.len()
    );
}

fn status(registry: &Registry, file: &str) -> StatusWord {
    registry.find_entry(file, None).unwrap().status
}

fn unlisted(registry: &Registry) -> Vec<String> {
    let page = registry.unlisted_files(&PageRequest::default()).unwrap();
    page.items.into_iter().map(|file| file.path).collect()
}

both_databases! {
    async fn a_rescan_counts_what_appeared_changed_and_vanished(home: Home) {
        home.write_model("vae/a.pt", "a");
        home.write_model("vae/b.pt", "b");
        let registry = home.open().await;
        import(&registry, &["a.pt", "b.pt", "c.pt"]).await;
        assert_eq!((status(&registry, "a.pt"), status(&registry, "c.pt")), (StatusWord::Present, StatusWord::NotDownloaded));
        home.write_model("vae/a.pt", "longer");
        home.write_model("vae/c.pt", "c");
        home.write_model("loras/other.pt", "o");
        home.write_model("loras/readme.txt", "not a model");
        fs::remove_file(home.models.join("vae/b.pt")).unwrap();
        let report = registry.rescan().await.unwrap();
        assert_eq!((report.appeared, report.changed, report.vanished), (3, 1, 1));
        assert_eq!((report.files, report.present, report.missing, report.unlisted), (4, 2, 1, 1));
        assert_eq!(status(&registry, "b.pt"), StatusWord::NotDownloaded);
        let stats = registry.listing(CatalogName::Models).stats;
        assert_eq!((stats.present_count, stats.total_count, stats.models_bytes, stats.unlisted_count), (2, 3, 7, 1));
        assert!(stats.free_bytes > 0);
        registry.close().await;
    }

    async fn a_linked_file_is_present_and_a_link_into_our_data_is_not_entered(home: Home) {
        let outside = home.data.join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("a.pt"), "a").unwrap();
        fs::create_dir(home.models.join("vae")).unwrap();
        symlink(outside.join("a.pt"), home.models.join("vae/a.pt")).unwrap();
        symlink(&outside, home.models.join("loras")).unwrap();
        let registry = home.open().await;
        import(&registry, &["a.pt"]).await;
        assert_eq!(status(&registry, "a.pt"), StatusWord::Present);
        assert!(unlisted(&registry).is_empty());
        registry.close().await;
    }

    async fn changes_from_outside_are_noticed_while_it_runs(home: Home) {
        let registry = home.open().await;
        registry.start();
        import(&registry, &["a.pt", "b.pt"]).await;
        home.write_model("vae/a.pt", "a");
        eventually("a new folder's file is present", || status(&registry, "a.pt") == StatusWord::Present).await;
        home.write_model("vae/b.pt", "b");
        eventually("a new file is present", || status(&registry, "b.pt") == StatusWord::Present).await;
        let before = registry.listing_tag(CatalogName::Models);
        fs::remove_file(home.models.join("vae/a.pt")).unwrap();
        eventually("a removed file is not", || status(&registry, "a.pt") == StatusWord::NotDownloaded).await;
        assert_ne!(registry.listing_tag(CatalogName::Models), before);
        fs::rename(home.models.join("vae"), home.models.join("renamed")).unwrap();
        eventually("a folder took its files along", || status(&registry, "b.pt") == StatusWord::NotDownloaded).await;
        assert_eq!(unlisted(&registry), ["renamed/b.pt"]);
        registry.close().await;
    }

    async fn a_tag_stands_still_while_nothing_changes(home: Home) {
        home.write_model("vae/a.pt", "a");
        let registry = home.open().await;
        import(&registry, &["a.pt"]).await;
        let tag = registry.listing_tag(CatalogName::Models);
        registry.rescan().await.unwrap();
        assert_eq!(registry.listing_tag(CatalogName::Models), tag);
        registry.close().await;
    }

    async fn unlisted_files_are_paged_and_adopted(home: Home) {
        for path in ["vae/c.pt", "loras/deep/a.safetensors", "b.pt", "vae/d.txt"] {
            home.write_model(path, vec![0; 1_500_000]);
        }
        let registry = home.open().await;
        import(&registry, &["known.pt"]).await;
        let first = registry.unlisted_files(&PageRequest { limit: Some(2), cursor: None }).unwrap();
        assert_eq!((first.total, first.items.len()), (3, 2));
        let second = registry.unlisted_files(&PageRequest { limit: Some(2), cursor: first.next_cursor }).unwrap();
        assert_eq!((second.items[0].path.as_str(), second.next_cursor), ("vae/c.pt", None));
        let bad = PageRequest { limit: None, cursor: Some("?".to_owned()) };
        assert_eq!(registry.unlisted_files(&bad).expect_err("refused").code(), "bad_cursor");

        let wanted = ["vae/c.pt", "vae/d.txt", "vae/known.pt", "../x", "/b.pt", "vae/c.pt"].map(str::to_owned);
        let report = registry.adopt_unlisted(&wanted).await.unwrap();
        assert_eq!(report.adopted, ["vae/c.pt"]);
        assert_eq!(report.skipped.len(), 4);
        assert_eq!(registry.adopt_unlisted(&[]).await.unwrap().adopted, ["b.pt", "loras/deep/a.safetensors"]);
        assert!(unlisted(&registry).is_empty());
        let entry = registry.find_entry("a.safetensors", None).unwrap();
        assert_eq!((entry.entry.category.as_str(), entry.status), ("loras", StatusWord::Present));
        let document = serde_json::to_value(&entry.entry.document).unwrap();
        let expected = json!({"name": "a", "file": "a.safetensors", "dest": "loras/deep", "source": "local", "size_gb": 0.002, "tags": []});
        assert_eq!(document, expected);
        assert!(registry.adopt_unlisted(&[]).await.unwrap().adopted.is_empty());
        registry.close().await;
    }

    async fn an_entry_stays_while_its_file_is_on_disk(home: Home) {
        let registry = home.open().await;
        import(&registry, &["a.pt"]).await;
        home.write_model("vae/a.pt", "a");
        let error = registry.remove_entry("a.pt", None).await.expect_err("present");
        assert_eq!(error.code(), "file_present");
        fs::remove_file(home.models.join("vae/a.pt")).unwrap();
        registry.remove_entry("a.pt", None).await.unwrap();
        assert_eq!(registry.remove_entry("a.pt", None).await.expect_err("gone").code(), "not_found");
        registry.close().await;
    }

    async fn a_missing_models_folder_degrades_and_forgets_nothing(home: Home) {
        home.write_model("vae/a.pt", "a");
        let registry = home.open().await;
        import(&registry, &["a.pt"]).await;
        fs::rename(&home.models, home.models.with_extension("away")).unwrap();
        registry.rescan().await.unwrap();
        assert!(registry.health().degraded[0].contains("cannot be read"));
        assert_eq!(status(&registry, "a.pt"), StatusWord::Present, "nothing is known, so nothing is forgotten");
        fs::rename(home.models.with_extension("away"), &home.models).unwrap();
        registry.rescan().await.unwrap();
        assert!(registry.health().degraded.is_empty());
        registry.close().await;
    }
}
