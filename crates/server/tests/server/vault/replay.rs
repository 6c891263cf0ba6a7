//! The whole corpus of the scanner, sent as uploads: nothing of it is ever seen under a name that loads.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};

use futures_util::{StreamExt, stream};
use http::Method;
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};

use super::corpus::{Case, Expected, all};
use crate::client::Answer;
use crate::harness::{Vault, safetensors};

/// Uploads at once.
const AT_ONCE: usize = 8;
/// Files over this many bytes are sent under one ending only.
const LARGE: usize = 1 << 20;
/// What loaders open.
const LOADABLE: [&str; 5] = ["safetensors", "ckpt", "pt", "pth", "bin"];

/// Everything that happens below the models folder.
struct Watched {
    events: Receiver<notify::Result<Event>>,
    _watcher: RecommendedWatcher,
}

impl Watched {
    fn new(vault: &Vault) -> Self {
        let (tell, events) = channel();
        // Whoever is told may be gone when the test ends.
        let mut watcher =
            notify::recommended_watcher(move |event| drop(tell.send(event))).expect("folders can be watched");
        watcher.watch(&vault.models_dir(), RecursiveMode::Recursive).expect("it is there");
        Self { events, _watcher: watcher }
    }

    /// Every path that something happened to, were it only for a moment.
    fn paths(self) -> Vec<PathBuf> {
        let paths = self.events.try_iter().flat_map(|event| {
            let event = event.expect("no event is lost");
            assert!(!event.need_rescan(), "events came faster than they were read");
            event.paths
        });
        paths.collect()
    }
}

fn is_loadable(path: &std::path::Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    ending.is_some_and(|ending| LOADABLE.contains(&&*ending))
}

/// The endings that a case is sent under: one, another for each case; all of them in the long run.
fn endings(number: usize, case: &Case) -> Vec<&'static str> {
    let is_long_run = std::env::var_os("LORAKEEP_EVERY_ENDING").is_some();
    if is_long_run && case.bytes.len() <= LARGE {
        return case.endings.to_vec();
    }
    vec![case.endings[number % case.endings.len()]]
}

/// What is wrong with an answer.
fn fault(case: &Case, ending: &str, answer: &Answer) -> Option<String> {
    let (status, text) = (answer.status.as_u16(), answer.text());
    let is_right = match case.expected {
        Expected::Clean => status == 200,
        Expected::Malformed => status == 400,
        Expected::Denied(None) => status == 422 && answer.header("x-error-code") == "quarantined",
        Expected::Denied(Some(rule)) => status == 422 && text.contains(&format!("by the rule `{rule}`")),
    };
    (!is_right).then(|| format!("{} as {ending}: {:?}, but {status} {text}", case.name, case.expected))
}

/// Sends all of them and answers what went otherwise than expected.
async fn replay(vault: &Vault, cases: &[Case]) -> Vec<String> {
    let uploads = cases.iter().enumerate().flat_map(|(number, case)| {
        endings(number, case).into_iter().map(move |ending| (number, case, ending))
    });
    let answers = stream::iter(uploads).map(async |(number, case, ending)| {
        let name = format!("case-{number}.{ending}");
        let answer = vault.upload(&name, &case.bytes, &[("entity_type", "styles")]).await;
        fault(case, ending, &answer)
    });
    answers.buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect().await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_hostile_file_is_ever_seen_under_a_name_that_loads() {
    let vault = Vault::start().await;
    let first = vault.upload("first.safetensors", &safetensors(200, 1), &[("entity_type", "styles")]).await;
    assert_eq!(first.status, 200, "the folders are there now, and can be watched");
    let watched = Watched::new(&vault);
    let hostile: Vec<Case> = all().into_iter().filter(|case| case.expected != Expected::Clean).collect();
    let faults = replay(&vault, &hostile).await;
    assert!(faults.is_empty(), "{} went otherwise:\n{}", faults.len(), faults.join("\n"));
    let touched = watched.paths();
    let loadable: Vec<&PathBuf> = touched.iter().filter(|path| is_loadable(path)).collect();
    assert!(loadable.is_empty() && touched.len() > hostile.len(), "{} paths, {loadable:?}", touched.len());
    let quarantined = hostile.iter().filter(|case| matches!(case.expected, Expected::Denied(_))).count();
    let is_kept = |path: &String| {
        path.starts_with("/data/models/.lorakeep/quarantine/") && path.ends_with(".quarantined")
    };
    let files: Vec<String> = vault
        .files()
        .into_iter()
        .filter(|path| path != "/data/models/loras/styles/first.safetensors")
        .collect();
    assert!(files.iter().all(is_kept), "nothing but what is quarantined stays: {files:?}");
    assert!(files.len() >= quarantined, "{} of {quarantined} are in quarantine", files.len());
    assert_eq!(vault.admin(Method::GET, "/api/v1/admin/lora").send().await.json()["total"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_benign_file_is_taken_and_is_what_was_sent() {
    let vault = Vault::start().await;
    let benign: Vec<Case> = all().into_iter().filter(|case| case.expected == Expected::Clean).collect();
    let faults = replay(&vault, &benign).await;
    assert!(faults.is_empty(), "{} went otherwise:\n{}", faults.len(), faults.join("\n"));
    for (number, case) in benign.iter().enumerate() {
        for ending in endings(number, case) {
            let path = vault.models_dir().join(format!("loras/styles/case-{number}.{ending}"));
            assert!(
                std::fs::read(&path).expect("it is there") == case.bytes,
                "{} has other bytes",
                case.name
            );
        }
    }
}
