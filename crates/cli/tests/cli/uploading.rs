//! `lorakeep upload`: by every way, refused with a reason, gone on with after it was stopped.

use std::path::PathBuf;
use std::process::Stdio;

use lorakeep_standin::{FileSpec, LoraFamily};

use crate::harness::{Bench, KEY, Reached, Way, is_whole, wait_until};

/// Writes a file of this machine that is to be uploaded.
fn local(bench: &Bench, file: &FileSpec) -> PathBuf {
    let folder = bench.path("mine");
    std::fs::create_dir_all(&folder).expect("made");
    let path = folder.join(file.name());
    std::fs::write(&path, file.bytes()).expect("written");
    path
}

/// A pickle that would run a program.
fn hostile(bench: &Bench) -> PathBuf {
    std::fs::create_dir_all(bench.path("mine")).expect("made");
    let path = bench.path("mine/bad.pt");
    std::fs::write(&path, b"\x80\x02cos\nsystem\nU\x02id\x85R.").expect("written");
    path
}

#[test]
fn files_are_uploaded_by_every_way_and_named_without_a_clash() {
    for way in Way::ALL {
        let here = Reached::by(way);
        let style = FileSpec::lora("moss.safetensors", LoraFamily::Sdxl, 8);
        let path = local(&here.bench, &style);
        let path = path.to_str().expect("text");
        let ran = here.run(&["upload", path, "--entity-type", "styles"]).expect_code(0);
        assert!(ran.stderr.contains("as `loras/styles/moss.safetensors`"), "{way:?}: {ran}");
        assert!(ran.stderr.contains(&style.sha256()), "{way:?}: {ran}");
        let again = here.run(&["upload", path, "--entity-type", "styles", "--json"]).expect_code(0).json();
        let result = &again["items"][0]["upload"]["result"];
        assert_eq!(result["partial_path"], "styles/moss_v2.safetensors", "{way:?}: {again}");
        assert!(is_whole(&here.bench.model("loras/styles/moss_v2.safetensors"), &style), "{way:?}");
        let named = ["upload", path, "--entity-type", "styles", "--name", "fern.safetensors", "--exact-name"];
        here.run(&named).expect_code(0);
        let taken = here.run(&named).expect_code(1);
        assert!(taken.stderr.contains("`fern.safetensors` exists already"), "{way:?}: {taken}");
        let list = here.run(&["list", "--catalog", "loras", "--json"]).expect_code(0).json();
        assert_eq!(list["total"], 3, "{way:?}: {list}");
    }
}

#[test]
fn what_may_be_a_program_is_refused_with_its_rule_and_hash_and_the_rest_goes_on() {
    let bench = Bench::new();
    let (bad, style) = (hostile(&bench), FileSpec::new("a.safetensors", 100_000));
    let (bad, good) = (bad.to_str().expect("text").to_owned(), local(&bench, &style));
    let ran = bench.run(&["upload", &bad, good.to_str().expect("text"), "--json"]).expect_code(1);
    let answer = ran.json();
    assert_eq!(
        (&answer["items"][0]["status"], &answer["items"][1]["status"]),
        (&"failed".into(), &"uploaded".into())
    );
    for part in [
        "bad.pt` was not taken: ",
        "in quarantine",
        "by the rule `",
        "an admin can release it by its SHA-256 `",
    ] {
        assert!(ran.stderr.contains(part), "{part}: {ran}");
    }
    let quarantine = bench.run(&["quarantine", "list", "--json"]).expect_code(0).json();
    assert!(ran.stderr.contains(quarantine["items"][0]["sha256"].as_str().expect("text")), "{quarantine}");
    let missing = bench.run(&["upload", "no.safetensors"]).expect_code(1);
    assert!(missing.stderr.contains("cannot read `no.safetensors`"), "{missing}");
    bench.run(&["upload", &bad, &bad, "--name", "x.pt"]).expect_code(2);
}

#[test]
fn a_token_opens_the_vault_of_a_server_elsewhere() {
    let mut bench = Bench::new();
    bench.set("LORAKEEP_JWT_SECRET", "a-secret-for-tests-only-0123456789");
    let server = bench.serve();
    let style = FileSpec::new("a.safetensors", 100_000);
    let path = local(&bench, &style);
    let token = bench.run(&["token", "create", "--role", "user", "--ttl", "1h", "--quiet"]).expect_code(0);
    let run = |token: &str, kind: &str| {
        let mut command = bench.command();
        command.env_remove("API_KEY").env("LORAKEEP_DATA_DIR", bench.path("elsewhere"));
        command.args(["--server", &server.address, "upload"]).arg(&path);
        command.args(["--token", token, "--entity-type", kind]);
        bench.finish(command)
    };
    run(token.stdout.trim(), "styles").expect_code(0);
    assert!(is_whole(&bench.model("loras/styles/a.safetensors"), &style));
    let faces = run(token.stdout.trim(), "faces").expect_code(1);
    assert!(faces.stderr.contains("`faces` is not supported"), "{faces}");
    let wrong = run("x.y.z", "styles").expect_code(1);
    assert!(wrong.stderr.contains("does not accept the token"), "{wrong}");
    let keyed = Reached::by(Way::Network);
    assert!(
        keyed.run(&["upload", path.to_str().expect("text")]).expect_code(0).stderr.contains(KEY).eq(&false)
    );
}

#[test]
fn an_upload_that_was_stopped_goes_on_where_it_was() {
    let bench = Bench::new();
    let server = bench.serve();
    let file = FileSpec::new("big.safetensors", 200_000_000);
    let path = local(&bench, &file);
    let mut child = bench
        .command()
        .arg("upload")
        .arg(&path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let parts = bench.model(".lorakeep/parts");
    let sent = || {
        let items = std::fs::read_dir(&parts).into_iter().flatten().flatten();
        items.filter_map(|item| item.metadata().ok()).map(|metadata| metadata.len()).sum::<u64>()
    };
    wait_until("some pieces are here", || sent() > 20_000_000);
    child.kill().expect("it ran");
    child.wait().expect("it ends");
    assert!(!bench.model("loras/no_type_provided/big.safetensors").exists());
    let ran = bench.run(&["upload", path.to_str().expect("text")]).expect_code(0);
    assert!(ran.stderr.contains("going on with"), "{ran}");
    assert!(is_whole(&bench.model("loras/no_type_provided/big.safetensors"), &file));
    assert_eq!(sent(), 0);
    drop(server);
}
