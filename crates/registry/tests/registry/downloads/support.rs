//! A registry beside a stand-in, and short words for what the tests do with both.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use lorakeep_registry::config::Config;
use lorakeep_registry::domain::{CatalogName, DownloadState, Trigger, Verification};
use lorakeep_registry::{Enqueue, Enqueued, JobState, Registry, VerificationReport};
use lorakeep_standin::{CivitFile, CivitModel, CivitVersion, FileSpec, HfRepo, Options, Standin};
use serde_json::{Value, json};

use crate::harness::{Home, eventually};

/// A registry and the upstreams that it knows.
pub(crate) struct Studio {
    pub(crate) home: Home,
    pub(crate) standin: Standin,
    pub(crate) registry: Registry,
    environment: Vec<(String, String)>,
}

pub(crate) const KEY: &str = "civitai_standin_key";
pub(crate) const TOKEN: &str = "hf_standin";

impl Studio {
    /// Without keys.
    pub(crate) async fn open(home: Home) -> Self {
        Self::open_with(home, &[]).await
    }

    pub(crate) async fn open_with(home: Home, environment: &[(&str, &str)]) -> Self {
        let standin = Standin::start(Options::default()).await.unwrap();
        Self::open_beside(home, standin, environment).await
    }

    pub(crate) async fn open_beside(home: Home, standin: Standin, environment: &[(&str, &str)]) -> Self {
        let own =
            [("LORAKEEP_CIVITAI_URL", standin.civitai_url()), ("HF_ENDPOINT", standin.huggingface_url())];
        // The first value of a name counts.
        let mut all: Vec<(String, String)> = Vec::new();
        all.extend(environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        all.extend(own.map(|(name, value)| (name.to_owned(), value)));
        // The storage that redirects lead to.
        all.push(("LORAKEEP_ALLOW_HOSTS".to_owned(), "localhost".to_owned()));
        let registry = open(&home, &all).await;
        Self { home, standin, registry, environment: all }
    }

    /// Closes the registry and opens it again.
    pub(crate) async fn reopen(self) -> Self {
        self.reopen_after(async |_, _, _| ()).await
    }

    /// Closes the registry, lets something happen, and opens it again.
    pub(crate) async fn reopen_after(self, meanwhile: impl AsyncFnOnce(&Home, &Standin, Config)) -> Self {
        let config = self.config();
        let Self { home, standin, registry, environment } = self;
        registry.close().await;
        drop(registry);
        meanwhile(&home, &standin, config).await;
        let registry = open(&home, &environment).await;
        Self { home, standin, registry, environment }
    }

    /// What the registry is opened with.
    pub(crate) fn config(&self) -> Config {
        configured(&self.home, &self.environment)
    }

    /// Puts entries into the `models` catalog.
    pub(crate) async fn import(&self, entries: &[Value]) {
        let report =
            self.registry.import(CatalogName::Models, json!(entries).to_string().as_bytes()).await.unwrap();
        assert_eq!(report.added.len(), entries.len(), "{report:?}");
    }

    pub(crate) async fn enqueue(&self, file: &str) -> Enqueued {
        self.registry.enqueue(file, None, usual()).await.unwrap()
    }

    /// A new job.
    pub(crate) async fn queue(&self, file: &str) -> JobState {
        match self.enqueue(file).await {
            Enqueued::Queued(job) => job,
            other => panic!("{file}: {other:?}"),
        }
    }

    /// Queues a file, runs the queue and answers how the job ended.
    pub(crate) async fn fetch(&self, file: &str) -> JobState {
        let job = self.queue(file).await;
        self.registry.run_until_empty().await.unwrap();
        self.registry.load_download(job.download.id).await.unwrap()
    }

    /// A repository `o/r` with these files at its top.
    pub(crate) fn serve(&self, files: &[FileSpec]) {
        self.standin.add_repo(files.iter().cloned().fold(HfRepo::new("o/r"), HfRepo::file));
    }

    /// Hashes everything.
    pub(crate) async fn verify(&self) -> VerificationReport {
        self.registry.start_verification(&[]).await.unwrap();
        eventually("the verification ends", || !self.registry.verification().unwrap().is_running).await;
        self.registry.verification().unwrap()
    }

    pub(crate) fn verification(&self, file: &str) -> Verification {
        self.registry.find_entry(file, None).unwrap().file.unwrap().verification()
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.home.models.join(relative)
    }

    /// The names in a folder below `.lorakeep`.
    pub(crate) fn hidden(&self, folder: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.home.models.join(".lorakeep").join(folder)) else {
            return Vec::new();
        };
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    pub(crate) fn state(&self, job: &JobState) -> DownloadState {
        let live = self.registry.live_downloads();
        live.iter().find(|own| own.download.id == job.download.id).unwrap().download.state
    }

    /// Waits until bytes of the file are on their way to the disk.
    pub(crate) async fn flowing(&self, job: &JobState, bytes: u64) {
        eventually("bytes flow", || {
            let live = self.registry.live_downloads();
            live.iter().any(|own| own.download.id == job.download.id && own.progress.bytes_done >= bytes)
        })
        .await;
    }
}

async fn open(home: &Home, environment: &[(String, String)]) -> Registry {
    Registry::open(configured(home, environment), Arc::new(home.clock.clone())).await.unwrap()
}

fn configured(home: &Home, environment: &[(String, String)]) -> Config {
    let pairs: Vec<(&str, &str)> =
        environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    home.config_with(&pairs)
}

pub(crate) fn usual() -> Enqueue {
    Enqueue { force: false, trigger: Trigger::Manual, priority: 0 }
}

pub(crate) fn forced() -> Enqueue {
    Enqueue { force: true, ..usual() }
}

/// An entry for a file at the top of `o/r`.
pub(crate) fn hub_entry(file: &str) -> Value {
    json!({"name": file, "file": file, "dest": "loras", "source": "huggingface", "hf_repo": "o/r", "hf_file": file})
}

pub(crate) fn civitai_entry(file: &str, version: u64) -> Value {
    json!({"name": file, "file": file, "dest": "loras", "source": "civitai", "civitai_version_id": version})
}

/// Model `id` with one version `id * 10` that has one file `id * 100`.
pub(crate) fn civitai_model(id: u64, file: FileSpec) -> CivitModel {
    CivitModel::new(id, format!("Style {id}"), "LORA").version(civitai_version(id * 10, file))
}

pub(crate) fn civitai_version(id: u64, file: FileSpec) -> CivitVersion {
    CivitVersion::new(id, "v1", "SDXL 1.0").words(&["soft ink"]).file(CivitFile::new(id * 10, file))
}

/// Some hundred kilobytes, different for each name.
pub(crate) fn small(name: &str) -> FileSpec {
    FileSpec::new(name, 300_000)
}

/// Enough to be stopped on its way.
pub(crate) fn large(name: &str) -> FileSpec {
    FileSpec::new(name, 24 << 20)
}
