//! What needs no server and no data folder: help, usage, configuration.

use crate::harness::{Bench, assert_said};

const COMMANDS: [&str; 15] = [
    "serve", "list", "add", "download", "queue", "import", "export", "verify", "rm", "scan", "bin", "doctor",
    "config", "settings", "version",
];

#[test]
fn help_names_every_command_and_exits_with_0() {
    let bench = Bench::new();
    let help = bench.run(&["--help"]).expect_code(0);
    for command in COMMANDS {
        assert!(help.stdout.contains(&format!("\n  {command} ")), "{command}: {help}");
        let own = bench.run(&[command, "--help"]).expect_code(0);
        assert!(own.stdout.contains("Usage: lorakeep"), "{own}");
    }
}

#[test]
fn every_environment_variable_is_in_the_help() {
    let help = Bench::new().run(&["--help"]).expect_code(0).stdout;
    let shown = Bench::new().run(&["config", "show", "--json"]).expect_code(0).json();
    let settings = shown["items"].as_array().expect("items").iter();
    let mut names: Vec<&str> = settings.filter_map(|setting| setting["environment"].as_str()).collect();
    assert!(names.len() > 15, "{names:?}");
    names.extend(["LORAKEEP_SERVER", "LORAKEEP_KEY", "NO_COLOR"]);
    for name in names {
        assert!(help.contains(name), "{name}");
    }
}

#[test]
fn the_key_of_the_environment_is_not_in_the_help() {
    let bench = Bench::new();
    let mut command = bench.command();
    command.env("LORAKEEP_KEY", "very-secret").arg("--help");
    assert!(!bench.finish(command).stdout.contains("very-secret"));
}

#[test]
fn wrong_usage_exits_with_2_and_says_what_is_wrong() {
    let bench = Bench::new();
    let cases: [(&str, &[&str]); 8] = [
        ("unknown_command", &["fetch"]),
        ("unknown_status", &["list", "--status", "gone"]),
        ("nothing_to_download", &["download"]),
        ("one_name_for_two", &["add", "civitai:1", "civitai:2", "--file", "a.safetensors"]),
        ("no_address", &["list", "--server", "gpu-box:8000"]),
        ("key_in_address", &["list", "--server", "http://key@gpu-box:8000"]),
        ("no_listen_address", &["serve", "--listen", "everywhere"]),
        ("setting_without_value", &["settings", "parallel"]),
    ];
    for (name, arguments) in cases {
        assert_said!(format!("usage_{name}"), bench.run(arguments).expect_code(2));
    }
    assert!(!bench.path("data").exists(), "wrong usage creates nothing");
}

#[test]
fn config_show_says_where_each_value_comes_from() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("data")).expect("created");
    std::fs::write(
        bench.path("data/lorakeep.toml"),
        "bin.days = 30\n[server]\ntime_zone = \"Europe/Berlin\"\n",
    )
    .expect("written");
    let mut command = bench.command();
    command.env("MAX_CONCURRENT_DOWNLOADS", "5").env("HF_TOKEN", "hf_secret");
    command.args(["config", "show", "--models-dir", "/srv/models", "--json"]);
    let shown = bench.finish(command).expect_code(0);
    assert!(!shown.stdout.contains("hf_secret"), "{shown}");
    let items = shown.json()["items"].clone();
    let origin = |value: &str| {
        let item = items.as_array().expect("items").iter().find(|item| item["value"] == value);
        item.unwrap_or_else(|| panic!("{value}: {items}"))["origin"].clone()
    };
    assert_eq!(origin("/srv/models"), "flag");
    assert_eq!(origin("5"), "environment");
    assert_eq!(origin("Europe/Berlin"), "file");
    assert_eq!(origin("30"), "file");
    assert_eq!(origin("524288000"), "default");
}

#[test]
fn config_show_is_a_table_for_people() {
    let bench = Bench::new();
    let shown = bench.run(&["config"]).expect_code(0);
    assert!(shown.stdout.starts_with("SETTING"), "{shown}");
    assert!(shown.stdout.contains("LORAKEEP_DATA_DIR"), "{shown}");
    assert!(!shown.stdout.contains('\u{1b}'), "no colours into a pipe: {shown}");
}

#[test]
fn version_and_completions_need_no_data_folder() {
    let bench = Bench::new();
    assert_said!("version", bench.run(&["version"]).expect_code(0));
    for shell in ["bash", "zsh", "fish"] {
        let script = bench.run(&["completions", shell]).expect_code(0);
        assert!(script.stdout.contains("all-missing"), "{shell}");
    }
    assert!(!bench.path("data").exists());
}

#[test]
fn output_into_a_closed_pipe_is_no_error() {
    let bench = Bench::new();
    let mut command = bench.command();
    command
        .args(["completions", "bash"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    drop(child.stdout.take());
    let ran = bench.ran(child.wait_with_output().expect("it ends"));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
}
