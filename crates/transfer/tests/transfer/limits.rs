//! What transfers share, and how many connections a server bears.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lorakeep_standin::FileSpec;
use lorakeep_transfer::{Event, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{MIB, Rig, assert_same, until};

/// The `number`-th of several files of one storage host.
fn numbered(rig: &Rig, number: usize, size: u64) -> (FileSpec, Request) {
    let name = format!("file-{number}.bin");
    let spec = FileSpec::new(&name, size);
    rig.standin.add_file(spec.clone());
    let mut request = rig.request(&rig.standin.file_url(&name));
    request.part = rig.folder.path().join(format!(".lorakeep/{number}.part"));
    request.destination = rig.folder.path().join(&name);
    (spec, request)
}

#[tokio::test(flavor = "multi_thread")]
async fn all_transfers_together_keep_to_the_limit_and_none_starves() {
    for (total, host) in [(3, 8), (16, 2)] {
        let rig = Rig::with(|options| {
            options.max_connections = total;
            options.max_connections_per_host = host;
        })
        .await;
        rig.standin.cap_per_connection(Some(8 * MIB));
        let files: Vec<_> = (0..4).map(|number| numbered(&rig, number, 2 * MIB)).collect();
        let most = Arc::new(AtomicUsize::new(0));
        let watching = async {
            loop {
                let now: u64 =
                    (0..4).map(|number| rig.standin.parallel_now(&format!("file-{number}.bin"))).sum();
                most.fetch_max(now as usize, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let (specs, requests): (Vec<_>, Vec<_>) = files.into_iter().unzip();
        let paths: Vec<_> = requests.iter().map(|request| request.destination.clone()).collect();
        let fetching = futures_util::future::join_all(requests.into_iter().map(|request| rig.fetch(request)));
        let results = tokio::select! {
            results = fetching => results,
            () = watching => unreachable!("watches for ever"),
        };
        for ((result, spec), path) in results.into_iter().zip(&specs).zip(&paths) {
            result.unwrap();
            assert_same(path, spec);
        }
        // The stand-in counts a response as running for a moment longer than we do.
        let most = most.load(Ordering::SeqCst);
        assert!((2..=total.min(host) + 2).contains(&most), "{most} at once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_with_many_connections_gives_one_to_a_newcomer() {
    let rig = Rig::with(|options| options.max_connections = 4).await;
    rig.standin.cap_per_connection(Some(512 * 1024));
    let (_, greedy) = numbered(&rig, 0, 16 * MIB);
    let (spec, newcomer) = numbered(&rig, 1, 1024);
    let path = newcomer.destination.clone();
    let cancel = tokio_util::sync::CancellationToken::new();
    let second = async {
        until("the first has all connections", || rig.standin.parallel_now("file-0.bin") == 4).await;
        let result = rig.fetch(newcomer).await;
        cancel.cancel();
        result
    };
    let (first, second) = tokio::join!(rig.fetch_until(greedy, cancel.clone()), second);
    assert!(first.is_err(), "the large one was still running");
    second.unwrap();
    assert_same(&path, &spec);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bandwidth_limit_holds_and_can_be_lifted_at_any_time() {
    let rig = Rig::with(|options| options.bandwidth = Some(4 * MIB)).await;
    let (_, request) = numbered(&rig, 0, 2 * MIB);
    let fetched = rig.fetch(request).await.unwrap();
    assert!(fetched.elapsed >= Duration::from_millis(350), "2 MiB at 4 MiB/s took {:?}", fetched.elapsed);
    rig.engine.set_bandwidth(Some(1024));
    let (spec, request) = numbered(&rig, 1, 2 * MIB);
    let path = request.destination.clone();
    let lifting = async {
        let flows = |event: &Event| matches!(event, Event::Started { .. });
        until("bytes flow", || rig.recorder.count(flows) == 2).await;
        rig.engine.set_bandwidth(None);
    };
    let both = async { tokio::join!(rig.fetch(request), lifting).0 };
    let ended = tokio::time::timeout(Duration::from_secs(20), both).await;
    ended.expect("a lifted limit is lifted at once").unwrap();
    assert_same(&path, &spec);
}

/// A server that bears two requests at a time and answers 503 to more.
async fn narrow_server(content: Vec<u8>) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let refused = Arc::new(AtomicUsize::new(0));
    let (content, busy, refusals) = (Arc::new(content), Arc::new(AtomicUsize::new(0)), Arc::clone(&refused));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(narrow_connection(
                stream,
                Arc::clone(&content),
                Arc::clone(&busy),
                Arc::clone(&refusals),
            ));
        }
    });
    (port, refused)
}

async fn narrow_connection(
    mut stream: TcpStream,
    content: Arc<Vec<u8>>,
    busy: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
) {
    let mut request = vec![0; 8192];
    while let Ok(length @ 1..) = stream.read(&mut request).await {
        let text = String::from_utf8_lossy(&request[..length]).to_lowercase();
        let range = text.lines().find_map(|line| line.strip_prefix("range: bytes=")).unwrap().trim();
        let (start, end) = range.split_once('-').unwrap();
        let (start, end): (usize, usize) = (start.parse().unwrap(), end.parse().unwrap());
        let end = end.min(content.len() - 1);
        if busy.fetch_add(1, Ordering::SeqCst) >= 2 {
            refused.fetch_add(1, Ordering::SeqCst);
            let answer = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
            let _ = stream.write_all(answer).await;
            busy.fetch_sub(1, Ordering::SeqCst);
            continue;
        }
        let head = format!(
            "HTTP/1.1 206 Partial Content\r\netag: \"v1\"\r\ncontent-range: bytes {start}-{end}/{}\r\ncontent-length: {}\r\n\r\n",
            content.len(),
            end - start + 1
        );
        let _ = stream.write_all(head.as_bytes()).await;
        for block in content[start..=end].chunks(16 * 1024) {
            if stream.write_all(block).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        busy.fetch_sub(1, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_bears_two_connections_is_left_with_two() {
    let content: Vec<u8> = (0..4 * MIB).map(|at| (at / 3) as u8).collect();
    let (port, refused) = narrow_server(content.clone()).await;
    let rig = Rig::new().await;
    let fetched = rig.fetch(rig.request(&format!("http://localhost:{port}/x"))).await.unwrap();
    assert_eq!(fetched.sha256, digest_of(&content));
    assert_eq!(rig.recorder.retries(), 0, "the others never stood still");
    assert!((1..20).contains(&refused.load(Ordering::SeqCst)), "{refused:?} knocks at a closed door");
}

fn digest_of(content: &[u8]) -> lorakeep_transfer::Sha256Digest {
    use sha2::Digest;
    lorakeep_transfer::Sha256Digest::new(sha2::Sha256::digest(content).into())
}
