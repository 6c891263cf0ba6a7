//! Sync and update check on folders and repositories of their own.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::domain::CatalogName::Models;
use crate::service::testing::Studio;

fn catalog(version: i64, models: &Value) -> String {
    json!({"version": version, "date": "2026-03-23 15:00", "categories": [{"id": "vae", "name": "VAE", "models": models}]})
        .to_string()
}

fn write_repo(studio: &Studio, version: i64, models: &Value) {
    let folder = studio.folder.path().join("data/.repo/catalogs");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("models.json"), catalog(version, models)).unwrap();
}

fn entry(file: &str, name: &str) -> Value {
    json!({"name": name, "file": file, "dest": "vae"})
}

#[tokio::test]
async fn entries_of_the_repository_appear_and_update_and_ours_stay() {
    let studio = Studio::new().await;
    studio.add(Models, "mine", entry("own.pt", "Own")).await;
    write_repo(&studio, 20, &json!([entry("a.pt", "A"), entry("b.pt", "B")]));
    let report = studio.registry.sync_catalog(false).await.unwrap();
    assert_eq!((report.old_version, report.new_version), (1, 20));
    assert_eq!(
        (report.added, report.kept),
        (vec!["a.pt".to_owned(), "b.pt".to_owned()], vec!["own.pt".to_owned()])
    );

    let edited = studio.registry.find_entry("b.pt", None).unwrap().entry.id;
    let turn = studio.registry.catalog_turn().await;
    studio.registry.update_entry(turn, edited, |document| document.set("name", "My B")).await.unwrap();
    write_repo(&studio, 21, &json!([entry("a.pt", "A 2"), entry("b.pt", "B 2"), entry("c.pt", "C")]));
    let report = studio.registry.sync_catalog(false).await.unwrap();
    assert_eq!((report.added, report.updated), (vec!["c.pt".to_owned()], vec!["a.pt".to_owned()]));
    assert_eq!(report.kept, ["b.pt", "own.pt"]);
    let conflicts: Vec<_> =
        report.conflicts.iter().map(|own| (own.file.as_str(), own.conflict.field.as_str())).collect();
    assert_eq!(conflicts, [("b.pt", "name")]);
    assert_eq!(report.new_version, 22, "one more than ours when that is ahead");

    let again = studio.registry.sync_catalog(false).await.unwrap();
    assert_eq!((again.is_changed, again.new_version, again.conflicts), (false, 22, vec![]));
}

#[tokio::test]
async fn an_entry_that_was_taken_out_here_does_not_come_back() {
    let studio = Studio::new().await;
    write_repo(&studio, 2, &json!([entry("a.pt", "A")]));
    studio.registry.sync_catalog(false).await.unwrap();
    studio.registry.remove_entry("a.pt", None).await.unwrap();
    write_repo(&studio, 3, &json!([entry("a.pt", "A 2")]));
    let report = studio.registry.sync_catalog(false).await.unwrap();
    assert_eq!((report.is_changed, report.kept), (false, vec!["a.pt".to_owned()]));
}

#[tokio::test]
async fn a_dry_run_tells_and_changes_nothing() {
    let studio = Studio::new().await;
    write_repo(&studio, 2, &json!([entry("a.pt", "A"), {"file": "../x"}]));
    let report = studio.registry.sync_catalog(true).await.unwrap();
    assert_eq!((report.is_changed, report.added.len(), report.refused.len()), (true, 1, 1));
    assert!(studio.documents(Models).is_empty());
}

#[tokio::test]
async fn without_a_work_tree_the_contract_says_what_to_do() {
    let studio = Studio::new().await;
    let error = studio.registry.sync_catalog(false).await.unwrap_err();
    assert_eq!(error.to_string(), "Repo clone not found — run Check for Updates first");
}

fn git(dir: &Path, arguments: &[&str]) {
    let identity = ["-c", "user.name=t", "-c", "user.email=t@localhost"];
    let done = Command::new("git").arg("-C").arg(dir).args(identity).args(arguments).output().unwrap();
    assert!(done.status.success(), "{done:?}");
}

#[tokio::test]
async fn checking_for_updates_clones_and_then_follows_the_repository() {
    let origin = tempfile::tempdir().unwrap();
    let write = |version, models: &Value| {
        std::fs::create_dir_all(origin.path().join("catalogs")).unwrap();
        std::fs::write(origin.path().join("catalogs/models.json"), catalog(version, models)).unwrap();
        git(origin.path(), &["add", "."]);
        git(origin.path(), &["commit", "-q", "-m", "x"]);
    };
    git(origin.path(), &["init", "-q", "-b", "main"]);
    write(20, &json!([entry("a.pt", "A")]));
    let studio = Studio::with(&[("REPO_URL", origin.path().to_str().unwrap())]).await;
    let check = studio.registry.check_updates().await.unwrap();
    assert_eq!((check.version, check.remote_version, check.has_update), (0, Some(20), true));
    studio.registry.sync_catalog(false).await.unwrap();
    assert!(!studio.registry.check_updates().await.unwrap().has_update);
    write(21, &json!([entry("a.pt", "A 2")]));
    let check = studio.registry.check_updates().await.unwrap();
    assert_eq!((check.version, check.remote_version, check.has_update), (20, Some(21), true));
}

#[tokio::test]
async fn an_address_that_git_would_read_as_an_option_is_refused() {
    let studio = Studio::with(&[("REPO_URL", "--upload-pack=touch /tmp/x")]).await;
    let error = studio.registry.check_updates().await.unwrap_err();
    assert_eq!(error.code(), "bad_configuration");
    let studio = Studio::new().await;
    assert_eq!(studio.registry.check_updates().await.unwrap_err().code(), "not_configured");
}
