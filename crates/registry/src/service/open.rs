//! From a configuration to a running product, and back.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, RwLock};

use secrecy::ExposeSecret;
use tokio::sync::{Mutex, Notify};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::health::HealthReasons;
use super::{Inner, Registry, jobs, settings};
use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::files::DataLock;
use crate::library::Library;
use crate::store::Store;

impl Registry {
    /// Opens the data folder: takes its lock, migrates the database, reads the catalogs, compares them with the disk
    /// (by `stat` alone), and puts jobs that a killed process held back into the queue.
    ///
    /// Fails with `Conflict` (`data_dir_locked`) when another process holds the folder.
    pub async fn open(config: Config, clock: Arc<dyn Clock>) -> Result<Self> {
        prepare_folder(&config.data_dir)?;
        let lock = DataLock::take(&config.data_dir)?;
        let jobs = jobs::Jobs::new(&config)?;
        let store = open_store(&config).await?;
        let mut library = Library::starting_at(clock.now().timestamp_micros() as u64);
        for change in store.load_catalogs().await? {
            library.apply(change);
        }
        let stored = settings::load(&store, &config).await?;
        let registry = Self {
            inner: Arc::new(Inner {
                config,
                clock,
                store,
                library: RwLock::new(library),
                catalog_turn: Arc::default(),
                catalogs_changed: Notify::new(),
                face_turn: Mutex::default(),
                health: HealthReasons::default(),
                stored: std::sync::Mutex::new(stored),
                jobs,
                tasks: TaskTracker::new(),
                stopping: CancellationToken::new(),
                _lock: lock,
            }),
        };
        registry.apply_download_settings(&stored.settings);
        registry.open_catalog_files().await?;
        registry.open_downloads().await?;
        Ok(registry)
    }

    /// Starts the background work: download workers, folder watcher, catalog writer, bin purge, free-space sampling.
    pub fn start(&self) {
        self.start_catalog_files();
        self.start_downloads();
    }

    /// Stops claiming jobs, parks running transfers (their journals are written), flushes the catalog files, closes the
    /// database. Takes well under 10 s.
    pub async fn close(&self) {
        self.inner.stopping.cancel();
        self.close_downloads().await;
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
        self.sync_catalog_files().await;
        self.inner.store.close().await;
    }
}

async fn open_store(config: &Config) -> Result<Store> {
    match &config.database_url {
        Some(url) => Store::open_postgres(url.expose_secret()).await,
        None => Store::open_sqlite(&config.data_dir.join("lorakeep.db")).await,
    }
}

/// Makes the data folder for its owner alone; one that exists keeps its mode.
fn prepare_folder(data_dir: &Path) -> Result<()> {
    if data_dir.is_dir() {
        return Ok(());
    }
    let made = fs::create_dir_all(data_dir)
        .and_then(|()| fs::set_permissions(data_dir, fs::Permissions::from_mode(0o700)));
    made.map_err(|error| Error::Unavailable {
        code: "not_writable",
        message: format!("the data folder `{}` cannot be made: {error}", data_dir.display()),
    })
}
