//! What people do every day, by each way to a server: it must make no difference.

use lorakeep_standin::FileSpec;
use serde_json::Value;

use crate::harness::{Bench, Reached, Way, assert_said, is_whole};

#[test]
fn add_download_list_verify_remove_and_restore_are_the_same_by_every_way() {
    for way in Way::ALL {
        let here = Reached::by(way);
        let style = here.bench.serve_style();
        let steps: [(&str, &[&str]); 10] = [
            ("add", &["add", "hf:standin/styles/watercolor.safetensors", "--dest", "loras/mine"]),
            ("add_again", &["add", "hf:standin/styles/watercolor.safetensors", "--dest", "loras/mine"]),
            ("list_missing", &["list"]),
            ("download", &["download", "watercolor.safetensors"]),
            ("download_again", &["download", "watercolor.safetensors"]),
            ("list_present", &["list", "--status", "present"]),
            ("verify", &["verify"]),
            ("rm", &["rm", "watercolor.safetensors"]),
            ("bin", &["bin"]),
            ("bin_restore", &["bin", "restore", "watercolor.safetensors"]),
        ];
        for (name, arguments) in steps {
            let ran = here.run(arguments).expect_code(0);
            assert_said!(format!("everyday_{name}"), ran);
        }
        assert!(is_whole(&here.bench.model("loras/mine/watercolor.safetensors"), &style), "{way:?}");
        assert!(!here.bench.path("elsewhere").exists(), "a named server needs no data folder");
    }
}

#[test]
fn json_has_the_objects_of_the_api_by_every_way() {
    for way in Way::ALL {
        let here = Reached::by(way);
        let style = here.bench.serve_style();
        let added =
            here.run(&["add", "hf:standin/styles/watercolor.safetensors", "--json"]).expect_code(0).json();
        assert_eq!(added[0]["status"], "added", "{way:?}");

        let list = here.run(&["--json", "list"]).expect_code(0).json();
        assert_eq!(list["total"], 1);
        assert_eq!(list["items"][0]["status"], "not_downloaded");
        assert_eq!(list["items"][0]["hf_repo"], "standin/styles");
        assert_eq!(list["items"][0]["catalog"], "models");

        let report = here.run(&["download", "--all-missing", "--json"]).expect_code(0).json();
        assert_eq!(report["downloads"][0]["status"], "done", "{report}");
        assert_eq!(report["downloads"][0]["bytes_total"], style.size());

        let verified = here.run(&["verify", "--json"]).expect_code(0).json();
        assert_eq!(verified["files"][0]["outcome"], "verified", "{verified}");
        assert_eq!(verified["files"][0]["sha256"], style.sha256());

        let queue = here.run(&["queue", "list", "--all", "--json"]).expect_code(0).json();
        assert_eq!(queue["items"][0]["state"], "done", "{queue}");

        let deleted = here.run(&["rm", "watercolor.safetensors", "--json"]).expect_code(0).json();
        assert_eq!(deleted[0]["status"], "deleted", "{deleted}");
        let id = deleted[0]["bin_id"].as_str().expect("an id").to_owned();
        let bin = here.run(&["bin", "list", "--json"]).expect_code(0).json();
        assert_eq!(bin["items"][0]["id"], id, "{bin}");
        let restored = here.run(&["bin", "restore", &id, "--json"]).expect_code(0).json();
        assert_eq!(restored[0]["status"], "restored", "{restored}");

        let settings = here.run(&["settings", "parallel", "5", "--json"]).expect_code(0).json();
        assert_eq!(settings["max_concurrent"], 5, "{settings}");
        let scan = here.run(&["scan", "--json"]).expect_code(0).json();
        assert_eq!(scan["scan"]["present"], 1, "{scan}");
        let doctor = here.run(&["doctor", "--json"]).json();
        assert!(doctor["checks"].as_array().is_some_and(|checks| !checks.is_empty()), "{doctor}");
    }
}

#[test]
fn a_catalog_goes_out_and_comes_in_again_byte_for_byte() {
    let bench = Bench::new();
    let document = include_str!("catalog.json").trim_end();
    let imported = bench.run_with_input(&["import", "-"], document.as_bytes()).expect_code(0);
    assert_said!("import", imported);
    assert_said!("import_again", bench.run_with_input(&["import", "-"], document.as_bytes()).expect_code(0));
    let out = bench.path("out.json");
    bench.run(&["export", "-o", out.to_str().expect("text")]).expect_code(0);
    let exported = std::fs::read(&out).expect("written");
    assert_eq!(exported, bench.run(&["export"]).expect_code(0).stdout.as_bytes());
    assert_eq!(
        exported,
        std::fs::read(bench.path("data/catalogs/models.json")).expect("the catalog's face on disk")
    );
    let exported: Value = serde_json::from_slice(&exported).expect("JSON");
    assert_eq!(exported["categories"][0]["models"][0]["note"], "kept as it is", "{exported}");
}

#[test]
fn the_built_in_list_is_added_once() {
    let bench = Bench::new();
    let first = bench.run(&["import", "--builtin", "--json"]).expect_code(0).json();
    assert!(first["total_added"].as_u64().expect("a number") > 20, "{first}");
    let again = bench.run(&["import", "--builtin", "--json"]).expect_code(0).json();
    assert_eq!(again["total_added"], 0);
    let flux = bench.run(&["list", "flux", "--json"]).expect_code(0).json();
    let items = flux["items"].as_array().expect("items");
    assert!(
        !items.is_empty() && items.iter().all(|entry| entry.to_string().to_lowercase().contains("flux")),
        "{flux}"
    );
}

#[test]
fn entries_are_searched_shown_edited_and_put_back() {
    let bench = Bench::new();
    bench.serve_style();
    bench.run(&["add", "hf:standin/styles/watercolor.safetensors", "--dest", "loras/mine"]).expect_code(0);
    let total = |arguments: &[&str]| {
        let found = bench.run(&[&["search", "--json"], arguments].concat()).expect_code(0).json();
        found["total"].as_u64().expect("a number")
    };
    assert_eq!((total(&["watrecolor"]), total(&["--folder", "loras", "--not", "status=present"])), (1, 1));
    assert_eq!((total(&["dawn"]), total(&["--favorite"])), (0, 0));
    let file = "watercolor.safetensors";
    let edit = ["edit", file, "--tag", "Soft", "--note", "light at dawn", "--favorite", "--json"];
    let edited = bench.run(&edit).expect_code(0).json();
    assert_eq!(edited[0]["previous"]["notes"], Value::Null, "{edited}");
    assert_eq!((total(&["dwan"]), total(&["dawn"]), total(&["--favorite", "--tag", "soft"])), (0, 1, 1));
    let shown = bench.run(&["show", file, "--json"]).expect_code(0).json();
    assert_eq!(
        (&shown[0]["notes"], &shown[0]["origins"]["notes"]),
        (&"light at dawn".into(), &"user".into())
    );
    assert!(bench.run(&["show", file]).expect_code(0).stdout.contains("light at dawn"));
    assert!(bench.run(&["search", "dawn"]).expect_code(0).stdout.contains(file));
    bench.run(&["edit", file, "--undo"]).expect_code(0);
    assert_eq!((total(&["dawn"]), total(&["--favorite"])), (0, 0));
    bench.run(&["edit", file]).expect_code(2);
    bench.run(&["edit", "nobody.safetensors", "--favorite"]).expect_code(1);
    bench.run(&["search", "--not", "tags=x"]).expect_code(1);
}

#[test]
fn a_file_that_nobody_knows_is_found_and_adopted() {
    let bench = Bench::new();
    let file = FileSpec::new("found.safetensors", 100_000);
    std::fs::create_dir_all(bench.model("checkpoints")).expect("created");
    std::fs::write(bench.model("checkpoints/found.safetensors"), file.bytes()).expect("written");
    assert_said!("scan", bench.run(&["scan"]).expect_code(0));
    assert_said!("scan_adopt", bench.run(&["scan", "--adopt"]).expect_code(0));
    assert_said!("scan_after_adopting", bench.run(&["list"]).expect_code(0));
}

#[test]
fn a_file_that_was_changed_on_disk_does_not_verify() {
    let bench = Bench::new();
    bench.serve_files("standin/styles", &[FileSpec::new("a.safetensors", 200_000)]);
    let add = ["add", "hf:standin/styles/a.safetensors", "--dest", "checkpoints", "--download"];
    bench.run(&add).expect_code(0);
    let path = bench.model("checkpoints/a.safetensors");
    let mut bytes = std::fs::read(&path).expect("it is there");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).expect("written");
    assert_said!("verify_mismatch", bench.run(&["verify"]).expect_code(1));
}

#[test]
fn a_file_goes_with_its_entry_when_both_are_meant() {
    let bench = Bench::new();
    bench.add_files("standin/styles", &[FileSpec::new("a.safetensors", 100_000)]);
    bench.run(&["download", "a.safetensors"]).expect_code(0);
    assert_said!("rm_with_entry", bench.run(&["rm", "a.safetensors", "--catalog"]).expect_code(0));
    assert_said!("rm_unknown", bench.run(&["rm", "a.safetensors"]).expect_code(1));
}

#[test]
fn deleting_for_good_wants_a_yes() {
    let bench = Bench::new();
    bench.add_files("standin/styles", &[FileSpec::new("a.safetensors", 100_000)]);
    bench.run(&["download", "a.safetensors"]).expect_code(0);
    assert_said!("rm_purge_unasked", bench.run(&["rm", "a.safetensors", "--purge"]).expect_code(2));
    assert!(bench.model("checkpoints/a.safetensors").exists());
    assert_said!("rm_purge", bench.run(&["rm", "a.safetensors", "--purge", "--yes"]).expect_code(0));
    assert_said!("bin_empty", bench.run(&["bin"]).expect_code(0));
}

#[test]
fn quiet_says_nothing_when_all_is_well() {
    let bench = Bench::new();
    bench.add_files("standin/styles", &[FileSpec::new("a.safetensors", 100_000)]);
    let ran = bench.run(&["download", "a.safetensors", "--quiet"]).expect_code(0);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
}

#[test]
fn a_download_that_fails_is_named_last_with_what_to_do() {
    let bench = Bench::new();
    let files = [FileSpec::new("good.safetensors", 100_000), FileSpec::new("gone.safetensors", 100_000)];
    bench.add_files("standin/styles", &files);
    bench.serve_files("standin/styles", &files[..1]);
    let ran = bench.run(&["download", "--all-missing"]).expect_code(1);
    assert!(is_whole(&bench.model("checkpoints/good.safetensors"), &files[0]));
    assert!(!bench.model("checkpoints/gone.safetensors").exists());
    let lines: Vec<&str> = ran.stderr.lines().collect();
    let error = lines.iter().position(|line| line.starts_with("error: `checkpoints/gone.safetensors`"));
    assert_eq!(error, Some(lines.len() - 2), "{ran}");
    assert!(lines[lines.len() - 1].starts_with("hint: the same command"), "{ran}");
}

#[test]
fn the_queue_is_kept_and_can_be_reordered() {
    let bench = Bench::new();
    let files = ["a", "b", "c"].map(|name| FileSpec::new(format!("{name}.safetensors"), 100_000));
    bench.add_files("standin/styles", &files);
    bench.run(&["download", "a.safetensors", "b.safetensors", "c.safetensors", "--no-wait"]).expect_code(0);
    bench.run(&["queue", "top", "c.safetensors"]).expect_code(0);
    bench.run(&["queue", "pause", "a.safetensors"]).expect_code(0);
    let queue = bench.run(&["queue", "--json"]).expect_code(0).json();
    let named = |state: &str| -> Vec<String> {
        let jobs = queue["items"].as_array().expect("items").iter().filter(|job| job["state"] == state);
        jobs.map(|job| job["file"].as_str().expect("text").to_owned()).collect()
    };
    assert_eq!(named("queued"), ["c.safetensors", "b.safetensors"], "{queue}");
    assert_eq!(named("paused"), ["a.safetensors"], "{queue}");
    bench.run(&["queue", "cancel", "b.safetensors"]).expect_code(0);
    bench.run(&["queue", "resume", "--all"]).expect_code(0);
    let queue = bench.run(&["queue", "--json"]).expect_code(0).json();
    assert_eq!(queue["total"], 2, "{queue}");
}

#[test]
fn two_files_of_one_name_are_told_apart_by_their_folders() {
    let bench = Bench::new();
    let file = FileSpec::new("twin.safetensors", 100_000);
    bench.serve_files("standin/styles", std::slice::from_ref(&file));
    let entry = |dest: &str| {
        format!(
            r#"{{"file": "twin.safetensors", "dest": "{dest}", "hf_repo": "standin/styles", "hf_file": "twin.safetensors"}}"#
        )
    };
    let document = format!("[{}, {}]", entry("loras/first"), entry("loras/second"));
    bench.run_with_input(&["import", "-"], document.as_bytes()).expect_code(0);
    bench.run(&["download", "loras/second/twin.safetensors"]).expect_code(0);
    assert!(is_whole(&bench.model("loras/second/twin.safetensors"), &file));
    assert!(!bench.model("loras/first/twin.safetensors").exists());
    let verified = bench.run(&["verify", "loras/second/twin.safetensors", "--json"]).expect_code(0).json();
    assert_eq!(verified["files"][0]["path"], "loras/second/twin.safetensors", "{verified}");
    bench.run(&["rm", "loras/second/twin.safetensors"]).expect_code(0);
    assert!(!bench.model("loras/second/twin.safetensors").exists());
}

#[test]
fn add_with_download_answers_both_in_one_json() {
    let bench = Bench::new();
    let style = bench.serve_style();
    let add =
        ["add", "hf:standin/styles/watercolor.safetensors", "--catalog", "loras", "--download", "--json"];
    let answer = bench.run(&add).expect_code(0).json();
    assert_eq!(answer["added"][0]["status"], "added", "{answer}");
    assert_eq!(answer["downloads"][0]["state"], "done", "{answer}");
    let list = bench.run(&["list", "--catalog", "loras", "--json"]).expect_code(0).json();
    assert_eq!(list["items"][0]["sha256_on_disk"], style.sha256(), "{list}");
}

#[test]
fn a_terminal_gets_a_bar_for_each_file_and_a_line_for_all() {
    let bench = Bench::new();
    let files = ["first", "second"].map(|name| FileSpec::new(format!("{name}.safetensors"), 6_000_000));
    bench.add_files("standin/styles", &files);
    bench.standin.cap_per_connection(Some(1_000_000));
    let mut command = bench.command();
    let program = command.get_program().to_str().expect("text").to_owned();
    let mut terminal = std::process::Command::new("script");
    terminal.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    terminal.env("TERM", "xterm").env("NO_COLOR", "1").current_dir(bench.path(""));
    terminal.args(["-qec", &format!("{program} download --all-missing"), "/dev/null"]);
    command = terminal;
    let ran = bench.finish(command).expect_code(0);
    for part in [
        "first.safetensors  ",
        "second.safetensors  ",
        "━",
        " of 2 files, ",
        "/6.00 MB ",
        "/s",
        "left",
        "2 files here (12.0 MB, SHA-256 verified)",
    ] {
        assert!(ran.stdout.contains(part), "{part}: {ran}");
    }
    assert!(!ran.stdout.contains("\u{1b}[3") && !ran.stdout.contains("\u{1b}[2m"), "no colours: {ran}");
}
