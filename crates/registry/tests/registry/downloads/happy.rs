//! Files arrive whole, verified and in their place.

use std::fs;

use chrono::TimeDelta;
use lorakeep_registry::domain::{DownloadState, StatusWord, Verification};
use lorakeep_registry::{DownloadFilter, Enqueued, PageRequest};
use lorakeep_standin::{CivitFile, FileSpec, HfRepo, PublishedHashes, Upstream};
use serde_json::json;

use super::support::{Studio, civitai_entry, civitai_model, civitai_version, forced, hub_entry, small};
use crate::harness::both_databases;

both_databases! {
    async fn a_file_from_the_hub_is_fetched_verified_and_listed(home: Home) {
        let studio = Studio::open(home).await;
        studio.serve(&[small("a.safetensors")]);
        studio.import(&[hub_entry("a.safetensors")]).await;
        let job = studio.fetch("a.safetensors").await.download;
        assert_eq!((job.state, job.error), (DownloadState::Done, None));
        assert_eq!((job.bytes_done, job.bytes_total, job.attempts), (300_000, 300_000, 1));
        assert_eq!(fs::read(studio.path("loras/a.safetensors")).unwrap(), small("a.safetensors").bytes());
        let state = studio.registry.find_entry("a.safetensors", None).unwrap();
        assert_eq!(state.status, StatusWord::Present);
        let file = state.file.unwrap();
        assert_eq!(file.verification(), Verification::Verified);
        assert_eq!(file.sha256.unwrap().to_string(), small("a.safetensors").sha256());
        assert!(studio.hidden("parts").is_empty());
        studio.registry.close().await;
    }

    async fn a_version_from_civitai_is_fetched_and_verified(home: Home) {
        let studio = Studio::open(home).await;
        studio.standin.add_model(civitai_model(7, small("style.safetensors")));
        studio.import(&[civitai_entry("mine.safetensors", 70)]).await;
        let job = studio.fetch("mine.safetensors").await.download;
        assert_eq!((job.state, job.error), (DownloadState::Done, None));
        let file = studio.registry.find_entry("mine.safetensors", None).unwrap().file.unwrap();
        assert_eq!(file.verification(), Verification::Verified);
        let downloads = studio.standin.requests_to(Upstream::Civitai);
        assert!(downloads.iter().any(|seen| seen.query == "fileId=700"), "the file is asked for by its id");
        studio.registry.close().await;
    }

    async fn a_plain_address_is_fetched_and_marked_as_hashed_only(home: Home) {
        let studio = Studio::open(home).await;
        studio.standin.add_file(small("plain.safetensors"));
        let url = studio.standin.file_url("plain.safetensors");
        studio.import(&[json!({"file": "plain.safetensors", "dest": "vae", "url": url})]).await;
        let job = studio.fetch("plain.safetensors").await.download;
        assert_eq!((job.state, job.error), (DownloadState::Done, None));
        let file = studio.registry.find_entry("plain.safetensors", None).unwrap().file.unwrap();
        assert_eq!(file.verification(), Verification::Hashed);
        studio.registry.close().await;
    }

    async fn a_present_file_is_fetched_again_only_when_forced(home: Home) {
        let studio = Studio::open(home).await;
        studio.serve(&[small("a.safetensors")]);
        studio.import(&[hub_entry("a.safetensors")]).await;
        studio.fetch("a.safetensors").await;
        assert!(matches!(studio.enqueue("a.safetensors").await, Enqueued::Present));
        let path = studio.path("loras/a.safetensors");
        fs::write(&path, b"spoilt").unwrap();
        let job = studio.registry.enqueue("a.safetensors", None, forced()).await.unwrap();
        let Enqueued::Queued(job) = job else { panic!("{job:?}") };
        studio.registry.run_until_empty().await.unwrap();
        let job = studio.registry.load_download(job.download.id).await.unwrap();
        assert_eq!(job.download.state, DownloadState::Done);
        assert_eq!(fs::read(path).unwrap(), small("a.safetensors").bytes());
        studio.registry.close().await;
    }

    async fn asking_twice_gives_one_job(home: Home) {
        let studio = Studio::open(home).await;
        studio.serve(&[small("a.safetensors")]);
        studio.import(&[hub_entry("a.safetensors")]).await;
        let first = studio.queue("a.safetensors").await;
        let Enqueued::Already(second) = studio.enqueue("a.safetensors").await else { panic!("a second job") };
        assert_eq!(first.download.id, second.download.id);
        studio.registry.close().await;
    }

    async fn a_batch_says_what_it_skipped_and_why(home: Home) {
        let studio = Studio::open(home).await;
        let names = ["a.safetensors", "b.safetensors", "c.safetensors"];
        studio.serve(&names.map(small));
        let mut entries = names.map(hub_entry).to_vec();
        entries.push(json!({"file": "homeless.safetensors", "dest": "loras"}));
        studio.import(&entries).await;
        studio.fetch("a.safetensors").await;
        studio.queue("b.safetensors").await;
        let asked = ["a.safetensors", "b.safetensors", "c.safetensors", "c.safetensors", "homeless.safetensors", "x"];
        let report = studio.registry.enqueue_batch(&asked.map(str::to_owned), false).await.unwrap();
        assert_eq!(report.queued, ["c.safetensors"]);
        let skipped: Vec<_> = report.skipped.iter().map(|skipped| (skipped.file.as_str(), skipped.reason)).collect();
        let expected = [
            ("a.safetensors", "present"),
            ("b.safetensors", "queued"),
            ("c.safetensors", "queued"),
            ("homeless.safetensors", "no_source"),
            ("x", "not_found"),
        ];
        assert_eq!(skipped, expected);
        studio.registry.run_until_empty().await.unwrap();
        assert!(studio.path("loras/c.safetensors").is_file());
        studio.registry.close().await;
    }

    async fn what_ended_is_shown_for_a_quarter_of_an_hour(home: Home) {
        let studio = Studio::open(home).await;
        studio.serve(&[small("a.safetensors")]);
        studio.import(&[hub_entry("a.safetensors"), hub_entry("missing.safetensors")]).await;
        studio.fetch("a.safetensors").await;
        studio.fetch("missing.safetensors").await;
        studio.home.clock.advance(TimeDelta::minutes(15));
        assert_eq!(studio.registry.live_downloads().len(), 2);
        studio.home.clock.advance(TimeDelta::seconds(1));
        assert!(studio.registry.live_downloads().is_empty());
        let state = studio.registry.find_entry("missing.safetensors", None).unwrap();
        assert_eq!(state.status, StatusWord::Error, "the entry still tells of it");
        studio.registry.close().await;
    }

    async fn the_history_is_paged_and_filtered(home: Home) {
        let studio = Studio::open(home).await;
        let names: Vec<String> = (0..5).map(|n| format!("{n}.safetensors")).collect();
        studio.serve(&names.iter().map(|name| small(name)).collect::<Vec<_>>());
        studio.import(&names.iter().map(|name| hub_entry(name)).collect::<Vec<_>>()).await;
        studio.registry.enqueue_batch(&names, false).await.unwrap();
        studio.registry.run_until_empty().await.unwrap();
        let mut seen = 0;
        let mut page = PageRequest { limit: Some(2), cursor: None };
        loop {
            let rows = studio.registry.list_downloads(DownloadFilter::default(), page).await.unwrap();
            assert_eq!(rows.total, 5);
            seen += rows.items.len();
            let Some(cursor) = rows.next_cursor else { break };
            page = PageRequest { limit: Some(2), cursor: Some(cursor) };
        }
        assert_eq!(seen, 5);
        let waiting = DownloadFilter { states: vec![DownloadState::Queued] };
        let rows = studio.registry.list_downloads(waiting, PageRequest::default()).await.unwrap();
        assert!(rows.items.is_empty());
        let bad = PageRequest { limit: None, cursor: Some("x".into()) };
        let error = studio.registry.list_downloads(DownloadFilter::default(), bad).await.unwrap_err();
        assert_eq!(error.code(), "bad_cursor");
        studio.registry.close().await;
    }
}

#[tokio::test]
async fn every_change_wakes_who_watches() {
    crate::harness::on_sqlite(|home| async move {
        let studio = Studio::open(home).await;
        studio.serve(&[small("a.safetensors")]);
        studio.import(&[hub_entry("a.safetensors")]).await;
        let seen = studio.registry.downloads_changed(0).await;
        let watching = tokio::spawn({
            let registry = studio.registry.clone();
            async move { registry.downloads_changed(seen).await }
        });
        studio.queue("a.safetensors").await;
        assert_ne!(watching.await.unwrap(), seen);
        studio.registry.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_moved_branch_gives_the_file_of_its_new_commit() {
    crate::harness::on_sqlite(|home| async move {
        let studio = Studio::open(home).await;
        let renewed = small("a.safetensors").seed(9);
        studio
            .standin
            .add_repo(HfRepo::new("o/r").file(small("a.safetensors")).next_commit().file(renewed.clone()));
        studio.import(&[hub_entry("a.safetensors")]).await;
        studio.fetch("a.safetensors").await;
        assert_eq!(fs::read(studio.path("loras/a.safetensors")).unwrap(), renewed.bytes());
        studio.registry.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_linked_vae_is_fetched_by_the_address_that_the_site_gave() {
    crate::harness::on_sqlite(|home| async move {
        let studio = Studio::open(home).await;
        let mut vae = CivitFile::new(9001, small("vae.safetensors")).secondary();
        (vae.kind, vae.linked) = ("VAE".into(), true);
        let mut model = civitai_model(7, small("style.safetensors"));
        model.versions[0].files.push(vae);
        studio.standin.add_model(model);
        let entry = json!({"file": "vae.safetensors", "dest": "vae", "civitai_version_id": 70, "civitai_file_id": 9001});
        studio.import(&[entry]).await;
        let job = studio.fetch("vae.safetensors").await.download;
        assert_eq!((job.state, job.error), (DownloadState::Done, None));
        assert_eq!(fs::read(studio.path("vae/vae.safetensors")).unwrap(), small("vae.safetensors").bytes());
        studio.registry.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_version_without_a_published_hash_and_with_a_wrong_size_still_arrives() {
    crate::harness::on_sqlite(|home| async move {
        let studio = Studio::open(home).await;
        let mut version = civitai_version(70, small("style.safetensors"));
        version.files[0] =
            CivitFile::new(700, small("style.safetensors")).publishing(PublishedHashes::Absent);
        version.files[0].size_kb = Some(12.5);
        let mut model = civitai_model(7, FileSpec::new("x.safetensors", 100));
        model.versions = vec![version];
        studio.standin.add_model(model);
        studio.import(&[civitai_entry("style.safetensors", 70)]).await;
        let job = studio.fetch("style.safetensors").await.download;
        assert_eq!((job.state, job.error, job.bytes_total), (DownloadState::Done, None, 300_000));
        studio.registry.close().await;
    })
    .await;
}
