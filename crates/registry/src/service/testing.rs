//! A studio for tests: a registry on folders of its own, and a stand-in for the upstreams.

use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeZone, Utc};
use lorakeep_standin::{Options, Standin};
use serde_json::Value;
use tempfile::TempDir;

use super::Registry;
use crate::clock::FixedClock;
use crate::config::{Config, ConfigFlags};
use crate::domain::{CatalogName, Category, Entry, EntryDocument, FileFact, FileStamp, ModelPath, Sha256};

/// The key that the stand-in knows.
pub(crate) const KEY: (&str, &str) = ("CIVITAI_API_KEY", "civitai_standin_key");

/// A registry with its surroundings; its background work is not started.
pub(crate) struct Studio {
    pub(crate) registry: Registry,
    pub(crate) standin: Standin,
    pub(crate) clock: FixedClock,
    pub(crate) folder: TempDir,
    environment: Vec<(String, String)>,
}

impl Studio {
    pub(crate) async fn new() -> Self {
        Self::with(&[]).await
    }

    /// With more of the environment, such as [`KEY`].
    pub(crate) async fn with(environment: &[(&str, &str)]) -> Self {
        Self::beside(Options::default(), environment).await
    }

    /// With a stand-in of another kind.
    pub(crate) async fn at(options: Options) -> Self {
        Self::beside(options, &[]).await
    }

    async fn beside(options: Options, environment: &[(&str, &str)]) -> Self {
        let standin = Standin::start(options).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let clock = FixedClock::at(Utc.with_ymd_and_hms(2026, 8, 1, 12, 0, 0).unwrap());
        let own =
            [("LORAKEEP_CIVITAI_URL", standin.civitai_url()), ("HF_ENDPOINT", standin.huggingface_url())];
        let host = ("LORAKEEP_ALLOW_HOSTS", "localhost".to_owned());
        let mut all: Vec<(String, String)> =
            own.into_iter().chain([host]).map(|(name, value)| (name.to_owned(), value)).collect();
        all.extend(environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let registry = open(&folder, &clock, &all).await;
        Self { registry, standin, clock, folder, environment: all }
    }

    /// Closes the registry and opens it again on the same folder.
    pub(crate) async fn reopen(self) -> Self {
        self.registry.close().await;
        let Self { registry, standin, clock, folder, environment } = self;
        drop(registry);
        let registry = open(&folder, &clock, &environment).await;
        Self { registry, standin, clock, folder, environment }
    }

    /// Puts an entry into a catalog.
    pub(crate) async fn add(&self, catalog: CatalogName, category: &str, document: Value) -> Arc<Entry> {
        let Value::Object(document) = document else { panic!("an entry is an object") };
        let category = Category::named_after_id(category);
        self.registry.insert_entry(catalog, &category, EntryDocument::from(document)).await.unwrap()
    }

    /// Lets a file of that length count as present.
    pub(crate) fn put_file(&self, dest: &str, file: &str, size_bytes: u64, sha256: Option<&str>) {
        let stamp = FileStamp { size_bytes, modified_ns: 1, inode: 1 };
        let sha256: Option<Sha256> = sha256.map(|text| text.parse().unwrap());
        let fact = FileFact { stamp, sha256, published: None, verified_at: None };
        let path = ModelPath::parse(dest, file).unwrap();
        self.registry.library_mut().set_file(path, Some(fact));
    }

    /// The documents of a catalog in its order.
    pub(crate) fn documents(&self, catalog: CatalogName) -> Vec<Value> {
        let library = self.registry.library();
        library.catalog(catalog).entries().map(|entry| Value::Object(entry.document.to_fields())).collect()
    }
}

async fn open(folder: &TempDir, clock: &FixedClock, environment: &[(String, String)]) -> Registry {
    let flags = ConfigFlags { data_dir: Some(folder.path().join("data")), ..ConfigFlags::default() };
    let env = |name: &str| environment.iter().find(|pair| pair.0 == name).map(|pair| pair.1.clone());
    Registry::open(Config::load(&flags, &env).unwrap(), Arc::new(clock.clone())).await.unwrap()
}

/// Waits until it holds, for ten seconds at most.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within 10 s: {what}");
}
