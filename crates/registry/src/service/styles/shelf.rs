//! All styles in memory, so that lists of the public API wait for no database.
//!
//! What another process changed is seen here within a second: the number of changes is asked for now and then, and only a
//! new number costs a look at the rows. What this process changed is seen by the next reader.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::sources::base_model;
use crate::domain::{BaseModelFamilies, CatalogName, Style, StyleId, TeamId};
use crate::error::Result;
use crate::library::Library;
use crate::service::Registry;

/// For so long nobody asks the database whether there were changes.
const BELIEVED: Duration = Duration::from_millis(400);
/// Until then the styles that are known are answered with while somebody asks.
const BELIEVED_MEANWHILE: Duration = Duration::from_millis(900);

/// All styles at one moment.
#[derive(Debug, Default)]
pub struct StyleShelf {
    tag: u64,
    stamp: Stamp,
    /// The newest first.
    styles: Vec<ListedStyle>,
    by_id: HashMap<StyleId, usize>,
    by_slug: HashMap<String, usize>,
    /// Teams that have styles of their own.
    teams: HashSet<TeamId>,
}

/// A style with what lists look for in it.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedStyle {
    /// The style.
    pub style: Arc<Style>,
    /// The base model of its first file that says one; may be empty.
    pub base_model: String,
    /// Name, slug and description in small letters.
    text: String,
}

/// Which styles are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct StyleFilter {
    /// Words that name, slug or description must all hold, whatever their case.
    pub words: Vec<String>,
    /// For that base model.
    pub base_model: Option<String>,
    /// Whether that base model is meant letter for letter, not by its family.
    pub is_exact: bool,
    /// Public ones or those of teams alone.
    pub is_public: Option<bool>,
    /// For that team alone.
    pub team: Option<TeamId>,
    /// Those that were deleted, instead of those that were not.
    pub is_deleted: bool,
}

/// What a shelf follows from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Stamp {
    /// Changes of styles.
    revision: i64,
    /// Changes of the two catalogs, from which base models come.
    catalogs: (i64, i64),
}

/// The shelf that is known, and since when.
#[derive(Debug, Default)]
pub(in crate::service) struct Shelves {
    known: Mutex<Known>,
    /// Held by whoever asks the database.
    turn: tokio::sync::Mutex<()>,
    /// The id that was given last.
    pub(super) last_id: Mutex<Option<StyleId>>,
}

#[derive(Debug, Default)]
struct Known {
    shelf: Arc<StyleShelf>,
    /// When the database was asked last; `None` when it has to be asked.
    asked_at: Option<Instant>,
    /// Changes that this process made.
    changes: u64,
    is_asking: bool,
}

impl Shelves {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next reader asks the database.
    pub(super) fn forget(&self) {
        let mut known = self.known();
        known.asked_at = None;
        known.changes += 1;
    }
}

impl Registry {
    /// All styles, as they are now or were less than a second ago.
    pub async fn style_shelf(&self) -> Result<Arc<StyleShelf>> {
        if let Some(shelf) = self.believed_shelf() {
            return Ok(shelf);
        }
        self.ask_for_styles().await
    }

    /// The shelf that is known, while it is believed. Towards the end of that somebody is sent to ask.
    fn believed_shelf(&self) -> Option<Arc<StyleShelf>> {
        let mut known = self.inner.styles.known();
        let age = known.asked_at?.elapsed();
        if age >= BELIEVED_MEANWHILE {
            return None;
        }
        if age >= BELIEVED && !known.is_asking {
            known.is_asking = true;
            let registry = self.clone();
            self.inner.tasks.spawn(async move {
                if let Err(error) = registry.ask_for_styles().await {
                    tracing::warn!(error = &error as &dyn std::error::Error, "the styles were not read");
                }
                registry.inner.styles.known().is_asking = false;
            });
        }
        Some(Arc::clone(&known.shelf))
    }

    /// Asks the database whether there were changes, and reads the styles when there were.
    async fn ask_for_styles(&self) -> Result<Arc<StyleShelf>> {
        let _turn = self.inner.styles.turn.lock().await;
        let (before, changes) = {
            let known = self.inner.styles.known();
            if known.asked_at.is_some_and(|at| at.elapsed() < BELIEVED) {
                return Ok(Arc::clone(&known.shelf));
            }
            (Arc::clone(&known.shelf), known.changes)
        };
        let asked_at = Instant::now();
        let newer = self.newer_shelf(&before).await?;
        let mut known = self.inner.styles.known();
        // What was changed while the database answered is asked for again.
        known.asked_at = (known.changes == changes).then_some(asked_at);
        known.shelf = newer.unwrap_or(before);
        Ok(Arc::clone(&known.shelf))
    }

    /// The styles as the database has them, when they are others than those that are known.
    async fn newer_shelf(&self, known: &Arc<StyleShelf>) -> Result<Option<Arc<StyleShelf>>> {
        let catalogs = catalogs_of(&self.library());
        let mut stamp = Stamp { revision: self.inner.store.styles_revision().await?, catalogs };
        if stamp == known.stamp && known.tag > 0 {
            return Ok(None);
        }
        let styles = if stamp.revision == known.stamp.revision && known.tag > 0 {
            known.styles.iter().map(|listed| Arc::clone(&listed.style)).collect()
        } else {
            let (revision, styles) = self.inner.store.load_styles().await?;
            stamp.revision = revision;
            styles.into_iter().map(Arc::new).collect()
        };
        let (registry, known) = (self.clone(), Arc::clone(known));
        let shelf = self.blocking("reading the styles", move || {
            StyleShelf::new(&registry.library(), stamp, styles, &known)
        });
        Ok(Some(Arc::new(shelf.await?)))
    }
}

/// How often each catalog was changed.
fn catalogs_of(library: &Library) -> (i64, i64) {
    let version = |name| library.catalog(name).head.version;
    (version(CatalogName::Models), version(CatalogName::Loras))
}

impl StyleShelf {
    fn new(library: &Library, stamp: Stamp, styles: Vec<Arc<Style>>, before: &Self) -> Self {
        let styles: Vec<ListedStyle> =
            styles.into_iter().map(|style| ListedStyle::new(library, style)).collect();
        // An edit of an entry that says nothing new of a style changes no answer.
        let tag = before.tag + u64::from(styles != before.styles || before.tag == 0);
        let by_id = (0..).zip(&styles).map(|(place, listed)| (listed.style.id, place)).collect();
        let mut by_slug = HashMap::with_capacity(styles.len());
        for (place, listed) in styles.iter().enumerate() {
            for slug in listed.style.old_slugs.iter().chain([&listed.style.slug]) {
                by_slug.insert(slug.clone(), place);
            }
        }
        let own = styles.iter().filter(|listed| listed.style.deleted_at.is_none());
        let teams = own.filter_map(|listed| listed.style.audience.team()).collect();
        Self { tag, stamp, styles, by_id, by_slug, teams }
    }

    /// Another number whenever anything here is another; starts anew at each start.
    pub fn tag(&self) -> u64 {
        self.tag
    }

    /// Whether a team sees a style that others do not.
    pub fn has_styles_of(&self, team: TeamId) -> bool {
        self.teams.contains(&team)
    }

    /// Every style, deleted ones too, the newest first.
    pub(super) fn all(&self) -> impl Iterator<Item = &Style> {
        self.styles.iter().map(|listed| listed.style.as_ref())
    }

    /// The id that was given last.
    pub(super) fn newest(&self) -> Option<StyleId> {
        self.styles.first().map(|listed| listed.style.id)
    }

    /// The style of that id or slug, present or earlier one; deleted ones too.
    pub fn find(&self, id_or_slug: &str) -> Option<&ListedStyle> {
        let place = match id_or_slug.parse::<StyleId>() {
            Ok(id) => self.by_id.get(&id),
            Err(_) => self.by_slug.get(id_or_slug),
        };
        place.map(|&place| &self.styles[place])
    }

    /// The styles that a filter wants, the newest first; those that are older than `after`.
    pub fn list<'a>(
        &'a self,
        filter: &'a StyleFilter,
        after: Option<StyleId>,
    ) -> impl Iterator<Item = &'a ListedStyle> {
        let start = after.map_or(0, |after| self.styles.partition_point(|listed| listed.style.id >= after));
        self.styles[start..].iter().filter(move |listed| filter.takes(listed))
    }
}

impl ListedStyle {
    fn new(library: &Library, style: Arc<Style>) -> Self {
        let base_model = base_model(library, &style);
        let description = style.description.as_deref().unwrap_or_default();
        let text = format!("{}\n{}\n{description}", style.name, style.slug).to_lowercase();
        Self { style, base_model, text }
    }
}

impl StyleFilter {
    /// The words of a search, whatever their case.
    pub fn words_of(text: &str) -> Vec<String> {
        text.to_lowercase().split_whitespace().map(str::to_owned).collect()
    }

    fn takes(&self, listed: &ListedStyle) -> bool {
        let ListedStyle { style, base_model, text } = listed;
        style.deleted_at.is_some() == self.is_deleted
            && self.is_public.is_none_or(|is_public| style.audience.team().is_none() == is_public)
            && self.team.is_none_or(|team| style.audience.team() == Some(team))
            && self.words.iter().all(|word| text.contains(word.as_str()))
            && self.base_model.as_deref().is_none_or(|wanted| self.is_for(base_model, wanted))
    }

    fn is_for(&self, base_model: &str, wanted: &str) -> bool {
        base_model == wanted || (!self.is_exact && BaseModelFamilies::builtin().meet(base_model, wanted))
    }
}
