//! CivitAI's routes, records, refusals and redirects.

use crate::client::{get, request};
use crate::started;
use lorakeep_standin::{
    CivitFile, CivitImage, CivitModel, CivitVersion, Delivery, FileSpec, Options, PublishedHashes, Standin,
};
use serde_json::{Value, json};

const KEY: (&str, &str) = ("authorization", "Bearer civitai_standin_key");
const BROWSER: (&str, &str) = ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0");

fn weights(name: &str) -> FileSpec {
    FileSpec::new(name, 1_500_000)
}

fn model(version: CivitVersion) -> CivitModel {
    CivitModel::new(version.id / 10, "Model", "LORA").version(version)
}

fn version(id: u64) -> CivitVersion {
    CivitVersion::new(id, "v1", "SDXL 1.0")
        .words(&["word"])
        .file(CivitFile::new(id * 10, weights(&format!("{id}.safetensors"))))
}

async fn with(versions: Vec<CivitVersion>) -> (Standin, String) {
    let standin = started().await;
    for version in versions {
        standin.add_model(model(version));
    }
    let url = standin.civitai_url();
    (standin, url)
}

#[tokio::test]
async fn a_download_redirects_to_another_host_that_has_the_file() {
    let (standin, url) = with(vec![version(110)]).await;
    let file = weights("110.safetensors");
    for query in ["", "?fileId=1100", "?type=Model&format=SafeTensor&fp=fp16"] {
        let hop = get(&format!("{url}/api/download/models/110{query}"), &[KEY]).await;
        assert_eq!(hop.status, 307, "{query}");
        assert!(hop.location().starts_with(&standin.storage_url()), "{}", hop.location());
        let content = get(hop.location(), &[]).await;
        assert!(content.body == file.bytes());
        assert_eq!(content.header("content-disposition"), Some("attachment; filename=\"110.safetensors\""));
        assert!(content.header("etag").is_some_and(|etag| etag.ends_with("-12\"")));
    }
    assert_eq!(standin.bytes_served("110.safetensors"), 3 * file.size());
}

#[tokio::test]
async fn the_other_store_carries_its_signature_in_a_parameter_called_authorization() {
    let standin = Standin::start(Options { delivery: Delivery::B2, ..Options::default() }).await.unwrap();
    standin.add_model(model(version(110)));
    let hop = get(&format!("{}/api/download/models/110", standin.civitai_url()), &[]).await;
    assert!(hop.location().contains("?Authorization=3_"), "{}", hop.location());
    assert_eq!(get(hop.location(), &[]).await.status, 200);
}

#[tokio::test]
async fn downloads_are_refused_with_the_sites_words() {
    let changed = |id, change: fn(&mut CivitVersion)| {
        let mut version = version(id);
        change(&mut version);
        version
    };
    let (standin, url) = with(vec![
        changed(210, |v| v.usage_control = "Generation".into()),
        changed(220, |v| v.require_auth = true),
        changed(230, |v| v.early_access_until = Some("2030-01-01T00:00:00.000Z".into())),
        changed(240, |v| v.no_access = true),
        changed(250, |v| v.status = "Draft".into()),
    ])
    .await;
    let mut archived = model(version(260));
    archived.archived = true;
    standin.add_model(archived);
    let cases = [
        (210, 401, json!("The creator of this asset has disabled downloads on this file")),
        (220, 401, json!("The creator of this asset requires you to be logged in to download it")),
        (230, 403, json!("This asset is in Early Access. You can use Buzz access it now!")),
        (240, 401, json!("The creator of this asset requires you to be logged in to download it")),
        (250, 404, Value::Null),
        (260, 410, Value::Null),
        (999, 404, Value::Null),
    ];
    for (id, status, message) in cases {
        let got = get(&format!("{url}/api/download/models/{id}"), &[]).await;
        assert_eq!((got.status, &got.json()["message"]), (status, &message), "{id}");
    }
    let got = get(&format!("{url}/api/download/models/230"), &[]).await.json();
    assert_eq!(
        (&got["error"], &got["deadline"]),
        (&json!("Early Access"), &json!("2030-01-01T00:00:00.000Z"))
    );
    let archived = get(&format!("{url}/api/download/models/260"), &[]).await.json();
    assert_eq!(archived["error"], "Model archived, not available for download");
    assert_eq!(get(&format!("{url}/api/download/models/220"), &[KEY]).await.status, 307);
    assert_eq!(
        get(&format!("{url}/api/download/models/220?token=civitai_standin_key"), &[]).await.status,
        307
    );
    assert_eq!(get(&format!("{url}/api/download/models/220?token=wrong"), &[]).await.status, 401);
    assert_eq!(get(&format!("{url}/api/download/models/240"), &[KEY]).await.status, 403);
    assert_eq!(get(&format!("{url}/api/download/models/220?fileId=1"), &[KEY]).await.status, 404);
    assert_eq!(request("HEAD", &format!("{url}/api/download/models/220"), &[KEY], "").await.status, 401);
}

#[tokio::test]
async fn a_browser_is_sent_to_pages_instead_of_getting_json() {
    let mut login = version(220);
    login.require_auth = true;
    let mut early = version(230);
    early.early_access_until = Some("2030-01-01T00:00:00.000Z".into());
    let (_standin, url) = with(vec![login, early]).await;
    let got = get(&format!("{url}/api/download/models/220"), &[BROWSER]).await;
    assert_eq!(
        (got.status, got.location()),
        (307, "/login?returnUrl=/model-versions/220&reason=download-auth")
    );
    let page = get(&format!("{url}{}", got.location()), &[BROWSER]).await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert_eq!(
        get(&format!("{url}/api/download/models/230"), &[BROWSER]).await.location(),
        "/model-versions/230"
    );
    let missing = get(&format!("{url}/api/download/models/999"), &[BROWSER]).await;
    assert_eq!(missing.body, b"File not found");
}

#[tokio::test]
async fn a_version_tells_size_and_hashes_of_its_files() {
    let (_standin, url) = with(vec![version(110)]).await;
    let file = weights("110.safetensors");
    let got = get(&format!("{url}/api/v1/model-versions/110"), &[]).await;
    assert!(got.header("cache-control").is_some_and(|cache| cache.starts_with("public, s-maxage=300")));
    let got = got.json();
    let record = &got["files"][0];
    assert_eq!(record["sizeKB"].as_f64().map(|kb| (kb * 1024.0).round()), Some(1_500_000.0));
    assert_eq!(record["hashes"]["SHA256"], file.sha256().to_uppercase());
    assert_eq!(record["hashes"]["AutoV2"], file.sha256()[..10].to_uppercase());
    assert_eq!(record["hashes"]["AutoV3"].as_str().map(str::len), Some(12));
    assert_eq!(record["downloadUrl"], format!("{url}/api/download/models/110?fileId=1100"));
    assert_eq!((&got["modelId"], &got["trainedWords"]), (&json!(11), &json!(["word"])));
    assert_eq!(got["model"], json!({"name": "Model", "type": "LORA", "nsfw": false, "poi": false}));
    assert_eq!(record["scannedAt"], "2026-07-01T12:30:00.5", "by id the time has no zone");
    let missing = get(&format!("{url}/api/v1/model-versions/1"), &[]).await;
    assert_eq!((missing.status, missing.json()), (404, json!({"error": "Model not found"})));
}

#[tokio::test]
async fn any_published_hash_in_any_case_finds_the_oldest_version() {
    let twin =
        |id| CivitVersion::new(id, "v1", "SDXL 1.0").file(CivitFile::new(id * 10, weights("t.safetensors")));
    let (_standin, url) = with(vec![twin(420), twin(410)]).await;
    let record = get(&format!("{url}/api/v1/model-versions/410"), &[]).await.json();
    for (kind, hash) in record["files"][0]["hashes"].as_object().unwrap() {
        for hash in [hash.as_str().unwrap().to_owned(), hash.as_str().unwrap().to_lowercase()] {
            let found = get(&format!("{url}/api/v1/model-versions/by-hash/{hash}"), &[]).await;
            assert_eq!((found.status, &found.json()["id"]), (200, &json!(410)), "{kind}");
        }
    }
    assert_eq!(get(&format!("{url}/api/v1/model-versions/by-hash/ffff"), &[]).await.status, 404);
}

#[tokio::test]
async fn a_batch_of_hashes_answers_hits_only_and_refuses_other_hashes() {
    let (_standin, url) = with(vec![version(110), version(120)]).await;
    let hash = weights("120.safetensors").sha256();
    let body = json!([hash, "00".repeat(32)]).to_string();
    let found = request("POST", &format!("{url}/api/v1/model-versions/by-hash"), &[], &body).await.json();
    assert_eq!((found.as_array().map(Vec::len), &found[0]["id"]), (Some(1), &json!(120)));
    let ids = request("POST", &format!("{url}/api/v1/model-versions/by-hash/ids"), &[], &body).await.json();
    assert_eq!(ids, json!([{"modelVersionId": 120, "modelId": 12, "hash": hash.to_uppercase()}]));
    for body in ["[]", "[\"abc\"]", "{}"] {
        let refused = request("POST", &format!("{url}/api/v1/model-versions/by-hash"), &[], body).await;
        assert_eq!(refused.status, 400, "{body}");
    }
}

#[tokio::test]
async fn records_can_lie_about_hash_size_host_and_linked_files() {
    let spec = || weights("110.safetensors");
    let wrong = PublishedHashes::Wrong("AB".repeat(32));
    let lying = CivitFile { size_kb: Some(1.5), ..CivitFile::new(1, spec()).publishing(wrong) };
    let linked = CivitFile { linked: true, kind: "VAE".into(), ..CivitFile::new(2, spec()).secondary() };
    let bare = CivitFile::new(3, spec()).secondary().publishing(PublishedHashes::Absent);
    let mut version = CivitVersion::new(110, "v1", "SDXL 1.0").file(lying).file(linked).file(bare);
    version.undefined_host = true;
    let (_standin, url) = with(vec![version]).await;
    let files = get(&format!("{url}/api/v1/model-versions/110"), &[]).await.json()["files"].clone();
    assert_eq!((&files[0]["hashes"]["SHA256"], &files[0]["sizeKB"]), (&json!("AB".repeat(32)), &json!(1.5)));
    assert_eq!(files[2]["hashes"], json!({}));
    assert_eq!(files[0]["downloadUrl"], "https://undefined/api/download/models/110?fileId=1");
    assert_eq!(get(&format!("{url}/api/download/models/110?fileId=2"), &[]).await.status, 404);
    assert_eq!(get(&format!("{url}/api/download/models/110?type=VAE"), &[]).await.status, 307);
}

#[tokio::test]
async fn a_model_hides_what_the_site_hides() {
    let (standin, url) = with(vec![version(110)]).await;
    let one = get(&format!("{url}/api/v1/models/11"), &[]).await.json();
    assert_eq!((&one["type"], &one["modelVersions"][0]["id"]), (&json!("LORA"), &json!(110)));
    assert_eq!(one["modelVersions"][0]["files"][0]["primary"], true);
    let mut odd = model(version(120));
    odd.hides_versions = true;
    standin.add_model(odd);
    let mut archived = model(version(130));
    archived.archived = true;
    standin.add_model(archived);
    let empty = get(&format!("{url}/api/v1/models/12"), &[]).await.json();
    assert_eq!(empty["modelVersions"], json!([]));
    let archived = get(&format!("{url}/api/v1/models/13"), &[]).await.json();
    assert_eq!((&archived["mode"], &archived["modelVersions"][0]["files"]), (&json!("Archived"), &json!([])));
    let missing = get(&format!("{url}/api/v1/models/999"), &[]).await;
    assert_eq!((missing.status, missing.json()), (404, json!({"error": "No model with id 999"})));
}

#[tokio::test]
async fn the_list_filters_pages_and_refuses() {
    let (standin, url) = with((1..=5).map(|id| version(id * 10)).collect()).await;
    let mut mature = model(version(60));
    mature.nsfw = true;
    standin.add_model(mature);
    let url = format!("{url}/api/v1/models");
    let all = get(&url, &[]).await.json();
    assert_eq!(
        (all["items"].as_array().map(Vec::len), &all["metadata"]["nextPage"]),
        (Some(5), &Value::Null)
    );
    let all = get(&format!("{url}?nsfw=true"), &[]).await.json();
    assert_eq!(all["items"].as_array().map(Vec::len), Some(6));
    let some = get(&format!("{url}?ids=2,4&nsfw=true"), &[]).await.json();
    assert_eq!(some["items"].as_array().map(Vec::len), Some(2));
    let mut seen = Vec::new();
    let mut next = Some(format!("{url}?limit=2&types=LORA"));
    while let Some(url) = next {
        let page = get(&url, &[]).await.json();
        seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].as_u64().unwrap()));
        next = page["metadata"]["nextPage"].as_str().map(str::to_owned);
    }
    assert_eq!(seen, [1, 2, 3, 4, 5]);
    let options = get(&format!("{url}?baseModels=gimmethelist"), &[]).await;
    let list = &options.json()["error"]["issues"][0]["unionErrors"][0]["issues"][0]["options"];
    assert_eq!((options.status, list.as_array().is_some_and(|list| list.len() > 40)), (400, true));
    assert_eq!(get(&format!("{url}?query=x&page=2"), &[]).await.status, 400);
    assert_eq!(get(&format!("{url}?limit=100&page=11"), &[]).await.status, 429);
    assert_eq!(get(&format!("{url}?favorites=true"), &[]).await.status, 401);
}

async fn with_images() -> (Standin, String) {
    let standin = started().await;
    standin.add_image(CivitImage::new(71, 40, 20).of_version(110));
    standin.add_image(CivitImage { level: 16, ..CivitImage::new(72, 40, 20).of_version(110) });
    standin.add_model(model(version(110)));
    let url = standin.civitai_url();
    (standin, url)
}

#[tokio::test]
async fn images_are_filtered_to_pg_unless_levels_are_asked_for() {
    let (_standin, url) = with_images().await;
    for (query, ids) in [
        ("", vec![71]),
        ("?browsingLevel=31", vec![71, 72]),
        ("?nsfw=X", vec![71, 72]),
        ("?nsfw=true", vec![72]),
        ("?imageId=72", vec![]),
        ("?imageId=72&browsingLevel=31", vec![72]),
        ("?collectionId=5", vec![71]),
    ] {
        let got = get(&format!("{url}/api/v1/images{query}"), &[]).await.json();
        let found: Vec<u64> =
            got["items"].as_array().unwrap().iter().map(|item| item["id"].as_u64().unwrap()).collect();
        assert_eq!(found, ids, "{query}");
    }
}

#[tokio::test]
async fn generation_data_is_nested_in_a_look_up_by_id_unless_flat() {
    let (_standin, url) = with_images().await;
    let item = |query: &str| {
        let url = format!("{url}/api/v1/images?{query}");
        async move { get(&url, &[]).await.json()["items"][0].clone() }
    };
    let nested = item("imageId=71&withMeta=true").await;
    assert_eq!((&nested["meta"]["id"], &nested["meta"]["meta"]["steps"]), (&json!(71), &json!(28)));
    assert_eq!(item("imageId=71&withMeta=true&flatMeta=true").await["meta"]["steps"], 28);
    assert_eq!(item("postId=7&withMeta=true").await["meta"]["steps"], 28);
    assert_eq!(item("imageId=71").await["meta"], Value::Null);
    assert_eq!(nested["nsfwLevel"], "None");
}

#[tokio::test]
async fn an_image_is_a_real_png_whatever_its_address_ends_in() {
    let (_standin, url) = with_images().await;
    let item = get(&format!("{url}/api/v1/images?imageId=71"), &[]).await.json()["items"][0].clone();
    let address = item["url"].as_str().unwrap();
    assert!(address.contains("/original=true/") && address.contains(".jpeg"));
    let hop = get(address, &[]).await;
    assert_eq!(hop.status, 301);
    let original = get(hop.location(), &[]).await;
    assert_eq!(original.header("content-type"), Some("image/png"));
    assert_eq!(dimensions(&original.body), (40, 20));
    assert!(String::from_utf8_lossy(&original.body).contains("parameters\0a lighthouse"));
    let small = get(&address.replace("original=true", "width=10,optimized=true"), &[]).await;
    assert_eq!(dimensions(&small.body), (10, 5));
    let of_version = get(&format!("{url}/api/v1/model-versions/110"), &[]).await.json()["images"].clone();
    assert!(of_version[0]["url"].as_str().is_some_and(|url| url.ends_with("/71.jpeg")));
    assert_eq!(of_version[0]["id"], Value::Null);
}

/// Width and height of a PNG, after a look at its signature and last chunk.
fn dimensions(png: &[u8]) -> (u32, u32) {
    assert!(png.starts_with(b"\x89PNG\r\n\x1a\n") && png.ends_with(b"IEND\xae\x42\x60\x82"));
    let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().expect("four bytes"));
    (number(16), number(20))
}

#[tokio::test]
async fn the_sites_own_calls_want_a_key_or_an_origin() {
    let (_standin, url) = with_images().await;
    let input = "?input=%7B%22json%22%3A%7B%22id%22%3A71%7D%7D";
    let call = format!("{url}/api/trpc/image.get{input}");
    let refused = get(&call, &[]).await;
    assert_eq!(refused.status, 401);
    assert!(
        refused.json()["error"]["json"]["message"].as_str().is_some_and(|text| text.contains("public API"))
    );
    for header in [KEY, ("referer", url.as_str())] {
        let record = get(&call, &[header]).await.json()["result"]["data"]["json"].clone();
        assert_eq!((&record["id"], &record["mimeType"]), (&json!(71), &json!("image/png")));
    }
    let data = get(&format!("{url}/api/trpc/image.getGenerationData{input}"), &[KEY]).await.json();
    assert_eq!(data["result"]["data"]["json"]["resources"][0]["modelVersionId"], 110);
}

#[tokio::test]
async fn small_routes_answer_in_their_shape() {
    let (_standin, url) = with(vec![version(110)]).await;
    let enums = get(&format!("{url}/api/v1/enums"), &[]).await.json();
    assert!(enums["ModelType"].as_array().is_some_and(|types| types.contains(&json!("LORA"))));
    let tags = get(&format!("{url}/api/v1/tags"), &[]).await.json();
    assert_eq!((&tags["items"][0]["name"], &tags["metadata"]["totalItems"]), (&json!("standin"), &json!(1)));
    let me = get(&format!("{url}/api/v1/me"), &[]).await;
    assert_eq!((me.status, me.json()), (401, json!({"error": "Unauthorized"})));
    assert_eq!(get(&format!("{url}/api/v1/me"), &[KEY]).await.status, 200);
    let mini = get(&format!("{url}/api/v1/model-versions/mini/110"), &[]).await.json();
    assert_eq!(
        (&mini["fileName"], &mini["air"]),
        (&json!("110.safetensors"), &json!("urn:air:sdxl:lora:civitai:11@110"))
    );
    assert_eq!(request("POST", &format!("{url}/api/v1/models"), &[], "{}").await.status, 405);
}
