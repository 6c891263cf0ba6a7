//! The demonstration world, and control over HTTP.

use crate::client::{End, get, request};
use lorakeep_standin::{FileSpec, Options, Standin};
use serde_json::json;

#[tokio::test]
async fn faults_and_counters_are_reached_over_http() {
    let standin = crate::started().await;
    standin.add_file(FileSpec::new("f.bin", 5000));
    let control = format!("{}/__control", standin.storage_url());
    let url = standin.file_url("f.bin");
    let orders = [
        json!({"target": "f.bin", "fault": {"close_after": 7}, "times": "once"}),
        json!({"target": "f.bin", "fault": {"status": {"code": 503, "retry_after": {"seconds": 1}}}, "times": {"n": 1}}),
        json!({"target": "f.bin", "fault": "ignore_range"}),
        json!({"target": "f.bin", "fault": {"change_etag_after": 3}, "times": "always"}),
        json!({"target": "f.bin", "fault": {"expire_signed_url_after": {"bytes": 3}}, "times": "always"}),
    ];
    for order in &orders {
        let done = request("POST", &format!("{control}/fault"), &[], &order.to_string()).await;
        assert_eq!(done.status, 200, "{order}: {}", String::from_utf8_lossy(&done.body));
    }
    let got = get(&url, &[]).await;
    assert_eq!((got.end, got.body.len()), (End::Reset, 7));
    assert_eq!(get(&url, &[]).await.header("retry-after"), Some("1"));
    assert_eq!(get(&url, &[("range", "bytes=0-1")]).await.status, 200);
    let seen = get(&format!("{control}/requests"), &[]).await.json();
    assert_eq!(seen.as_array().map(Vec::len), Some(3), "control calls are not listed");
    assert_eq!((&seen[0]["file"], &seen[0]["bytes_sent"]), (&json!("f.bin"), &json!(7)));
    assert_eq!(seen[2]["range"], "bytes=0-1");
    let files = get(&format!("{control}/files"), &[]).await.json();
    assert_eq!(files[0]["bytes_served"], 5007);
    assert_eq!(request("POST", &format!("{control}/reset"), &[], "").await.status, 200);
    assert_eq!(get(&url, &[]).await.status, 200);
    assert_eq!(request("POST", &format!("{control}/fault"), &[], "{\"target\":1}").await.status, 400);
}

#[tokio::test]
async fn the_demonstration_world_can_be_fetched_from_both_sites() {
    let standin = Standin::with_demo(Options::default()).await.unwrap();
    let list = get(&format!("{}/api/v1/models?limit=100", standin.civitai_url()), &[]).await.json();
    let models = list["items"].as_array().unwrap();
    assert!(models.len() >= 10);
    let pair = models.iter().find(|model| model["name"] == "Slow Drift").unwrap();
    assert_eq!(pair["modelVersions"].as_array().map(Vec::len), Some(2));
    let url = models[0]["modelVersions"][0]["downloadUrl"].as_str().unwrap();
    let content = get(get(url, &[]).await.location(), &[]).await;
    assert_eq!(content.status, 200);
    let repos = get(&format!("{}/api/models?author=standin", standin.huggingface_url()), &[]).await.json();
    assert!(repos.as_array().is_some_and(|repos| repos.len() >= 5));
}

#[tokio::test]
async fn parallel_ranges_of_one_file_are_counted() {
    let standin = crate::started().await;
    let file = FileSpec::new("f.bin", 3_000_000);
    standin.add_file(file.clone());
    standin.cap_per_connection(Some(2_000_000));
    let url = standin.file_url("f.bin");
    let part = async |range: &str| get(&url, &[("range", range)]).await.body;
    let (one, two, three) =
        tokio::join!(part("bytes=0-999999"), part("bytes=1000000-1999999"), part("bytes=2000000-"));
    assert!([one, two, three].concat() == file.bytes());
    assert_eq!((standin.max_parallel("f.bin"), standin.bytes_served("f.bin")), (3, file.size()));
    standin.reset_counters();
    assert_eq!((standin.requests().len(), standin.bytes_served("f.bin")), (0, 0));
}
