//! A server's life: its first start, who may share its data folder, and how it ends.

use std::process::Stdio;
use std::time::{Duration, Instant};

use lorakeep_standin::FileSpec;
use serde_json::Value;

use crate::harness::{Bench, Server, assert_said, is_whole, signal, wait_until};

const SIZE: u64 = 12_000_000;

/// A file that takes seconds, in the catalog and in the queue of nobody yet.
fn slow_file(bench: &Bench) -> FileSpec {
    let file = FileSpec::new("slow.safetensors", SIZE);
    bench.add_files("standin/slow", std::slice::from_ref(&file));
    bench.standin.cap_per_connection(Some(500_000));
    file
}

fn job(bench: &Bench) -> Value {
    bench.run(&["queue", "list", "--all", "--json"]).expect_code(0).json()["items"][0].clone()
}

#[test]
fn the_first_start_shows_a_key_once_and_it_opens_the_api() {
    let bench = Bench::new();
    let serve = || {
        let mut command = bench.command();
        command.env_remove("API_KEY").args(["serve", "--json"]);
        Server::start(command)
    };
    let mut first = serve();
    let address = first.address.clone();
    let refused = bench.run(&["list", "--server", &address]).expect_code(1);
    assert!(refused.stderr.contains("key"), "{refused}");
    bench.run(&["list"]).expect_code(0);
    first.signal("TERM");
    let (code, said) = first.end();
    assert_eq!(code, Some(0), "{said}");
    let key = said
        .lines()
        .map(str::trim)
        .find(|line| line.len() > 20 && !line.contains([' ', '{']))
        .expect("a key");

    let mut second = serve();
    bench.run(&["list", "--server", &second.address, "--key", key]).expect_code(0);
    second.signal("TERM");
    let (_, said) = second.end();
    assert!(!said.contains(key) && !said.contains("first start"), "{said}");
    for file in std::fs::read_dir(bench.path("data")).expect("a folder").flatten() {
        let bytes = std::fs::read(file.path()).unwrap_or_default();
        assert!(
            !bytes.windows(key.len()).any(|window| window == key.as_bytes()),
            "{:?} holds the key",
            file.path()
        );
    }
}

#[test]
fn a_lost_admin_key_is_replaced_on_this_machine_without_it() {
    let bench = Bench::new();
    let mut command = bench.command();
    command.env_remove("API_KEY").args(["serve", "--json"]);
    let server = Server::start(command);
    let rotate = |arguments: &[&str]| {
        let mut command = bench.command();
        command.env_remove("API_KEY").args(["admin-key", "rotate"]).args(arguments);
        bench.finish(command)
    };
    assert!(rotate(&[]).expect_code(2).stderr.contains("--yes"));
    let key = rotate(&["--yes", "--json"]).expect_code(0).json()["key"].as_str().expect("a key").to_owned();
    bench.run(&["list", "--server", &server.address, "--key", &key]).expect_code(0);
    rotate(&["--yes"]).expect_code(0);
    bench.run(&["list", "--server", &server.address, "--key", &key]).expect_code(1);
}

#[test]
fn a_second_server_on_the_data_folder_ends_at_once_with_a_clear_error() {
    let bench = Bench::new();
    let _first = bench.serve();
    assert_said!("second_server", bench.run(&["serve"]).expect_code(1));
    bench.run(&["list"]).expect_code(0);
}

#[test]
fn what_a_killed_server_leaves_behind_is_in_nobodys_way() {
    let bench = Bench::new();
    bench.serve().kill();
    assert!(bench.path("data/lorakeep.sock").exists(), "a killed server cannot tidy up");
    bench.run(&["list"]).expect_code(0);
    let again = bench.serve();
    assert_eq!(
        bench
            .run(&["list", "-v"])
            .expect_code(0)
            .stderr
            .lines()
            .next()
            .map(|line| line.starts_with("talking")),
        Some(true)
    );
    drop(again);
}

#[test]
fn an_address_in_use_is_said_with_what_to_do() {
    let bench = Bench::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    let ran = bench.run(&["serve", "--listen", &address]).expect_code(1);
    assert!(ran.stderr.contains(&address) && ran.stderr.contains("hint: "), "{ran}");
    bench.run(&["list"]).expect_code(0);
}

#[test]
fn sigterm_during_a_download_ends_in_time_and_the_next_start_goes_on() {
    let bench = Bench::new();
    let file = slow_file(&bench);
    let mut server = bench.serve();
    bench.run(&["download", "slow.safetensors", "--no-wait"]).expect_code(0);
    wait_until("bytes arrive", || bench.standin.bytes_served("slow.safetensors") > SIZE / 4);
    let asked = Instant::now();
    server.signal("TERM");
    let (code, said) = server.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(asked.elapsed() < Duration::from_secs(10), "a supervisor kills after 10 s");
    assert!(!bench.path("data/lorakeep.sock").exists());

    let parked = job(&bench);
    assert_eq!(parked["state"], "queued", "{parked}");
    assert!(parked["bytes_downloaded"].as_u64().expect("a number") > 0, "what has arrived is kept: {parked}");
    bench.standin.cap_per_connection(None);
    let _server = bench.serve();
    wait_until("the download goes on by itself", || job(&bench)["state"] == "done");
    assert!(is_whole(&bench.model("checkpoints/slow.safetensors"), &file));
    assert!(bench.standin.bytes_served("slow.safetensors") < 2 * SIZE - SIZE / 4, "it did not begin anew");
}

#[test]
fn ctrl_c_leaves_the_download_to_a_running_server() {
    let bench = Bench::new();
    let file = slow_file(&bench);
    let _server = bench.serve();
    let mut command = bench.command();
    command.args(["download", "slow.safetensors"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("it starts");
    wait_until("bytes arrive", || bench.standin.bytes_served("slow.safetensors") > 0);
    signal(child.id(), "INT");
    let ran = bench.ran(child.wait_with_output().expect("it ends")).expect_code(1);
    assert!(ran.stderr.contains("1 download goes on in the server"), "{ran}");
    bench.standin.cap_per_connection(None);
    wait_until("the server finishes it", || job(&bench)["state"] == "done");
    assert!(is_whole(&bench.model("checkpoints/slow.safetensors"), &file));
}

#[test]
fn ctrl_c_without_a_server_pauses_and_the_same_command_goes_on() {
    let bench = Bench::new();
    let file = slow_file(&bench);
    let mut command = bench.command();
    command.args(["download", "slow.safetensors"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("it starts");
    wait_until("bytes arrive", || bench.standin.bytes_served("slow.safetensors") > SIZE / 4);
    signal(child.id(), "INT");
    let ran = bench.ran(child.wait_with_output().expect("it ends")).expect_code(1);
    assert!(ran.stderr.contains("paused 1 download"), "{ran}");
    assert_eq!(job(&bench)["state"], "paused");
    bench.standin.cap_per_connection(None);
    bench.run(&["download", "slow.safetensors"]).expect_code(0);
    assert!(is_whole(&bench.model("checkpoints/slow.safetensors"), &file));
    assert!(bench.standin.bytes_served("slow.safetensors") < 2 * SIZE - SIZE / 4, "it did not begin anew");
}

#[test]
fn a_download_without_a_server_answers_other_commands() {
    let bench = Bench::new();
    slow_file(&bench);
    let mut command = bench.command();
    command.args(["download", "slow.safetensors"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("it starts");
    wait_until("bytes arrive", || bench.standin.bytes_served("slow.safetensors") > 0);
    let list = bench.run(&["list", "--json"]).expect_code(0).json();
    assert_eq!(list["items"][0]["status"], "downloading", "{list}");
    assert!(bench.run(&["serve"]).expect_code(1).stderr.contains("in use"));
    bench.standin.cap_per_connection(None);
    bench.ran(child.wait_with_output().expect("it ends")).expect_code(0);
    assert!(!bench.path("data/lorakeep.sock").exists());
}

#[test]
fn settings_that_do_not_reach_the_running_server_are_named_when_it_asks_elsewhere() {
    let bench = Bench::new();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let elsewhere = format!("http://{}", nobody.local_addr().expect("an address"));
    drop(nobody);
    let mut command = bench.command();
    command.env("HF_ENDPOINT", &elsewhere).args(["serve", "--json"]);
    let _server = Server::start(command);
    bench.serve_files("standin/demo", &[FileSpec::new("demo.safetensors", 4096)]);
    let refused = bench.run(&["add", "hf:standin/demo/demo.safetensors"]).expect_code(1);
    assert!(refused.stderr.contains("cannot be reached"), "{refused}");
    for said in ["`HF_ENDPOINT`", "of this command does not reach it"] {
        assert!(refused.stderr.contains(said), "{refused}");
    }
}
