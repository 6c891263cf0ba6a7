//! The Hub's routes, headers and refusals.

use crate::client::{get, request};
use crate::started;
use lorakeep_standin::{FileSpec, Gated, HfRepo, Standin};

/// Path, headers, then the expected status, code and beginning of the message.
type Refusal<'a> = (&'a str, &'a [(&'a str, &'a str)], u16, Option<&'a str>, &'a str);

const TOKEN: (&str, &str) = ("authorization", "Bearer hf_standin");

async fn with_repo() -> (Standin, FileSpec, String) {
    let standin = started().await;
    let file = FileSpec::new("unet/w.safetensors", 5000);
    standin.add_repo(HfRepo::new("o/r").text("README.md", "# hello\n").file(file.clone()));
    let url = standin.huggingface_url();
    (standin, file, url)
}

#[tokio::test]
async fn a_large_file_redirects_with_its_hash_on_the_first_hop_only() {
    let (_standin, file, url) = with_repo().await;
    for method in ["GET", "HEAD"] {
        let hop = request(method, &format!("{url}/o/r/resolve/main/unet/w.safetensors"), &[], "").await;
        assert_eq!(hop.status, 302);
        assert_eq!(hop.header("x-linked-etag"), Some(format!("\"{}\"", file.sha256()).as_str()));
        assert_eq!(hop.header("x-linked-size"), Some("5000"));
        assert_eq!(hop.header("x-repo-commit").map(str::len), Some(40));
        assert!(hop.header("link").is_some_and(|link| link.contains("rel=\"xet-auth\"")));
        let content = get(hop.location(), &[]).await;
        assert!(content.body == file.bytes());
        let etag = content.header("etag").unwrap();
        assert_eq!(etag.len(), 66, "the storage has another hash of 64 digits");
        assert_ne!(Some(etag), hop.header("x-linked-etag"));
        assert_eq!(content.header("x-linked-etag"), None);
    }
}

#[tokio::test]
async fn a_small_file_redirects_to_a_relative_address_of_the_same_host() {
    let (_standin, _file, url) = with_repo().await;
    let hop = get(&format!("{url}/o/r/resolve/main/README.md"), &[]).await;
    assert_eq!((hop.status, hop.header("x-linked-size")), (307, None));
    assert!(hop.location().starts_with("/api/resolve-cache/models/o/r/"), "{}", hop.location());
    let content = get(&format!("{url}{}", hop.location()), &[]).await;
    assert_eq!((content.status, content.body.as_slice()), (200, b"# hello\n".as_slice()));
    // `printf '# hello\n' | git hash-object --stdin`
    assert_eq!(content.header("etag"), Some("\"8954bb97349bfe2a7799e6a7a64c6f747c635d6c\""));
    assert!(content.header("x-repo-commit").is_some());
}

#[tokio::test]
async fn a_direct_repository_answers_with_the_bytes_and_their_hash() {
    let standin = started().await;
    let file = FileSpec::new("w.safetensors", 5000);
    standin.add_repo(HfRepo::new("o/r").file(file.clone()).direct());
    let url = format!("{}/o/r/resolve/main/w.safetensors", standin.huggingface_url());
    let got = get(&url, &[("range", "bytes=10-19")]).await;
    assert_eq!((got.status, got.body.as_slice()), (206, &file.bytes()[10..20]));
    assert_eq!(got.header("etag"), Some(format!("\"{}\"", file.sha256()).as_str()));
    assert!(got.header("x-repo-commit").is_some());
    assert!(standin.wait_for_bytes("o/r/w.safetensors", 10).await);
}

#[tokio::test]
async fn refusals_are_told_apart_by_status_and_header() {
    let (standin, _file, url) = with_repo().await;
    let weights = || FileSpec::new("w.safetensors", 100);
    standin.add_repo(HfRepo::new("o/private").file(weights()).private());
    standin.add_repo(HfRepo::new("o/gated").file(weights()).gated(Gated::Manual));
    standin.add_repo(HfRepo::new("o/granted").file(weights()).gated(Gated::Auto).grant());
    standin.add_repo(HfRepo::new("o/off").file(weights()).disabled());
    let broken = ("authorization", "Bearer hf_wrong");
    let cases: [Refusal<'_>; 12] = [
        ("o/r/resolve/main/none", &[], 404, Some("EntryNotFound"), "Entry not found"),
        ("o/r/resolve/none/x", &[], 404, Some("RevisionNotFound"), "Invalid rev id: none"),
        ("o/none/resolve/main/x", &[TOKEN], 404, Some("RepoNotFound"), "Repository not found"),
        ("o/none/resolve/main/x", &[], 401, None, "Invalid username or password."),
        ("o/private/resolve/main/w.safetensors", &[], 401, None, "Invalid username or password."),
        ("o/private/resolve/main/w.safetensors", &[TOKEN], 302, None, ""),
        ("o/r/resolve/main/README.md", &[broken], 401, None, "Invalid credentials in Authorization header"),
        (
            "o/gated/resolve/main/w.safetensors",
            &[],
            401,
            Some("GatedRepo"),
            "Access to model o/gated is restricted. You",
        ),
        (
            "o/gated/resolve/main/w.safetensors",
            &[TOKEN],
            403,
            Some("GatedRepo"),
            "Access to model o/gated is restricted and you",
        ),
        ("o/granted/resolve/main/w.safetensors", &[TOKEN], 302, None, ""),
        ("o/off/resolve/main/w.safetensors", &[TOKEN], 403, None, "Access to this resource is disabled."),
        ("api/models/o/gated/tree/main", &[], 200, None, ""),
    ];
    for (path, headers, status, code, message) in cases {
        let got = get(&format!("{url}/{path}"), headers).await;
        assert_eq!((got.status, got.header("x-error-code")), (status, code), "{path}");
        assert!(got.header("x-error-message").unwrap_or_default().starts_with(message), "{path}");
    }
}

#[tokio::test]
async fn information_names_the_commit_and_blobs_add_the_hashes() {
    let (_standin, file, url) = with_repo().await;
    let info = get(&format!("{url}/api/models/o/r"), &[]).await;
    assert!(info.header("ratelimit").is_some_and(|limit| limit.starts_with("\"api\";r=")));
    let info = info.json();
    assert_eq!(info["sha"].as_str().map(str::len), Some(40));
    assert_eq!(info["siblings"][1], serde_json::json!({"rfilename": "unet/w.safetensors"}));
    for query in ["?blobs=true", "?blobs=True"] {
        let info = get(&format!("{url}/api/models/o/r/revision/main{query}"), &[]).await.json();
        assert_eq!(info["siblings"][1]["lfs"]["sha256"], file.sha256());
        assert_eq!(info["siblings"][0]["lfs"], serde_json::Value::Null);
    }
}

#[tokio::test]
async fn a_tree_comes_in_pages_that_link_to_the_next() {
    let standin = started().await;
    let repo = (0..5).fold(HfRepo::new("o/r"), |repo, index| repo.text(&format!("d/{index}.txt"), "x"));
    standin.add_repo(repo);
    let base = format!("{}/api/models/o/r/tree/main", standin.huggingface_url());
    let mut next = Some(format!("{base}?recursive=true&limit=2"));
    let mut paths = Vec::new();
    let mut pages = 0;
    while let Some(url) = next {
        let page = get(&url, &[]).await;
        pages += 1;
        paths.extend(
            page.json().as_array().unwrap().iter().map(|entry| entry["path"].as_str().unwrap().to_owned()),
        );
        next = page
            .header("link")
            .map(|link| link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned());
    }
    assert_eq!(pages, 3);
    assert_eq!(paths, ["d", "d/0.txt", "d/1.txt", "d/2.txt", "d/3.txt", "d/4.txt"]);
    let top = get(&base, &[]).await.json();
    assert_eq!((top[0]["type"].as_str(), top.as_array().map(Vec::len)), (Some("directory"), Some(1)));
}

#[tokio::test]
async fn paths_info_reads_form_and_json_and_leaves_missing_paths_out() {
    let (_standin, file, url) = with_repo().await;
    let url = format!("{url}/api/models/o/r/paths-info/main");
    let form = "paths=unet%2Fw.safetensors&paths=none&expand=False";
    let json = r#"{"paths":["unet/w.safetensors","none"]}"#;
    for body in [form, json] {
        let found = request("POST", &url, &[], body).await.json();
        assert_eq!(found.as_array().map(Vec::len), Some(1));
        assert_eq!(found[0]["lfs"]["oid"], file.sha256());
        assert_ne!(found[0]["oid"], found[0]["lfs"]["oid"]);
    }
}

#[tokio::test]
async fn a_renamed_repository_redirects_api_calls_with_their_query() {
    let (standin, _file, url) = with_repo().await;
    standin.add_repo(HfRepo::new("o/old").renamed_to("o/r"));
    let got = get(&format!("{url}/api/models/o/old/tree/main?recursive=true"), &[]).await;
    assert_eq!((got.status, got.location()), (307, "/api/models/o/r/tree/main?recursive=true"));
    let got = request("POST", &format!("{url}/api/models/o/old/paths-info/main"), &[], "paths=a").await;
    assert_eq!((got.status, got.location()), (307, "/api/models/o/r/paths-info/main"));
    assert_eq!(get(&format!("{url}/o/old/resolve/main/unet/w.safetensors"), &[]).await.status, 302);
}

#[tokio::test]
async fn revisions_are_pinned_by_commit_and_named_by_references() {
    let standin = started().await;
    let one = HfRepo::new("o/r").file(FileSpec::new("w.safetensors", 100));
    let first = one.head().to_owned();
    let two =
        one.reference("v1").next_commit().file(FileSpec::new("w.safetensors", 200)).reference("refs/pr/1");
    standin.add_repo(two);
    let url = standin.huggingface_url();
    for (revision, size) in
        [("main", "200"), (first.as_str(), "100"), ("v1", "100"), ("refs%2Fpr%2F1", "200")]
    {
        let got = get(&format!("{url}/o/r/resolve/{revision}/w.safetensors"), &[]).await;
        assert_eq!(got.header("x-linked-size"), Some(size), "{revision}");
    }
    let references = get(&format!("{url}/api/models/o/r/refs"), &[]).await.json();
    assert_eq!(references["branches"][0]["name"], "main");
    assert_eq!(references["branches"][1]["targetCommit"], first);
}

#[tokio::test]
async fn whoami_knows_the_valid_token_only() {
    let (_standin, _file, url) = with_repo().await;
    let url = format!("{url}/api/whoami-v2");
    assert_eq!(get(&url, &[TOKEN]).await.json()["type"], "user");
    assert_eq!(get(&url, &[]).await.status, 401);
    assert_eq!(get(&url, &[("authorization", "Bearer x")]).await.status, 401);
}
