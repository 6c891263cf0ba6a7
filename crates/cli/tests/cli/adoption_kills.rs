//! `kill -9` again and again while a folder is adopted, by the command and by a server that goes on with it: in the end
//! everything is here once, and nothing of the folder has changed.
//!
//! `LORAKEEP_KILLS` says how often (20); `LORAKEEP_KILL_SEED` repeats a run.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Bench, Server, wait_until};

const CATALOG: &str = include_str!("../../../registry/tests/data/studio/models.json");
/// Model files that no catalog knows, each with a sidecar and a picture.
const UNLISTED: usize = 120;
/// A picture of 4 × 4 pixels.
const PICTURE: [u8; 73] = [
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52, 0x00,
    0x00, 0x00, 0x04, 0x00, 0x00, 0x00, 0x04, 0x08, 0x02, 0x00, 0x00, 0x00, 0x26, 0x93, 0x09, 0x29, 0x00,
    0x00, 0x00, 0x10, 0x49, 0x44, 0x41, 0x54, 0x78, 0xda, 0x63, 0x68, 0x70, 0x50, 0x80, 0x23, 0x06, 0xe2,
    0x38, 0x00, 0x72, 0x43, 0x0e, 0x01, 0x44, 0x83, 0x5a, 0x32, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4e,
    0x44, 0xae, 0x42, 0x60, 0x82,
];

struct Kills {
    bench: Bench,
    random: fastrand::Rng,
    /// Kills that met an adoption at work.
    at_work: u32,
}

#[test]
fn random_kills_during_an_adoption_take_everything_over_once() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let kills = number("LORAKEEP_KILLS").unwrap_or(20) as u32;
    let seed = number("LORAKEEP_KILL_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("LORAKEEP_KILL_SEED={seed}");
    let mut run = Kills { bench: Bench::new(), random: fastrand::Rng::with_seed(seed), at_work: 0 };
    run.make_studio();
    let before = contents(&run.bench.path("ComfyUI"));
    for round in 0..kills {
        // A server goes on with what a killed command left, and the other way round.
        let arguments = if round % 2 == 0 { run.adopt() } else { vec!["serve".to_owned()] };
        run.kill_somewhere_in(&arguments);
    }
    run.finish();
    assert_eq!(contents(&run.bench.path("ComfyUI")), before, "nothing of the models has changed");
    println!("{kills} kills, {} of them during the adoption", run.at_work);
    assert!(run.at_work > 0, "no kill met an adoption at work");
}

impl Kills {
    fn make_studio(&self) {
        write(&self.bench.path("studio/catalogs/models.json"), CATALOG.as_bytes());
        fs::create_dir_all(self.bench.path("ComfyUI/input")).expect("made");
        for number in 0..UNLISTED {
            let beside =
                |ending: &str| self.bench.path(&format!("ComfyUI/models/loras/own/{number:03}{ending}"));
            write(&beside(".pt"), format!("no torch file {number}").as_bytes());
            let sidecar = json!({ "notes": format!("note {number}"), "activation text": "ink" });
            write(&beside(".json"), sidecar.to_string().as_bytes());
            write(&beside(".preview.png"), &PICTURE);
        }
    }

    fn adopt(&self) -> Vec<String> {
        let studio = self.bench.path("studio").display().to_string();
        ["adopt", &studio, "--unlisted", "--quiet"].map(str::to_owned).into()
    }

    fn kill_somewhere_in(&mut self, arguments: &[String]) {
        let mut command = self.bench.command();
        command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("it starts");
        // The moment is the random part of this test, not a time to wait for something.
        std::thread::sleep(Duration::from_millis(self.random.u64(..600)));
        // It may have ended by itself.
        let _ = child.kill();
        child.wait().expect("it ends");
        let status = self.bench.run(&["adopt", "--status", "--json"]).expect_code(0).json();
        self.at_work += u32::from(status["state"] == "interrupted");
    }

    /// Lets a server end it in peace, and looks at what is there.
    fn finish(&self) {
        let arguments = self.adopt();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.bench.run(&arguments).expect_code(0);
        let again = self.bench.run(&[&arguments[..], &["--json"]].concat()).expect_code(0).json();
        let report = &again["report"];
        let added = (
            &report["catalogs"][0]["added"],
            &report["files"]["adopted"],
            &report["sidecars"]["previews_added"],
        );
        assert_eq!(added, (&json!(0), &json!(0), &json!(0)), "nothing is left to take: {again}");
        assert_eq!(self.bench.run(&["export"]).expect_code(0).stdout.trim_end(), CATALOG.trim_end());

        let list = self.bench.run(&["list", "--json"]).expect_code(0).json();
        let items = list["items"].as_array().expect("items");
        let paths: BTreeSet<String> = items.iter().map(path_of).collect();
        assert_eq!((items.len(), paths.len()), (126 + UNLISTED, 126 + UNLISTED), "each file is one entry");
        for number in 0..UNLISTED {
            let file = format!("{number:03}.pt");
            let entry = items.iter().find(|item| item["file"] == file.as_str()).expect("an entry");
            assert_eq!(entry["notes"], format!("note {number}"), "{entry}");
            assert_eq!(entry["trigger_words"], json!(["ink"]), "{entry}");
        }
        let pictures = contents(&self.bench.path("data/gallery"));
        let pictures =
            pictures.iter().filter(|(path, _)| path.extension().is_some_and(|ending| ending == "png"));
        assert_eq!(pictures.count(), UNLISTED, "each picture is in the gallery once");

        let mut server: Server = self.bench.serve();
        wait_until("everything is hashed", || {
            self.bench.run(&["adopt", "--status", "--json"]).expect_code(0).json()["hashing"]["left_files"]
                == 0
        });
        server.signal("TERM");
        assert_eq!(server.end().0, Some(0));
    }
}

fn path_of(item: &Value) -> String {
    format!("{}/{}", item["dest"].as_str().unwrap_or_default(), item["file"].as_str().unwrap_or_default())
}

fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().expect("below a folder")).expect("made");
    fs::write(path, bytes).expect("written");
}

/// Every file below a folder with its bytes, by path.
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let Ok(items) = fs::read_dir(folder) else { return Vec::new() };
    let mut all: Vec<(PathBuf, Vec<u8>)> = items
        .map(|item| item.expect("readable").path())
        .filter(|path| path.file_name().is_some_and(|name| name != ".lorakeep"))
        .flat_map(|path| {
            if path.is_dir() {
                contents(&path)
            } else {
                vec![(path.clone(), fs::read(&path).expect("readable"))]
            }
        })
        .collect();
    all.sort_unstable();
    all
}
