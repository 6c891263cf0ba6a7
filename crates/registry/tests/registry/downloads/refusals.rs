//! What users are told when an upstream says no: one line a refusal.

use lorakeep_registry::domain::{DownloadState, StatusWord};
use lorakeep_standin::{
    CivitModel, CivitVersion, Fault, Gated, HfRepo, Options, RetryAfter, Standin, StatusFault, Times,
};
use serde_json::json;

use super::support::{KEY, Studio, TOKEN, civitai_entry, civitai_version, small};
use crate::harness::{Home, on_sqlite};

/// One refused version: what is peculiar about it, the code, and a part of the text.
type CivitaiCase = (fn(&mut CivitModel), &'static str, &'static str);

fn of_version(change: fn(&mut CivitVersion), model: &mut CivitModel) {
    change(&mut model.versions[0]);
}

const UNTIL: &str = "2026-10-01T00:00:00.000Z";

const CIVITAI: [CivitaiCase; 7] = [
    (|model| of_version(|version| version.require_auth = true, model), "login_required", "CIVITAI_API_KEY"),
    (|model| of_version(|version| version.no_access = true, model), "login_required", "CIVITAI_API_KEY"),
    (
        |model| of_version(|version| version.usage_control = "Generation".into(), model),
        "generation_only",
        "disabled downloads",
    ),
    (
        |model| of_version(|version| version.early_access_until = Some(UNTIL.into()), model),
        "early_access",
        "until 2026-10-01 00:00 UTC",
    ),
    (|model| model.archived = true, "archived", "another version"),
    (|model| model.deleted = true, "not_found", "deleted or unpublished"),
    (
        |model| of_version(|version| version.status = "Draft".into(), model),
        "not_found",
        "deleted or unpublished",
    ),
];

#[tokio::test]
async fn each_refusal_of_civitai_says_what_to_do() {
    on_sqlite(|home| async move {
        let studio = Studio::open(home).await;
        for (number, (change, _, _)) in (1..).zip(CIVITAI) {
            let name = format!("{number}.safetensors");
            let mut model =
                CivitModel::new(number, "Style", "LORA").version(civitai_version(number * 10, small(&name)));
            change(&mut model);
            studio.standin.add_model(model);
            studio.import(&[civitai_entry(&name, number * 10)]).await;
        }
        for (number, (_, code, text)) in (1..).zip(CIVITAI) {
            let name = format!("{number}.safetensors");
            let job = studio.fetch(&name).await.download;
            assert_eq!(
                (job.state, job.error_code.as_deref()),
                (DownloadState::Error, Some(code)),
                "{number}"
            );
            let said = job.error.unwrap();
            assert!(said.contains(text) && said.contains(&format!("version {number}0")), "{said}");
            let state = studio.registry.find_entry(&name, None).unwrap();
            assert_eq!(state.status, StatusWord::Error);
        }
        studio.registry.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_key_that_may_not_have_the_file_is_told_so() {
    on_sqlite(|home| async move {
        let studio = Studio::open_with(home, &[("CIVITAI_API_KEY", KEY)]).await;
        let mut model =
            CivitModel::new(1, "Style", "LORA").version(civitai_version(10, small("a.safetensors")));
        model.versions[0].no_access = true;
        studio.standin.add_model(model);
        studio.import(&[civitai_entry("a.safetensors", 10)]).await;
        let job = studio.fetch("a.safetensors").await.download;
        assert_eq!(job.error_code.as_deref(), Some("no_access"));
        assert!(job.error.unwrap().contains("may not download"));
        studio.registry.close().await;
    })
    .await;
}

#[tokio::test]
async fn an_account_limit_is_named() {
    on_sqlite(|home| async move {
        let studio = Studio::open(home).await;
        studio.standin.add_model(CivitModel::new(1, "S", "LORA").version(civitai_version(10, small("a.safetensors"))));
        studio.import(&[civitai_entry("a.safetensors", 10)]).await;
        let body = r#"{"error":"We've noticed an unusual amount of downloading from your account. Contact support@civitai.com or come back later."}"#;
        let limit = StatusFault { code: 429, retry_after: RetryAfter::default(), body: body.into() };
        studio.standin.fault("/api/v1/model-versions/10", Fault::Status(limit), Times::Always);
        let job = studio.fetch("a.safetensors").await.download;
        assert_eq!(job.error_code.as_deref(), Some("account_limit"));
        studio.registry.close().await;
    })
    .await;
}

/// A repository, the file and revision asked for, the code, and a part of the text.
type HubCase = (HfRepo, &'static str, Option<&'static str>, &'static str, &'static str);

fn hub_cases() -> Vec<HubCase> {
    let repo = |name: &str| HfRepo::new(format!("o/{name}")).file(small("a.safetensors"));
    vec![
        (repo("gated").gated(Gated::Auto), "a.safetensors", None, "gated", "https://huggingface.co/o/gated"),
        (repo("private").private(), "a.safetensors", None, "repo_not_found", "HF_TOKEN"),
        (repo("off").disabled(), "a.safetensors", None, "disabled", "another place"),
        (repo("fine"), "b.safetensors", None, "entry_not_found", "has no file `b.safetensors`"),
        (repo("fine2"), "a.safetensors", Some("dev"), "revision_not_found", "`dev`"),
    ]
}

async fn refused_by_the_hub(home: Home, environment: &[(&str, &str)], cases: Vec<HubCase>) {
    let studio = Studio::open_with(home, environment).await;
    for (number, (repo, file, revision, _, _)) in cases.iter().enumerate() {
        studio.standin.add_repo(repo.clone());
        let mut entry = json!({"file": format!("{number}.safetensors"), "dest": "loras", "hf_repo": repo.id(), "hf_file": file});
        if let Some(revision) = revision {
            entry["hf_revision"] = json!(revision);
        }
        studio.import(&[entry]).await;
    }
    for (number, (_, _, _, code, text)) in cases.iter().enumerate() {
        let job = studio.fetch(&format!("{number}.safetensors")).await.download;
        assert_eq!(
            (job.state, job.error_code.as_deref()),
            (DownloadState::Error, Some(*code)),
            "{:?}",
            job.error
        );
        let said = job.error.unwrap();
        assert!(said.contains(text), "{said}");
    }
    studio.registry.close().await;
}

#[tokio::test]
async fn each_refusal_of_the_hub_says_what_to_do() {
    on_sqlite(|home| async move { refused_by_the_hub(home, &[], hub_cases()).await }).await;
}

#[tokio::test]
async fn a_token_that_is_not_on_the_list_or_broken_is_told_so() {
    on_sqlite(|home| async move {
        let gated = HfRepo::new("o/gated").file(small("a.safetensors")).gated(Gated::Manual);
        let case: HubCase = (gated, "a.safetensors", None, "gated", "ask for access");
        refused_by_the_hub(home, &[("HF_TOKEN", TOKEN)], vec![case]).await;
    })
    .await;
    on_sqlite(|home| async move {
        let open = HfRepo::new("o/r").file(small("a.safetensors"));
        let case: HubCase = (open, "a.safetensors", None, "token_rejected", "HF_TOKEN");
        refused_by_the_hub(home, &[("HF_TOKEN", "hf_broken")], vec![case]).await;
    })
    .await;
}

#[tokio::test]
async fn a_missing_repository_is_told_from_a_missing_file() {
    on_sqlite(|home| async move {
        let studio = Studio::open(home).await;
        studio.import(&[json!({"file": "a.safetensors", "dest": "loras", "hf_repo": "o/none", "hf_file": "a.safetensors"})]).await;
        let job = studio.fetch("a.safetensors").await.download;
        assert_eq!(job.error_code.as_deref(), Some("repo_not_found"));
        studio.registry.close().await;
    })
    .await;
}

#[tokio::test]
async fn an_entry_without_a_source_and_one_that_does_not_exist_are_refused_at_once() {
    on_sqlite(|home| async move {
        let studio = Studio::open(home).await;
        studio.import(&[json!({"file": "a.safetensors", "dest": "loras"})]).await;
        let refused =
            studio.registry.enqueue("a.safetensors", None, super::support::usual()).await.unwrap_err();
        assert_eq!(refused.code(), "no_source");
        assert!(refused.to_string().contains("`url`"), "{refused}");
        let refused =
            studio.registry.enqueue("none.safetensors", None, super::support::usual()).await.unwrap_err();
        assert_eq!(refused.code(), "not_found");
        studio.registry.close().await;
    })
    .await;
}

#[tokio::test]
async fn private_addresses_are_refused_unless_they_are_listed() {
    on_sqlite(|home| async move {
        let standin = Standin::start(Options::default()).await.unwrap();
        standin.add_file(small("a.safetensors"));
        let url = standin.file_url("a.safetensors");
        let studio = Studio::open_beside(home, standin, &[("LORAKEEP_ALLOW_HOSTS", "other.example")]).await;
        studio.import(&[json!({"file": "a.safetensors", "dest": "loras", "url": url})]).await;
        studio
            .import(&[
                json!({"file": "b.safetensors", "dest": "loras", "url": "http://10.0.0.1/b.safetensors"}),
            ])
            .await;
        let job = studio.fetch("a.safetensors").await.download;
        assert_eq!(job.error_code.as_deref(), Some("forbidden_address"));
        assert!(job.error.unwrap().contains("LORAKEEP_ALLOW_HOSTS"));
        let job = studio.fetch("b.safetensors").await.download;
        assert_eq!(job.error_code.as_deref(), Some("forbidden_address"));
        studio.registry.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_failed_download_is_put_back_by_asking_again_and_by_retry() {
    on_sqlite(|home| async move {
        let studio = Studio::open(home).await;
        studio.standin.add_repo(HfRepo::new("o/r"));
        studio.import(&[super::support::hub_entry("a.safetensors")]).await;
        let failed = studio.fetch("a.safetensors").await.download;
        assert_eq!(failed.state, DownloadState::Error);
        studio.serve(&[small("a.safetensors")]);
        let again = studio.queue("a.safetensors").await.download;
        assert_eq!((again.id, again.error), (failed.id, None));
        studio.registry.run_until_empty().await.unwrap();
        assert!(studio.path("loras/a.safetensors").is_file());
        let refused = studio.registry.retry_download(failed.id).await.unwrap_err();
        assert_eq!(refused.code(), "wrong_state", "a done one has nothing to retry");
        studio.registry.close().await;
    })
    .await;
}
