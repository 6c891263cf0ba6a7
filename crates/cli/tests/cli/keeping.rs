//! Keeping a large catalog: pages, edits of many, settings, tags, events, sidecars.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use lorakeep_standin::CivitModel;
use serde_json::Value;

use crate::harness::{Bench, Reached, Way, assert_said};

#[test]
fn many_entries_are_edited_by_a_filter_after_a_look_and_a_yes() {
    let bench = Bench::new();
    let document = r#"[{"file": "a.safetensors", "dest": "loras/wan", "name": "A"},
        {"file": "b.safetensors", "dest": "loras/wan", "name": "B", "tags": ["old"]},
        {"file": "c.safetensors", "dest": "vae", "name": "C"}]"#;
    bench.run_with_input(&["import", "-"], document.as_bytes()).expect_code(0);
    let tagged = || {
        let found = bench.run(&["search", "--tag", "wan", "--json"]).expect_code(0).json();
        found["total"].as_u64().expect("a number")
    };
    let edit = ["edit", "--where", "folder=loras/wan", "--where", "tag!=old", "--tag", "wan"];
    let looked = bench.run(&[&edit[..], &["--dry-run"]].concat()).expect_code(0);
    assert!(looked.stdout.contains("a.safetensors") && !looked.stdout.contains("b.safetensors"), "{looked}");
    assert!(looked.stderr.contains("1 entry would be edited"), "{looked}");
    bench.run(&edit).expect_code(2);
    assert_eq!(tagged(), 0, "nobody said yes");
    let edit = ["edit", "--where", "q=a", "--where", "folder=loras", "--tag", "wan", "--yes", "--json"];
    let edited = bench.run(&edit).expect_code(0).json();
    assert_eq!(
        (edited["changed"].as_u64(), tagged()),
        (Some(2), 2),
        "the folder has an `a` in its name: {edited}"
    );
    bench.run(&["edit", "--revert", edited["edit"].as_str().expect("an id")]).expect_code(0);
    assert_eq!(tagged(), 0);
    bench.run(&["edit", "--where", "tag=nobody", "--favorite", "--yes"]).expect_code(1);
    bench.run(&["edit", "--where", "nothing=1", "--favorite", "--yes"]).expect_code(1);
    bench.run(&["edit", "--where", "tag", "--favorite"]).expect_code(2);
    bench.run(&["edit", "a.safetensors", "--where", "tag=x", "--favorite"]).expect_code(2);
}

#[test]
fn a_long_list_comes_in_pages() {
    let bench = Bench::new();
    let entry = |number: u32| format!(r#"{{"file": "{number:04}.safetensors", "dest": "vae"}}"#);
    let document = format!("[{}]", (0..1200).map(entry).collect::<Vec<_>>().join(","));
    bench.run_with_input(&["import", "-"], document.as_bytes()).expect_code(0);
    let all = bench.run(&["list", "--json"]).expect_code(0).json();
    assert_eq!((all["items"].as_array().map(Vec::len), &all["next_cursor"]), (Some(1200), &Value::Null));
    assert_eq!(all["stats"]["models"]["total_count"], 1200);
    let page = bench.run(&["list", "--limit", "2", "--json"]).expect_code(0).json();
    let files = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().expect("items").iter();
        items.map(|item| item["file"].as_str().expect("text").to_owned()).collect()
    };
    assert_eq!(
        (files(&page), &page["total"]),
        (vec!["0000.safetensors".into(), "0001.safetensors".into()], &1200.into())
    );
    let cursor = page["next_cursor"].as_str().expect("a cursor");
    let next = bench.run(&["list", "--limit", "1", "--cursor", cursor, "--json"]).expect_code(0).json();
    assert_eq!(files(&next), ["0002.safetensors"]);
    let told = bench.run(&["list", "--limit", "3"]).expect_code(0);
    assert!(told.stderr.contains("3 of 1200 entries"), "{told}");
}

#[test]
fn keys_and_limits_are_set_while_it_runs_and_keys_are_never_shown() {
    let bench = Bench::new();
    let set = bench.run_with_input(&["settings", "civitai-key"], b"secret_key_of_civitai\n").expect_code(0);
    assert!(set.stdout.contains("set, ends with itai"), "{set}");
    assert!(!set.to_string().contains("secret_key"), "{set}");
    let on_line = bench.run(&["settings", "civitai-key", "secret_key_of_civitai"]).expect_code(2);
    assert!(!on_line.to_string().contains("secret_key"), "{on_line}");
    bench.run(&["settings", "upload-limit", "2G"]).expect_code(0);
    bench.run(&["settings", "bin-days", "30"]).expect_code(0);
    assert_said!("settings_set", bench.run(&["settings"]).expect_code(0));
    bench.run(&["settings", "bin-days", "default"]).expect_code(0);
    bench.run(&["settings", "civitai-key", "default"]).expect_code(0);
    bench.run(&["settings", "upload-limit", "default"]).expect_code(0);
    let all = bench.run(&["settings", "--json"]).expect_code(0).json();
    let mut origins = all["env"].as_array().expect("a list").iter().map(|own| &own["origin"]);
    assert!(origins.all(|origin| origin == "default"), "{all}");
    bench.run(&["settings", "bin-days", "99999"]).expect_code(1);
    bench.run(&["settings", "bin-days"]).expect_code(2);
}

#[test]
fn tags_of_the_site_are_brought_and_listed() {
    let bench = Bench::new();
    let none = bench.run(&["tags"]).expect_code(0);
    assert!(none.stderr.contains("lorakeep tags sync"), "{none}");
    bench.standin.add_model(CivitModel::new(8, "Ink", "LORA"));
    let synced = bench.run(&["tags", "sync", "--all"]).expect_code(0);
    assert!(synced.stderr.contains("1 tag known, which is all"), "{synced}");
    let tags = bench.run(&["tags", "--json"]).expect_code(0).json();
    let first = tags["items"][0]["name"].as_str().expect("a tag").to_owned();
    assert!(bench.run(&["tags", "list", &first.to_uppercase()]).expect_code(0).stdout.contains(&first));
}

#[test]
fn events_are_listed_and_followed_as_they_come() {
    let here = Reached::by(Way::Socket);
    let document = br#"[{"file": "a.safetensors", "dest": "vae"}]"#;
    here.bench.run_with_input(&["import", "-"], document).expect_code(0);
    let listed = here.run(&["events", "--type", "model.imported", "--json"]).expect_code(0).json();
    assert_eq!(listed[0]["message"], "Imported 1 into models", "{listed}");
    assert!(here.run(&["events"]).expect_code(0).stdout.contains("Imported 1 into models"));
    let mut command = here.bench.command();
    command.args(["events", "--follow", "--json"]).stdout(Stdio::piped());
    let mut following = command.spawn().expect("it starts");
    let mut lines = BufReader::new(following.stdout.take().expect("piped")).lines();
    let mut next = || -> Value {
        let line = lines.next().expect("a line").expect("text");
        serde_json::from_str(&line).expect("an event a line")
    };
    assert_eq!(next()["type"], "model.imported", "what was before comes first");
    here.run(&["rm", "--catalog", "a.safetensors"]).expect_code(0);
    while next()["type"] != "model.removed" {}
    following.kill().expect("it runs");
    following.wait().expect("it ends");
    let alone = Bench::new();
    assert!(alone.run(&["events", "--follow"]).expect_code(1).stderr.contains("no server runs here"));
}

#[test]
fn sidecars_are_written_for_models_that_are_here() {
    for way in Way::ALL {
        let here = Reached::by(way);
        here.bench.serve_style();
        let add = ["add", "hf:standin/styles/watercolor.safetensors", "--dest", "loras/mine", "--download"];
        here.run(&add).expect_code(0);
        here.run(&["edit", "watercolor.safetensors", "--note", "best at dawn"]).expect_code(0);
        let write =
            ["sidecars", "write", "watercolor.safetensors", "--flavours", "a1111,lora_manager", "--json"];
        let report = here.run(&write).expect_code(0).json();
        assert_eq!((&report["written"], &report["not_written"]), (&2.into(), &0.into()), "{way:?}: {report}");
        let sidecar = std::fs::read(here.bench.model("loras/mine/watercolor.json")).expect("written");
        let sidecar: Value = serde_json::from_slice(&sidecar).expect("JSON");
        assert_eq!(sidecar["notes"], "best at dawn", "{way:?}");
        let again = here.run(&write).expect_code(0).json();
        assert_eq!(again["written"], 0, "what is right is left alone: {again}");
        here.run(&["sidecars", "write", "nobody.safetensors"]).expect_code(1);
        here.run(&["sidecars", "write", "--flavours", "exif"]).expect_code(1);
    }
}
