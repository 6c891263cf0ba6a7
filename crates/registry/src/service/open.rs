//! From a configuration to a running product, and back.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, RwLock};

use secrecy::ExposeSecret;
use tokio::sync::{Mutex, Notify};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::evaluations::live::Evaluations;
use super::generations::Generations;
use super::health::HealthReasons;
use super::recent::Recent;
use super::studio::Studio;
use super::styles::Shelves;
use super::uploads::OpenUploads;
use super::{Inner, Registry, jobs, settings};
use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::files::{DataLock, ModelsTree, scan};
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
        make_models_folder(&config.models_dir);
        let (root, data_dir) = (config.models_dir.clone(), config.data_dir.clone());
        let looking = tokio::task::spawn_blocking(move || scan(&root, &data_dir));
        let store = open_store(&config).await?;
        let revision = clock.now().timestamp_micros() as u64;
        let mut library = Library::starting_at(revision, store.list_files().await?);
        for change in store.load_catalogs().await? {
            library.apply(change);
        }
        let scan =
            looking.await.map_err(|error| Error::internal("looking at the models folder panicked", error))?;
        library.end_look(&scan);
        let tree = ModelsTree::new(&config.models_dir, &scan.links, &config.models_links);
        let stored = settings::load(&store, &config).await?;
        let registry = Self {
            inner: Arc::new(Inner {
                config,
                tree,
                clock,
                store,
                library: RwLock::new(library),
                catalog_turn: Arc::default(),
                catalogs_changed: Notify::new(),
                face_turn: Mutex::default(),
                bin_turn: Mutex::default(),
                look_turn: Mutex::default(),
                files_changed: Notify::new(),
                health: HealthReasons::default(),
                stored: std::sync::Mutex::new(stored),
                known_admin_key: Recent::default(),
                known_sessions: Recent::default(),
                known_team_keys: Recent::default(),
                known_key_uses: Recent::default(),
                styles: Shelves::default(),
                jobs,
                studio: Studio::default(),
                evaluations: Evaluations::default(),
                generations: Generations::default(),
                upload_turn: Mutex::default(),
                open_uploads: OpenUploads::default(),
                verification: std::sync::Mutex::default(),
                tasks: TaskTracker::new(),
                stopping: CancellationToken::new(),
                #[cfg(test)]
                fault_at: std::sync::Mutex::default(),
                _lock: lock,
            }),
        };
        registry.note_unreadable(&scan);
        registry.sample_space().await;
        registry.apply_download_settings(&stored);
        registry.open_bin().await?;
        registry.open_edits().await?;
        registry.open_catalog_files().await?;
        registry.open_downloads().await?;
        registry.open_studio().await?;
        registry.open_uploads().await?;
        registry.open_resumable().await?;
        registry.open_evaluations().await?;
        registry.open_generations().await?;
        registry.open_styles().await?;
        Ok(registry)
    }

    /// Starts the background work: download workers, folder watcher, catalog writer, bin purge, free-space sampling.
    pub fn start(&self) {
        self.start_catalog_files();
        self.start_watching();
        self.start_bin();
        self.start_downloads();
        self.start_studio();
        self.start_uploads();
        self.start_evaluations();
        self.start_generations();
    }

    /// Stops claiming jobs, parks running transfers (their journals are written), flushes the catalog files, closes the
    /// database. Takes well under 10 s.
    pub async fn close(&self) {
        self.inner.stopping.cancel();
        self.close_downloads().await;
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
        self.save_events().await;
        self.sync_catalog_files().await;
        if let Err(error) = self.save_files().await {
            tracing::error!(error = &error as &dyn std::error::Error, "what is known of files was not saved");
        }
        self.inner.store.close().await;
    }
}

async fn open_store(config: &Config) -> Result<Store> {
    match &config.database_url {
        Some(url) => Store::open_postgres(url.expose_secret()).await,
        None => Store::open_sqlite(&config.data_dir.join("lorakeep.db")).await,
    }
}

/// Makes the models folder. Without it lists still work; the health says that it cannot be read.
fn make_models_folder(models_dir: &Path) {
    if let Err(error) = fs::create_dir_all(models_dir) {
        tracing::warn!(folder = %models_dir.display(), %error, "the models folder cannot be made");
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
