//! Processes that die, machines that lose power, journals that are cut: what is believed is true.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use lorakeep_standin::FileSpec;
use lorakeep_transfer::{Event, Fetched, Observer, TransferError};
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::support::{KIB, MIB, Rig};

/// Bytes on their way through memory that a dying process loses: a batch a connection, the writer's
/// queue, and what the journal has not noted.
const UNDER_WAY: u64 = 2 * 1024 * KIB + 4 * MIB + 64 * KIB;

/// Tells how many bytes are there.
struct Gauge(watch::Sender<u64>);

impl Observer for Gauge {
    fn on_event(&self, event: Event) {
        if let Event::Progress { bytes_done, .. } = event {
            self.0.send_replace(bytes_done);
        }
    }
}

/// Runs the transfer of `hub` until `bytes` are there, then drops it without a word. Returns how
/// many there were.
async fn die_at(rig: &Rig, size: u64, bytes: u64) -> u64 {
    let (_, request) = rig.hub(size);
    let (sender, mut done) = watch::channel(0);
    let engine = rig.engine.clone();
    let running = tokio::spawn(async move {
        engine.fetch(request, Arc::new(Gauge(sender)), CancellationToken::new()).await
    });
    while *done.borrow_and_update() < bytes {
        if done.changed().await.is_err() {
            break;
        }
    }
    running.abort();
    let ended = running.await;
    assert!(ended.is_err() || ended.unwrap().is_ok());
    *done.borrow()
}

/// Fetches as soon as the threads of the dropped transfer have let go of the part.
async fn resume(rig: &Rig, size: u64) -> Result<Fetched, TransferError> {
    loop {
        let (_, mut request) = rig.hub(size);
        request.replace = true;
        match rig.fetch(request).await {
            Err(TransferError::Busy(_)) => tokio::task::yield_now().await,
            ended => return ended,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_that_dies_at_any_point_goes_on_with_little_fetched_twice() {
    const SIZE: u64 = 24 * MIB;
    let rig = Rig::new().await;
    rig.standin.cap_per_connection(Some(60 * MIB));
    for bytes in (0..=SIZE).step_by((3 * MIB) as usize) {
        rig.standin.reset_counters();
        let there = die_at(&rig, SIZE, bytes).await;
        if rig.destination().exists() {
            assert!(there == SIZE, "it was quicker than its death");
            std::fs::remove_file(rig.destination()).unwrap();
            continue;
        }
        let (spec, _) = rig.hub(SIZE);
        let fetched = resume(&rig, SIZE).await.unwrap_or_else(|error| panic!("{bytes}: {error}"));
        rig.assert_published(&spec);
        assert!(fetched.verified);
        assert!(
            fetched.resumed_bytes + UNDER_WAY >= there,
            "died with {there} and went on with {}",
            fetched.resumed_bytes
        );
        assert_eq!(fetched.fetched_bytes, SIZE - fetched.resumed_bytes);
        std::fs::remove_file(rig.destination()).unwrap();
    }
}

/// The ranges that the whole lines of a journal claim.
fn claims(journal: &[u8], durable_only: bool) -> Vec<(u64, u64)> {
    let whole = journal.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let text = std::str::from_utf8(&journal[..whole]).unwrap();
    let mut claims = Vec::new();
    for line in text.lines().skip(1) {
        let record: serde_json::Value = serde_json::from_str(&line[17..]).unwrap();
        for kind in if durable_only { &["durable"][..] } else { &["durable", "written"] } {
            for pair in record[kind].as_array().into_iter().flatten() {
                claims.push((pair[0].as_u64().unwrap(), pair[1].as_u64().unwrap()));
            }
        }
    }
    claims
}

/// Overwrites everything of `path` that is not claimed.
fn scribble(path: &Path, claims: &[(u64, u64)]) {
    const BLOCK: u64 = 4 * KIB;
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    let size = file.metadata().unwrap().len();
    let mut start = 0;
    while start < size {
        let end = (start + BLOCK).min(size);
        let touched = claims.iter().filter(|(from, to)| *from < end && *to > start).collect::<Vec<_>>();
        if touched.is_empty() {
            file.write_all_at(&vec![0xee; (end - start) as usize], start).unwrap();
        } else if !touched.iter().any(|(from, to)| *from <= start && *to >= end) {
            let inside = |at: u64| touched.iter().any(|(from, to)| (*from..*to).contains(&at));
            (start..end).filter(|at| !inside(*at)).for_each(|at| file.write_all_at(&[0xee], at).unwrap());
        }
        start = end;
    }
}

/// A part with its journal as a dead process left them.
struct Wreck {
    journal: Vec<u8>,
    spec: FileSpec,
}

async fn wreck(rig: &Rig, size: u64, bytes: u64) -> Wreck {
    let (spec, _) = rig.hub(size);
    rig.standin.cap_per_connection(Some(20 * MIB));
    die_at(rig, size, bytes).await;
    // The dying process's threads have let go once the part can be claimed; a cancelled call claims it.
    loop {
        let (_, request) = rig.hub(size);
        let cancel = CancellationToken::new();
        cancel.cancel();
        match rig.fetch_until(request, cancel).await {
            Err(TransferError::Busy(_)) => tokio::task::yield_now().await,
            Err(TransferError::Cancelled) => break,
            other => panic!("{other:?}"),
        }
    }
    rig.standin.cap_per_connection(None);
    let journal = std::fs::read(rig.journal()).unwrap();
    assert!(rig.part().exists() && !claims(&journal, false).is_empty());
    Wreck { journal, spec }
}

/// Puts the part's inode back where it was, with `journal` beside it and nothing right in it
/// beyond what `claimed` says.
fn restore(rig: &Rig, journal: &[u8], claimed: &[(u64, u64)]) {
    std::fs::rename(rig.destination(), rig.part()).unwrap();
    scribble(&rig.part(), claimed);
    std::fs::write(rig.journal(), journal).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_cut_anywhere_leads_to_the_right_file() {
    const SIZE: u64 = 3 * MIB;
    let rig = Rig::with(|options| options.connections_per_file = 3).await;
    let wreck = wreck(&rig, SIZE, 2 * MIB).await;
    resume(&rig, SIZE).await.unwrap();
    let length = wreck.journal.len();
    let cuts = (0..length).step_by(length / 40).chain(length.saturating_sub(3)..=length);
    for cut in cuts {
        let cut_journal = &wreck.journal[..cut];
        let claimed = claims(cut_journal, false);
        restore(&rig, cut_journal, &claimed);
        rig.standin.reset_counters();
        let restarts = rig.recorder.restarts();
        let fetched = resume(&rig, SIZE).await.unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        rig.assert_published(&wreck.spec);
        assert_eq!(rig.recorder.restarts(), restarts, "cut at {cut}: something false was believed");
        assert_eq!(rig.standin.bytes_served("hub.safetensors"), SIZE - fetched.resumed_bytes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_journal_is_not_believed() {
    const SIZE: u64 = 2 * MIB;
    let rig = Rig::new().await;
    let wreck = wreck(&rig, SIZE, MIB).await;
    resume(&rig, SIZE).await.unwrap();
    let header = wreck.journal.iter().position(|byte| *byte == b'\n').unwrap();
    for at in [0, 17, header / 2, header - 1] {
        let mut damaged = wreck.journal.clone();
        damaged[at] ^= 1;
        restore(&rig, &damaged, &[]);
        assert_eq!(resume(&rig, SIZE).await.unwrap().resumed_bytes, 0, "byte {at}");
        rig.assert_published(&wreck.spec);
    }
    // Garbage and emptiness likewise.
    for journal in [&b""[..], b"\0\0\0\0", b"{}\n", &[0xff; 5000]] {
        // A published file that was started over is another inode; any will do here.
        restore(&rig, journal, &[]);
        assert_eq!(resume(&rig, SIZE).await.unwrap().resumed_bytes, 0);
        rig.assert_published(&wreck.spec);
    }
}

/// The journal as it would read after the machine was started anew.
fn of_another_boot(journal: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(journal).unwrap();
    let (header, rest) = text.split_once('\n').unwrap();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let json = header[17..].replace(boot.trim(), "00000000-0000-0000-0000-000000000000");
    assert_ne!(json, header[17..]);
    let mut hasher = Sha256::new();
    hasher.update(0_u64.to_le_bytes());
    hasher.update(json.as_bytes());
    let check = hex::encode(&hasher.finalize()[..8]);
    format!("{check} {json}\n{rest}").into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_power_cut_only_what_was_synced_is_believed() {
    const SIZE: u64 = 8 * MIB;
    let rig = Rig::with(|options| options.sync_bytes = MIB).await;
    let wreck = wreck(&rig, SIZE, 5 * MIB).await;
    resume(&rig, SIZE).await.unwrap();
    // Nothing that was not synced has survived.
    let survived = claims(&wreck.journal, true);
    let journal = of_another_boot(&wreck.journal);
    restore(&rig, &journal, &survived);
    let restarts = rig.recorder.restarts();
    let fetched = resume(&rig, SIZE).await.unwrap();
    rig.assert_published(&wreck.spec);
    assert!(fetched.resumed_bytes > 0 && fetched.verified, "what was synced is used");
    assert_eq!(rig.recorder.restarts(), restarts, "nothing false was believed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_that_died_before_publishing_needs_no_network() {
    let rig = Rig::new().await;
    let (spec, mut request) = rig.hub(2 * MIB);
    let cancel = CancellationToken::new();
    request.gate = Arc::new(CancellingGate(cancel.clone()));
    let error = rig.fetch_until(request, cancel).await.unwrap_err();
    assert!(matches!(error, TransferError::Cancelled), "{error}");
    rig.assert_absent();
    rig.standin.reset_counters();
    let fetched = resume(&rig, 2 * MIB).await.unwrap();
    rig.assert_published(&spec);
    assert!(fetched.verified, "the journal keeps the hash");
    assert_eq!((fetched.fetched_bytes, fetched.resumed_bytes), (0, 2 * MIB));
    assert!(rig.standin.requests().is_empty());
    assert_eq!(fetched.facts.linked_etag, Some(spec.sha256()));
}

struct CancellingGate(CancellationToken);

impl lorakeep_transfer::Gate for CancellingGate {
    fn admit(&self, _file: &std::fs::File, _size: u64) -> lorakeep_transfer::Admission {
        self.0.cancel();
        lorakeep_transfer::Admission::Publish
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changed_between_two_runs_starts_over() {
    let rig = Rig::new().await;
    let wreck = wreck(&rig, 4 * MIB, 2 * MIB).await;
    let new = FileSpec::new("hub.safetensors", 4 * MIB).seed(7);
    rig.standin.add_repo(lorakeep_standin::HfRepo::new("standin/demo").file(new.clone()));
    let url = format!("{}/standin/demo/resolve/main/hub.safetensors", rig.standin.huggingface_url());
    let fetched = rig.fetch(rig.request(&url)).await.unwrap();
    rig.assert_published(&new);
    assert_ne!(fetched.sha256.to_string(), wreck.spec.sha256());
    assert_eq!(rig.recorder.restarts(), 1);
    assert_eq!(fetched.resumed_bytes, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_for_another_expected_hash_is_not_used() {
    let rig = Rig::new().await;
    wreck(&rig, 2 * MIB, MIB).await;
    let (_, mut request) = rig.hub(2 * MIB);
    request.expected.sha256 = Some("1".repeat(64).parse().unwrap());
    let error = rig.fetch(request).await.unwrap_err();
    assert_eq!(error.code(), "hash_mismatch", "{error}");
    assert!(rig.recorder.count(|event| matches!(event, Event::Started { resumed_bytes: 0, .. })) > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resumed_file_that_was_damaged_on_disk_is_fetched_anew() {
    let rig = Rig::new().await;
    let wreck = wreck(&rig, 4 * MIB, 2 * MIB).await;
    let (from, _) = claims(&wreck.journal, false)[0];
    let part = std::fs::OpenOptions::new().write(true).open(rig.part()).unwrap();
    part.write_all_at(b"rot", from).unwrap();
    let fetched = resume(&rig, 4 * MIB).await.unwrap();
    rig.assert_published(&wreck.spec);
    assert!(fetched.verified);
    assert_eq!(rig.recorder.restarts(), 1);
}
