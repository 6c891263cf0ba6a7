//! Bad input gets one clear line, a hint where there is something to do, and changes nothing.

use crate::harness::{Bench, KEY, Ran, assert_said};

/// One `error:` line on standard error, at most one `hint:`, and nothing on standard output.
#[track_caller]
fn expect_one_clear_line(ran: Ran) -> Ran {
    let ran = ran.expect_code(1);
    let lines: Vec<&str> = ran.stderr.lines().collect();
    assert!(lines[0].starts_with("error: "), "{ran}");
    assert!(lines.len() == 1 || (lines.len() == 2 && lines[1].starts_with("hint: ")), "{ran}");
    assert_eq!(ran.stdout, "", "{ran}");
    ran
}

#[test]
fn a_file_that_no_catalog_knows_gets_the_names_that_may_have_been_meant() {
    let bench = Bench::new();
    assert_said!(
        "bad_file_empty_catalog",
        expect_one_clear_line(bench.run(&["download", "flux.safetensors"]))
    );
    let document = include_str!("catalog.json");
    bench.run_with_input(&["import", "-"], document.as_bytes()).expect_code(0);
    assert_said!(
        "bad_file_close",
        expect_one_clear_line(bench.run(&["download", "Harbour_Mix.safetensors"]))
    );
    assert_said!("bad_file_far", expect_one_clear_line(bench.run(&["rm", "nothing-like-it.pt"])));
}

#[test]
fn names_cannot_leave_the_models_folder() {
    let bench = Bench::new();
    bench.serve_style();
    let add = ["add", "hf:standin/styles/watercolor.safetensors"];
    let cases: [(&str, &[&str]); 6] = [
        ("file_up", &["--file", "../../escaped.safetensors"]),
        ("file_absolute", &["--file", "/etc/passwd"]),
        ("file_device", &["--file", "nul.safetensors"]),
        ("file_control", &["--file", "a\nb.safetensors"]),
        ("dest_up", &["--dest", "../../escaped"]),
        ("dest_hidden", &["--dest", ".lorakeep/parts"]),
    ];
    for (name, flags) in cases {
        let arguments = [&add[..], flags].concat();
        assert_said!(format!("bad_name_{name}"), expect_one_clear_line(bench.run(&arguments)));
    }
    for file in ["../../escaped.safetensors", "..", "a/../../../etc/passwd", "%2e%2e%2fx"] {
        for command in ["download", "rm"] {
            expect_one_clear_line(bench.run(&[command, file]));
        }
    }
    assert_eq!(bench.run(&["list", "--json"]).json()["total"], 0, "nothing was added");
    assert!(!bench.path("escaped.safetensors").exists());
}

#[test]
fn a_malformed_catalog_is_refused_with_its_line() {
    let bench = Bench::new();
    let cases = [
        ("syntax", "{\n  \"categories\": [\n    {\"id\": \"a\",, }\n  ]\n}"),
        ("a_text", "\"models\""),
        ("empty", ""),
        ("html", "<!doctype html><title>Log in</title>"),
    ];
    for (name, document) in cases {
        let ran = bench.run_with_input(&["import", "-"], document.as_bytes());
        assert_said!(format!("bad_catalog_{name}"), expect_one_clear_line(ran));
    }
    let ran = bench.run_with_input(&["import", "-"], b"{\"models\": 3}").expect_code(0);
    assert_said!("bad_catalog_without_entries", ran);
    assert_said!("bad_catalog_missing", expect_one_clear_line(bench.run(&["import", "gone.json"])));
    assert_eq!(bench.run(&["list", "--json"]).json()["total"], 0);
}

#[test]
fn a_bad_entry_is_left_out_with_its_field_and_the_good_ones_are_added() {
    let bench = Bench::new();
    let document = r#"[
        {"name": "Good", "file": "good.safetensors", "dest": "checkpoints"},
        {"name": "Up", "file": "../up.safetensors", "dest": "checkpoints"},
        {"name": "Nameless", "dest": "checkpoints"},
        {"name": "Typed", "file": 7, "dest": "checkpoints"},
        "not an entry"
    ]"#;
    assert_said!("bad_entries", bench.run_with_input(&["import", "-"], document.as_bytes()).expect_code(1));
    assert_eq!(bench.run(&["list", "--json"]).json()["total"], 1);
}

#[test]
fn a_wrong_or_missing_key_is_said_with_what_to_do() {
    let bench = Bench::new();
    let server = bench.serve();
    let list = ["list", "--server", server.address.as_str()];
    assert_said!("bad_key_missing", expect_one_clear_line(bench.run(&list)));
    assert_said!(
        "bad_key_wrong",
        expect_one_clear_line(bench.run(&[&list[..], &["--key", "al_wrong"]].concat()))
    );
    let ran = bench.run(&[&list[..], &["--key", KEY]].concat()).expect_code(0);
    assert!(!ran.stderr.contains(KEY));
}

#[test]
fn a_server_that_is_not_there_is_said_with_what_to_do() {
    let bench = Bench::new();
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", free.local_addr().expect("bound"));
    drop(free);
    assert_said!("bad_server_gone", expect_one_clear_line(bench.run(&["list", "--server", &address])));
    let stranger = bench.standin.huggingface_url();
    expect_one_clear_line(bench.run(&["list", "--server", &stranger, "--key", KEY]));
}

#[test]
fn a_data_folder_that_cannot_be_used_is_named() {
    let bench = Bench::new();
    std::fs::write(bench.path("file"), "in the way").expect("written");
    for command in ["serve", "list"] {
        let path = bench.path("file/data");
        let ran = bench.run(&[command, "--data-dir", path.to_str().expect("text")]).expect_code(2);
        assert!(ran.stderr.lines().next().is_some_and(|line| line.contains("file/data")), "{ran}");
        // Not even root may write below /proc.
        let ran = bench.run(&[command, "--data-dir", "/proc/lorakeep"]).expect_code(1);
        assert!(ran.stderr.contains("/proc/lorakeep"), "{ran}");
    }
}

#[test]
fn references_that_lead_nowhere_say_so() {
    let bench = Bench::new();
    bench.serve_style();
    let cases = [
        ("no_reference", "what is this"),
        ("no_repository", "hf:standin/nothing/a.safetensors"),
        ("no_file", "hf:standin/styles/nothing.safetensors"),
        ("no_version", "civitai:404404"),
    ];
    for (name, reference) in cases {
        assert_said!(format!("bad_reference_{name}"), expect_one_clear_line(bench.run(&["add", reference])));
    }
}

#[test]
fn a_private_address_is_not_fetched_unless_it_is_allowed() {
    let bench = Bench::new();
    let ran = bench.run(&["add", "http://127.0.0.2:9/a.safetensors", "--download"]).expect_code(1);
    assert!(ran.stderr.contains("127.0.0.2") && ran.stderr.contains("LORAKEEP_ALLOW_HOSTS"), "{ran}");
    assert!(!bench.model("checkpoints/a.safetensors").exists());
}
