//! Pause, resume, cancel, order, and how many run at once.

use std::fs;

use lorakeep_registry::clock::Clock;
use lorakeep_registry::domain::DownloadState;
use lorakeep_registry::{Enqueue, Enqueued, JobState, Placement, SettingsChange};

use lorakeep_standin::{Fault, RetryAfter, Times};

use super::support::{Studio, civitai_entry, civitai_model, hub_entry, large, small, usual};
use crate::harness::{Home, both_databases, eventually, on_sqlite};

/// Bytes a second of each connection, slow enough to act in the middle.
const SLOW: Option<u64> = Some(4 << 20);

/// A large file on its way.
async fn under_way(home: Home) -> (Studio, JobState) {
    let studio = Studio::open(home).await;
    studio.serve(&[large("a.safetensors")]);
    studio.import(&[hub_entry("a.safetensors")]).await;
    studio.standin.cap_per_connection(SLOW);
    studio.registry.start();
    let job = studio.queue("a.safetensors").await;
    studio.flowing(&job, 4 << 20).await;
    (studio, job)
}

both_databases! {
    async fn a_paused_download_goes_on_from_where_it_was(home: Home) {
        let (studio, job) = under_way(home).await;
        let paused = studio.registry.pause_download(job.download.id).await.unwrap();
        assert_eq!(paused.download.state, DownloadState::Paused);
        assert!(paused.download.bytes_done >= 4 << 20);
        // What still sits in the sockets of the old connections does not count.
        studio.standin.reset_counters();
        studio.standin.cap_per_connection(None);
        studio.registry.resume_download(job.download.id).await.unwrap();
        eventually("it is done", || studio.state(&job) == DownloadState::Done).await;
        let after = studio.standin.bytes_served("a.safetensors");
        let missing = large("a.safetensors").size() - paused.download.bytes_done;
        assert!(after <= missing + (2 << 20), "{after} bytes were fetched where {missing} were missing");
        assert_eq!(fs::read(studio.path("loras/a.safetensors")).unwrap(), large("a.safetensors").bytes());
        studio.registry.close().await;
    }

    async fn a_cancelled_download_leaves_nothing_behind(home: Home) {
        let (studio, job) = under_way(home).await;
        let cancelled = studio.registry.cancel_download(job.download.id).await.unwrap();
        assert_eq!(cancelled.download.state, DownloadState::Cancelled);
        assert!(studio.hidden("parts").is_empty(), "{:?}", studio.hidden("parts"));
        assert!(!studio.path("loras/a.safetensors").exists());
        let refused = studio.registry.pause_download(job.download.id).await.unwrap_err();
        assert_eq!(refused.code(), "wrong_state");
        studio.standin.cap_per_connection(None);
        let again = studio.queue("a.safetensors").await;
        assert_ne!(again.download.id, job.download.id);
        eventually("it is done", || studio.state(&again) == DownloadState::Done).await;
        studio.registry.close().await;
    }

    async fn asking_for_a_paused_download_resumes_it(home: Home) {
        let studio = Studio::open(home).await;
        studio.serve(&[small("a.safetensors"), small("b.safetensors")]);
        studio.import(&[hub_entry("a.safetensors"), hub_entry("b.safetensors")]).await;
        for file in ["a.safetensors", "b.safetensors"] {
            let job = studio.queue(file).await;
            studio.registry.pause_download(job.download.id).await.unwrap();
        }
        let again = studio.queue("a.safetensors").await;
        assert_eq!(again.download.state, DownloadState::Queued);
        let report = studio.registry.enqueue_batch(&["b.safetensors".to_owned()], false).await.unwrap();
        assert_eq!(report.queued, ["b.safetensors"]);
        studio.registry.run_until_empty().await.unwrap();
        assert!(studio.path("loras/a.safetensors").exists() && studio.path("loras/b.safetensors").exists());
        studio.registry.close().await;
    }

    async fn a_long_pause_that_a_host_asks_for_is_told_and_keeps_no_place(home: Home) {
        let studio = Studio::open_with(home, &[("MAX_CONCURRENT_DOWNLOADS", "1")]).await;
        studio.serve(&[small("a.safetensors")]);
        studio.standin.add_model(civitai_model(7, small("b.safetensors")));
        studio.import(&[hub_entry("a.safetensors"), civitai_entry("b.safetensors", 70)]).await;
        let busy = Fault::status_retry(429, RetryAfter::Seconds(600));
        studio.standin.fault("/o/r/resolve/", busy, Times::Always);
        studio.registry.start();
        let job = studio.queue("a.safetensors").await;
        let find = || {
            let live = studio.registry.live_downloads();
            live.into_iter().find(|own| own.download.id == job.download.id).unwrap()
        };
        eventually("it waits", || find().wait.is_some()).await;
        let wait = find().wait.unwrap();
        assert_eq!(find().download.state, DownloadState::Retrying);
        assert!((600..700).contains(&(wait.until - studio.home.clock.now()).num_seconds()), "{wait}");
        assert!(wait.reason.contains("429"), "{wait}");
        let other = studio.queue("b.safetensors").await;
        eventually("the other one has the place", || studio.state(&other) == DownloadState::Done).await;
        let paused = studio.registry.pause_download(job.download.id).await.unwrap();
        assert_eq!((paused.download.state, paused.wait, paused.download.error), (DownloadState::Paused, None, None));
        studio.registry.close().await;
    }

    async fn a_waiting_download_is_paused_and_cancelled_at_once(home: Home) {
        let studio = Studio::open(home).await;
        studio.serve(&[small("a.safetensors")]);
        studio.import(&[hub_entry("a.safetensors")]).await;
        let id = studio.queue("a.safetensors").await.download.id;
        studio.registry.pause_download(id).await.unwrap();
        studio.registry.run_until_empty().await.unwrap();
        assert!(studio.standin.requests().is_empty(), "a paused job is not run");
        assert_eq!(studio.registry.resume_download(id).await.unwrap().download.state, DownloadState::Queued);
        assert_eq!(studio.registry.resume_download(id).await.unwrap_err().code(), "wrong_state");
        assert_eq!(studio.registry.cancel_download(id).await.unwrap().download.state, DownloadState::Cancelled);
        let retried = studio.registry.retry_download(id).await.unwrap();
        assert_eq!(retried.download.state, DownloadState::Queued);
        studio.registry.run_until_empty().await.unwrap();
        assert!(studio.path("loras/a.safetensors").is_file());
        studio.registry.close().await;
    }

    async fn everything_is_paused_and_resumed_together(home: Home) {
        let (studio, job) = under_way(home).await;
        studio.serve(&[large("a.safetensors"), small("b.safetensors")]);
        studio.import(&[hub_entry("b.safetensors")]).await;
        let waiting = studio.registry.pause_all_downloads().await.unwrap();
        assert_eq!(waiting, 1);
        let other = studio.queue("b.safetensors").await;
        eventually("what comes later still runs", || studio.state(&other) == DownloadState::Done).await;
        assert_eq!(studio.state(&job), DownloadState::Paused);
        studio.standin.cap_per_connection(None);
        assert_eq!(studio.registry.resume_all_downloads().await.unwrap(), 1);
        eventually("it is done", || studio.state(&job) == DownloadState::Done).await;
        studio.registry.close().await;
    }

    async fn a_file_that_is_deleted_while_it_arrives_does_not_come_back(home: Home) {
        let (studio, job) = under_way(home).await;
        studio.registry.delete_file("a.safetensors", None, false).await.unwrap();
        assert_eq!(studio.state(&job), DownloadState::Cancelled);
        assert!(studio.hidden("parts").is_empty());
        assert!(!studio.path("loras/a.safetensors").exists());
        studio.registry.close().await;
    }

    async fn the_queue_runs_in_its_order_and_the_order_can_be_changed(home: Home) {
        let studio = Studio::open_with(home, &[("MAX_CONCURRENT_DOWNLOADS", "1")]).await;
        let names = ["a", "b", "c", "d", "e", "f"].map(|name| format!("{name}.safetensors"));
        studio.serve(&names.each_ref().map(|name| small(name)));
        studio.import(&names.each_ref().map(|name| hub_entry(name))).await;
        let mut ids = Vec::new();
        for name in &names {
            ids.push(studio.queue(name).await.download.id);
        }
        let registry = &studio.registry;
        registry.move_download(ids[5], Placement::Top).await.unwrap();
        registry.move_download(ids[0], Placement::Bottom).await.unwrap();
        registry.move_download(ids[4], Placement::Before(ids[2])).await.unwrap();
        registry.move_download(ids[1], Placement::After(ids[3])).await.unwrap();
        registry.move_download(ids[3], Placement::Priority(7)).await.unwrap();
        let refused = registry.move_download(ids[0], Placement::After(ids[0])).await.unwrap_err();
        assert_eq!(refused.code(), "same_download");
        registry.run_until_empty().await.unwrap();
        assert_eq!(first_bytes_in_order(&studio), ["d", "f", "e", "c", "b", "a"]);
        let refused = registry.move_download(ids[0], Placement::Top).await.unwrap_err();
        assert_eq!(refused.code(), "wrong_state");
        studio.registry.close().await;
    }
}

/// Which files were asked for, in the order of their first request for bytes.
fn first_bytes_in_order(studio: &Studio) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    for request in studio.standin.requests() {
        let name = request.path.rsplit('/').next().unwrap_or_default().to_owned();
        if request.path.contains("/resolve/") && !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen.iter().map(|name| name.trim_end_matches(".safetensors").to_owned()).collect()
}

#[tokio::test]
async fn jobs_are_moved_also_where_there_is_no_place_between_two() {
    on_sqlite(|home| async move {
        let studio = Studio::open_with(home, &[("MAX_CONCURRENT_DOWNLOADS", "1")]).await;
        let names: Vec<String> = (0..4).map(|n| format!("{n}.safetensors")).collect();
        studio.serve(&names.iter().map(|name| small(name)).collect::<Vec<_>>());
        studio.import(&names.iter().map(|name| hub_entry(name)).collect::<Vec<_>>()).await;
        let mut ids = Vec::new();
        for name in &names {
            ids.push(studio.queue(name).await.download.id);
        }
        // Halving the same gap uses it up after some twenty moves.
        for _ in 0..30 {
            studio.registry.move_download(ids[2], Placement::After(ids[0])).await.unwrap();
            studio.registry.move_download(ids[1], Placement::After(ids[0])).await.unwrap();
        }
        studio.registry.run_until_empty().await.unwrap();
        assert_eq!(first_bytes_in_order(&studio), ["0", "1", "2", "3"]);
        studio.registry.close().await;
    })
    .await;
}

#[tokio::test]
async fn no_more_run_at_once_than_are_allowed() {
    on_sqlite(|home| async move {
        let studio = Studio::open_with(home, &[("MAX_CONCURRENT_DOWNLOADS", "2")]).await;
        let names: Vec<String> = (0..6).map(|n| format!("{n}.safetensors")).collect();
        studio.serve(&names.iter().map(|name| small(name)).collect::<Vec<_>>());
        studio.import(&names.iter().map(|name| hub_entry(name)).collect::<Vec<_>>()).await;
        studio.standin.cap_per_connection(Some(400_000));
        studio.registry.enqueue_batch(&names, false).await.unwrap();
        let running = tokio::spawn({
            let registry = studio.registry.clone();
            async move { registry.run_until_empty().await }
        });
        let mut most = 0;
        while !running.is_finished() {
            let live = studio.registry.live_downloads();
            most = most.max(live.iter().filter(|job| job.download.state.is_running()).count());
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        running.await.unwrap().unwrap();
        assert_eq!(most, 2);
        studio.registry.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_higher_priority_goes_first() {
    on_sqlite(|home| async move {
        let studio = Studio::open_with(home, &[("MAX_CONCURRENT_DOWNLOADS", "1")]).await;
        let names = ["a.safetensors", "b.safetensors"];
        studio.serve(&names.map(small));
        studio.import(&names.map(hub_entry)).await;
        studio.queue("a.safetensors").await;
        let urgent = Enqueue { priority: 5, ..usual() };
        let queued = studio.registry.enqueue("b.safetensors", None, urgent).await.unwrap();
        assert!(matches!(queued, Enqueued::Queued(_)));
        studio.registry.run_until_empty().await.unwrap();
        assert_eq!(first_bytes_in_order(&studio), ["b", "a"]);
        studio.registry.close().await;
    })
    .await;
}

#[tokio::test]
async fn settings_act_on_the_queue_at_once_and_after_a_restart() {
    on_sqlite(|home| async move {
        let studio = Studio::open_with(home, &[("MAX_CONCURRENT_DOWNLOADS", "1")]).await;
        let names: Vec<String> = (0..3).map(|n| format!("{n}.safetensors")).collect();
        studio.serve(&names.iter().map(|name| large(name)).collect::<Vec<_>>());
        studio.import(&names.iter().map(|name| hub_entry(name)).collect::<Vec<_>>()).await;
        studio.standin.cap_per_connection(SLOW);
        let stop = SettingsChange { downloads_paused: Some(true), ..SettingsChange::default() };
        studio.registry.change_settings(stop).await.unwrap();
        let studio = studio.reopen().await;
        studio.registry.start();
        studio.registry.enqueue_batch(&names, false).await.unwrap();
        studio.registry.run_until_empty().await.unwrap();
        assert!(studio.standin.requests().is_empty(), "the queue stands still");
        let go = SettingsChange {
            downloads_paused: Some(false),
            max_concurrent_downloads: Some(3),
            ..SettingsChange::default()
        };
        studio.registry.change_settings(go).await.unwrap();
        let running =
            || studio.registry.live_downloads().iter().filter(|job| job.download.state.is_running()).count();
        eventually("three run at once", || running() == 3).await;
        studio.registry.close().await;
    })
    .await;
}
