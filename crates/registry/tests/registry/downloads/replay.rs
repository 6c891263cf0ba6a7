//! The whole corpus of the scanner, served as downloads: the same verdicts as for uploads.

use lorakeep_registry::PageRequest;
use lorakeep_registry::domain::DownloadState;
use lorakeep_standin::FileSpec;
use serde_json::{Value, json};

use super::corpus::{Case, Expected, all};
use super::support::Studio;
use crate::harness::on_sqlite;

/// Files over this many bytes are left to the tests of uploads.
const LARGE: usize = 1 << 20;

/// Pickles inside a torch file stand for their other wrappers here: one gate judges uploads and downloads.
fn is_served(case: &Case) -> bool {
    let is_other_wrapper = case.name.ends_with(", bare") || case.name.ends_with(", in a legacy file");
    !case.bytes.is_empty() && case.bytes.len() <= LARGE && !is_other_wrapper
}

fn expected_state(case: &Case) -> DownloadState {
    match case.expected {
        Expected::Clean => DownloadState::Done,
        Expected::Denied(_) => DownloadState::Quarantined,
        Expected::Malformed => DownloadState::Error,
    }
}

fn entry(studio: &Studio, file: &str) -> Value {
    json!({"name": file, "file": file, "dest": "loras", "url": studio.standin.file_url(file)})
}

#[tokio::test(flavor = "multi_thread")]
async fn every_file_of_the_corpus_has_the_same_verdict_as_a_download() {
    on_sqlite(|home| async move {
        let studio = Studio::open(home).await;
        let cases: Vec<Case> = all().into_iter().filter(is_served).collect();
        let name = |number: usize| {
            let endings = cases[number].endings;
            format!("case-{number}.{}", endings[number % endings.len()])
        };
        for (number, case) in cases.iter().enumerate() {
            studio.standin.add_file(FileSpec::of_bytes(name(number), case.bytes.clone()));
        }
        // Plain addresses: a repository would be asked once a file, at the pace of its site.
        let entries: Vec<_> = (0..cases.len()).map(|number| entry(&studio, &name(number))).collect();
        studio.import(&entries).await;
        let mut jobs = Vec::new();
        for number in 0..cases.len() {
            jobs.push(studio.queue(&name(number)).await.download.id);
        }
        studio.registry.run_until_empty().await.unwrap();
        let (mut faults, mut quarantined) = (Vec::new(), 0);
        for (number, case) in cases.iter().enumerate() {
            let job = studio.registry.load_download(jobs[number]).await.unwrap().download;
            let is_published = studio.path("loras").join(name(number)).exists();
            quarantined += u64::from(job.state == DownloadState::Quarantined);
            if job.state != expected_state(case) || is_published != (case.expected == Expected::Clean) {
                let (state, error) = (job.state, job.error);
                faults.push(format!("{}: {:?}, but {state:?} {error:?}", case.name, case.expected));
            }
        }
        assert!(faults.is_empty(), "{} went otherwise:\n{}", faults.len(), faults.join("\n"));
        assert_eq!(studio.registry.list_quarantine(PageRequest::default()).await.unwrap().total, quarantined);
        assert_eq!(studio.hidden("quarantine").len() as u64, quarantined);
        let parts = studio.hidden("parts");
        let is_left = |number: &usize| parts.iter().any(|part| part.starts_with(&jobs[*number].to_string()));
        let left: Vec<&str> =
            (0..cases.len()).filter(is_left).map(|number| cases[number].name.as_str()).collect();
        assert!(parts.is_empty(), "parts stay of {left:?}");
        studio.registry.close().await;
    })
    .await;
}
