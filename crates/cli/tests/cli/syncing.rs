//! Following a catalog in a repository from the command line.

use std::path::Path;
use std::process::Command;

use crate::harness::Bench;

fn git(dir: &Path, arguments: &[&str]) {
    let identity = ["-c", "user.name=t", "-c", "user.email=t@localhost"];
    let done =
        Command::new("git").arg("-C").arg(dir).args(identity).args(arguments).output().expect("git runs");
    assert!(done.status.success(), "{done:?}");
}

fn publish(dir: &Path, version: u32, name: &str) {
    let catalog = format!(
        r#"{{"version": {version}, "date": "2026-03-23 15:00", "categories": [{{"id": "vae", "name": "VAE", "models": [{{"name": "{name}", "file": "a.pt", "dest": "vae"}}]}}]}}"#
    );
    std::fs::create_dir_all(dir.join("catalogs")).expect("made");
    std::fs::write(dir.join("catalogs/models.json"), catalog).expect("written");
    git(dir, &["add", "."]);
    git(dir, &["commit", "-q", "-m", "catalog"]);
}

#[test]
fn an_update_is_found_tried_and_taken_over() {
    let mut bench = Bench::new();
    let origin = bench.path("origin");
    std::fs::create_dir_all(&origin).expect("made");
    git(&origin, &["init", "-q", "-b", "main"]);
    publish(&origin, 20, "A");
    bench.set("REPO_URL", origin.to_string_lossy());

    let check = bench.run(&["update-check", "--json"]).expect_code(0).json();
    assert_eq!(
        (&check["status"], &check["remote_version"]),
        (&"update_available".into(), &20.into()),
        "{check}"
    );
    let tried = bench.run(&["sync", "--dry-run", "--json"]).expect_code(0).json();
    assert_eq!((&tried["status"], &tried["added"][0]), (&"would_update".into(), &"a.pt".into()), "{tried}");
    bench.run(&["sync"]).expect_code(0);
    let again = bench.run(&["sync", "--json"]).expect_code(0).json();
    assert_eq!(again["status"], "up_to_date", "{again}");
}

#[test]
fn a_sync_without_a_repository_says_what_to_do_first() {
    let bench = Bench::new();
    let ran = bench.run(&["sync"]).expect_code(1);
    assert!(ran.stderr.contains("Check for Updates"), "{}", ran.stderr);
    bench.run(&["update-check"]).expect_code(1);
}
