//! What a killed process leaves, and what the next one makes of it.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use lorakeep_registry::Registry;
use lorakeep_registry::config::Config;
use lorakeep_registry::domain::DownloadState;

use super::support::{Studio, hub_entry, large, small};
use crate::harness::{Home, both_databases, eventually, on_sqlite};

/// Opens a registry on a runtime of its own, starts it, and ends that runtime in the middle of everything once `holds`.
async fn killed_when(home: &Home, config: Config, holds: impl FnMut() -> bool) {
    let clock = home.clock.clone();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.spawn(async move {
        let registry = Registry::open(config, Arc::new(clock)).await.unwrap();
        registry.start();
        std::future::pending::<()>().await;
    });
    eventually("the moment of the kill", holds).await;
    tokio::task::spawn_blocking(move || runtime.shutdown_timeout(Duration::from_secs(20))).await.unwrap();
}

/// Queues files, closes the registry, and lets a process that is killed work on them.
async fn interrupted(home: Home, names: &[&str], bytes: u64) -> Studio {
    let studio = Studio::open(home).await;
    studio.serve(&names.iter().map(|name| large(name)).collect::<Vec<_>>());
    studio.import(&names.iter().map(|name| hub_entry(name)).collect::<Vec<_>>()).await;
    for name in names {
        studio.queue(name).await;
    }
    studio.standin.cap_per_connection(Some(4 << 20));
    let first = names[0].to_owned();
    let studio = studio
        .reopen_after(async |home, standin, config| {
            killed_when(home, config, || standin.bytes_served(&first) >= bytes).await;
        })
        .await;
    studio.standin.cap_per_connection(None);
    studio
}

both_databases! {
    async fn a_killed_download_is_queued_again_and_fetches_only_the_rest(home: Home) {
        let studio = interrupted(home, &["a.safetensors", "b.safetensors"], 10 << 20).await;
        let live = studio.registry.live_downloads();
        assert!(live.iter().all(|job| job.download.state == DownloadState::Queued), "{live:?}");
        assert_eq!(live.len(), 2, "nothing is lost from the queue");
        studio.standin.reset_counters();
        studio.registry.run_until_empty().await.unwrap();
        for name in ["a.safetensors", "b.safetensors"] {
            assert_eq!(fs::read(studio.path("loras").join(name)).unwrap(), large(name).bytes(), "{name}");
        }
        let after = studio.standin.bytes_served("a.safetensors");
        let size = large("a.safetensors").size();
        assert!(after < size, "{after} of {size} bytes were fetched again");
        assert!(studio.hidden("parts").is_empty());
        studio.registry.close().await;
    }

    async fn a_file_that_was_published_before_the_kill_is_not_fetched_again(home: Home) {
        let studio = interrupted(home, &["a.safetensors"], 1 << 20).await;
        // As if the kill had come between publishing and the row.
        fs::create_dir_all(studio.path("loras")).unwrap();
        fs::write(studio.path("loras/a.safetensors"), large("a.safetensors").bytes()).unwrap();
        studio.standin.reset_counters();
        studio.registry.run_until_empty().await.unwrap();
        assert!(studio.standin.requests().is_empty(), "nobody was asked for anything");
        let job = studio.registry.live_downloads().remove(0).download;
        assert_eq!((job.state, job.error), (DownloadState::Done, None));
        let file = studio.registry.find_entry("a.safetensors", None).unwrap().file.unwrap();
        assert_eq!(file.sha256.unwrap().to_string(), large("a.safetensors").sha256());
        studio.registry.close().await;
    }

    async fn a_clean_stop_parks_what_runs_and_the_next_start_goes_on(home: Home) {
        let studio = Studio::open(home).await;
        studio.serve(&[large("a.safetensors")]);
        studio.import(&[hub_entry("a.safetensors")]).await;
        studio.standin.cap_per_connection(Some(4 << 20));
        studio.registry.start();
        let job = studio.queue("a.safetensors").await;
        studio.flowing(&job, 4 << 20).await;
        let studio = studio.reopen().await;
        let parked = studio.registry.load_download(job.download.id).await.unwrap().download;
        assert_eq!(parked.state, DownloadState::Queued);
        assert!(parked.bytes_done >= 4 << 20);
        studio.standin.cap_per_connection(None);
        studio.standin.reset_counters();
        studio.registry.run_until_empty().await.unwrap();
        let after = studio.standin.bytes_served("a.safetensors");
        let missing = large("a.safetensors").size() - parked.bytes_done;
        assert!(after <= missing + (2 << 20), "{after} bytes were fetched where {missing} were missing");
        assert!(studio.path("loras/a.safetensors").is_file());
        studio.registry.close().await;
    }
}

#[tokio::test]
async fn parts_that_belong_to_no_job_are_removed_at_the_start() {
    on_sqlite(|home| async move {
        let parts = home.models.join(".lorakeep/parts");
        fs::create_dir_all(&parts).unwrap();
        let orphan = "0197a8c0b4c77c9fa1d23c4d5e6f7a8b";
        for name in [format!("{orphan}.part"), format!("{orphan}.journal"), "notes.txt".to_owned()] {
            fs::write(parts.join(name), b"x").unwrap();
        }
        let studio = Studio::open(home).await;
        assert_eq!(studio.hidden("parts"), ["notes.txt"]);
        studio.registry.close().await;
    })
    .await;
}

#[tokio::test]
async fn failures_are_remembered_over_a_restart() {
    on_sqlite(|home| async move {
        let studio = Studio::open(home).await;
        studio.serve(&[small("other.safetensors")]);
        studio.import(&[hub_entry("a.safetensors")]).await;
        let failed = studio.fetch("a.safetensors").await;
        let studio = studio.reopen().await;
        let state = studio.registry.find_entry("a.safetensors", None).unwrap();
        let job = state.job.unwrap();
        assert_eq!(job.download.error, failed.download.error);
        studio.registry.close().await;
    })
    .await;
}
