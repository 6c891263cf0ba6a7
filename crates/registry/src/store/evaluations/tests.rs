//! Evaluations on both databases.

use chrono::{DateTime, TimeDelta, Utc};

use super::*;
use crate::store::testing::both_databases;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn evaluation(seconds: i64) -> StoredEvaluation {
    let created_at = now() + TimeDelta::seconds(seconds);
    StoredEvaluation {
        id: EvaluationId::new(created_at),
        state: EvaluationState::Queued,
        request: r#"{"files":["a"]}"#.into(),
        files: "[]".into(),
        outcome: None,
        steps_done: 0,
        steps_total: 3,
        is_cancelled: false,
        asked_by: "ann".into(),
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

fn key(content: &str) -> ResultKey {
    let text = str::to_owned;
    ResultKey { kind: "file", content: text(content), tool: text("1/1"), options: text("") }
}

fn result(frobenius: f64) -> StoredResult {
    StoredResult {
        document: "{}".into(),
        scope: Some("sdxl/lora".into()),
        frobenius_total: Some(frobenius),
        effective_rank: None,
        computed_at: now(),
    }
}

both_databases! {
    async fn the_oldest_of_a_lane_is_claimed_once(store: Store) {
        let (old, new, other) = (evaluation(0), evaluation(5), evaluation(1));
        store.insert_evaluation(&new, EvaluationLane::Weights).await.unwrap();
        store.insert_evaluation(&old, EvaluationLane::Weights).await.unwrap();
        store.insert_evaluation(&other, EvaluationLane::Images).await.unwrap();
        let first = store.claim_evaluation(EvaluationLane::Weights, now(), &lease("me")).await.unwrap().unwrap();
        assert_eq!((first.id, first.state, first.started_at), (old.id, EvaluationState::Running, Some(now())));
        let second = store.claim_evaluation(EvaluationLane::Weights, now(), &lease("me")).await.unwrap().unwrap();
        assert_eq!(second.id, new.id);
        assert_eq!(store.claim_evaluation(EvaluationLane::Weights, now(), &lease("me")).await.unwrap(), None);
        let listed: Vec<_> = store.list_evaluations(None, 2).await.unwrap().into_iter().map(|one| one.id).collect();
        assert_eq!(listed, [new.id, other.id]);
        let rest = store.list_evaluations(Some(other.id), 2).await.unwrap();
        assert_eq!(rest.into_iter().map(|one| one.id).collect::<Vec<_>>(), [old.id]);
        let mut counts = store.count_evaluations().await.unwrap();
        counts.sort_by_key(|(state, _)| state.as_str());
        assert_eq!(counts, [(EvaluationState::Queued, 1), (EvaluationState::Running, 2)]);
    }

    async fn a_running_one_tells_how_far_it_is_and_ends_once(store: Store) {
        let asked = evaluation(0);
        store.insert_evaluation(&asked, EvaluationLane::Weights).await.unwrap();
        let mut running =
            store.claim_evaluation(EvaluationLane::Weights, now(), &lease("me")).await.unwrap().unwrap();
        (running.steps_done, running.files) = (2, "[1]".into());
        assert_eq!(store.touch_evaluation(&running, &lease("me")).await.unwrap(), Some(false));
        assert_eq!(store.touch_evaluation(&running, &lease("another")).await.unwrap(), None);
        assert!(!store.delete_evaluation(asked.id).await.unwrap(), "it is not over");
        store.cancel_evaluation(asked.id, now()).await.unwrap();
        assert_eq!(store.touch_evaluation(&running, &lease("me")).await.unwrap(), Some(true));
        running.state = EvaluationState::Cancelled;
        running.finished_at = Some(now());
        assert!(store.finish_evaluation(&running, "me").await.unwrap());
        assert!(!store.finish_evaluation(&running, "me").await.unwrap());
        let ended = store.load_evaluation(asked.id).await.unwrap().unwrap();
        assert_eq!((ended.state, ended.steps_done, ended.files.as_str()), (EvaluationState::Cancelled, 2, "[1]"));
        assert!(store.delete_evaluation(asked.id).await.unwrap());
        assert_eq!(store.load_evaluation(asked.id).await.unwrap(), None);
    }

    async fn a_waiting_one_is_cancelled_at_once_and_an_abandoned_one_waits_again(store: Store) {
        let (waiting, abandoned) = (evaluation(9), evaluation(0));
        store.insert_evaluation(&abandoned, EvaluationLane::Weights).await.unwrap();
        store.claim_evaluation(EvaluationLane::Weights, now(), &lease("dead")).await.unwrap().unwrap();
        store.insert_evaluation(&waiting, EvaluationLane::Weights).await.unwrap();
        store.cancel_evaluation(waiting.id, now()).await.unwrap();
        let cancelled = store.load_evaluation(waiting.id).await.unwrap().unwrap();
        assert_eq!((cancelled.state, cancelled.finished_at), (EvaluationState::Cancelled, Some(now())));
        assert_eq!(store.requeue_abandoned_evaluations("me", now()).await.unwrap(), 0);
        let later = now() + TimeDelta::seconds(61);
        assert_eq!(store.requeue_abandoned_evaluations("", later).await.unwrap(), 1);
        let again = store.claim_evaluation(EvaluationLane::Weights, later, &lease("me")).await.unwrap().unwrap();
        assert_eq!((again.id, again.started_at), (abandoned.id, Some(now())));
    }

    async fn what_was_computed_is_kept_by_content_and_counts_within_its_scope(store: Store) {
        store.save_result(&key("a"), &result(1.0)).await.unwrap();
        store.save_result(&key("a"), &result(9.0)).await.unwrap();
        store.save_result(&key("b"), &result(2.0)).await.unwrap();
        assert_eq!(store.find_result(&key("a")).await.unwrap(), Some(result(1.0)));
        let newer = ResultKey { tool: "2/1".into(), ..key("a") };
        assert_eq!(store.find_result(&newer).await.unwrap(), None);
        assert_eq!(store.result_population("sdxl/lora", &key("a")).await.unwrap(), [(Some(2.0), None)]);
        assert_eq!(store.result_population("flux1/lora", &key("a")).await.unwrap(), []);
    }

    async fn pictures_keep_what_became_of_them(store: Store) {
        let id = EvaluationId::new(now());
        let cell = |place: usize| StoredCell {
            place,
            file: 0,
            prompt: 1,
            seed: u64::MAX,
            strength: 0.25,
            state: CellState::Waiting,
            prompt_id: None,
            image_sha256: None,
            seconds: None,
            error: None,
        };
        store.insert_cells(id, &[cell(0), cell(1)]).await.unwrap();
        let done = StoredCell {
            state: CellState::Done,
            prompt_id: Some("p".into()),
            image_sha256: Some("00".into()),
            seconds: Some(1.5),
            ..cell(1)
        };
        store.save_cell(id, &done).await.unwrap();
        store.insert_cells(id, &[cell(0), cell(1)]).await.unwrap();
        assert_eq!(store.list_cells(id).await.unwrap(), [cell(0), done]);
    }

    async fn what_is_known_of_a_base_grows(store: Store) {
        let base = ResultKey { kind: "base", ..key("sdxl:1:2:3") };
        store.replace_result(&base, r#"{"a":1}"#, now()).await.unwrap();
        store.replace_result(&base, r#"{"a":1,"b":2}"#, now()).await.unwrap();
        assert_eq!(store.find_result(&base).await.unwrap().unwrap().document, r#"{"a":1,"b":2}"#);
        assert_eq!(store.find_result(&key("sdxl:1:2:3")).await.unwrap(), None, "it is no report");
    }
}
