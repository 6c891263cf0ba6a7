//! What is published, what is kept away, and what is not fetched twice.

use std::fs;

use lorakeep_registry::PageRequest;
use lorakeep_registry::domain::{Caller, DownloadState, StatusWord, Verification};
use lorakeep_standin::{CivitFile, CivitModel, FileKind, FileSpec, PublishedHashes};
use serde_json::json;

use super::support::{Studio, civitai_entry, civitai_version, hub_entry, small};
use crate::harness::{both_databases, on_sqlite};

both_databases! {
    async fn a_pickle_is_quarantined_under_a_name_that_nobody_loads(home: Home) {
        let studio = Studio::open(home).await;
        studio.serve(&[FileSpec::new("a.ckpt", 5000).kind(FileKind::Pickle)]);
        studio.import(&[hub_entry("a.ckpt")]).await;
        let job = studio.fetch("a.ckpt").await.download;
        assert_eq!((job.state, job.error_code.as_deref()), (DownloadState::Quarantined, Some("quarantined")));
        assert!(job.error.unwrap().contains("pickle"));
        assert!(!studio.path("loras/a.ckpt").exists());
        assert_eq!(studio.hidden("quarantine"), [format!("{}.quarantined", job.id)]);
        assert_eq!(studio.registry.find_entry("a.ckpt", None).unwrap().status, StatusWord::Error);
        let studio = studio.reopen().await;
        assert_eq!(studio.hidden("quarantine").len(), 1, "it stays over a restart");
        assert_eq!(studio.registry.find_entry("a.ckpt", None).unwrap().status, StatusWord::Error);
        studio.registry.cancel_download(job.id).await.unwrap();
        assert!(studio.hidden("quarantine").is_empty());
        studio.registry.close().await;
    }

    async fn a_quarantined_download_that_is_released_is_in_its_place_with_its_entry(home: Home) {
        let studio = Studio::open(home).await;
        let file = FileSpec::new("a.ckpt", 5000).kind(FileKind::Pickle);
        studio.serve(std::slice::from_ref(&file));
        studio.import(&[hub_entry("a.ckpt")]).await;
        studio.fetch("a.ckpt").await;
        let sha256 = file.sha256().parse().unwrap();
        let path = studio.registry.release_quarantined(sha256, &Caller::admin()).await.unwrap();
        assert_eq!(path.relative(), "loras/a.ckpt");
        assert_eq!(fs::read(studio.path("loras/a.ckpt")).unwrap(), file.bytes());
        assert!(studio.hidden("quarantine").is_empty());
        let state = studio.registry.find_entry("a.ckpt", None).unwrap();
        assert_eq!((state.status, state.file.and_then(|fact| fact.sha256)), (StatusWord::Present, Some(sha256)));
        assert_eq!(studio.registry.list_quarantine(PageRequest::default()).await.unwrap().total, 0);
        let studio = studio.reopen().await;
        assert_eq!(studio.registry.find_entry("a.ckpt", None).unwrap().status, StatusWord::Present);
        assert!(studio.path("loras/a.ckpt").exists(), "a start does not take it away again");
        studio.registry.close().await;
    }

    async fn content_with_another_hash_is_never_published(home: Home) {
        let studio = Studio::open(home).await;
        let wrong = "0".repeat(64);
        let mut version = civitai_version(70, small("style.safetensors"));
        version.files =
            vec![CivitFile::new(700, small("style.safetensors")).publishing(PublishedHashes::Wrong(wrong.clone()))];
        studio.standin.add_model(CivitModel::new(7, "Style", "LORA").version(version));
        studio.import(&[civitai_entry("style.safetensors", 70)]).await;
        let job = studio.fetch("style.safetensors").await.download;
        assert_eq!((job.state, job.error_code.as_deref()), (DownloadState::Error, Some("hash_mismatch")));
        let said = job.error.unwrap();
        assert!(said.contains(&wrong) && said.contains(&small("style.safetensors").sha256()), "{said}");
        assert!(!studio.path("loras/style.safetensors").exists());
        studio.registry.close().await;
    }

    async fn a_source_that_contradicts_the_catalog_is_told_before_a_byte_is_fetched(home: Home) {
        let studio = Studio::open(home).await;
        studio.serve(&[small("a.safetensors")]);
        let mut entry = hub_entry("a.safetensors");
        entry["sha256"] = json!("1".repeat(64));
        studio.import(&[entry]).await;
        let job = studio.fetch("a.safetensors").await.download;
        assert_eq!(job.error_code.as_deref(), Some("hash_mismatch"));
        assert_eq!(studio.standin.bytes_served("a.safetensors"), 0);
        studio.registry.close().await;
    }

    async fn damage_is_found_by_the_published_hash_although_the_catalog_has_none(home: Home) {
        let studio = Studio::open(home).await;
        studio.serve(&[small("a.safetensors")]);
        studio.import(&[hub_entry("a.safetensors")]).await;
        studio.fetch("a.safetensors").await;
        studio.verify().await;
        assert_eq!(studio.verification("a.safetensors"), Verification::Verified);
        let studio = studio.reopen().await;
        assert!(!studio.home.catalog("models").contains("sha256"), "the catalog stays as it was imported");
        let path = studio.path("loras/a.safetensors");
        let mut spoilt = fs::read(&path).unwrap();
        spoilt[200_000] ^= 1;
        fs::write(&path, spoilt).unwrap();
        studio.registry.rescan().await.unwrap();
        assert_eq!(studio.verification("a.safetensors"), Verification::Unverified);
        let studio = studio.reopen().await;
        let report = studio.verify().await;
        assert_eq!(report.files[0].outcome, Verification::Mismatch);
        assert_eq!(report.files[0].expected_sha256, Some(small("a.safetensors").sha256()));
        let studio = studio.reopen().await;
        assert_eq!(studio.verification("a.safetensors"), Verification::Mismatch);
        studio.registry.delete_file("a.safetensors", None, false).await.unwrap();
        let bin = studio.registry.list_bin(PageRequest::default()).await.unwrap();
        studio.registry.restore_bin_item(bin.items[0].id).await.unwrap();
        assert_eq!(studio.verification("a.safetensors"), Verification::Mismatch, "the bin forgets nothing");
        studio.registry.close().await;
    }

    async fn what_one_source_published_says_nothing_of_another(home: Home) {
        let studio = Studio::open(home).await;
        studio.serve(&[small("a.safetensors")]);
        studio.import(&[hub_entry("a.safetensors")]).await;
        studio.fetch("a.safetensors").await;
        let studio = studio
            .reopen_after(async |home, _, _| {
                let other = "\"hf_file\": \"b.safetensors\"";
                let text = home.catalog("models").replace("\"hf_file\": \"a.safetensors\"", other);
                assert!(text.contains(other));
                home.write_catalog("models", text);
            })
            .await;
        studio.verify().await;
        assert_eq!(studio.verification("a.safetensors"), Verification::Hashed);
        studio.registry.close().await;
    }

    async fn the_same_content_under_another_name_is_shared_and_not_fetched(home: Home) {
        let studio = Studio::open(home).await;
        let twin = small("a.safetensors");
        studio.serve(&[twin.clone(), FileSpec::of_bytes("b.safetensors", twin.bytes())]);
        studio.import(&[hub_entry("a.safetensors"), hub_entry("b.safetensors")]).await;
        studio.fetch("a.safetensors").await;
        let job = studio.fetch("b.safetensors").await.download;
        assert_eq!((job.state, job.error), (DownloadState::Done, None));
        assert_eq!(studio.standin.bytes_served("b.safetensors"), 0);
        assert_eq!(fs::read(studio.path("loras/b.safetensors")).unwrap(), twin.bytes());
        let file = studio.registry.find_entry("b.safetensors", None).unwrap().file.unwrap();
        assert_eq!(file.verification(), Verification::Verified);
        assert!(studio.hidden("parts").is_empty());
        studio.registry.close().await;
    }

    async fn a_twin_that_has_changed_since_is_not_trusted(home: Home) {
        let studio = Studio::open(home).await;
        let twin = small("a.safetensors");
        studio.serve(&[twin.clone(), FileSpec::of_bytes("b.safetensors", twin.bytes())]);
        studio.import(&[hub_entry("a.safetensors"), hub_entry("b.safetensors")]).await;
        studio.fetch("a.safetensors").await;
        fs::write(studio.path("loras/a.safetensors"), b"spoilt").unwrap();
        let job = studio.fetch("b.safetensors").await.download;
        assert_eq!(job.state, DownloadState::Done);
        assert_eq!(fs::read(studio.path("loras/b.safetensors")).unwrap(), twin.bytes());
        assert!(studio.standin.bytes_served("b.safetensors") > 0);
        studio.registry.close().await;
    }
}

#[tokio::test]
async fn what_is_no_model_is_refused_and_leaves_nothing() {
    on_sqlite(|home| async move {
        let studio = Studio::open(home).await;
        studio.serve(&[
            FileSpec::new("page.safetensors", 4000).kind(FileKind::Html),
            FileSpec::new("raw.safetensors", 4000).kind(FileKind::Raw),
            FileSpec::new("nothing.safetensors", 0).kind(FileKind::Empty),
        ]);
        for name in ["page.safetensors", "raw.safetensors", "nothing.safetensors"] {
            studio.import(&[hub_entry(name)]).await;
            let job = studio.fetch(name).await.download;
            assert_eq!(job.state, DownloadState::Error, "{name}");
            assert!(!studio.path("loras").join(name).exists());
        }
        assert!(studio.hidden("quarantine").is_empty());
        studio.registry.close().await;
    })
    .await;
}
