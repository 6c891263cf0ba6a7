//! A full disk and a disk that cannot be written, as the user of the command line meets them.
//!
//! Each disk is a `tmpfs` in a mount namespace of its own, which needs no rights on most machines and ends with the
//! command. Where that is forbidden the tests say so and pass.

use std::path::Path;
use std::process::{Command, Stdio};

use lorakeep_standin::FileSpec;

use crate::harness::{Bench, Ran};

/// Mounts a `tmpfs` with the options `$1` at `$2` and runs what follows.
const MOUNT: &str = r#"mount -t tmpfs -o "$1" none "$2" && shift 2 && exec "$@""#;

fn in_a_namespace(options: &str, at: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", MOUNT, "sh", options]).arg(at);
    command
}

/// Runs the program while a disk with these options is at `at`; `None` where no disk can be made.
#[expect(clippy::print_stderr, reason = "what is left out must be seen")]
fn run_on_disk(bench: &Bench, options: &str, at: &Path, arguments: &[&str]) -> Option<Ran> {
    std::fs::create_dir_all(at).expect("a folder");
    let probe = in_a_namespace(options, at).arg("true").stderr(Stdio::null()).status();
    if !probe.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: no mount namespaces here, so no full or read-only disk");
        return None;
    }
    let own = bench.command();
    let mut command = in_a_namespace(options, at);
    command.arg(own.get_program()).args(arguments).env_clear().stdin(Stdio::null());
    for (name, value) in own.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    Some(bench.finish(command))
}

/// A catalog with one file that the stand-in has.
fn with_entry() -> Bench {
    let bench = Bench::new();
    bench
        .standin
        .add_repo(lorakeep_standin::HfRepo::new("o/r").file(FileSpec::new("big.safetensors", 24 << 20)));
    let added = bench.run(&["add", "hf:o/r/big.safetensors"]);
    assert_eq!(added.code, Some(0), "{added:?}");
    bench
}

/// The errors among what was said.
fn errors(ran: &Ran) -> Vec<&str> {
    ran.stderr.lines().filter(|line| line.starts_with("error: ")).collect()
}

#[test]
fn a_download_that_does_not_fit_is_one_clear_line_and_goes_on_when_there_is_room() {
    let bench = with_entry();
    let models = bench.path("data/models");
    let Some(ran) = run_on_disk(&bench, "size=8m", &models, &["download", "big.safetensors"]) else { return };
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let said = errors(&ran);
    assert_eq!(said.len(), 1, "{ran:?}");
    assert!(said[0].contains("is full") && said[0].contains("free some space"), "{}", said[0]);
    let listed = run_on_disk(&bench, "size=8m", &models, &["list", "--json"]).expect("as above");
    assert!(listed.stdout.contains(r#""status":"error""#), "{}", listed.stdout);
    let again = bench.run(&["download", "big.safetensors"]);
    assert_eq!(again.code, Some(0), "{again:?}");
    assert_eq!(std::fs::metadata(bench.model("checkpoints/big.safetensors")).expect("here").len(), 24 << 20);
}

#[test]
fn a_models_folder_that_cannot_be_written_is_one_clear_line() {
    let bench = with_entry();
    let models = bench.path("data/models");
    let Some(ran) = run_on_disk(&bench, "ro", &models, &["download", "big.safetensors"]) else { return };
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let said = errors(&ran);
    assert_eq!(said.len(), 1, "{ran:?}");
    assert!(said[0].contains("cannot be written") && said[0].contains("mount"), "{}", said[0]);
    assert!(!bench.model("checkpoints/big.safetensors").exists());
}

#[test]
fn a_data_folder_on_a_full_or_read_only_disk_says_which() {
    let bench = Bench::new();
    let data = bench.path("data");
    for (options, says) in [("ro", "read-only"), ("size=64k", "is full")] {
        let Some(ran) = run_on_disk(&bench, options, &data, &["list"]) else { return };
        assert_eq!(ran.code, Some(1), "{ran:?}");
        let said = errors(&ran);
        assert!(said.len() == 1 && said[0].contains(says), "{options}: {ran:?}");
    }
}
