//! Uploads that succeed, and those that are refused for what is said of them.

use http::Method;
use serde_json::{Value, json};

use crate::harness::{Vault, form, safetensors, sdxl_lora, with_form};

const ADMIN: &str = "/api/v1/admin/lora/upload";
const USER: &str = "/api/v1/lora/upload";

/// Fields of a form beside the file.
type Fields = &'static [(&'static str, &'static str)];

#[tokio::test]
async fn an_upload_by_an_admin_answers_as_the_contract_shows() {
    let vault = Vault::start().await;
    let content = safetensors(142_857, 1);
    let answer = vault.upload("my_lora.safetensors", &content, &[("entity_type", "identities")]).await;
    assert_eq!(answer.status, 200);
    let expected = json!({
        "file_path": "/data/models/loras/identities/my_lora.safetensors",
        "partial_path": "identities/my_lora.safetensors",
        "filename": "my_lora.safetensors",
        "file_size": 142_857,
        "entity_type": "identities",
        "upload_timestamp": "2024-01-01T12:00:00Z"
    });
    assert_eq!(vault.shown(&answer), expected);
    assert_eq!(
        std::fs::read(vault.models_dir().join("loras/identities/my_lora.safetensors")).unwrap(),
        content
    );
    assert_eq!(vault.files(), ["/data/models/loras/identities/my_lora.safetensors"], "no part stays");
}

#[tokio::test]
async fn an_upload_by_a_user_answers_without_the_entity_type() {
    let vault = Vault::start().await;
    let token = vault.token(&json!({"role": "user"}));
    let call = vault.call(Method::POST, USER, &token);
    let fields = [("entity_type", "identities"), ("use_safe_filename", "true")];
    let answer = with_form(call, "my_lora.safetensors", &safetensors(142_857, 1), &fields).send().await;
    let expected = json!({
        "file_path": "/data/models/loras/identities/my_lora.safetensors",
        "partial_path": "identities/my_lora.safetensors",
        "filename": "my_lora.safetensors",
        "file_size": 142_857,
        "upload_timestamp": "2024-01-01T12:00:00Z"
    });
    assert_eq!((answer.status.as_u16(), vault.shown(&answer)), (200, expected));
}

#[tokio::test]
async fn an_upload_without_a_type_goes_to_its_own_folder() {
    let vault = Vault::start().await;
    for fields in [&[][..], &[("entity_type", "")][..]] {
        let answer = vault.upload("a.safetensors", &safetensors(200, 1), fields).await.json();
        assert_eq!(answer["entity_type"], "no_type_provided");
        assert!(answer["partial_path"].as_str().unwrap().starts_with("no_type_provided/a"), "{answer}");
    }
}

#[tokio::test]
async fn a_taken_name_gets_a_version_within_its_folder() {
    let vault = Vault::start().await;
    let mut stored = Vec::new();
    for (seed, entity_type) in ["faces", "faces", "styles", "faces"].into_iter().enumerate() {
        let content = safetensors(200, seed as u8);
        let answer = vault.upload("a.safetensors", &content, &[("entity_type", entity_type)]).await.json();
        assert_eq!(answer["filename"], "a.safetensors");
        stored.push(answer["partial_path"].as_str().unwrap().to_owned());
    }
    let expected =
        ["faces/a.safetensors", "faces/a_v2.safetensors", "styles/a.safetensors", "faces/a_v3.safetensors"];
    assert_eq!(stored, expected);
    let fields = [("entity_type", "faces"), ("use_safe_filename", "false")];
    let refused = vault.upload("a.safetensors", &safetensors(200, 9), &fields).await;
    assert_eq!((refused.status.as_u16(), refused.header("x-error-code")), (409, "exists"));
    assert_eq!(vault.files().len(), 4);
}

#[tokio::test]
async fn a_name_that_differs_only_by_case_or_unicode_form_is_taken() {
    let vault = Vault::start().await;
    let names = [
        "Ink.safetensors",
        "INK.safetensors",
        "ink.SAFETENSORS",
        "caf\u{e9}.pt.safetensors",
        "cafe\u{301}.pt.safetensors",
    ];
    let mut stored = Vec::new();
    for (seed, name) in names.into_iter().enumerate() {
        let answer =
            vault.upload(name, &safetensors(200, seed as u8), &[("entity_type", "faces")]).await.json();
        assert_eq!(answer["filename"], name, "the name stays as it was sent");
        stored.push(answer["partial_path"].as_str().unwrap().to_owned());
    }
    let expected = [
        "faces/Ink.safetensors",
        "faces/INK_v2.safetensors",
        "faces/ink_v3.SAFETENSORS",
        "faces/caf\u{e9}.pt.safetensors",
        "faces/cafe\u{301}.pt_v2.safetensors",
    ];
    assert_eq!(stored, expected);
    let fields = [("entity_type", "faces"), ("use_safe_filename", "false")];
    let refused = vault.upload("iNK.safetensors", &safetensors(200, 9), &fields).await;
    assert_eq!((refused.status.as_u16(), refused.header("x-error-code")), (409, "exists"));
}

#[tokio::test]
async fn uploads_of_one_name_at_once_each_get_their_own() {
    let vault = Vault::start().await;
    let contents: Vec<Vec<u8>> = (0..8).map(|seed| safetensors(300_000, seed)).collect();
    let uploads =
        contents.iter().map(|content| vault.upload("a.safetensors", content, &[("entity_type", "faces")]));
    let answers = futures_util::future::join_all(uploads).await;
    let mut stored = Vec::new();
    for (answer, content) in answers.iter().zip(&contents) {
        assert_eq!(answer.status, 200, "{}", answer.text());
        let path = answer.json()["file_path"].as_str().unwrap().to_owned();
        assert_eq!(&std::fs::read(&path).unwrap(), content);
        stored.push(path);
    }
    stored.sort();
    stored.dedup();
    assert_eq!(stored.len(), 8);
    let names: Vec<Value> = answers.iter().map(|answer| answer.json()["partial_path"].clone()).collect();
    for expected in ["faces/a.safetensors", "faces/a_v2.safetensors", "faces/a_v8.safetensors"] {
        assert!(names.contains(&json!(expected)), "{names:?}");
    }
}

#[tokio::test]
async fn one_of_two_at_once_is_refused_when_no_other_name_may_be_taken() {
    let vault = Vault::start().await;
    let contents = [safetensors(300_000, 1), safetensors(300_000, 2)];
    let fields = [("entity_type", "faces"), ("use_safe_filename", "false")];
    let uploads = contents.iter().map(|content| vault.upload("a.safetensors", content, &fields));
    let answers = futures_util::future::join_all(uploads).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    let stored = std::fs::read(vault.models_dir().join("loras/faces/a.safetensors")).unwrap();
    assert!(contents.contains(&stored));
    assert_eq!(vault.files().len(), 1);
}

#[tokio::test]
async fn the_same_content_under_two_names_shares_its_bytes() {
    use std::os::unix::fs::MetadataExt;
    let vault = Vault::start().await;
    let content = safetensors(5_000, 1);
    for name in ["one.safetensors", "two.safetensors"] {
        assert_eq!(vault.upload(name, &content, &[("entity_type", "styles")]).await.status, 200);
    }
    let folder = vault.models_dir().join("loras/styles");
    let [one, two] =
        ["one", "two"].map(|name| std::fs::metadata(folder.join(format!("{name}.safetensors"))).unwrap());
    // A reflink has its own number; a hard link does not.
    assert!(one.ino() == two.ino() || one.blocks() > 0 && two.len() == one.len());
    let entry = vault.studio(Method::GET, "/api/admin/entries/by-file/two.safetensors").send().await.json();
    assert_eq!(entry["duplicate_of"], "loras/styles/one.safetensors", "{entry}");
    let deleted = vault
        .admin(Method::DELETE, "/api/v1/admin/lora")
        .json(&json!({"partial_path": "styles/one.safetensors"}))
        .send()
        .await;
    assert_eq!(deleted.status, 200);
    assert_eq!(std::fs::read(folder.join("two.safetensors")).unwrap(), content);
}

#[tokio::test]
async fn an_uploaded_file_is_an_entry_that_knows_what_it_is() {
    let vault = Vault::start().await;
    assert_eq!(
        vault.upload("moss.safetensors", &sdxl_lora(), &[("entity_type", "styles")]).await.status,
        200
    );
    let entry = vault.studio(Method::GET, "/api/admin/entries/by-file/moss.safetensors").send().await.json();
    assert_eq!((&entry["catalog"], &entry["category"]), (&json!("loras"), &json!("uploads_styles")));
    assert_eq!((&entry["status"], &entry["source"]), (&json!("present"), &json!("upload")));
    assert_eq!(entry["dest"], "loras/styles");
    assert!(entry["base_model"].as_str().unwrap().starts_with("sdxl"), "{entry}");
    assert_eq!(entry["trigger_words"][0], "mossy knight", "{entry}");
}

#[tokio::test]
async fn what_is_said_of_an_upload_is_judged_by_meaning() {
    let vault = Vault::start().await;
    let content = safetensors(200, 1);
    let cases: [(&str, Fields, u16, &str); 6] = [
        ("a.safetensors", &[("entity_type", "people")], 400, "unknown_entity_type"),
        ("a.exe", &[], 400, "unsupported_format"),
        ("a", &[], 400, "unsupported_format"),
        ("a.safetensors", &[("use_safe_filename", "perhaps")], 422, ""),
        ("../a.safetensors", &[], 400, "unsafe_name"),
        ("a.safetensors", &[("entity_type", "faces"), ("entity_type", "styles")], 400, "bad_form"),
    ];
    for (name, fields, status, code) in cases {
        let answer = vault.upload(name, &content, fields).await;
        assert_eq!(answer.status, status, "{name} {fields:?}: {}", answer.text());
        if !code.is_empty() {
            assert_eq!(answer.header("x-error-code"), code, "{name} {fields:?}");
        }
    }
    // Faces are for admins.
    let user = vault.call(Method::POST, USER, &vault.token(&json!({"role": "user"})));
    assert_eq!(
        with_form(user, "a.safetensors", &content, &[("entity_type", "faces")]).send().await.status,
        400
    );
    assert_eq!(vault.files(), Vec::<String>::new());
}

#[tokio::test]
async fn a_form_without_a_file_is_answered_as_fastapi_does() {
    let vault = Vault::start().await;
    let body = "--B\r\nContent-Disposition: form-data; name=\"entity_type\"\r\n\r\nfaces\r\n--B--\r\n";
    let call = vault.admin(Method::POST, ADMIN).body("multipart/form-data; boundary=B", body);
    let answer = call.send().await;
    let expected = json!({"detail": [{"loc": ["body", "file"], "msg": "Field required", "type": "missing"}]});
    assert_eq!((answer.status.as_u16(), answer.json()), (422, expected));
}

#[tokio::test]
async fn fields_may_stand_behind_the_file() {
    let vault = Vault::start().await;
    let (_, body) = form("a.safetensors", &safetensors(200, 1), &[]);
    let open = body.len() - "--form-end--\r\n".len();
    let mut body = body[..open].to_vec();
    body.extend(b"--form-end\r\nContent-Disposition: form-data; name=\"entity_type\"\r\n\r\nstyles\r\n--form-end--\r\n");
    let answer =
        vault.admin(Method::POST, ADMIN).body("multipart/form-data; boundary=form-end", body).send().await;
    assert_eq!(answer.json()["partial_path"], "styles/a.safetensors");
}
