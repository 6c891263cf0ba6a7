//! Uploads in pieces by tus 1.0.0: each rule of the protocol, and what becomes of an upload at its end.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};
use sha2::Digest;

use super::pickles::{Pickle, payload};
use crate::client::{Answer, Call};
use crate::harness::{KEY, Vault, safetensors};

const UPLOADS: &str = "/api/v1/uploads";
const PIECE: &str = "application/offset+octet-stream";

fn metadata(pairs: &[(&str, &str)]) -> String {
    let pairs = pairs.iter().map(|(key, value)| format!("{key} {}", STANDARD.encode(value)));
    pairs.collect::<Vec<_>>().join(",")
}

fn tus(call: Call) -> Call {
    call.header("tus-resumable", "1.0.0")
}

async fn create(vault: &Vault, name: &str, length: usize) -> Answer {
    let said = metadata(&[("filename", name), ("entity_type", "styles")]);
    let call = tus(vault.admin(Method::POST, UPLOADS)).header("upload-length", &length.to_string());
    call.header("upload-metadata", &said).send().await
}

/// The path of a new upload.
async fn created(vault: &Vault, name: &str, length: usize) -> String {
    let answer = create(vault, name, length).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.header("location").to_owned()
}

fn patch(vault: &Vault, path: &str, at: usize, bytes: &[u8]) -> Call {
    tus(vault.admin(Method::PATCH, path)).header("upload-offset", &at.to_string()).body(PIECE, bytes.to_vec())
}

async fn offset(vault: &Vault, path: &str) -> String {
    let answer = tus(vault.admin(Method::HEAD, path)).send().await;
    assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (200, "no-store"));
    answer.header("upload-offset").to_owned()
}

async fn shown(vault: &Vault, path: &str) -> Value {
    let answer = vault.admin(Method::GET, path).send().await;
    let mut body = vault.shown(&answer);
    if !body["id"].is_null() {
        body["id"] = "[id]".into();
    }
    body
}

#[tokio::test]
async fn the_server_says_what_it_serves_of_the_protocol() {
    let vault = Vault::start().await;
    let answer = vault.admin(Method::OPTIONS, UPLOADS).send().await;
    assert_eq!(answer.status, 204);
    let expected = [
        ("tus-resumable", "1.0.0"),
        ("tus-version", "1.0.0"),
        ("tus-max-size", "524288000"),
        ("tus-extension", "creation,creation-with-upload,termination,checksum,expiration"),
        ("tus-checksum-algorithm", "sha1,sha256"),
    ];
    for (name, value) in expected {
        assert_eq!(answer.header(name), value, "{name}");
    }
}

#[tokio::test]
async fn an_upload_in_pieces_ends_as_an_entry_like_any_other() {
    let vault = Vault::start().await;
    let content = safetensors(142_857, 1);
    let answer = create(&vault, "my_lora.safetensors", content.len()).await;
    assert_eq!((answer.status.as_u16(), answer.header("upload-offset")), (201, "0"));
    assert_eq!(answer.header("tus-resumable"), "1.0.0");
    assert_eq!(answer.header("upload-expires"), "Tue, 02 Jan 2024 12:00:00 GMT");
    let path = answer.header("location").to_owned();
    let first = patch(&vault, &path, 0, &content[..100_000]).send().await;
    assert_eq!((first.status.as_u16(), first.header("upload-offset")), (204, "100000"));
    assert_eq!(first.header("upload-expires"), "Tue, 02 Jan 2024 12:00:00 GMT");
    assert_eq!(offset(&vault, &path).await, "100000");
    insta::assert_json_snapshot!("resumable_receiving", shown(&vault, &path).await);
    let last = patch(&vault, &path, 100_000, &content[100_000..]).send().await;
    assert_eq!((last.status.as_u16(), last.header("upload-offset")), (204, "142857"));
    insta::assert_json_snapshot!("resumable_done", shown(&vault, &path).await);
    let stored = std::fs::read(vault.models_dir().join("loras/styles/my_lora.safetensors")).unwrap();
    assert_eq!(stored, content);
    assert_eq!(vault.files(), ["/data/models/loras/styles/my_lora.safetensors"], "no part stays");
    let entry =
        vault.studio(Method::GET, "/api/admin/entries/by-file/my_lora.safetensors").send().await.json();
    assert_eq!((&entry["source"], &entry["status"]), (&json!("upload"), &json!("present")));
    let head = tus(vault.admin(Method::HEAD, &path)).send().await;
    assert_eq!((head.header("upload-offset"), head.header("upload-length")), ("142857", "142857"));
    assert!(head.header("upload-metadata").starts_with("filename "), "{:?}", head.headers);
}

#[tokio::test]
async fn a_first_piece_may_come_with_the_beginning() {
    let vault = Vault::start().await;
    let content = safetensors(5000, 1);
    let said = metadata(&[("filename", "a.safetensors")]);
    let call = tus(vault.admin(Method::POST, UPLOADS)).header("upload-length", "5000");
    let answer = call.header("upload-metadata", &said).body(PIECE, content).send().await;
    assert_eq!((answer.status.as_u16(), answer.header("upload-offset")), (201, "5000"));
    assert_eq!(shown(&vault, answer.header("location")).await["state"], "done");
}

#[tokio::test]
async fn a_client_that_speaks_another_version_is_told_ours() {
    let vault = Vault::start().await;
    let path = created(&vault, "a.safetensors", 5000).await;
    for (method, path) in
        [(Method::POST, UPLOADS), (Method::HEAD, &path), (Method::PATCH, &path), (Method::DELETE, &path)]
    {
        for version in ["0.2.2", ""] {
            let answer = vault.admin(method.clone(), path).header("tus-resumable", version).send().await;
            assert_eq!((answer.status.as_u16(), answer.header("tus-version")), (412, "1.0.0"), "{method}");
        }
        assert_eq!(vault.admin(method, path).send().await.status, 412);
    }
}

#[tokio::test]
async fn a_piece_goes_where_the_upload_is_and_nowhere_else() {
    let vault = Vault::start().await;
    let path = created(&vault, "a.safetensors", 5000).await;
    let content = safetensors(5000, 1);
    for at in [1, 4999, 5000, 1 << 40] {
        let answer = patch(&vault, &path, at, &content[..10]).send().await;
        assert_eq!((answer.status.as_u16(), answer.header("x-error-code")), (409, "offset_mismatch"), "{at}");
    }
    let long = patch(&vault, &path, 0, &safetensors(5001, 1)).send().await;
    assert_eq!(long.status, 413, "{}", long.text());
    let unsaid = tus(vault.admin(Method::PATCH, &path)).body(PIECE, vec![0; 10]).send().await;
    assert_eq!(unsaid.status, 400);
    let call = tus(vault.admin(Method::PATCH, &path)).header("upload-offset", "0");
    assert_eq!(call.body("application/octet-stream", vec![0; 10]).send().await.status, 415);
    assert_eq!(offset(&vault, &path).await, "0");
}

#[tokio::test]
async fn a_piece_with_a_checksum_counts_only_when_it_is_right() {
    let vault = Vault::start().await;
    let content = safetensors(5000, 1);
    let path = created(&vault, "a.safetensors", 5000).await;
    let sha256 = format!("sha256 {}", STANDARD.encode(sha2::Sha256::digest(&content)));
    for wrong in [sha256.as_str(), "sha1 2jmj7l5rSw0yVb/vlWAYkK/YBwk="] {
        let answer = patch(&vault, &path, 0, &content[..4000]).header("upload-checksum", wrong).send().await;
        assert_eq!((answer.status.as_u16(), answer.header("x-error-code")), (460, "checksum_mismatch"));
        assert_eq!(offset(&vault, &path).await, "0");
    }
    let unknown = patch(&vault, &path, 0, &content).header("upload-checksum", "md5 AAAA").send().await;
    assert_eq!(unknown.status, 400);
    let right = patch(&vault, &path, 0, &content).header("upload-checksum", &sha256).send().await;
    assert_eq!(right.status, 204, "{}", right.text());
    assert_eq!(shown(&vault, &path).await["state"], "done");
}

#[tokio::test]
async fn an_upload_that_is_given_up_leaves_nothing() {
    let vault = Vault::start().await;
    let path = created(&vault, "a.safetensors", 5000).await;
    patch(&vault, &path, 0, &[1; 100]).send().await;
    assert_eq!(vault.files().len(), 1);
    assert_eq!(tus(vault.admin(Method::DELETE, &path)).send().await.status, 204);
    for method in [Method::HEAD, Method::DELETE] {
        assert_eq!(tus(vault.admin(method, &path)).send().await.status, 404);
    }
    assert_eq!(patch(&vault, &path, 100, &[1; 100]).send().await.status, 404);
    assert_eq!(vault.files(), Vec::<String>::new());
}

/// Metadata, `Upload-Length`, and the status and code of the answer.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, u16, &'a str);

#[tokio::test]
async fn what_cannot_become_an_entry_is_refused_before_its_first_byte() {
    let vault = Vault::start_with(&[("LORAKEEP_MAX_UPLOAD_BYTES", "4611686018427387904")]).await;
    let cases: [Case<'_>; 9] = [
        (&[("filename", "../a.safetensors")], "9", 400, "unsafe_name"),
        (&[("filename", "a.exe")], "9", 400, "unsupported_format"),
        (&[("filename", "a.pt"), ("entity_type", "people")], "9", 400, "unknown_entity_type"),
        (&[("filetype", "x")], "9", 400, "bad_header"),
        (&[("filename", "a.pt")], "0", 400, "empty_file"),
        (&[("filename", "a.pt")], "-1", 400, "bad_header"),
        (&[("filename", "a.pt")], "", 400, "bad_header"),
        (&[("filename", "a.pt")], "4611686018427387905", 413, "too_large"),
        (&[("filename", "a.pt")], "4611686018427387904", 507, "disk_full"),
    ];
    for (said, length, status, code) in cases {
        let call = tus(vault.admin(Method::POST, UPLOADS)).header("upload-length", length);
        let answer = call.header("upload-metadata", &metadata(said)).send().await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("x-error-code")),
            (status, code),
            "{said:?} {length}"
        );
    }
    let deferred = tus(vault.admin(Method::POST, UPLOADS)).header("upload-defer-length", "1");
    assert_eq!(deferred.header("upload-metadata", "filename YS5wdA==").send().await.status, 400);
    assert_eq!(vault.admin(Method::GET, UPLOADS).send().await.json()["total"], 0);
}

#[tokio::test]
async fn a_program_in_pieces_goes_to_quarantine_and_the_upload_says_so() {
    let vault = Vault::start().await;
    let hostile = payload(Pickle::new()).stop();
    let path = created(&vault, "bad.pt", hostile.len()).await;
    let answer = patch(&vault, &path, 0, &hostile).send().await;
    assert_eq!((answer.status.as_u16(), answer.header("x-error-code")), (422, "quarantined"));
    let found = shown(&vault, &path).await;
    let sha256 = hex(&sha2::Sha256::digest(&hostile));
    assert_eq!((&found["state"], &found["error"]["sha256"]), (&json!("failed"), &json!(sha256)));
    assert_eq!(tus(vault.admin(Method::HEAD, &path)).send().await.status, 410);
    assert_eq!(patch(&vault, &path, hostile.len(), &[]).send().await.status, 410);
    let files = vault.files();
    assert!(files.len() == 1 && files[0].ends_with(".quarantined"), "{files:?}");
}

#[tokio::test]
async fn each_caller_sees_their_own_uploads_and_admins_all() {
    let vault = Vault::start().await;
    let said = metadata(&[("filename", "a.safetensors"), ("entity_type", "styles")]);
    let token = |subject: &str| vault.token(&json!({"role": "user", "sub": subject}));
    let begin = |subject: &str, said: &str| {
        let call = tus(vault.call(Method::POST, UPLOADS, &token(subject))).header("upload-length", "5000");
        call.header("upload-metadata", said).send()
    };
    let path = begin("ann", &said).await.header("location").to_owned();
    let faces = metadata(&[("filename", "a.safetensors"), ("entity_type", "faces")]);
    assert_eq!(begin("ann", &faces).await.status, 400, "faces are for admins");
    for (subject, status, total) in [("ann", 200, 1), ("bob", 404, 0)] {
        assert_eq!(vault.call(Method::GET, &path, &token(subject)).send().await.status, status);
        assert_eq!(tus(vault.call(Method::HEAD, &path, &token(subject))).send().await.status, status);
        assert_eq!(vault.call(Method::GET, UPLOADS, &token(subject)).send().await.json()["total"], total);
    }
    let stranger = tus(vault.call(Method::PATCH, &path, &token("bob"))).header("upload-offset", "0");
    assert_eq!(stranger.body(PIECE, vec![1; 10]).send().await.status, 404);
    assert_eq!(vault.admin(Method::GET, &path).send().await.status, 200);
    let reader = vault.token(&json!({"role": "user", "scope": "lora:read"}));
    assert_eq!(vault.call(Method::GET, UPLOADS, &reader).send().await.status, 403);
    let nobody = tus(Call::new(vault.address, Method::POST, UPLOADS)).send().await;
    assert_eq!(nobody.status, 401);
}

#[tokio::test]
async fn the_studio_serves_the_same_with_the_admin_key() {
    let vault = Vault::start().await;
    let content = safetensors(5000, 1);
    let said = metadata(&[("filename", "a.safetensors"), ("entity_type", "faces")]);
    let call = tus(vault.studio(Method::POST, "/api/admin/uploads")).header("upload-length", "5000");
    let answer = call.header("upload-metadata", &said).send().await;
    let path = answer.header("location").to_owned();
    assert!(path.starts_with("/api/admin/uploads/"), "{path}");
    let piece = tus(vault.studio(Method::POST, &path))
        .header("x-http-method-override", "PATCH")
        .header("upload-offset", "0")
        .body(PIECE, content);
    assert_eq!(piece.send().await.status, 204);
    let found = vault.studio(Method::GET, &path).send().await.json();
    assert_eq!(found["result"]["partial_path"], "faces/a.safetensors");
    let plain = Call::new(vault.address, Method::POST, &path).header("x-api-key", KEY).send().await;
    assert_eq!(plain.status, 405);
}

fn hex(bytes: &[u8]) -> String {
    hex::encode(bytes)
}
