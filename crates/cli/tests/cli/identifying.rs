//! `lorakeep identify` and `lorakeep duplicates`, and what lists and `inspect` say of files.

use lorakeep_standin::{CivitFile, CivitModel, CivitVersion, FileSpec, LoraFamily};

use crate::harness::{Bench, Reached, Way};

/// Puts a file into the models folder, behind the program's back.
fn put(bench: &Bench, path: &str, file: &FileSpec) {
    let target = bench.model(path);
    std::fs::create_dir_all(target.parent().expect("it has one")).expect("made");
    std::fs::write(target, file.bytes()).expect("written");
}

#[test]
fn unknown_files_are_looked_up_by_hash_and_become_entries_when_asked_for() {
    for way in Way::ALL {
        let here = Reached::by(way);
        let (known, unknown) = (
            FileSpec::lora("mystery.safetensors", LoraFamily::Sdxl, 8),
            FileSpec::lora("own.safetensors", LoraFamily::Sdxl, 4),
        );
        let mut version = CivitVersion::new(77, "v2", "Pony");
        version.files = vec![CivitFile::new(770, known.clone())];
        here.bench.standin.add_model(CivitModel::new(7, "Moss", "LORA").version(version));
        put(&here.bench, "loras/mystery.safetensors", &known);
        put(&here.bench, "loras/own.safetensors", &unknown);
        here.run(&["scan"]).expect_code(0);
        let ran = here.run(&["identify"]).expect_code(0);
        let line = |file: &str| {
            ran.stdout.lines().find(|line| line.starts_with(file)).unwrap_or_default().to_owned()
        };
        assert!(line("loras/mystery.safetensors").contains("Moss, v2"), "{way:?}: {ran}");
        assert!(line("loras/mystery.safetensors").contains("lora, sdxl"), "{way:?}: {ran}");
        assert!(line("loras/own.safetensors").contains("nothing known"), "{way:?}: {ran}");
        assert!(ran.stderr.contains("2 of 2 files looked up, 1 known to CivitAI"), "{way:?}: {ran}");
        assert_eq!(
            here.run(&["list", "--json"]).expect_code(0).json()["total"],
            0,
            "nothing is written unasked"
        );

        let applied = here.run(&["identify", "--apply", "--json"]).expect_code(0).json();
        let file = &applied["files"][0];
        assert_eq!(
            (&file["civitai"]["version_id"], &file["is_listed"]),
            (&77.into(), &false.into()),
            "{applied}"
        );
        let list = here.run(&["list", "--json"]).expect_code(0).json();
        assert_eq!((&list["total"], &list["items"][0]["base_model"]), (&1.into(), &"Pony".into()), "{list}");
        assert_eq!(list["items"][0]["civitai_version_id"], "77", "{list}");
        let missing = here.run(&["identify", "loras/none.safetensors"]).expect_code(1);
        assert!(missing.stderr.contains("`loras/none.safetensors` was not found"), "{missing}");
    }
}

#[test]
fn copies_are_shown_and_all_but_one_go_to_the_bin_when_asked_for() {
    let bench = Bench::new();
    let file = FileSpec::new("a.safetensors", 100_000);
    for path in ["checkpoints/a.safetensors", "checkpoints/b.safetensors", "loras/c.safetensors"] {
        put(&bench, path, &file);
    }
    put(&bench, "checkpoints/other.safetensors", &FileSpec::new("other.safetensors", 50_000));
    bench.run(&["scan", "--adopt"]).expect_code(0);
    let unhashed = bench.run(&["duplicates"]).expect_code(0);
    assert!(unhashed.stderr.contains("the hash of 4 files"), "{unhashed}");
    bench.run(&["verify"]).expect_code(0);
    let report = bench.run(&["duplicates", "--json"]).expect_code(0).json();
    assert_eq!((&report["total"], &report["wasted_bytes"]), (&1.into(), &200_000.into()), "{report}");
    let files = report["items"][0]["files"].as_array().expect("files");
    let kept: Vec<&str> = files
        .iter()
        .filter(|file| file["is_kept"] == true)
        .filter_map(|file| file["path"].as_str())
        .collect();
    assert_eq!(kept, ["checkpoints/a.safetensors"], "the oldest");
    let unasked = bench.run(&["duplicates", "--bin"]).expect_code(2);
    assert!(unasked.stderr.contains("pass --yes"), "{unasked}");
    bench.run(&["duplicates", "--bin", "--yes"]).expect_code(0);
    assert!(
        bench.model("checkpoints/a.safetensors").exists() && !bench.model("loras/c.safetensors").exists()
    );
    assert_eq!(bench.run(&["bin", "list", "--json"]).expect_code(0).json()["total"], 2);
    assert_eq!(bench.run(&["duplicates", "--json"]).expect_code(0).json()["total"], 0);
    bench.run(&["bin", "restore", "c.safetensors"]).expect_code(0);
    assert_eq!(bench.run(&["duplicates", "--json"]).expect_code(0).json()["total"], 1);
}

#[test]
fn inspect_reads_every_model_file_below_a_folder_and_answers_in_their_order() {
    let bench = Bench::new();
    let folder = bench.path("mine");
    std::fs::create_dir_all(folder.join("deep/er")).expect("made");
    std::fs::create_dir_all(folder.join(".hidden")).expect("made");
    let names =
        ["a.safetensors", "b.safetensors", "deep/c.safetensors", "deep/er/d.safetensors", "z.safetensors"];
    for (number, name) in names.iter().enumerate() {
        let content = FileSpec::new(*name, 40_000 + number as u64).bytes();
        std::fs::write(folder.join(name), content).expect("written");
    }
    for (name, content) in [("notes.txt", "no model"), (".hidden/e.safetensors", "hidden")] {
        std::fs::write(folder.join(name), content).expect("written");
    }
    std::os::unix::fs::symlink(&folder, folder.join("deep/circle")).expect("linked");
    let folder = folder.to_str().expect("text");
    for more in [&[][..], &["--hashes"][..]] {
        let ran = bench.run(&[&["inspect", folder, "--json"][..], more].concat()).expect_code(0).json();
        let items = ran["items"].as_array().expect("items");
        let paths: Vec<&str> = items.iter().map(|item| item["path"].as_str().expect("text")).collect();
        let expected: Vec<String> = names.iter().map(|name| format!("{folder}/{name}")).collect();
        assert_eq!(paths, expected);
    }
    std::fs::write(bench.path("mine/b.safetensors"), "broken").expect("written");
    let ran = bench.run(&["inspect", folder]).expect_code(1);
    assert!(ran.stdout.contains("malformed") && ran.stderr.contains("5 files"), "{ran}");
}

#[test]
fn inspect_tells_every_hash_that_other_tools_speak() {
    let bench = Bench::new();
    let file = FileSpec::new("a.safetensors", 2_000_000);
    put(&bench, "a.safetensors", &file);
    let path = bench.model("a.safetensors");
    let path = path.to_str().expect("text");
    let plain = bench.run(&["inspect", path, "--json"]).expect_code(0).json();
    assert!(plain["items"][0]["hashes"].is_null(), "{plain}");
    let hashed = bench.run(&["inspect", path, "--hashes", "--json"]).expect_code(0).json();
    let hashes = &hashed["items"][0]["hashes"];
    assert_eq!((&hashes["sha256"], &hashes["auto_v2"]), (&file.sha256().into(), &file.sha256()[..10].into()));
    for (name, length) in [("auto_v1", 8), ("auto_v3", 12), ("blake3", 64), ("crc32", 8)] {
        assert_eq!(hashes[name].as_str().map(str::len), Some(length), "{name}: {hashed}");
    }
    let shown = bench.run(&["inspect", path, "--hashes"]).expect_code(0);
    assert!(shown.stdout.contains("AutoV3   ") && shown.stdout.contains("CRC32    "), "{shown}");
}

#[test]
fn a_list_warns_when_civitai_says_another_base_model_than_the_file() {
    let bench = Bench::new();
    let style = FileSpec::lora("style.safetensors", LoraFamily::Sdxl, 8);
    bench.serve_files("standin/styles", std::slice::from_ref(&style));
    let entry = r#"[{"file": "style.safetensors", "dest": "loras", "hf_repo": "standin/styles",
        "hf_file": "style.safetensors", "civitai_base_model": "SD 1.5"}]"#;
    bench.run_with_input(&["import", "-", "--catalog", "loras"], entry.as_bytes()).expect_code(0);
    bench.run(&["download", "style.safetensors"]).expect_code(0);
    let server = bench.serve();
    crate::harness::wait_until("the list warns", || {
        let list = bench.run(&["list"]).expect_code(0);
        list.stderr.contains("CivitAI says base model `SD 1.5`, the file's keys say `sdxl")
    });
    let doctor = bench.run(&["doctor"]);
    assert!(doctor.stdout.contains("base_models"), "{doctor}");
    drop(server);
}
