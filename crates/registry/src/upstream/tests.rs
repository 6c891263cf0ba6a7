//! The clients against a local CivitAI and Hugging Face, over sockets.

use std::time::Duration;

use lorakeep_standin::{
    CivitFile, CivitModel, CivitVersion, Fault, FileSpec, Gated, HfRepo, Options, RetryAfter, Standin,
    StatusFault, Times, Upstream,
};
use lorakeep_transfer::RetryPolicy;
use url::Url;

use super::*;
use crate::domain::Origin;

struct Setup {
    standin: Standin,
    upstreams: Upstreams,
}

async fn setup() -> Setup {
    with_credentials(None, None).await
}

async fn with_credentials(civitai_key: Option<&str>, huggingface_token: Option<&str>) -> Setup {
    let standin = Standin::start(Options { tree_page: 2, ..Options::default() }).await.unwrap();
    let limits = http::ApiLimits {
        max_answer_bytes: 64 << 10,
        timeout: Duration::from_secs(10),
        retry: RetryPolicy {
            max_attempts: 3,
            base_delay: Duration::from_millis(1),
            max_retry_after: Duration::from_secs(2),
            ..RetryPolicy::default()
        },
        rate: pace::Rate { interval: Duration::from_micros(1), burst: 1000 },
    };
    let upstreams = Upstreams::new(UpstreamOptions {
        endpoints: Endpoints {
            civitai: Url::parse(&standin.civitai_url()).unwrap(),
            huggingface: Url::parse(&standin.huggingface_url()).unwrap(),
        },
        civitai_key: civitai_key.map(SecretString::from),
        huggingface_token: huggingface_token.map(SecretString::from),
        comfyui: None,
        hosts: HostPolicy::public_only(),
        limits,
    })
    .unwrap();
    Setup { standin, upstreams }
}

fn style() -> FileSpec {
    FileSpec::new("style.safetensors", 5000)
}

fn version(id: u64) -> CivitVersion {
    CivitVersion::new(id, "v1", "SDXL 1.0").words(&["soft ink"]).file(CivitFile::new(id * 10, style()))
}

fn civitai(version_id: u64) -> Origin {
    Origin::Civitai { version_id, file_id: None, model_id: None }
}

fn hub(repo: &str, file: &str, revision: Option<&str>) -> Origin {
    Origin::HuggingFace { repo: repo.into(), file: file.into(), revision: revision.map(str::to_owned) }
}

#[tokio::test]
async fn a_version_on_civitai_becomes_an_address_by_ids_with_hash_and_estimate() {
    let Setup { standin, upstreams } = with_credentials(Some("civitai_standin_key"), None).await;
    standin.add_model(CivitModel::new(7, "Style", "LORA").version(version(70)));
    let source = upstreams.resolve(&civitai(70)).await.unwrap();
    assert_eq!(source.url.as_str(), format!("{}/api/download/models/70?fileId=700", standin.civitai_url()));
    assert_eq!(source.sha256.unwrap().to_string(), style().sha256());
    assert_eq!((source.size, source.estimated_size), (None, Some(5000)));
    let seen = &standin.requests_to(Upstream::Civitai)[0];
    assert_eq!(seen.user_agent.as_deref(), Some(USER_AGENT));
    assert_eq!(seen.authorization.as_deref(), Some("Bearer civitai_standin_key"));
    assert!(seen.query.is_empty(), "the key never stands in an address");
}

#[tokio::test]
async fn a_version_that_its_own_route_lost_is_found_in_its_model() {
    let Setup { standin, upstreams } = setup().await;
    standin.add_model(CivitModel::new(7, "Style", "LORA").version(version(70)));
    let lost = StatusFault {
        code: 500,
        retry_after: RetryAfter::None,
        body: r#"{"error":"Failed to fetch model version details"}"#.into(),
    };
    standin.fault("/api/v1/model-versions/70", Fault::Status(lost), Times::Always);
    let found = upstreams.civitai.version(70, Some(7)).await.unwrap();
    assert_eq!((found.model_id, found.model.kind.as_deref()), (Some(7), Some("LORA")));
    assert_eq!(upstreams.civitai.version(70, None).await.unwrap_err().code, "not_found");
}

#[tokio::test]
async fn a_model_may_hide_its_versions_and_stays_readable() {
    let Setup { standin, upstreams } = setup().await;
    let mut model = CivitModel::new(7, "Style", "LORA").version(version(70));
    model.hides_versions = true;
    standin.add_model(model);
    assert!(upstreams.civitai.model(7).await.unwrap().versions.is_empty());
}

#[tokio::test]
async fn versions_are_found_by_hash_in_batches() {
    let Setup { standin, upstreams } = setup().await;
    standin.add_model(CivitModel::new(7, "Style", "LORA").version(version(70)));
    let mut hashes = vec!["0".repeat(64); 150];
    hashes.push(style().sha256());
    let found = upstreams.civitai.versions_by_hash(&hashes).await.unwrap();
    assert_eq!(found.iter().map(|version| version.id).collect::<Vec<_>>(), [70]);
    assert_eq!(standin.requests().len(), 2, "a hundred hashes a request");
}

#[tokio::test]
async fn closed_versions_are_refused_before_a_byte_is_asked_for() {
    let Setup { standin, upstreams } = setup().await;
    let mut generation = version(70);
    generation.usage_control = "Generation".into();
    let mut archived = CivitModel::new(8, "Old", "LORA").version(version(80));
    archived.archived = true;
    standin.add_model(CivitModel::new(7, "Style", "LORA").version(generation));
    standin.add_model(archived);
    let code = async |id| upstreams.resolve(&civitai(id)).await.unwrap_err().code;
    assert_eq!(code(70).await, "generation_only");
    assert_eq!(code(80).await, "archived");
    assert_eq!(code(999).await, "not_found");
    assert!(standin.requests().iter().all(|seen| !seen.path.contains("/download/")));
}

#[tokio::test]
async fn a_file_on_the_hub_is_pinned_to_the_commit_of_its_branch() {
    let Setup { standin, upstreams } = setup().await;
    let repo = HfRepo::new("o/r").file(FileSpec::new("a b/ü.safetensors", 4000)).reference("refs/pr/1");
    let head = repo.head().to_owned();
    standin.add_repo(repo);
    for revision in [None, Some("main"), Some("refs/pr/1"), Some(head.as_str())] {
        let source = upstreams.resolve(&hub("o/r", "a b/ü.safetensors", revision)).await.unwrap();
        let expected = format!("{}/o/r/resolve/{head}/a%20b/%C3%BC.safetensors", standin.huggingface_url());
        assert_eq!(source.url.as_str(), expected);
        assert_eq!(source.size, Some(4000));
        let sha256 = FileSpec::new("a b/ü.safetensors", 4000).sha256();
        assert_eq!(source.sha256.unwrap().to_string(), sha256);
    }
}

#[tokio::test]
async fn a_renamed_repository_is_followed() {
    let Setup { standin, upstreams } = setup().await;
    standin.add_repo(HfRepo::new("o/old").renamed_to("o/new"));
    standin.add_repo(HfRepo::new("o/new").file(style()));
    let source = upstreams.resolve(&hub("o/old", "style.safetensors", None)).await.unwrap();
    assert!(source.url.path().starts_with("/o/new/resolve/"), "{}", source.url);
}

#[tokio::test]
async fn a_listing_is_read_over_all_its_pages() {
    let Setup { standin, upstreams } = setup().await;
    let repo = (0..7)
        .fold(HfRepo::new("o/r"), |repo, n| repo.file(FileSpec::new(format!("f/{n}.safetensors"), 100)));
    standin.add_repo(repo);
    let files = upstreams.huggingface.files("o/r", "main", "f").await.unwrap();
    assert_eq!(files.len(), 7);
}

#[tokio::test]
async fn refusals_of_the_hub_are_told_apart() {
    let Setup { standin, upstreams } = setup().await;
    standin.add_repo(HfRepo::new("o/r").file(style()));
    standin.add_repo(HfRepo::new("o/private").file(style()).private());
    standin.add_repo(HfRepo::new("o/disabled").file(style()).disabled());
    standin.add_repo(HfRepo::new("o/gated").file(style()).gated(Gated::Auto));
    let code = async |repo, file, revision| {
        upstreams.resolve(&hub(repo, file, revision)).await.map_or_else(|error| error.code, |_| "fine")
    };
    assert_eq!(code("o/none", "x.pt", None).await, "repo_not_found");
    assert_eq!(code("o/private", "style.safetensors", None).await, "repo_not_found");
    assert_eq!(code("o/disabled", "style.safetensors", None).await, "disabled");
    assert_eq!(code("o/r", "style.safetensors", Some("dev")).await, "revision_not_found");
    assert_eq!(code("o/r", "gone.safetensors", None).await, "entry_not_found");
    assert_eq!(code("o/gated", "style.safetensors", None).await, "fine", "only the bytes are gated");
    let broken = with_credentials(None, Some("hf_wrong")).await;
    broken.standin.add_repo(HfRepo::new("o/r").file(style()));
    let error = broken.upstreams.resolve(&hub("o/r", "style.safetensors", None)).await.unwrap_err();
    assert_eq!(error.code, "token_rejected");
    assert!(!error.message.contains("hf_wrong"));
}

#[tokio::test]
async fn trouble_that_passes_is_waited_out_and_a_long_pause_is_told() {
    let Setup { standin, upstreams } = setup().await;
    standin.add_model(CivitModel::new(7, "Style", "LORA").version(version(70)));
    standin.fault("/api/v1/", Fault::status(503), Times::Once);
    standin.fault("/api/v1/", Fault::ResetOnConnect, Times::Once);
    assert!(upstreams.resolve(&civitai(70)).await.is_ok());
    standin.fault("/api/v1/", Fault::status_retry(429, RetryAfter::Seconds(1)), Times::Once);
    assert!(upstreams.resolve(&civitai(70)).await.is_ok());
    standin.fault("/api/v1/", Fault::status_retry(429, RetryAfter::Seconds(600)), Times::Once);
    let error = upstreams.resolve(&civitai(70)).await.unwrap_err();
    assert_eq!((error.code, error.retry_after), ("rate_limited", Some(Duration::from_mins(10))));
}

#[tokio::test]
async fn pages_floods_and_other_addresses_in_the_place_of_an_answer_are_named() {
    let Setup { standin, upstreams } = setup().await;
    let models = "/api/v1/model-versions/";
    let code = async || upstreams.resolve(&civitai(70)).await.unwrap_err().code;
    standin.fault(models, Fault::HtmlPage200, Times::Once);
    assert_eq!(code().await, "not_json");
    standin.fault(models, Fault::RedirectTo("http://localhost:9/x".into()), Times::Once);
    assert_eq!(code().await, "redirected");
    standin.fault(models, Fault::RedirectLoop, Times::Once);
    standin.fault(models, Fault::status(418), Times::Once);
    assert_eq!(code().await, "upstream");
    let mut flood = version(71);
    flood.description = Some("x".repeat(100_000));
    standin.add_model(CivitModel::new(7, "Style", "LORA").version(flood));
    standin.clear_faults();
    assert_eq!(upstreams.resolve(&civitai(71)).await.unwrap_err().code, "too_large");
    let deep = StatusFault { code: 200, retry_after: RetryAfter::None, body: "[".repeat(50_000) };
    standin.fault(models, Fault::Status(deep), Times::Once);
    assert_eq!(code().await, "not_json");
}

#[tokio::test]
async fn a_plain_address_is_judged_and_gets_no_foreign_key() {
    let Setup { standin, upstreams } = with_credentials(Some("key"), Some("token")).await;
    let code = async |url: &str| upstreams.resolve(&Origin::Url(url.into())).await.unwrap_err().code;
    assert_eq!(code("http://10.0.0.1/x").await, "forbidden_address");
    assert_eq!(code("https://169.254.169.254/x").await, "forbidden_address");
    assert_eq!(code("file:///etc/passwd").await, "forbidden_address");
    assert_eq!(code("nonsense").await, "malformed_url");
    let fine = upstreams.resolve(&Origin::Url("https://files.example/x".into())).await.unwrap();
    assert!(fine.credential.is_none());
    let own = format!("{}/x", standin.huggingface_url());
    let own = upstreams.resolve(&Origin::Url(own)).await.unwrap();
    assert!(own.credential.is_some());
}
