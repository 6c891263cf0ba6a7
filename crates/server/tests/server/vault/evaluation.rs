//! Evaluations by the vault: whole bodies, what is refused and how, lists, the health of the service.

use http::Method;
use serde_json::{Value, json};

use crate::client::Answer;
use crate::harness::{Vault, lora, sdxl_lora};

const PATH: &str = "/api/v1/evaluation/";

async fn run(vault: &Vault, request: Value) -> Answer {
    vault.admin(Method::POST, PATH).json(&request).send().await
}

/// A vault with a small LoRA of SDXL names whose numbers are known.
async fn with_lora() -> Vault {
    let vault = Vault::start().await;
    upload(&vault, "style.safetensors", &lora(&[3.0, 4.0], 2.0)).await;
    vault
}

async fn upload(vault: &Vault, name: &str, content: &[u8]) {
    let answer = vault.upload(name, content, &[("entity_type", "styles")]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// A body with what differs from run to run taken out.
fn stable(mut body: Value) -> Value {
    assert!(body["evaluation_id"].as_str().expect("an id").starts_with("ev_"));
    body["evaluation_id"] = "[id]".into();
    for file in body["files"].as_array_mut().into_iter().flatten() {
        file["id"] = "[id]".into();
    }
    body
}

#[tokio::test]
async fn weights_are_answered_at_once_and_whole() {
    let vault = with_lora().await;
    let request = json!({
        "files": ["styles/style.safetensors"],
        "checks": ["file", "weights", "spectrum"],
        "detail": "modules",
    });
    let answer = run(&vault, request).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    insta::assert_json_snapshot!(stable(answer.json()));
}

#[tokio::test]
async fn a_file_is_called_by_partial_path_file_name_or_hash() {
    let vault = with_lora().await;
    let first = run(&vault, json!({"files": ["styles/style.safetensors"]})).await.json();
    let sha256 = first["files"][0]["sha256"].as_str().unwrap().to_owned();
    let upper = sha256.to_uppercase();
    for name in ["style.safetensors", "loras/styles/style.safetensors", &sha256, &upper] {
        // Without the slash at the end it is the same.
        let call = vault.admin(Method::POST, "/api/v1/evaluation");
        let answer = call.json(&json!({"files": [name]})).send().await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        assert_eq!(answer.json()["files"][0]["sha256"], *sha256, "{name}");
    }
    let missing = run(&vault, json!({"files": ["style.safetensors", "nobody.safetensors"]})).await;
    assert_eq!((missing.status.as_u16(), missing.header("x-error-code")), (404, "not_found"));
    assert_eq!(missing.json(), json!({"detail": "file `nobody.safetensors` was not found"}));
}

#[tokio::test]
async fn what_was_found_of_a_content_is_not_computed_again() {
    let vault = with_lora().await;
    let first = run(&vault, json!({"files": ["style.safetensors"]})).await.json();
    let second = run(&vault, json!({"files": ["style.safetensors"]})).await.json();
    assert_eq!((&first["files"][0]["cached"], &second["files"][0]["cached"]), (&json!(false), &json!(true)));
    assert_eq!(first["files"][0]["weights"], second["files"][0]["weights"]);
    let other_numbers = run(&vault, json!({"files": ["style.safetensors"], "strength": 0.5})).await.json();
    assert_eq!(other_numbers["files"][0]["cached"], false, "another strength gives other numbers");
    assert_eq!(other_numbers["files"][0]["weights"]["frobenius_total"], 2.5);
}

#[tokio::test]
async fn a_request_that_cannot_be_meant_is_refused_as_fastapi_does() {
    let vault = with_lora().await;
    let refused = run(&vault, json!({"files": ["a", ""], "wait_seconds": 99, "energy_targets": [2.0]})).await;
    assert_eq!(refused.status, 422);
    insta::assert_json_snapshot!(refused.json());
    for (request, loc) in [
        (json!({}), json!(["body", "files"])),
        (json!({"files": "a"}), json!(["body", "files"])),
        (json!({"files": ["a"], "checks": ["magic"]}), json!(["body", "checks", 0])),
        (json!({"files": ["a"], "colour": 1}), json!(["body", "colour"])),
        (json!({"files": ["a"], "checks": ["compare"]}), json!(["body", "files"])),
        (json!({"files": ["a"], "images": {"prompts": []}}), json!(["body", "images", "prompts"])),
    ] {
        let refused = run(&vault, request.clone()).await;
        assert_eq!(refused.status, 422, "{request}: {}", refused.text());
        assert_eq!(refused.json()["detail"][0]["loc"], loc, "{request}");
    }
}

#[tokio::test]
async fn evaluating_needs_the_right_to_it() {
    let vault = with_lora().await;
    let anonymous = vault.server.anonymous(Method::POST, PATH).json(&json!({"files": ["a"]})).send().await;
    assert_eq!(anonymous.status, 401);
    let with = |scope: &str| vault.token(&json!({"role": "user", "scope": scope}));
    let may_not = with("lora:read lora:upload");
    let request = json!({"files": ["style.safetensors"]});
    let refused = vault.call(Method::POST, PATH, &may_not).json(&request).send().await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    for path in ["/api/v1/evaluation/health", "/api/v1/evaluation", "/api/v1/evaluation/ev_0"] {
        assert_eq!(vault.call(Method::GET, path, &may_not).send().await.status, 403, "{path}");
    }
    let may = with("evaluation:run");
    let answer = vault.call(Method::POST, PATH, &may).json(&request).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn a_damaged_file_has_an_answer_that_says_so() {
    let vault = with_lora().await;
    let broken = vault.models_dir().join("loras/broken.safetensors");
    std::fs::write(&broken, b"\x10\0\0\0\0\0\0\0{\"a\":1}").unwrap();
    assert_eq!(vault.studio(Method::POST, "/api/admin/scan").send().await.status, 200);
    let answer = run(&vault, json!({"files": ["broken.safetensors", "styles/style.safetensors"]})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = answer.json();
    assert_eq!((&body["status"], &body["verdict"]["level"]), (&json!("completed"), &json!("error")));
    assert_eq!(body["verdict"]["findings"][0]["code"], "FILE_INVALID");
    assert_eq!(body["verdict"]["findings"][0]["file"], "broken.safetensors");
    assert!(body["verdict"]["summary"].as_str().unwrap().starts_with("broken.safetensors: "));
    assert_eq!(body["files"][0]["file"]["valid"], false);
    assert_eq!(body["files"][1]["verdict"]["level"], "ok");
}

#[tokio::test]
async fn a_place_is_told_among_the_files_of_the_same_kind_only() {
    let vault = with_lora().await;
    let alone = run(&vault, json!({"files": ["style.safetensors"]})).await.json();
    assert_eq!(alone["files"][0]["reference"]["population"], 0);
    assert_eq!(alone["files"][0]["reference"]["percentile"]["frobenius_total"], Value::Null);
    upload(&vault, "weak.safetensors", &lora(&[0.3, 0.4], 2.0)).await;
    upload(&vault, "strong.safetensors", &lora(&[30.0, 40.0], 2.0)).await;
    upload(&vault, "flat.safetensors", &sdxl_lora()).await;
    let all = json!({"files": ["weak.safetensors", "strong.safetensors", "style.safetensors"]});
    let body = run(&vault, all).await.json();
    let reference = &body["files"][2]["reference"];
    assert_eq!(reference["percentile"]["frobenius_total"], 50, "{reference}");
    assert_eq!((&reference["population"], &reference["scope"]), (&json!(2), &json!("sdxl/lora")));
    assert_eq!(reference["of"], "files evaluated in this library");
}

#[tokio::test]
async fn several_files_are_compared_and_a_copy_is_found() {
    let vault = with_lora().await;
    upload(&vault, "half.safetensors", &lora(&[1.5, 2.0], 2.0)).await;
    let body = run(&vault, json!({"files": ["style.safetensors", "half.safetensors"]})).await.json();
    assert_eq!(body["progress"]["total"], 3, "two files and a pair");
    let findings = body["verdict"]["findings"].as_array().unwrap();
    let finding = findings.iter().find(|finding| finding["file"].is_null()).expect("one of both");
    assert_eq!((&finding["code"], &finding["source"]), (&json!("NEAR_DUPLICATE"), &json!("measured")));
    insta::assert_json_snapshot!(body["comparisons"]);
}

#[tokio::test]
async fn checkpoints_of_a_training_are_followed_in_their_order() {
    let vault = with_lora().await;
    upload(&vault, "e02.safetensors", &lora(&[6.0, 8.0], 2.0)).await;
    let files = json!(["style.safetensors", "e02.safetensors"]);
    let body = run(&vault, json!({"files": files, "series": true})).await.json();
    assert_eq!(body["comparisons"], json!([]), "a series is no comparison of pairs");
    assert_eq!(body["series"]["order"], files);
    assert_eq!(body["series"]["frobenius_total"], json!([5.0, 10.0]));
    assert_eq!(body["series"]["steps"][0]["from"], "style.safetensors");
}

#[tokio::test]
async fn evaluations_are_listed_looked_up_and_forgotten() {
    let vault = with_lora().await;
    let mut ids = Vec::new();
    for strength in [1, 2, 3] {
        let body = run(&vault, json!({"files": ["style.safetensors"], "strength": strength})).await.json();
        ids.push(body["evaluation_id"].as_str().unwrap().to_owned());
    }
    let page = vault.admin(Method::GET, "/api/v1/evaluation/?limit=2").send().await.json();
    assert_eq!((page["total"].as_u64(), page["items"].as_array().unwrap().len()), (Some(3), 2));
    assert_eq!(page["items"][0]["files"][0]["weights"], Value::Null, "a list holds no reports");
    let next = format!("/api/v1/evaluation?limit=2&cursor={}", page["next_cursor"].as_str().unwrap());
    let rest = vault.admin(Method::GET, &next).send().await.json();
    assert_eq!(rest["next_cursor"], Value::Null);
    let items = [&page, &rest].into_iter().flat_map(|page| page["items"].as_array().unwrap());
    let mut listed: Vec<&str> = items.map(|item| item["evaluation_id"].as_str().unwrap()).collect();
    // The clock stands still, so their order is that of chance.
    listed.sort_unstable();
    ids.sort_unstable();
    assert_eq!(listed, ids);

    let one = format!("/api/v1/evaluation/{}", ids[0]);
    let shown = vault.admin(Method::GET, &one).send().await;
    assert_eq!((shown.status.as_u16(), &shown.json()["status"]), (200, &json!("completed")));
    let asked_again = run(&vault, json!({"evaluation_id": ids[0]})).await;
    assert_eq!(asked_again.json(), shown.json());
    let over = vault.admin(Method::POST, &format!("{one}/cancel")).send().await;
    assert_eq!((over.status.as_u16(), over.header("x-error-code")), (409, "evaluation_over"));
    assert_eq!(vault.admin(Method::DELETE, &one).send().await.status, 204);
    let gone = vault.admin(Method::GET, &one).send().await;
    assert_eq!(gone.status, 404);
    assert_eq!(vault.admin(Method::GET, "/api/v1/evaluation/nonsense").send().await.status, 404);
}

#[tokio::test]
async fn the_health_tests_itself_and_tells_what_can_be_asked_for() {
    let vault = with_lora().await;
    run(&vault, json!({"files": ["style.safetensors"]})).await;
    let answer = vault.admin(Method::GET, "/api/v1/evaluation/health").send().await;
    assert_eq!(answer.status, 200);
    let mut body = answer.json();
    assert!(body["self_test"]["max_relative_error"].as_f64().unwrap() < 1e-12);
    body["self_test"]["max_relative_error"] = "[tiny]".into();
    body["uptime_seconds"] = "[seconds]".into();
    body["last_evaluation"]["id"] = "[id]".into();
    insta::assert_json_snapshot!(body);
}

#[tokio::test]
async fn the_owner_has_the_same_by_the_admin_key() {
    let vault = with_lora().await;
    let path = "/api/admin/evaluations";
    let request = json!({"files": ["style.safetensors"]});
    let answer = vault.studio(Method::POST, path).json(&request).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let id = answer.json()["evaluation_id"].as_str().unwrap().to_owned();
    let shown = vault.studio(Method::GET, &format!("{path}/{id}")).send().await;
    assert_eq!(shown.json(), answer.json());
    assert_eq!(vault.studio(Method::GET, path).send().await.json()["total"], 1);
    assert_eq!(vault.studio(Method::GET, &format!("{path}/health")).send().await.json()["status"], "ok");
    assert_eq!(vault.server.anonymous(Method::GET, path).send().await.status, 401);
}
