//! `lorakeep evaluate` and `lorakeep resize`: files as they lie here, files of a library, pictures, a kill in between.

use std::path::{Path, PathBuf};

use lorakeep_standin::{GenerationFault, GeneratorLora, Times};
use serde_json::Value;

use crate::harness::{Bench, Reached, Server, Way, assert_said, wait_until};

/// Small adapters of which all numbers are known.
fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../weights/tests/data/evaluation").join(name)
}

/// A bench with a copy of a sample in its folder.
fn bench_with(name: &str) -> Bench {
    let bench = Bench::new();
    std::fs::copy(sample(name), bench.path(name)).expect("copied");
    bench
}

/// Puts a sample into the library.
fn put(bench: &Bench, path: &str) {
    let target = bench.model(path);
    std::fs::create_dir_all(target.parent().expect("it has one")).expect("made");
    std::fs::copy(sample("diffusers_unet.safetensors"), target).expect("copied");
}

#[test]
fn a_file_is_evaluated_where_it_lies_without_a_server() {
    let bench = bench_with("diffusers_unet.safetensors");
    let ran = bench.run(&["evaluate", "diffusers_unet.safetensors", "--json"]);
    let answer = ran.json();
    assert_eq!(answer["files"][0]["adapter"]["scale"]["source"], "header:lora_adapter_metadata");
    let findings = answer["verdict"]["findings"].as_array().expect("findings");
    assert!(findings.iter().any(|one| one["code"] == "SCALE_DIFFERS_BY_RUNTIME"), "{ran}");
    assert!(!bench.path("data").exists(), "no data folder is made for it");
    let told = bench.run(&["evaluate", "diffusers_unet.safetensors"]);
    assert!(told.stdout.contains("diffusers_unet.safetensors") && told.stdout.contains("VERDICT"), "{told}");
    assert!(told.stderr.contains("[SCALE_DIFFERS_BY_RUNTIME, metadata]"), "{told}");
}

#[test]
fn a_copy_is_found_and_a_missing_file_is_named() {
    let bench = bench_with("diffusers_unet.safetensors");
    std::fs::copy(bench.path("diffusers_unet.safetensors"), bench.path("copy.safetensors")).expect("copied");
    let ran =
        bench.run(&["evaluate", "diffusers_unet.safetensors", "--compare", "copy.safetensors", "--json"]);
    assert_eq!(ran.json()["comparisons"][0]["relation"], "same", "{ran}");
    let series =
        bench.run(&["evaluate", "diffusers_unet.safetensors", "copy.safetensors", "--series", "--json"]);
    assert_eq!(series.json()["series"]["order"][1], "copy.safetensors", "{series}");
    // What is no file here is asked of the library.
    let missing = bench.run(&["evaluate", "nobody.safetensors"]).expect_code(1);
    assert!(missing.stderr.contains("`nobody.safetensors`"), "{missing}");
}

#[test]
fn a_smaller_file_is_written_and_measured() {
    let bench = bench_with("diffusers_unet.safetensors");
    let smaller = ["resize", "diffusers_unet.safetensors", "--rank", "2", "-o", "small.safetensors"];
    let ran = bench.run(&[&smaller[..], &["--json"]].concat()).expect_code(0);
    let resized = ran.json();
    assert_eq!(resized["rank_after"], 2, "{ran}");
    assert_eq!(
        resized["size_after"],
        std::fs::metadata(bench.path("small.safetensors")).expect("written").len()
    );
    let (predicted, measured) = (&resized["predicted_energy"], &resized["measured_energy"]);
    assert!(
        (predicted.as_f64().expect("a share") - measured.as_f64().expect("a share")).abs() < 1e-3,
        "{ran}"
    );
    let again = bench.run(&smaller).expect_code(1);
    assert!(again.stderr.contains("`small.safetensors` exists"), "{again}");
    let bad =
        bench.run(&["resize", "small.safetensors", "--energy", "2", "-o", "x.safetensors"]).expect_code(1);
    assert!(bad.stderr.contains("`2` is no share"), "{bad}");
    let parts = std::fs::read_dir(bench.path("")).expect("listed").flatten();
    assert!(!parts.map(|item| item.file_name()).any(|name| name.to_string_lossy().ends_with(".part")));
}

#[test]
fn a_file_of_the_library_has_the_same_numbers_whoever_is_asked() {
    for way in Way::ALL {
        let reached = Reached::by(way);
        put(&reached.bench, "loras/styles/ink.safetensors");
        reached.run(&["scan"]).expect_code(0);
        let ran = reached.run(&["evaluate", "styles/ink.safetensors", "--json"]);
        let answer = ran.json();
        assert_eq!(answer["status"], "completed", "{way:?}: {ran}");
        assert_eq!(answer["files"][0]["partial_path"], "styles/ink.safetensors", "{way:?}");
        let measured = &answer["files"][0]["weights"]["measured_modules"];
        assert_eq!(measured.as_u64(), Some(32), "{way:?}: {ran}");
    }
}

/// A bench whose ComfyUI sees the LoRA of the library.
fn with_generator() -> Bench {
    let mut bench = Bench::new();
    bench.set("COMFYUI_URL", bench.standin.comfyui_url());
    bench.standin.add_comfyui_file("checkpoints", "sdxl.safetensors");
    bench.standin.add_comfyui_lora(GeneratorLora::new("ink.safetensors"));
    put(&bench, "loras/ink.safetensors");
    bench
}

const PICTURES: [&str; 11] = [
    "evaluate",
    "ink.safetensors",
    "--images",
    "--prompt",
    "a cat",
    "--seeds",
    "1",
    "--strengths",
    "0.5,1",
    "--size",
    "64",
];

#[test]
fn pictures_are_made_and_measured_by_the_server() {
    let bench = with_generator();
    let _server = bench.serve();
    let ran = bench.run(&PICTURES);
    assert!(ran.stdout.contains("COLOUR CHANGE"), "{ran}");
    assert!(ran.stderr.contains("3 of 3 pictures; 0 failed"), "{ran}");
    assert!(ran.stderr.contains("contact sheet: /api/admin/evaluations/ev_"), "{ran}");
    let without = bench.run(&["evaluate", "ink.safetensors", "--images"]).expect_code(2);
    assert_said!("evaluate_pictures_without_a_prompt", without);
}

#[test]
fn a_kill_amid_pictures_loses_none_of_them() {
    let bench = with_generator();
    bench.standin.generation_fault(1, GenerationFault::Hang, Times::Once);
    let server = bench.serve();
    let mut command = bench.command();
    command.args(PICTURES).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let mut asking = command.spawn().expect("it starts");
    wait_until("the second picture is asked for", || bench.standin.prompts_accepted() == 2);
    Server::kill(server);
    asking.wait().expect("it ends with its server");
    bench.standin.clear_faults();
    let server = bench.serve();
    let list = || answer(&server, "/api/admin/evaluations");
    wait_until("it is over", || list()["items"][0]["finished_at"].is_string());
    let id = list()["items"][0]["evaluation_id"].as_str().expect("an id").to_owned();
    let over = answer(&server, &format!("/api/admin/evaluations/{id}"));
    assert_eq!((&over["status"], &over["images"]["cells_done"]), (&"completed".into(), &3.into()), "{over}");
    assert_eq!(bench.standin.prompts_accepted(), 3, "no picture was made twice");
}

/// What a server answers to a GET by the admin key.
fn answer(server: &Server, path: &str) -> Value {
    use std::io::{Read, Write};
    let host = server.address.strip_prefix("http://").expect("an address");
    let mut stream = std::net::TcpStream::connect(host).expect("it listens");
    let key = crate::harness::KEY;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {host}\r\nx-api-key: {key}\r\nconnection: close\r\n\r\n")
        .expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("answered");
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    // Chunked or not, the document is between the first and the last brace.
    let (start, end) = (body.find('{').expect("JSON"), body.rfind('}').expect("JSON"));
    serde_json::from_str(&body[start..=end]).expect("one whole document")
}
