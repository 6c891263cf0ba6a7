//! What happens when nothing goes wrong.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use lorakeep_standin::{FileKind, FileSpec, Upstream};
use lorakeep_transfer::{Admission, Event, Expected, Outcome, TransferError};

use crate::support::{MIB, Rig, Verdict};

#[tokio::test(flavor = "multi_thread")]
async fn a_file_comes_over_several_connections_whole_and_with_its_hash() {
    let rig = Rig::new().await;
    let (spec, request) = rig.plain(40 * MIB);
    rig.standin.cap_per_connection(Some(40 * MIB));
    let fetched = rig.fetch(request).await.unwrap();
    rig.assert_published(&spec);
    assert_eq!(fetched.sha256.to_string(), spec.sha256());
    assert!(!fetched.verified, "no hash was known beforehand");
    assert_eq!((fetched.size, fetched.fetched_bytes), (spec.size(), spec.size()));
    assert!(rig.standin.max_parallel("plain.safetensors") >= 3);
    let mode = std::fs::metadata(rig.destination()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777 & !0o644, 0, "{mode:o}");
    assert_eq!(mode & 0o600, 0o600);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_answer_is_used_and_nobody_asks_for_head() {
    let rig = Rig::new().await;
    let (spec, request) = rig.hub(3 * MIB);
    let fetched = rig.fetch(request).await.unwrap();
    rig.assert_published(&spec);
    assert!(rig.standin.requests().iter().all(|seen| seen.method == "GET"));
    assert_eq!(rig.standin.bytes_served("hub.safetensors"), spec.size(), "no byte twice");
    assert_eq!(fetched.fetched_bytes, spec.size());
    assert!(rig.standin.requests_to(Upstream::HuggingFace).len() == 1, "redirects are followed once");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hash_of_the_first_hop_is_what_the_content_is_verified_against() {
    let rig = Rig::new().await;
    let (spec, request) = rig.hub(MIB);
    let fetched = rig.fetch(request).await.unwrap();
    assert!(fetched.verified);
    assert_eq!(fetched.facts.linked_etag.as_deref(), Some(spec.sha256().as_str()));
    assert_eq!(fetched.facts.linked_size, Some(spec.size()));
    assert_eq!(fetched.facts.repo_commit.map(|commit| commit.len()), Some(40));
    assert_eq!(fetched.facts.file_name.as_deref(), Some("hub.safetensors"));
    assert_eq!(fetched.facts.final_host.as_deref(), Some("localhost"));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_every_awkward_size_come_whole() {
    for size in [0, 1, 9, 256 * 1024 - 1, 256 * 1024, 256 * 1024 + 1, MIB + 7] {
        let rig = Rig::new().await;
        let spec = FileSpec::new("odd.bin", size).kind(FileKind::Raw);
        rig.standin.add_file(spec.clone());
        let mut request = rig.request(&rig.standin.file_url("odd.bin"));
        for expected in [None, Some(size)] {
            request.expected.size = expected;
            let again = rig.request(request.url.as_str());
            let fetched = rig.fetch(again).await.unwrap_or_else(|error| panic!("{size}: {error}"));
            assert_eq!(fetched.size, size);
            rig.assert_published(&spec);
            std::fs::remove_file(rig.destination()).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_at_the_destination_is_kept_unless_it_is_to_be_replaced() {
    let rig = Rig::new().await;
    let (spec, request) = rig.plain(MIB);
    std::fs::create_dir_all(rig.destination().parent().unwrap()).unwrap();
    std::fs::write(rig.destination(), "mine").unwrap();
    let error = rig.fetch(request).await.unwrap_err();
    assert!(matches!(error, TransferError::Exists(_)), "{error}");
    assert_eq!(std::fs::read(rig.destination()).unwrap(), b"mine");
    assert!(rig.standin.requests().is_empty(), "nothing is fetched for nothing");

    // Somebody who has the old file open goes on reading it.
    let old = std::fs::File::open(rig.destination()).unwrap();
    let (_, mut request) = rig.plain(MIB);
    request.replace = true;
    rig.fetch(request).await.unwrap();
    rig.assert_published(&spec);
    assert_eq!(old.metadata().unwrap().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gate_decides_between_the_destination_quarantine_and_nothing() {
    let rig = Rig::new().await;
    let (spec, mut request) = rig.plain(MIB);
    let to = rig.folder.path().join(".quarantine/1");
    let reason = "holds a pickle".to_owned();
    request.gate = Arc::new(Verdict(Admission::Quarantine { to: to.clone(), reason: reason.clone() }));
    let fetched = rig.fetch(request).await.unwrap();
    assert_eq!((&fetched.path, &fetched.outcome), (&to, &Outcome::Quarantined { reason: reason.clone() }));
    rig.assert_absent();
    rig.assert_no_leftovers();
    assert_eq!(std::fs::metadata(&to).unwrap().len(), spec.size());
    assert_eq!(std::fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);

    let (_, mut request) = rig.plain(MIB);
    request.gate = Arc::new(Verdict(Admission::Refuse { reason: reason.clone() }));
    let error = rig.fetch(request).await.unwrap_err();
    assert!(matches!(&error, TransferError::ContentRefused { reason: why } if *why == reason), "{error}");
    rig.assert_absent();
    rig.assert_no_leftovers();
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_rises_to_the_end_and_comes_before_verifying() {
    let rig = Rig::new().await;
    let (spec, request) = rig.plain(8 * MIB);
    rig.standin.cap_per_connection(Some(16 * MIB));
    rig.fetch(request).await.unwrap();
    let events = rig.recorder.events();
    assert!(matches!(events.first(), Some(Event::Facts(_))), "{events:?}");
    assert!(
        matches!(&events[1], Event::Started { size: Some(size), resumed_bytes: 0, .. } if *size == spec.size())
    );
    let done: Vec<u64> = events
        .iter()
        .filter_map(
            |event| if let Event::Progress { bytes_done, .. } = event { Some(*bytes_done) } else { None },
        )
        .collect();
    assert!(done.is_sorted() && done.len() > 2, "{done:?}");
    assert_eq!(done.last(), Some(&spec.size()));
    assert_eq!(events.last(), Some(&Event::Verifying));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_size_is_told_before_anything_is_kept() {
    let rig = Rig::new().await;
    let (spec, mut request) = rig.plain(MIB);
    request.expected = Expected { size: Some(MIB + 1), sha256: None };
    let error = rig.fetch(request).await.unwrap_err();
    let expected = matches!(error, TransferError::SizeMismatch { expected, actual, .. }
        if (expected, actual) == (MIB + 1, spec.size()));
    assert!(expected, "{error}");
    rig.assert_absent();
}
