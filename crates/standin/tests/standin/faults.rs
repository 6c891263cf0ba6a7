//! Each fault, seen from the other end of the connection.

use crate::client::{End, Got, connect, get, more};
use crate::started;
use lorakeep_standin::{
    Allowance, Fault, FileKind, FileSpec, HfRepo, RetryAfter, Standin, StatusFault, Times,
};
use std::time::{Duration, Instant};

const SIZE: u64 = 200_003;

struct Case {
    standin: Standin,
    whole: Vec<u8>,
    url: String,
}

impl Case {
    async fn with(fault: Fault, times: Times) -> Self {
        let standin = started().await;
        let file = FileSpec::new("f.bin", SIZE).kind(FileKind::Raw);
        standin.add_file(file.clone());
        standin.fault("f.bin", fault, times);
        Self { url: standin.file_url("f.bin"), whole: file.bytes(), standin }
    }

    async fn get(&self) -> Got {
        get(&self.url, &[]).await
    }

    async fn part(&self) -> Got {
        get(&self.url, &[("range", "bytes=100-199")]).await
    }
}

#[tokio::test]
async fn close_after_sends_exactly_that_many_bytes_and_resets() {
    let case = Case::with(Fault::CloseAfter(70_000), Times::Once).await;
    let got = case.get().await;
    assert_eq!((got.status, got.end), (200, End::Reset));
    assert_eq!(got.header("content-length"), Some("200003"), "the promise is the whole file");
    assert!(got.body == case.whole[..70_000]);
    assert_eq!(case.standin.requests()[0].bytes_sent, 70_000);
    assert_eq!(case.get().await.end, End::Whole, "once means once");
}

#[tokio::test]
async fn short_body_promises_the_whole_and_closes_cleanly() {
    let case = Case::with(Fault::ShortBody(1), Times::Once).await;
    let got = case.get().await;
    assert_eq!((got.end, got.header("content-length"), got.body.len()), (End::Closed, Some("200003"), 1));
}

#[tokio::test]
async fn wrong_content_length_is_off_in_either_direction() {
    let case = Case::with(Fault::WrongContentLength(5), Times::Once).await;
    let long = case.get().await;
    assert_eq!((long.end, long.header("content-length")), (End::Closed, Some("200008")));
    assert!(long.body == case.whole);
    case.standin.fault("f.bin", Fault::WrongContentLength(-3), Times::Once);
    let (mut stream, host, target) = connect(&case.url).await;
    let text = format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n\r\n");
    tokio::io::AsyncWriteExt::write_all(&mut stream, text.as_bytes()).await.unwrap();
    let mut all = Vec::new();
    while more(&mut stream, &mut all).await.is_ok() {}
    let head = String::from_utf8_lossy(&all[..400]).into_owned();
    assert!(head.contains("content-length: 200000\r\n"), "{head}");
    assert!(all.ends_with(&case.whole), "the true body is on the wire all the same");
}

#[tokio::test]
async fn no_content_length_means_chunks() {
    let case = Case::with(Fault::NoContentLength, Times::Once).await;
    let got = case.get().await;
    assert_eq!((got.header("content-length"), got.header("transfer-encoding")), (None, Some("chunked")));
    assert!(got.body == case.whole);
}

#[tokio::test]
async fn an_ignored_range_is_answered_with_the_whole_file() {
    let case = Case::with(Fault::IgnoreRange, Times::Once).await;
    assert_eq!(case.get().await.status, 200, "a request without range does not use the fault up");
    let got = case.part().await;
    assert_eq!((got.status, got.header("content-range")), (200, None));
    assert!(got.body == case.whole);
    assert_eq!(case.part().await.status, 206);
}

#[tokio::test]
async fn a_wrong_content_range_names_other_bytes_than_it_sends() {
    let case = Case::with(Fault::WrongContentRange, Times::Once).await;
    let got = case.part().await;
    assert_eq!((got.status, got.header("content-range")), (206, Some("bytes 101-200/200003")));
    assert!(got.body == case.whole[100..200]);
}

#[tokio::test]
async fn a_status_comes_with_each_form_of_retry_after() {
    let case = Case::with(Fault::status(500), Times::Once).await;
    assert_eq!((case.get().await.status, case.standin.bytes_served("f.bin")), (500, 0));
    let forms =
        [(RetryAfter::Seconds(2), "2"), (RetryAfter::Absurd, "99999999999"), (RetryAfter::Nonsense, "soon")];
    for (form, text) in forms {
        case.standin.fault("f.bin", Fault::status_retry(429, form), Times::Once);
        let got = case.get().await;
        assert_eq!((got.status, got.header("retry-after")), (429, Some(text)));
    }
    case.standin.fault("f.bin", Fault::status_retry(503, RetryAfter::HttpDate(90)), Times::Once);
    let date = case.get().await.header("retry-after").unwrap().to_owned();
    assert!(date.ends_with(" GMT") && date.len() == 29, "{date}");
    case.standin.fault("f.bin", Fault::status_retry(429, RetryAfter::RateLimit(7)), Times::Once);
    assert_eq!(case.get().await.header("ratelimit"), Some("\"resolvers\";r=0;t=7"));
    let body = r#"{"error":"x"}"#.to_owned();
    let fault = StatusFault { code: 503, retry_after: RetryAfter::None, body };
    case.standin.fault("f.bin", Fault::Status(fault), Times::Once);
    assert_eq!(case.get().await.json()["error"], "x");
}

#[tokio::test]
async fn the_etag_changes_after_so_many_requests_and_the_bytes_stay() {
    let case = Case::with(Fault::ChangeETagAfter(2), Times::Always).await;
    let mut etags = Vec::new();
    for _ in 0..4 {
        let got = case.get().await;
        assert!(got.body == case.whole);
        etags.push(got.header("etag").unwrap().to_owned());
    }
    assert!(etags[0] == etags[1] && etags[1] != etags[2] && etags[2] == etags[3], "{etags:?}");
}

#[tokio::test]
async fn changed_content_has_other_bytes_and_another_etag_and_if_range_notices() {
    let case = Case::with(Fault::ChangeContentAfter(1), Times::Always).await;
    let before = case.get().await;
    let etag = before.header("etag").unwrap();
    let after = get(&case.url, &[("range", "bytes=100-199"), ("if-range", etag)]).await;
    assert_eq!((after.status, after.body.len()), (200, case.whole.len()));
    assert!(after.body != case.whole && after.header("etag") != Some(etag));
}

#[tokio::test]
async fn an_address_expires_after_so_many_bytes_and_a_new_one_works() {
    let standin = started().await;
    standin.add_repo(HfRepo::new("o/r").file(FileSpec::new("w.safetensors", 5000)));
    standin.fault("w.safetensors", Fault::ExpireSignedUrlAfter(Allowance::Bytes(100)), Times::Once);
    let resolve = format!("{}/o/r/resolve/main/w.safetensors", standin.huggingface_url());
    let first = get(&resolve, &[]).await.location().to_owned();
    let range = [("range", "bytes=0-99")];
    assert_eq!(get(&first, &range).await.status, 206);
    assert_eq!(get(&first, &range).await.status, 403);
    assert_eq!(get(&first, &range).await.status, 403, "an address stays expired");
    let second = get(&resolve, &[]).await.location().to_owned();
    for _ in 0..3 {
        assert_eq!(get(&second, &range).await.status, 206);
    }
    standin.fault("w.safetensors", Fault::ExpireSignedUrlAfter(Allowance::Requests(4)), Times::Once);
    assert_eq!(get(&second, &range).await.status, 206);
    assert_eq!(get(&second, &range).await.status, 403);
}

#[tokio::test]
async fn a_stalled_body_leaves_the_connection_open() {
    let case = Case::with(Fault::StallAfter(1000), Times::Once).await;
    let (mut stream, host, target) = connect(&case.url).await;
    let text = format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n\r\n");
    tokio::io::AsyncWriteExt::write_all(&mut stream, text.as_bytes()).await.unwrap();
    let mut all = Vec::new();
    while !all.ends_with(&case.whole[..1000]) {
        assert_eq!(more(&mut stream, &mut all).await, Ok(()));
    }
    let silence = tokio::time::timeout(Duration::from_millis(200), more(&mut stream, &mut all)).await;
    assert!(silence.is_err(), "neither bytes nor an end may come");
    assert_eq!((case.standin.parallel_now("f.bin"), case.standin.bytes_served("f.bin")), (1, 1000));
}

#[tokio::test]
async fn a_drip_and_a_cap_are_not_faster_than_they_say() {
    let case = Case::with(Fault::DripRate(400_000), Times::Once).await;
    let start = Instant::now();
    assert!(case.get().await.body == case.whole);
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(400), "200 kB at 400 kB/s took {took:?}");
    case.standin.cap_per_connection(Some(400_000));
    let start = Instant::now();
    case.get().await;
    assert!(start.elapsed() >= Duration::from_millis(400));
    case.standin.cap_per_connection(None);
    assert_eq!(case.standin.max_parallel("f.bin"), 1);
}

#[tokio::test]
async fn a_corrupt_byte_is_at_its_offset_of_the_file_and_nowhere_else() {
    let case = Case::with(Fault::CorruptByteAt(150), Times::Once).await;
    let elsewhere = get(&case.url, &[("range", "bytes=0-99")]).await;
    assert!(elsewhere.body == case.whole[..100]);
    let got = case.part().await;
    let wrong: Vec<usize> = (0..100).filter(|at| got.body[*at] != case.whole[100 + at]).collect();
    assert_eq!(wrong, [50]);
    assert!(case.part().await.body == case.whole[100..200]);
}

#[tokio::test]
async fn redirects_go_round_or_elsewhere() {
    let case = Case::with(Fault::RedirectLoop, Times::Always).await;
    let path = case.url.split_once("/files").map(|(_, rest)| format!("/files{rest}")).unwrap();
    for _ in 0..3 {
        let got = case.get().await;
        assert_eq!((got.status, got.location()), (302, path.as_str()));
    }
    case.standin.clear_faults();
    case.standin.fault("f.bin", Fault::RedirectTo("http://example.invalid/x".into()), Times::Once);
    assert_eq!(case.get().await.location(), "http://example.invalid/x");
}

#[tokio::test]
async fn gzip_wraps_the_whole_file_even_for_a_range() {
    let case = Case::with(Fault::GzipEncoding, Times::Once).await;
    let got = case.part().await;
    assert_eq!((got.status, got.header("content-encoding")), (200, Some("gzip")));
    assert_eq!(got.header("content-length"), Some(got.body.len().to_string().as_str()));
    assert!(stored_blocks(&got.body) == case.whole);
}

/// Takes a gzip stream of stored blocks apart.
fn stored_blocks(gzip: &[u8]) -> Vec<u8> {
    assert_eq!(gzip[..3], [0x1f, 0x8b, 8]);
    let mut at = 10;
    let mut plain = Vec::new();
    loop {
        let last = gzip[at];
        let length = usize::from(u16::from_le_bytes([gzip[at + 1], gzip[at + 2]]));
        plain.extend_from_slice(&gzip[at + 5..at + 5 + length]);
        at += 5 + length;
        if last == 1 {
            break;
        }
    }
    assert_eq!(gzip.len(), at + 8, "checksum and length end the stream");
    assert_eq!(gzip[at + 4..], (plain.len() as u32).to_le_bytes());
    plain
}

#[tokio::test]
async fn an_html_page_comes_in_the_place_of_the_file() {
    let case = Case::with(Fault::HtmlPage200, Times::Once).await;
    let got = case.get().await;
    assert_eq!((got.status, got.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(got.body.starts_with(b"<!DOCTYPE html>"));
}

#[tokio::test]
async fn a_reset_on_connect_answers_nothing() {
    let case = Case::with(Fault::ResetOnConnect, Times::Once).await;
    let got = case.get().await;
    assert_eq!((got.status, got.end, got.body.len()), (0, End::Reset, 0));
    assert_eq!(case.standin.requests()[0].status, 0);
}

#[tokio::test]
async fn latency_delays_the_answer_and_faults_combine() {
    let both = Fault::Together(vec![Fault::LatencyMs(60), Fault::CloseAfter(10)]);
    let case = Case::with(both, Times::N(2)).await;
    for _ in 0..2 {
        let start = Instant::now();
        let got = case.get().await;
        assert_eq!((got.end, got.body.len()), (End::Reset, 10));
        assert!(start.elapsed() >= Duration::from_millis(60));
    }
    assert_eq!(case.get().await.end, End::Whole);
}

#[tokio::test]
async fn a_fault_of_a_path_prefix_acts_on_api_answers() {
    let standin = started().await;
    standin.fault("/api/v1/", Fault::status_retry(503, RetryAfter::Seconds(2)), Times::Once);
    let url = format!("{}/api/v1/enums", standin.civitai_url());
    assert_eq!(get(&url, &[]).await.status, 503);
    assert_eq!(get(&url, &[]).await.status, 200);
    let whoami = format!("{}/api/whoami-v2", standin.huggingface_url());
    assert_eq!(get(&whoami, &[]).await.status, 401);
}
