//! Plain files, ranges, validators, signed addresses.

use crate::client::{End, get, request};
use crate::started;
use lorakeep_standin::{FileSpec, HfRepo, Standin, Upstream};

const SIZE: u64 = 300_007;

async fn with_plain_file() -> (Standin, FileSpec, String) {
    let standin = started().await;
    let file = FileSpec::new("a b.safetensors", SIZE);
    standin.add_file(file.clone());
    let url = standin.file_url(file.name());
    (standin, file, url)
}

#[tokio::test]
async fn a_plain_file_comes_whole_with_its_validators() {
    let (standin, file, url) = with_plain_file().await;
    let got = get(&url, &[]).await;
    assert_eq!((got.status, got.end), (200, End::Whole));
    assert_eq!(got.header("content-length"), Some("300007"));
    assert_eq!(got.header("accept-ranges"), Some("bytes"));
    assert!(got.header("etag").is_some_and(|etag| etag.starts_with('"')));
    assert!(got.body == file.bytes());
    assert_eq!(standin.bytes_served(file.name()), SIZE);
    let head = request("HEAD", &url, &[], "").await;
    assert_eq!((head.status, head.header("content-length")), (200, Some("300007")));
}

#[tokio::test]
async fn ranges_are_answered_with_exactly_their_bytes() {
    let (_standin, file, url) = with_plain_file().await;
    let whole = file.bytes();
    let cases =
        [("bytes=0-0", 0, 1), ("bytes=65535-131073", 65_535, 131_074), ("bytes=300000-", 300_000, 300_007)];
    for (range, start, end) in cases {
        let got = get(&url, &[("range", range)]).await;
        assert_eq!(got.status, 206, "{range}");
        assert_eq!(got.header("content-range"), Some(format!("bytes {start}-{}/{SIZE}", end - 1).as_str()));
        assert!(got.body == whole[start..end], "{range}");
    }
    let beyond = get(&url, &[("range", "bytes=300007-")]).await;
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some("bytes */300007")));
}

#[tokio::test]
async fn if_range_with_another_etag_gives_the_whole_file() {
    let (_standin, _file, url) = with_plain_file().await;
    let etag = get(&url, &[("range", "bytes=0-0")]).await.header("etag").unwrap().to_owned();
    let same = get(&url, &[("range", "bytes=5-9"), ("if-range", &etag)]).await;
    assert_eq!((same.status, same.body.len()), (206, 5));
    let other = get(&url, &[("range", "bytes=5-9"), ("if-range", "\"other\"")]).await;
    assert_eq!((other.status, other.body.len() as u64), (200, SIZE));
}

#[tokio::test]
async fn one_connection_serves_request_after_request() {
    let (standin, _file, url) = with_plain_file().await;
    let (mut stream, host, target) = crate::client::connect(&url).await;
    for _ in 0..3 {
        let text = format!("GET {target} HTTP/1.1\r\nhost: {host}\r\nrange: bytes=0-9\r\n\r\n");
        tokio::io::AsyncWriteExt::write_all(&mut stream, text.as_bytes()).await.unwrap();
        assert_eq!(crate::client::read(&mut stream, false).await.body.len(), 10);
    }
    let connections: Vec<u64> = standin.requests().iter().map(|seen| seen.connection).collect();
    assert_eq!(connections, [connections[0]; 3]);
}

#[tokio::test]
async fn a_signed_address_refuses_authorization_head_and_a_changed_signature() {
    let standin = started().await;
    standin.add_repo(HfRepo::new("o/r").file(FileSpec::new("w.safetensors", 1000)));
    let hop = get(&format!("{}/o/r/resolve/main/w.safetensors", standin.huggingface_url()), &[]).await;
    let url = hop.location().to_owned();
    assert!(url.starts_with("http://localhost:"), "the storage has another host name: {url}");
    assert_eq!(get(&url, &[("authorization", "Bearer hf_standin")]).await.status, 400);
    assert_eq!(request("HEAD", &url, &[], "").await.status, 403);
    assert_eq!(get(&url.replace("Signature=", "Signature=0"), &[]).await.status, 403);
    assert_eq!(get(&url, &[]).await.status, 200);
    standin.expire_signed_urls();
    assert_eq!(get(&url, &[]).await.status, 403);
    assert_eq!(standin.requests_to(Upstream::Storage).len(), 5);
}

#[tokio::test]
async fn a_stopped_standin_frees_its_ports() {
    let standin = started().await;
    let url = standin.civitai_url();
    let address = url.strip_prefix("http://").unwrap().to_owned();
    drop(standin);
    for _ in 0..500 {
        if tokio::net::TcpListener::bind(&address).await.is_ok() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the port is still taken");
}

#[test]
fn it_runs_without_a_runtime_of_the_caller() {
    let standin = Standin::blocking_start(lorakeep_standin::Options::default()).unwrap();
    standin.add_file(FileSpec::new("x.bin", 10));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert_eq!(runtime.block_on(get(&standin.file_url("x.bin"), &[])).status, 200);
}
