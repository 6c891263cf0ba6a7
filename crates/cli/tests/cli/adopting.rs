//! Taking over the folder of another program.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{Bench, Reached, Way};

const MODELS: &str = include_str!("../../../registry/tests/data/studio/models.json");

/// `studio/` and `ComfyUI/` side by side, as a pod has them.
fn make_studio(bench: &Bench) {
    write(&bench.path("studio/catalogs/models.json"), MODELS.as_bytes());
    write(&bench.path("studio/.repo/catalogs/models.json"), MODELS.as_bytes());
    write(&bench.path("ComfyUI/models/vae/ae.safetensors"), b"bytes");
    write(&bench.path("ComfyUI/models/loras/own.pt"), b"own");
    fs::create_dir_all(bench.path("ComfyUI/input")).expect("made");
}

fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().expect("below a folder")).expect("made");
    fs::write(path, bytes).expect("written");
}

#[test]
fn a_look_at_a_studio_leaves_no_trace() {
    let bench = Bench::new();
    make_studio(&bench);
    let studio = bench.path("studio").display().to_string();
    let report = bench.run(&["adopt", &studio, "--dry-run", "--unlisted", "--json"]).expect_code(0).json();
    let catalog = &report["report"]["catalogs"][0];
    assert_eq!(
        (&catalog["entries"], &catalog["added"], &catalog["present"]),
        (&json!(126), &json!(126), &json!(1)),
        "{report}"
    );
    assert_eq!(report["report"]["files"]["adopted"], 1, "the file that the catalog names is none: {report}");
    assert!(!bench.path("data").exists(), "a folder that is not there yet is not made");
    let told = bench.run(&["adopt", &studio, "--dry-run"]).expect_code(0);
    assert!(told.stderr.contains("nothing was changed"), "{}", told.stderr);
}

#[test]
fn a_studio_is_adopted_with_the_models_beside_it_and_hashed() {
    let bench = Bench::new();
    make_studio(&bench);
    let studio = bench.path("studio").display().to_string();
    let adopted = bench.run(&["adopt", &studio, "--unlisted", "--wait", "--json"]).expect_code(0).json();
    assert_eq!(
        (&adopted["state"], &adopted["hashing"]["left_files"]),
        (&json!("done"), &json!(0)),
        "{adopted}"
    );
    let settings = fs::read_to_string(bench.path("data/lorakeep.toml")).expect("written");
    assert!(settings.contains("comfyui.dir = ") && settings.contains("ComfyUI\""), "{settings}");
    let list = bench.run(&["list", "--status", "present", "--json"]).expect_code(0).json();
    assert_eq!(list["total"], 2, "the models are found by the next command, too: {list}");
    let exported = bench.run(&["export"]).expect_code(0).stdout;
    assert_eq!(exported.trim_end(), MODELS.trim_end());
    let again = bench.run(&["adopt", &studio, "--unlisted", "--json"]).expect_code(0).json();
    assert_eq!(again["report"]["catalogs"][0]["known"], 126);
    let status = bench.run(&["adopt", "--status"]).expect_code(0);
    assert!(status.stderr.contains("126 here already"), "{}", status.stderr);
}

#[test]
fn a_running_server_adopts_by_every_way() {
    for way in [Way::Socket, Way::Network] {
        let here = Reached::by(way);
        make_studio(&here.bench);
        let studio = here.bench.path("studio").display().to_string();
        let adopted = here.run(&["adopt", &studio, "--json"]).expect_code(0).json();
        assert_eq!(adopted["report"]["catalogs"][0]["added"], 126, "{way:?}: {adopted}");
        let warnings = &adopted["report"]["warnings"][0];
        assert!(warnings.as_str().is_some_and(|text| text.contains("--models-dir")), "{way:?}: {adopted}");
    }
}

#[test]
fn what_is_no_studio_is_refused() {
    let bench = Bench::new();
    fs::create_dir_all(bench.path("empty")).expect("made");
    let ran = bench.run(&["adopt", &bench.path("empty").display().to_string()]).expect_code(1);
    assert!(ran.stderr.contains("holds nothing that can be adopted"), "{}", ran.stderr);
    bench.run(&["adopt"]).expect_code(2);
    bench.run(&["adopt", "--status", "--cancel"]).expect_code(2);
    let idle: Value = bench.run(&["adopt", "--status", "--json"]).expect_code(0).json();
    assert_eq!(idle["state"], "idle");
}
