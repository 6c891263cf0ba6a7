//! Generations on both databases.

use chrono::TimeDelta;

use super::*;
use crate::store::testing::both_databases;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn generation(team: TeamId, key: Option<&str>, seconds: i64) -> StoredGeneration {
    let created_at = now() + TimeDelta::seconds(seconds);
    StoredGeneration {
        id: GenerationId::new(created_at),
        team_id: team,
        state: GenerationState::Queued,
        idempotency_key: key.map(str::to_owned),
        request_sha256: "ab".into(),
        plan: "{}".into(),
        pictures: "[]".into(),
        is_cancelled: false,
        error_code: None,
        error: None,
        created_at,
        started_at: None,
        finished_at: None,
    }
}

fn lease(holder: &str) -> Lease {
    Lease { holder: holder.into(), until: now() + TimeDelta::seconds(60) }
}

both_databases! {
    async fn a_key_names_one_request_of_a_team(store: Store) {
        let (team, other) = (TeamId::new(now()), TeamId::new(now()));
        let first = generation(team, Some("a"), 0);
        assert!(store.insert_generation(&first).await.unwrap());
        assert!(!store.insert_generation(&generation(team, Some("a"), 1)).await.unwrap());
        assert!(store.insert_generation(&generation(other, Some("a"), 2)).await.unwrap());
        assert!(store.insert_generation(&generation(team, None, 3)).await.unwrap());
        assert!(store.insert_generation(&generation(team, None, 4)).await.unwrap());
        assert_eq!(store.find_generation_of_key(team, "a").await.unwrap(), Some(first.clone()));
        assert_eq!(store.find_generation(team, first.id).await.unwrap(), Some(first.clone()));
        assert_eq!(store.find_generation(other, first.id).await.unwrap(), None, "another team's");
        assert_eq!(store.count_waiting_generations(team).await.unwrap(), (4, 3));
        assert_eq!(store.count_generations_before(now() + TimeDelta::seconds(3)).await.unwrap(), 2);
        let (page, total) = store.list_generations(team, None, 2).await.unwrap();
        assert_eq!((page.len(), total), (2, 3));
        let (rest, _) = store.list_generations(team, Some(page[1].id), 9).await.unwrap();
        assert_eq!(rest, [first]);
    }

    async fn the_oldest_is_claimed_once_and_ends_once(store: Store) {
        let team = TeamId::new(now());
        let (old, new) = (generation(team, None, 0), generation(team, None, 5));
        store.insert_generation(&new).await.unwrap();
        store.insert_generation(&old).await.unwrap();
        let mut running = store.claim_generation(now(), &lease("me")).await.unwrap().unwrap();
        assert_eq!((running.id, running.state), (old.id, GenerationState::Running));
        running.pictures = "[1]".into();
        assert_eq!(store.touch_generation(&running, &lease("me")).await.unwrap(), Some(false));
        assert_eq!(store.touch_generation(&running, &lease("another")).await.unwrap(), None);
        store.cancel_generation(old.id, now()).await.unwrap();
        assert_eq!(store.touch_generation(&running, &lease("me")).await.unwrap(), Some(true));
        (running.state, running.finished_at) = (GenerationState::Cancelled, Some(now()));
        assert!(!store.finish_generation(&running, "another").await.unwrap());
        assert!(store.finish_generation(&running, "me").await.unwrap());
        let ended = store.find_generation(team, old.id).await.unwrap().unwrap();
        assert_eq!((ended.state, &*ended.pictures), (GenerationState::Cancelled, "[1]"));
        store.cancel_generation(new.id, now()).await.unwrap();
        assert_eq!(store.claim_generation(now(), &lease("me")).await.unwrap(), None, "it was cancelled");
    }

    async fn what_a_dead_worker_held_waits_again_and_what_is_old_is_forgotten(store: Store) {
        let team = TeamId::new(now());
        let asked = generation(team, Some("a"), 0);
        store.insert_generation(&asked).await.unwrap();
        store.claim_generation(now(), &lease("dead")).await.unwrap().unwrap();
        assert_eq!(store.requeue_abandoned_generations("", now()).await.unwrap(), 0, "it may live");
        let later = now() + TimeDelta::seconds(61);
        assert_eq!(store.requeue_abandoned_generations("", later).await.unwrap(), 1);
        let mut running = store.claim_generation(later, &lease("me")).await.unwrap().unwrap();
        assert_eq!(store.requeue_abandoned_generations("me", now()).await.unwrap(), 1, "a start anew");
        assert!(store.forget_generations(later).await.unwrap().is_empty(), "it is not over");
        store.claim_generation(later, &lease("me")).await.unwrap().unwrap();
        (running.state, running.finished_at) = (GenerationState::Completed, Some(now()));
        assert!(store.finish_generation(&running, "me").await.unwrap());
        assert_eq!(store.forget_generations(later).await.unwrap(), [asked.id]);
        assert_eq!(store.find_generation_of_key(team, "a").await.unwrap(), None);
    }
}
