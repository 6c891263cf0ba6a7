//! The queue on both databases.

use chrono::TimeDelta;
use lorakeep_weights::Sha256;

use super::*;
use crate::domain::FileStamp;
use crate::store::testing::both_databases;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn lease(holder: &str) -> Lease {
    Lease { holder: holder.into(), until: now() + TimeDelta::seconds(60) }
}

fn job(file: &str, priority: i64) -> Download {
    Download {
        id: DownloadId::new(now()),
        entry_id: EntryId::new(now()),
        path: ModelPath::parse("loras", file).unwrap(),
        state: DownloadState::Queued,
        priority,
        position: 0,
        force: true,
        trigger: Trigger::Batch,
        bytes_done: 0,
        bytes_total: 7,
        attempts: 0,
        error_code: None,
        error: None,
        created_at: now(),
        started_at: None,
        finished_at: None,
    }
}

async fn insert(store: &Store, jobs: &[(&str, i64)]) -> Vec<Download> {
    store.insert_downloads(jobs.iter().map(|(file, priority)| job(file, *priority)).collect()).await.unwrap()
}

async fn claim(store: &Store) -> Option<String> {
    let claimed = store.claim_download(now(), &lease("a")).await.unwrap();
    claimed.map(|stored| stored.download.path.file.to_string())
}

async fn end(store: &Store, mut download: Download, state: DownloadState, minute: i64) {
    let from = download.state;
    download.state = state;
    download.finished_at = Some(now() + TimeDelta::minutes(minute));
    assert!(store.save_download(from, &download, None).await.unwrap());
}

#[test]
fn statements_move_jobs_only_as_the_domain_allows() {
    assert!(DownloadState::Queued.may_become(DownloadState::Downloading), "claim");
    for state in DownloadState::ALL.into_iter().filter(|state| state.is_running()) {
        assert!(state.may_become(DownloadState::Queued), "requeue");
        assert!(RUNNING.contains(state.as_str()) && ACTIVE.contains(state.as_str()));
    }
    for state in DownloadState::ALL {
        assert_eq!(ENDED.contains(&format!("'{}'", state.as_str())), state.is_ended());
        assert_eq!(ACTIVE.contains(&format!("'{}'", state.as_str())), !state.is_ended());
    }
}

both_databases! {
    async fn a_job_is_read_as_it_was_written(store: Store) {
        let added = insert(&store, &[("a.safetensors", 3)]).await;
        let stored = store.load_download(added[0].id).await.unwrap().unwrap();
        assert_eq!(stored, StoredDownload { download: added[0].clone(), sha256: None });
        assert_eq!(store.load_active_download(&added[0].path).await.unwrap(), Some(stored));
        assert_eq!(store.load_download(DownloadId::new(now())).await.unwrap(), None);
    }

    async fn a_path_has_one_living_job(store: Store) {
        let first = insert(&store, &[("a.pt", 0), ("a.pt", 0), ("b.pt", 0)]).await;
        assert_eq!(first.len(), 2);
        assert!(insert(&store, &[("a.pt", 9)]).await.is_empty());
        end(&store, first[0].clone(), DownloadState::Cancelled, 1).await;
        assert_eq!(insert(&store, &[("a.pt", 0)]).await.len(), 1);
    }

    async fn jobs_are_claimed_by_priority_then_by_order_and_each_once(store: Store) {
        insert(&store, &[("a.pt", 0), ("b.pt", 5), ("c.pt", 0), ("d.pt", 5)]).await;
        let mut order = Vec::new();
        while let Some(file) = claim(&store).await {
            order.push(file);
        }
        assert_eq!(order, ["b.pt", "d.pt", "a.pt", "c.pt"]);
    }

    async fn many_workers_never_take_the_same_job(store: Store) {
        let names: Vec<String> = (0..30).map(|n| format!("{n}.pt")).collect();
        insert(&store, &names.iter().map(|name| (name.as_str(), 0)).collect::<Vec<_>>()).await;
        let claims = (0..40).map(|n| {
            let store = store.clone();
            tokio::spawn(async move { store.claim_download(now(), &lease(&n.to_string())).await.unwrap() })
        });
        let mut taken = Vec::new();
        for claim in claims.collect::<Vec<_>>() {
            taken.extend(claim.await.unwrap().map(|stored| stored.download.id));
        }
        // A worker that meets another's row may come back empty; nobody comes back with the same one.
        let count = taken.len();
        taken.sort();
        taken.dedup();
        assert_eq!(taken.len(), count);
        while claim(&store).await.is_some() {
            taken.push(DownloadId::new(now()));
        }
        assert_eq!(taken.len(), 30);
    }

    async fn a_claim_counts_the_try_and_forgets_the_last_failure(store: Store) {
        let mut download = insert(&store, &[("a.pt", 0)]).await.remove(0);
        download.error = Some("x".into());
        assert!(store.save_download(DownloadState::Queued, &download, None).await.unwrap());
        let claimed = store.claim_download(now(), &lease("a")).await.unwrap().unwrap().download;
        assert_eq!((claimed.attempts, claimed.error, claimed.started_at), (1, None, Some(now())));
        assert_eq!(claimed.state, DownloadState::Downloading);
    }

    async fn jobs_of_a_dead_process_go_back_and_those_of_others_when_their_lease_is_over(store: Store) {
        insert(&store, &[("a.pt", 0), ("b.pt", 0)]).await;
        store.claim_download(now(), &lease("mine")).await.unwrap().unwrap();
        store.claim_download(now(), &lease("theirs")).await.unwrap().unwrap();
        assert_eq!(store.requeue_abandoned_downloads("mine", now()).await.unwrap(), 1);
        assert_eq!(store.requeue_abandoned_downloads("mine", now() + TimeDelta::seconds(61)).await.unwrap(), 1);
        assert_eq!(claim(&store).await.as_deref(), Some("a.pt"), "in its old place");
    }

    async fn progress_is_noted_by_the_holder_only(store: Store) {
        insert(&store, &[("a.pt", 0)]).await;
        let mut held = store.claim_download(now(), &lease("a")).await.unwrap().unwrap().download;
        (held.bytes_done, held.state) = (5, DownloadState::Verifying);
        assert!(!store.touch_download(&held, &lease("b")).await.unwrap());
        assert!(store.touch_download(&held, &lease("a")).await.unwrap());
        let stored = store.load_download(held.id).await.unwrap().unwrap().download;
        assert_eq!((stored.bytes_done, stored.state), (5, DownloadState::Verifying));
    }

    async fn a_change_is_written_only_from_the_state_that_was_judged(store: Store) {
        let download = insert(&store, &[("a.pt", 0)]).await.remove(0);
        claim(&store).await.unwrap();
        let paused = Download { state: DownloadState::Paused, ..download };
        assert!(!store.save_download(DownloadState::Queued, &paused, None).await.unwrap());
        assert!(store.save_download(DownloadState::Downloading, &paused, None).await.unwrap());
    }

    async fn what_was_published_is_noted_together_with_the_end_of_the_job(store: Store) {
        insert(&store, &[("a.pt", 0)]).await;
        let held = store.claim_download(now(), &lease("a")).await.unwrap().unwrap().download;
        store.save_download_sha256(held.id, "ab").await.unwrap();
        let stamp = FileStamp { size_bytes: 7, modified_ns: 1, inode: 2 };
        let fact = FileFact::hashed(stamp, Sha256::of(b"x"), Some(Sha256::of(b"x")), now());
        let done = Download { state: DownloadState::Done, finished_at: Some(now()), ..held };
        assert!(store.save_download(DownloadState::Downloading, &done, Some(&fact)).await.unwrap());
        assert!(store.save_download(DownloadState::Done, &done, Some(&fact)).await.unwrap(), "a second time is fine");
        assert_eq!(store.load_download(done.id).await.unwrap().unwrap().sha256.as_deref(), Some("ab"));
    }

    async fn the_list_shows_running_then_waiting_then_ended_jobs(store: Store) {
        let jobs = insert(&store, &[("run.pt", 9), ("low.pt", 0), ("high.pt", 5), ("old.pt", 0), ("new.pt", 0)]).await;
        claim(&store).await.unwrap();
        end(&store, jobs[3].clone(), DownloadState::Error, 1).await;
        end(&store, jobs[4].clone(), DownloadState::Done, 2).await;
        let names = async |states: &[DownloadState], limit, offset| {
            let rows = store.list_downloads(states, limit, offset).await.unwrap();
            rows.iter().map(|row| row.download.path.file.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names(&[], 10, 0).await, ["run.pt", "high.pt", "low.pt", "new.pt", "old.pt"]);
        assert_eq!(names(&[], 2, 2).await, ["low.pt", "new.pt"]);
        assert_eq!(names(&[DownloadState::Error], 10, 0).await, ["old.pt"]);
        assert_eq!(store.count_downloads(&[]).await.unwrap(), 5);
        assert_eq!(store.count_downloads(&[DownloadState::Queued]).await.unwrap(), 2);
        let recent = store.load_recent_downloads(now() + TimeDelta::minutes(3)).await.unwrap();
        assert_eq!(recent.len(), 4, "a done job is recent only for a while");
        assert_eq!(store.prune_downloads(1).await.unwrap(), 1);
        assert_eq!(names(&[], 10, 0).await, ["run.pt", "high.pt", "low.pt", "new.pt"]);
    }

    async fn waiting_jobs_are_given_new_places(store: Store) {
        let jobs = insert(&store, &[("a.pt", 0), ("b.pt", 0), ("c.pt", 1)]).await;
        assert_eq!(jobs[1].position - jobs[0].position, STEP);
        let places = store.waiting_positions(0).await.unwrap();
        assert_eq!(places, [(jobs[0].id, jobs[0].position), (jobs[1].id, jobs[1].position)]);
        store.save_positions(&[(jobs[1].id, -5)]).await.unwrap();
        assert_eq!(store.waiting_positions(0).await.unwrap()[0], (jobs[1].id, -5));
    }
}
