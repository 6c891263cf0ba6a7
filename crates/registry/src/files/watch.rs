//! Hearing of changes below the models root, folder by folder, so that hidden folders with growing downloads stay
//! unheard. What is heard is collected; somebody looks at it later.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

/// Above this many paths a look at everything is cheaper.
const MAX_PATHS: usize = 512;

/// What was heard since the last look.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Files and folders that something happened to.
    pub(crate) paths: HashSet<PathBuf>,
    /// More happened than was counted.
    pub(crate) overflowed: bool,
}

#[derive(Default)]
struct Ear {
    heard: Mutex<Heard>,
    wake: Notify,
}

/// The watches on a set of folders.
pub(crate) struct FolderWatcher {
    watcher: RecommendedWatcher,
    watched: HashSet<PathBuf>,
    ear: Arc<Ear>,
}

impl FolderWatcher {
    /// Watches nothing yet.
    pub(crate) fn new() -> notify::Result<Self> {
        let ear = Arc::new(Ear::default());
        let own = Arc::clone(&ear);
        let watcher = notify::recommended_watcher(move |event| own.hear(event))?;
        Ok(Self { watcher, watched: HashSet::new(), ear })
    }

    /// Watches these folders and no others. Answers whether one is new, or the first that cannot be watched and why.
    pub(crate) fn watch_only(&mut self, folders: &[PathBuf]) -> Result<bool, (PathBuf, notify::Error)> {
        let mut is_new = false;
        let wanted: HashSet<&Path> = folders.iter().map(PathBuf::as_path).collect();
        let gone: Vec<PathBuf> =
            self.watched.iter().filter(|folder| !wanted.contains(folder.as_path())).cloned().collect();
        for folder in gone {
            // A folder that is gone took its watch with it.
            drop(self.watcher.unwatch(&folder));
            self.watched.remove(&folder);
        }
        for folder in folders {
            if !self.watched.contains(folder) {
                let watch = self.watcher.watch(folder, RecursiveMode::NonRecursive);
                watch.map_err(|error| (folder.clone(), error))?;
                self.watched.insert(folder.clone());
                is_new = true;
            }
        }
        Ok(is_new)
    }

    /// Whether this is one of the watched folders.
    pub(crate) fn is_watched(&self, path: &Path) -> bool {
        self.watched.contains(path)
    }

    /// Waits until something was heard.
    pub(crate) async fn heard_something(&self) {
        self.ear.wake.notified().await;
    }

    /// What was heard since the last call.
    pub(crate) fn take(&self) -> Heard {
        std::mem::take(&mut *self.ear.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Ear {
    fn hear(&self, event: notify::Result<Event>) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Ok(event) if event.need_rescan() => heard.overflowed = true,
            Ok(event) if is_change(event.kind) => {
                let visible = event.paths.into_iter().filter(|path| !is_hidden(path));
                heard.paths.extend(visible);
                heard.overflowed |= heard.paths.len() > MAX_PATHS;
            }
            Ok(_) => return,
            Err(_) => heard.overflowed = true,
        }
        if heard.overflowed {
            heard.paths.clear();
        }
        let is_something = heard.overflowed || !heard.paths.is_empty();
        drop(heard);
        if is_something {
            self.wake.notify_one();
        }
    }
}

/// Reading changes nothing; the end of writing does.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(kind) => kind == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}
