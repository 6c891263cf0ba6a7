//! What servers do wrong, one test a fault.

use std::time::Duration;

use lorakeep_standin::{Allowance, Fault, RetryAfter, Times, Upstream};
use lorakeep_transfer::{Event, Expected, TransferError};
use tokio_util::sync::CancellationToken;

use crate::support::{KIB, MIB, Rig, assert_same, until};

/// Another file from start to end.
async fn fetch_another(rig: &Rig) {
    rig.standin.add_file(lorakeep_standin::FileSpec::new("another.bin", 4 * MIB));
    let mut request = rig.request(&rig.standin.file_url("another.bin"));
    request.part = rig.folder.path().join(".lorakeep/another.part");
    request.destination = rig.folder.path().join("another.bin");
    rig.engine
        .fetch(request, std::sync::Arc::new(lorakeep_transfer::Silent), CancellationToken::new())
        .await
        .unwrap();
}

/// Serves all of `size` with `fault`, and expects the right file.
async fn recovers(size: u64, fault: Fault, times: Times) -> Rig {
    let rig = Rig::new().await;
    let (spec, request) = rig.hub(size);
    rig.standin.fault("hub.safetensors", fault.clone(), times);
    let fetched = rig.fetch(request).await.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
    rig.assert_published(&spec);
    assert!(fetched.verified);
    rig
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_ends_early_costs_at_most_what_was_under_way() {
    for end in [Fault::CloseAfter, Fault::ShortBody] {
        for percent in [0, 10, 50, 99] {
            let rig = Rig::with(|options| options.piece_size = MIB..=MIB).await;
            let (spec, request) = rig.hub(MIB);
            rig.standin.fault("hub.safetensors", end(MIB * percent / 100), Times::N(2));
            rig.fetch(request).await.unwrap();
            rig.assert_published(&spec);
            assert!(rig.recorder.retries() >= 1 && rig.recorder.restarts() == 0);
            // A reset throws away what the receiver has not read yet; an orderly end loses nothing.
            let again = rig.standin.bytes_served("hub.safetensors") - spec.size();
            assert!(again <= MIB, "{again} bytes twice");
            if matches!(end(0), Fault::ShortBody(_)) {
                assert_eq!(again, 0);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cuts_every_answer_is_worn_down() {
    let rig = recovers(4 * MIB, Fault::ShortBody(100 * KIB), Times::Always).await;
    assert_eq!(rig.standin.bytes_served("hub.safetensors"), 4 * MIB, "progress renews the budget");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_length_that_does_not_fit_its_range_is_never_believed() {
    for off in [-1000, 1000] {
        recovers(2 * MIB, Fault::WrongContentLength(off), Times::Once).await;
        let rig = Rig::new().await;
        let (_, request) = rig.hub(2 * MIB);
        rig.standin.fault("hub.safetensors", Fault::WrongContentLength(off), Times::Always);
        let error = rig.fetch(request).await.unwrap_err();
        assert_eq!(error.code(), "inconsistent", "{error}");
        rig.assert_absent();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_body_of_the_wrong_length_is_a_failure_or_right_but_never_cut() {
    for off in [-1000, 1000] {
        let rig = Rig::new().await;
        let (_, request) = rig.plain(MIB);
        let fault = Fault::Together(vec![Fault::IgnoreRange, Fault::WrongContentLength(off)]);
        rig.standin.fault("plain.safetensors", fault, Times::Always);
        let mut request = request;
        request.expected = Expected { size: Some(MIB), sha256: None };
        let error = rig.fetch(request).await.unwrap_err();
        assert!(matches!(error, TransferError::SizeMismatch { .. }), "{error}");
        rig.assert_absent();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_in_chunks_are_fine_with_and_without_ranges() {
    recovers(2 * MIB, Fault::NoContentLength, Times::Always).await;
    let without = Fault::Together(vec![Fault::IgnoreRange, Fault::NoContentLength]);
    recovers(2 * MIB, without.clone(), Times::Always).await;
    // Nothing but the last chunk tells the size here.
    let rig = Rig::new().await;
    let (spec, request) = rig.plain(2 * MIB);
    rig.standin.fault("plain.safetensors", without.clone(), Times::Always);
    assert_eq!(rig.fetch(request).await.unwrap().size, spec.size());
    rig.assert_published(&spec);
    // One that goes on after the promised end is refused.
    let rig = Rig::new().await;
    let (_, mut request) = rig.plain(2 * MIB);
    request.expected.size = Some(MIB);
    rig.standin.fault("plain.safetensors", without, Times::Always);
    let error = rig.fetch(request).await.unwrap_err();
    assert!(matches!(error, TransferError::SizeMismatch { expected: MIB, .. }), "{error}");
    rig.assert_absent();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_ranges_sends_one_stream() {
    let rig = recovers(3 * MIB, Fault::IgnoreRange, Times::Always).await;
    assert_eq!(rig.standin.bytes_served("hub.safetensors"), 3 * MIB);
    let one = |event: &Event| matches!(event, Event::Started { connections: 1, .. });
    assert_eq!(rig.recorder.count(one), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_cannot_be_continued_begins_anew_within_the_budget() {
    let cut = Fault::Together(vec![Fault::IgnoreRange, Fault::ShortBody(MIB)]);
    recovers(3 * MIB, cut.clone(), Times::N(2)).await;
    let rig = Rig::new().await;
    let (_, request) = rig.hub(3 * MIB);
    rig.standin.fault("hub.safetensors", cut, Times::Always);
    let error = rig.fetch(request).await.unwrap_err();
    assert!(
        matches!(error, TransferError::Exhausted { .. }),
        "the same bytes again are no progress: {error}"
    );
    rig.assert_absent();
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_that_stop_working_half_way_end_in_the_right_file() {
    for times in [Times::Once, Times::N(3), Times::Always] {
        let rig = Rig::new().await;
        let (spec, request) = rig.hub(4 * MIB);
        rig.standin.fault("hub.safetensors", Fault::LatencyMs(0), Times::N(3));
        rig.standin.fault("hub.safetensors", Fault::IgnoreRange, times);
        rig.fetch(request).await.unwrap();
        rig.assert_published(&spec);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_bytes_than_asked_for_lead_to_one_fresh_start_and_then_to_the_end() {
    let rig = recovers(2 * MIB, Fault::WrongContentRange, Times::Once).await;
    assert_eq!(rig.recorder.restarts(), 1);
    let rig = Rig::new().await;
    let (_, request) = rig.hub(2 * MIB);
    rig.standin.fault("hub.safetensors", Fault::WrongContentRange, Times::Always);
    let error = rig.fetch(request).await.unwrap_err();
    assert_eq!(error.code(), "inconsistent", "{error}");
    assert_eq!(rig.recorder.restarts(), 1);
    rig.assert_absent();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_range_is_asked_for_as_a_whole() {
    recovers(2 * MIB, Fault::status(416), Times::Once).await;
    let rig = Rig::new().await;
    let (_, request) = rig.hub(2 * MIB);
    rig.standin.fault("hub.safetensors", Fault::status(416), Times::Always);
    assert_eq!(rig.fetch(request).await.unwrap_err().code(), "inconsistent");
    rig.assert_absent();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_while_it_is_fetched_is_never_mixed() {
    for requests in [1, 2, 5] {
        let rig = Rig::new().await;
        let (old, request) = rig.plain(4 * MIB);
        rig.standin.fault("plain.safetensors", Fault::ChangeContentAfter(requests), Times::Always);
        let fetched = rig.fetch(request).await.unwrap();
        assert_eq!(rig.recorder.restarts(), 1);
        assert_ne!(fetched.sha256.to_string(), old.sha256());
        // Fetched once more, undisturbed, it is the same.
        let mut request = rig.request(&rig.standin.file_url("plain.safetensors"));
        request.replace = true;
        assert_eq!(rig.fetch(request).await.unwrap().sha256, fetched.sha256);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_validator_leads_to_one_fresh_start() {
    let rig = Rig::new().await;
    let (spec, request) = rig.plain(4 * MIB);
    rig.standin.fault("plain.safetensors", Fault::ChangeETagAfter(3), Times::Always);
    rig.fetch(request).await.unwrap();
    rig.assert_published(&spec);
    assert_eq!(rig.recorder.restarts(), 1);
    let asked = rig.standin.requests();
    assert!(
        asked.iter().skip(1).any(|seen| seen.if_range.is_some()),
        "later parts are asked for conditionally"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_address_is_resolved_anew_and_no_byte_comes_twice() {
    let rig = Rig::new().await;
    let (spec, request) = rig.hub(8 * MIB);
    let half = Fault::ExpireSignedUrlAfter(Allowance::Bytes(4 * MIB));
    rig.standin.fault("hub.safetensors", half, Times::Once);
    rig.fetch(request).await.unwrap();
    rig.assert_published(&spec);
    assert_eq!(rig.standin.bytes_served("hub.safetensors"), spec.size());
    assert_eq!(rig.standin.requests_to(Upstream::HuggingFace).len(), 2, "one connection asks for all");
    assert_eq!((rig.recorder.retries(), rig.recorder.restarts()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_are_good_for_one_request_are_resolved_for_each() {
    recovers(4 * MIB, Fault::ExpireSignedUrlAfter(Allowance::Requests(2)), Times::Always).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fresh_addresses_that_are_refused_end_the_transfer_soon() {
    let rig = Rig::new().await;
    let (_, request) = rig.hub(MIB);
    rig.standin.fault("hub.safetensors", Fault::ExpireSignedUrlAfter(Allowance::Bytes(0)), Times::Always);
    let error = rig.fetch(request).await.unwrap_err();
    let refused =
        matches!(&error, TransferError::Refused(refusal) if refusal.status == 403 && !refusal.first_party);
    assert!(refused, "{error}");
    assert_eq!(rig.standin.requests_to(Upstream::HuggingFace).len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_server_is_left_alone_for_as_long_as_it_says() {
    let forms =
        [(429, RetryAfter::Seconds(1)), (503, RetryAfter::HttpDate(2)), (429, RetryAfter::RateLimit(1))];
    for (status, form) in forms {
        let rig = recovers(MIB, Fault::status_retry(status, form), Times::Once).await;
        let waits: Vec<Duration> = rig
            .recorder
            .events()
            .into_iter()
            .filter_map(|event| if let Event::Retrying { wait, .. } = event { Some(wait) } else { None })
            .collect();
        assert_eq!(waits.len(), 1);
        // The date's seconds are whole, so up to one of them is lost.
        assert!(
            waits[0] > Duration::from_millis(900) && waits[0] < Duration::from_secs(4),
            "{form:?}: {waits:?}"
        );
        let seen = rig.standin.requests_to(Upstream::Storage);
        let pause = seen[1].at.duration_since(seen[0].at).unwrap();
        assert!(pause + Duration::from_millis(100) >= waits[0], "{form:?}: asked again after {pause:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn absurd_missing_and_senseless_waits_are_bounded() {
    for form in [RetryAfter::Absurd, RetryAfter::None, RetryAfter::Nonsense] {
        let rig = Rig::with(|options| options.retry.max_retry_after = Duration::from_millis(30)).await;
        let (spec, request) = rig.hub(MIB);
        rig.standin.fault("hub.safetensors", Fault::status_retry(429, form), Times::N(2));
        rig.fetch(request).await.unwrap();
        rig.assert_published(&spec);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_pause_is_handed_to_the_caller_with_everything_kept() {
    let rig = Rig::new().await;
    let (_, first) = rig.hub(MIB);
    let url = first.url.to_string();
    let busy = Fault::status_retry(429, RetryAfter::Seconds(600));
    rig.standin.fault("hub.safetensors", busy, Times::Once);
    // The second time nobody is asked: the host's wish holds for all transfers.
    for request in [first, rig.request(&url)] {
        let error = rig.fetch(request).await.unwrap_err();
        let wait = if let TransferError::Delayed { wait, .. } = &error { *wait } else { panic!("{error}") };
        assert!((590..700).contains(&wait.as_secs()), "{wait:?}");
        assert!(error.is_transient());
    }
    assert_eq!(rig.standin.requests().iter().filter(|seen| seen.status == 429).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_asks_for_a_pause_is_left_alone_by_every_transfer() {
    let rig = Rig::new().await;
    let (_, request) = rig.plain(MIB);
    let busy = Fault::status_retry(429, RetryAfter::Seconds(1));
    rig.standin.fault("plain.safetensors", busy, Times::Once);
    rig.standin.add_file(lorakeep_standin::FileSpec::new("other.bin", MIB));
    let mut other = rig.request(&rig.standin.file_url("other.bin"));
    other.part = rig.folder.path().join(".lorakeep/2.part");
    other.destination = rig.folder.path().join("other.bin");
    let second = async {
        until("the first was told to wait", || rig.recorder.retries() == 1).await;
        rig.fetch(other).await
    };
    let (first, second) = tokio::join!(rig.fetch(request), second);
    first.unwrap();
    second.unwrap();
    let seen = rig.standin.requests();
    let told = seen.iter().find(|seen| seen.status == 429).unwrap().at;
    let next = seen.iter().filter(|seen| seen.at > told).map(|seen| seen.at).min().unwrap();
    assert!(next.duration_since(told).unwrap() >= Duration::from_millis(950));
}

#[tokio::test(flavor = "multi_thread")]
async fn bursts_of_server_errors_and_resets_pass() {
    recovers(2 * MIB, Fault::status(503), Times::N(4)).await;
    recovers(2 * MIB, Fault::status(524), Times::N(3)).await;
    recovers(2 * MIB, Fault::ResetOnConnect, Times::N(3)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_that_does_not_pass_ends_with_the_last_reason_and_keeps_the_part() {
    let rig = Rig::new().await;
    let (spec, request) = rig.hub(4 * MIB);
    rig.standin.fault("hub.safetensors", Fault::LatencyMs(0), Times::N(3));
    rig.standin.fault("hub.safetensors", Fault::status(503), Times::Always);
    let error = rig.fetch(request).await.unwrap_err();
    let exhausted =
        matches!(&error, TransferError::Exhausted { attempts: 5, last, .. } if last.contains("503"));
    assert!(exhausted && error.is_transient(), "{error}");
    rig.assert_absent();
    assert!(rig.part().exists() && rig.journal().exists());
    // Later it goes on from there.
    rig.standin.clear_faults();
    rig.standin.reset_counters();
    let (_, request) = rig.hub(4 * MIB);
    let fetched = rig.fetch(request).await.unwrap();
    assert!(fetched.resumed_bytes > 0, "something was kept");
    assert_eq!(rig.standin.bytes_served("hub.safetensors"), spec.size() - fetched.resumed_bytes);
    rig.assert_published(&spec);
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_and_trickles_are_cut_and_asked_for_again() {
    recovers(2 * MIB, Fault::StallAfter(100 * KIB), Times::N(2)).await;
    recovers(2 * MIB, Fault::DripRate(50), Times::N(2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_never_answers_is_given_up() {
    let rig = Rig::with(|options| options.timeouts.response = Duration::from_millis(50)).await;
    let (_, request) = rig.hub(MIB);
    rig.standin.fault("hub.safetensors", Fault::LatencyMs(10_000), Times::Always);
    let error = rig.fetch(request).await.unwrap_err();
    assert!(matches!(&error, TransferError::Exhausted { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_transfer_ends_soon_and_nothing_goes_on_behind_it() {
    let stages = [Fault::StallAfter(600 * KIB), Fault::LatencyMs(60_000), Fault::DripRate(100_000)];
    for stage in stages {
        let rig = Rig::with(|options| options.min_speed.window = Duration::from_mins(1)).await;
        let (_, request) = rig.hub(8 * MIB);
        rig.standin.fault("hub.safetensors", stage.clone(), Times::Always);
        let cancel = CancellationToken::new();
        let running = rig.fetch_until(request, cancel.clone());
        let watching = async {
            until("bytes are asked for", || !rig.standin.requests_to(Upstream::Storage).is_empty()).await;
            cancel.cancel();
        };
        let both = async { tokio::join!(running, watching).0 };
        let ended = tokio::time::timeout(Duration::from_secs(10), both).await.expect("it ends");
        assert!(matches!(ended, Err(TransferError::Cancelled)), "{stage:?}: {ended:?}");
        // While another transfer runs from start to end, nothing of this one stirs.
        let look = || {
            (std::fs::read(rig.part()).unwrap_or_default(), std::fs::read(rig.journal()).unwrap_or_default())
        };
        let before = look();
        fetch_another(&rig).await;
        assert!(before == look(), "{stage:?}: something went on");
        rig.assert_absent();
        // The part is free for the next one.
        rig.standin.clear_faults();
        let (spec, request) = rig.hub(8 * MIB);
        rig.fetch(request).await.unwrap();
        rig.assert_published(&spec);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_costs_one_clean_retry_and_then_the_transfer() {
    let rig = recovers(2 * MIB, Fault::CorruptByteAt(MIB), Times::Once).await;
    assert_eq!(rig.recorder.restarts(), 1);
    let rig = Rig::new().await;
    let (spec, request) = rig.hub(2 * MIB);
    rig.standin.fault("hub.safetensors", Fault::CorruptByteAt(MIB), Times::Always);
    let error = rig.fetch(request).await.unwrap_err();
    let told = matches!(&error, TransferError::HashMismatch { expected, .. } if expected.to_string() == spec.sha256());
    assert!(told, "{error}");
    assert_eq!(rig.recorder.restarts(), 1);
    rig.assert_absent();
    rig.assert_no_leftovers();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hash_given_by_the_caller_counts_and_without_one_the_file_is_marked() {
    let rig = Rig::new().await;
    let (spec, mut request) = rig.plain(MIB);
    request.expected.sha256 = Some(spec.sha256().parse().unwrap());
    assert!(rig.fetch(request).await.unwrap().verified);
    rig.assert_published(&spec);
    let rig = Rig::new().await;
    let (_, mut request) = rig.plain(MIB);
    request.expected.sha256 = Some("0".repeat(64).parse().unwrap());
    assert_eq!(rig.fetch(request).await.unwrap_err().code(), "hash_mismatch");
    rig.assert_absent();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_answer_is_refused_by_name() {
    let rig = Rig::new().await;
    let (_, request) = rig.hub(MIB);
    rig.standin.fault("hub.safetensors", Fault::GzipEncoding, Times::Always);
    let error = rig.fetch(request).await.unwrap_err();
    assert!(matches!(&error, TransferError::Encoded { encoding, .. } if encoding == "gzip"), "{error}");
    let asked = rig.standin.requests();
    assert!(asked.iter().all(|seen| seen.header("accept-encoding") == Some("identity")));
    rig.assert_absent();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_in_the_place_of_a_model_is_named_with_its_title() {
    let rig = Rig::new().await;
    let (_, request) = rig.hub(MIB);
    rig.standin.fault("hub.safetensors", Fault::HtmlPage200, Times::Always);
    let error = rig.fetch(request).await.unwrap_err();
    let told = matches!(&error, TransferError::NotAModel { what: "an HTML page", title: Some(title), .. } if title == "Just a moment...");
    assert!(told, "{error}");
    rig.assert_absent();
    rig.assert_no_leftovers();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_circle_of_redirects_ends_after_ten() {
    let rig = Rig::new().await;
    let (_, request) = rig.hub(MIB);
    rig.standin.fault("/standin/demo/resolve/", Fault::RedirectLoop, Times::Always);
    let error = rig.fetch(request).await.unwrap_err();
    assert!(matches!(error, TransferError::TooManyRedirects { limit: 10, .. }), "{error}");
    assert_eq!(rig.standin.requests().len(), 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_of_the_first_party_is_final_and_says_why() {
    for (status, word) in [(401, "login"), (403, "denied"), (404, "no such file"), (410, "archived")] {
        let rig = Rig::new().await;
        let (_, request) = rig.hub(MIB);
        let body = r#"{"error":"Early Access","deadline":"2026-12-01"}"#.to_owned();
        let fault =
            lorakeep_standin::StatusFault { code: status, retry_after: RetryAfter::None, body: body.clone() };
        rig.standin.fault("/standin/demo/resolve/", Fault::Status(fault), Times::Always);
        let error = rig.fetch(request).await.unwrap_err();
        let TransferError::Refused(refusal) = &error else { panic!("{error}") };
        assert_eq!((refusal.status, &refusal.body_start, refusal.first_party), (status, &body, true));
        assert!(error.to_string().contains(word), "{error}");
        assert!(!error.is_transient());
        assert_eq!(rig.standin.requests().len(), 1, "asked once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hubs_reason_is_passed_on() {
    let rig = Rig::new().await;
    let (_, _) = rig.hub(MIB);
    let url = format!("{}/standin/demo/resolve/main/missing.safetensors", rig.standin.huggingface_url());
    let TransferError::Refused(refusal) = rig.fetch(rig.request(&url)).await.unwrap_err() else {
        panic!("a missing file is refused");
    };
    assert_eq!(refusal.error_code.as_deref(), Some("EntryNotFound"));
    assert_eq!(refusal.error_message.as_deref(), Some("Entry not found"));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_transfers_never_write_one_part() {
    let rig = Rig::new().await;
    let (spec, request) = rig.hub(2 * MIB);
    rig.standin.fault("hub.safetensors", Fault::LatencyMs(200), Times::Once);
    let (_, same) = rig.hub(2 * MIB);
    let second = async {
        until("the first has begun", || !rig.standin.requests().is_empty()).await;
        rig.fetch(same).await
    };
    let (first, second) = tokio::join!(rig.fetch(request), second);
    assert_eq!(first.unwrap().size, spec.size());
    assert!(matches!(second, Err(TransferError::Busy(_))), "{second:?}");
    assert_same(&rig.destination(), &spec);
}
