//! Background work on the models folder: hear of changes, look again from time to time, save hashes, sample the space.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Registry;
use crate::domain::{FileStamp, ModelPath};
use crate::error::Result;
use crate::files::{FolderWatcher, Heard, free_bytes, stamp_at};

/// How long changes are collected before they are looked at.
const COLLECT: Duration = Duration::from_millis(300);
/// When the first look after the start is; opening has looked already.
const FIRST_LOOK: Duration = Duration::from_secs(1);
/// The least time between two looks at everything; what other machines change on a shared disk is not heard.
const LOOK_AGAIN: Duration = Duration::from_mins(1);
/// A look at everything may take one part in this many of the time.
const LOOK_SHARE: u32 = 100;
/// How often free space is sampled.
const SAMPLE: Duration = Duration::from_secs(10);

impl Registry {
    /// Starts all of it.
    pub(super) fn start_watching(&self) {
        self.inner.tasks.spawn(self.clone().watch());
        self.inner.tasks.spawn(self.clone().save_files_again_and_again());
        self.inner.tasks.spawn(self.clone().sample_space_again_and_again());
    }

    async fn watch(self) {
        let mut watcher = FolderWatcher::new()
            .inspect_err(|error| tracing::warn!(%error, "changes of files are noticed by looking only"))
            .ok();
        let mut wait = FIRST_LOOK;
        loop {
            let is_heard = tokio::select! {
                () = self.inner.stopping.cancelled() => return,
                () = heard_something(watcher.as_ref()) => true,
                () = tokio::time::sleep(wait) => false,
            };
            if is_heard {
                self.rest(COLLECT).await;
                if self.inner.stopping.is_cancelled() || self.look_at_heard(watcher.as_ref()).await {
                    continue;
                }
            }
            match self.look_at_everything().await {
                Ok((report, folders)) => {
                    // What happened in a new folder before it was watched is seen by one more look.
                    let is_new = watch_only(&mut watcher, &folders);
                    wait = if is_new { COLLECT } else { LOOK_AGAIN.max(report.elapsed * LOOK_SHARE) };
                }
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "the models folder was not looked at"
                    );
                    wait = LOOK_AGAIN;
                }
            }
        }
    }

    /// Looks at what was heard of. Answers false when everything must be looked at.
    async fn look_at_heard(&self, watcher: Option<&FolderWatcher>) -> bool {
        let Some(watcher) = watcher else { return false };
        let Heard { paths, overflowed } = watcher.take();
        // A folder that was renamed takes all its files along.
        if overflowed || paths.iter().any(|path| watcher.is_watched(path)) {
            return false;
        }
        let _turn = self.inner.look_turn.lock().await;
        let root = self.inner.config.models_dir.clone();
        self.library_mut().begin_look();
        let looked =
            self.blocking("looking at files", move || look_at(&root, paths.into_iter().collect())).await;
        let Ok(Some(looked)) = looked else { return false };
        if !self.library_mut().end_look_at(&looked).is_empty() {
            self.inner.files_changed.notify_one();
            self.identify_soon();
        }
        true
    }

    async fn save_files_again_and_again(self) {
        loop {
            tokio::select! {
                () = self.inner.stopping.cancelled() => return,
                () = self.inner.files_changed.notified() => self.rest(COLLECT).await,
            }
            if let Err(error) = self.save_files().await {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "what is known of files was not saved"
                );
            }
        }
    }

    /// Waits, but does not hold up the end of the program.
    pub(super) async fn rest(&self, time: Duration) {
        tokio::select! {
            () = self.inner.stopping.cancelled() => {}
            () = tokio::time::sleep(time) => {}
        }
    }

    /// Saves what is known of files and not yet in the database.
    pub(super) async fn save_files(&self) -> Result<()> {
        let (hashed, others) = self.library_mut().take_unsaved_files();
        if hashed.is_empty() && others.is_empty() {
            return Ok(());
        }
        self.sidecars_of_files_are_behind(hashed.iter().map(|(path, _)| path).chain(&others));
        let saved = self.inner.store.save_files(&hashed, &others).await;
        if saved.is_err() {
            let paths = hashed.into_iter().map(|(path, _)| path).chain(others);
            self.library_mut().still_unsaved_files(paths);
        }
        saved
    }

    async fn sample_space_again_and_again(self) {
        let mut tick = tokio::time::interval(SAMPLE);
        loop {
            tokio::select! {
                () = self.inner.stopping.cancelled() => return,
                _ = tick.tick() => self.sample_space().await,
            }
        }
    }

    /// Notes how much the models folder can still take.
    pub(super) async fn sample_space(&self) {
        let root = self.inner.config.models_dir.clone();
        match self.blocking("asking for free space", move || free_bytes(&root)).await {
            Ok(Ok(bytes)) => self.library_mut().set_free_bytes(bytes),
            Ok(Err(error)) => tracing::warn!(%error, "free space is not known"),
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "free space is not known"),
        }
    }
}

async fn heard_something(watcher: Option<&FolderWatcher>) {
    match watcher {
        Some(watcher) => watcher.heard_something().await,
        None => std::future::pending().await,
    }
}

/// Answers whether a folder is watched that was not before. Without watches (their number is limited by the system)
/// changes are noticed a little later.
fn watch_only(watcher: &mut Option<FolderWatcher>, folders: &[PathBuf]) -> bool {
    let Some(own) = watcher else { return false };
    match own.watch_only(folders) {
        Ok(is_new) => is_new,
        Err((folder, error)) => {
            tracing::warn!(folder = %folder.display(), %error, "changes of files are noticed by looking only");
            *watcher = None;
            false
        }
    }
}

type Looked = Vec<(ModelPath, Option<FileStamp>)>;

/// The stamps of these paths; `None` when a folder is among them, whose files must be looked at.
fn look_at(root: &Path, paths: Vec<PathBuf>) -> Option<Looked> {
    let mut looked = Vec::new();
    for path in paths {
        // A link to a folder brings files, too.
        let is_folder = path.metadata().is_ok_and(|metadata| metadata.is_dir());
        let relative = path.strip_prefix(root).ok().and_then(Path::to_str)?;
        match ModelPath::parse_relative("path", relative) {
            Ok(model) if !is_folder => looked.push((model, stamp_at(&path))),
            Ok(_) => return None,
            // A name that no catalog may hold.
            Err(_) if is_folder => return None,
            Err(_) => {}
        }
    }
    Some(looked)
}
