//! Servers that the stand-in is too well-bred to be.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lorakeep_transfer::{Expected, Sha256Digest, TransferError};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::Rig;

const SIZE: usize = 700_000;

/// The content of the file at its `version`-th change.
fn content(version: usize) -> Vec<u8> {
    (0..SIZE).map(|at| (at / 7 + version * 13) as u8).collect()
}

fn digest(bytes: &[u8]) -> Sha256Digest {
    Sha256Digest::new(Sha256::digest(bytes).into())
}

/// Answers the n-th request, from 0, with the range it asks for, by `answer`; then closes.
async fn serve<F>(answer: F) -> (String, Arc<AtomicUsize>)
where
    F: Fn(usize, Option<(usize, usize)>) -> Vec<u8> + Send + Sync + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://localhost:{}/model", listener.local_addr().unwrap().port());
    let (count, answer) = (Arc::new(AtomicUsize::new(0)), Arc::new(answer));
    let counter = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (counter, answer) = (Arc::clone(&counter), Arc::clone(&answer));
            tokio::spawn(async move {
                let (mut stream, range) = read_request(stream).await;
                let bytes = answer(counter.fetch_add(1, Ordering::SeqCst), range);
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    (url, count)
}

async fn read_request(mut stream: TcpStream) -> (TcpStream, Option<(usize, usize)>) {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).await.unwrap_or(0) == 0 {
            break;
        }
        text.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&text).to_lowercase();
    let range = text.lines().find_map(|line| line.strip_prefix("range: bytes=")?.split_once('-'));
    (stream, range.map(|(from, to)| (from.parse().unwrap(), to.parse::<usize>().unwrap().min(SIZE - 1))))
}

fn part(content: &[u8], (from, to): (usize, usize), headers: &str) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\ncontent-range: bytes {from}-{to}/{SIZE}\r\ncontent-length: {}\r\n{headers}connection: close\r\n\r\n",
        to + 1 - from
    );
    [head.as_bytes(), &content[from..=to]].concat()
}

fn whole(content: &[u8], headers: &str) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\n{headers}connection: close\r\n\r\n");
    [head.as_bytes(), content].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_strong_validator_or_a_hash_parts_are_never_put_together() {
    for headers in ["", "etag: W/\"weak\"\r\n", "last-modified: Wed, 01 Jul 2026 12:00:00 GMT\r\n"] {
        // The file is another one at each request.
        let (url, _) = serve(move |number, range| {
            let now = content(number);
            match range {
                Some(range) => part(&now, range, headers),
                None => whole(&now, &format!("content-length: {SIZE}\r\n{headers}")),
            }
        })
        .await;
        let rig = Rig::new().await;
        let fetched = rig.fetch(rig.request(&url)).await.unwrap();
        let versions: Vec<_> = (0..4).map(|version| digest(&content(version))).collect();
        assert!(versions.contains(&fetched.sha256), "a mixture was published");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_validator_a_cut_answer_is_not_continued_with_another_version() {
    let (url, _) = serve(|number, range| {
        let now = content(number);
        let mut bytes = match range {
            Some(range) => part(&now, range, ""),
            None => whole(&now, &format!("content-length: {SIZE}\r\n")),
        };
        bytes.truncate(if number < 2 { SIZE / 2 } else { bytes.len() });
        bytes
    })
    .await;
    let rig = Rig::with(|options| options.piece_size = 1 << 20..=1 << 20).await;
    assert_eq!(rig.fetch(rig.request(&url)).await.unwrap().sha256, digest(&content(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_validator_a_known_hash_is_enough_to_put_parts_together() {
    let (url, count) =
        serve(|_, range| part(&content(0), range.expect("only parts are asked for"), "")).await;
    let rig = Rig::new().await;
    let mut request = rig.request(&url);
    request.expected.sha256 = Some(digest(&content(0)));
    assert!(rig.fetch(request).await.unwrap().verified);
    assert!(count.load(Ordering::SeqCst) >= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_ends_with_its_connection_needs_a_size_or_a_hash() {
    let (url, _) = serve(|_, _| whole(&content(0), "")).await;
    let rig = Rig::new().await;
    let error = rig.fetch(rig.request(&url)).await.unwrap_err();
    assert!(matches!(error, TransferError::UnknownLength { .. }), "{error}");
    rig.assert_absent();
    let known = [
        Expected { size: Some(SIZE as u64), sha256: None },
        Expected { size: None, sha256: Some(digest(&content(0))) },
    ];
    for expected in known {
        let mut request = rig.request(&url);
        (request.expected, request.replace) = (expected, true);
        assert_eq!(rig.fetch(request).await.unwrap().sha256, digest(&content(0)));
    }
    // One that is cut is never taken for whole.
    let (url, _) = serve(|_, _| whole(&content(0)[..SIZE / 2], "")).await;
    for expected in known {
        let rig = Rig::new().await;
        let mut request = rig.request(&url);
        request.expected = expected;
        rig.fetch(request).await.unwrap_err();
        rig.assert_absent();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn less_than_was_asked_for_is_taken_and_the_rest_asked_for() {
    let (url, count) = serve(|_, range| {
        let (from, to) = range.expect("only parts are asked for");
        part(&content(0), (from, to.min(from + 99_999)), "etag: \"v\"\r\n")
    })
    .await;
    let rig = Rig::new().await;
    assert_eq!(rig.fetch(rig.request(&url)).await.unwrap().sha256, digest(&content(0)));
    assert!(count.load(Ordering::SeqCst) >= 7);
    assert_eq!(rig.recorder.retries(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_no_http_are_met_with_patience_and_then_with_an_end() {
    for garbage in [&b"SSH-2.0-OpenSSH_9.6\r\n"[..], b"", b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n"] {
        let (url, _) = serve(move |_, _| garbage.to_vec()).await;
        let rig = Rig::new().await;
        let error = rig.fetch(rig.request(&url)).await.unwrap_err();
        assert!(matches!(error, TransferError::Exhausted { .. }), "{error}");
        rig.assert_absent();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_listening_is_trouble_that_may_pass() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let rig = Rig::new().await;
    let error = rig.fetch(rig.request(&format!("http://127.0.0.1:{port}/x"))).await.unwrap_err();
    assert!(matches!(&error, TransferError::Exhausted { .. }) && error.is_transient(), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_without_a_target_is_an_end() {
    let (url, _) = serve(|_, _| b"HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n".to_vec()).await;
    let rig = Rig::new().await;
    assert_eq!(rig.fetch(rig.request(&url)).await.unwrap_err().code(), "forbidden_address");
}
