//! Styles: made from what the catalogs hold, changed, deleted and brought back, shown to teams, prepared for a generator.

mod change;
mod preview;
mod render;
mod shelf;
mod sources;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use super::{Page, PageRequest, Registry, bad_cursor};
use crate::domain::{Style, StyleAudience, StyleId, Team, TeamId};
use crate::error::{Error, Result, Thing};
use crate::store::StyleSaved;

pub use change::{NewStyle, StyleChange};
pub use preview::MAX_PREVIEW_BYTES;
pub use render::{RenderRequest, RenderedFile, RenderedStyle};
pub(in crate::service) use shelf::Shelves;
pub use shelf::{ListedStyle, StyleFilter, StyleShelf};
pub use sources::{StyleFileState, StyleSource};

/// A style with what is known of its files and its team.
#[derive(Debug, Clone, PartialEq)]
pub struct StyleState {
    /// The style.
    pub style: Arc<Style>,
    /// The name of the team that it is for alone.
    pub team: Option<String>,
    /// May be empty.
    pub base_model: String,
    /// The words that its LoRAs listen to.
    pub trigger_words: Vec<String>,
    /// Its files as they stand.
    pub files: Vec<StyleFileState>,
}

impl StyleState {
    /// Whether everything that a generator needs is here.
    pub fn is_ready(&self) -> bool {
        !self.files.is_empty() && self.files.iter().all(|file| file.is_present)
    }
}

impl Registry {
    /// Removes pictures that no style has any more; part of `open`.
    pub(super) async fn open_styles(&self) -> Result<()> {
        let shelf = self.style_shelf().await?;
        *self.inner.styles.last_id.lock().unwrap_or_else(PoisonError::into_inner) = shelf.newest();
        self.remove_stray_previews(&shelf).await
    }

    /// Styles, the newest first.
    pub async fn list_styles(&self, filter: &StyleFilter, page: &PageRequest) -> Result<Page<StyleState>> {
        let after: Option<StyleId> =
            page.cursor.as_deref().map(str::parse).transpose().map_err(|_| bad_cursor())?;
        let shelf = self.style_shelf().await?;
        let total = shelf.list(filter, None).count() as u64;
        let rows = page.rows() as usize;
        let mut found = shelf.list(filter, after);
        let styles: Vec<Arc<Style>> =
            found.by_ref().take(rows).map(|listed| Arc::clone(&listed.style)).collect();
        let next_cursor = styles.last().filter(|_| found.next().is_some()).map(|style| style.id.to_string());
        let teams = self.team_names().await?;
        let state = |style: Arc<Style>| {
            let team = style.audience.team().and_then(|team| teams.get(&team).cloned());
            self.style_state(style, team)
        };
        let items = styles.into_iter().map(state).collect();
        Ok(Page { items, next_cursor, total })
    }

    /// The style of that id or slug, present or earlier one, deleted or not.
    pub async fn load_style(&self, id_or_slug: &str) -> Result<StyleState> {
        let style = self.stored_style(id_or_slug).await?;
        self.state_of_style(style).await
    }

    /// A style as the database has it.
    async fn stored_style(&self, id_or_slug: &str) -> Result<Style> {
        let text = id_or_slug.trim();
        let found = match text.parse() {
            Ok(id) => self.inner.store.find_style(id).await?,
            Err(_) => self.inner.store.find_style_of_slug(text).await?,
        };
        found.ok_or_else(|| Error::not_found(Thing::Style, text))
    }

    async fn state_of_style(&self, style: Style) -> Result<StyleState> {
        let team = match style.audience.team() {
            Some(team) => self.team_names().await?.remove(&team),
            None => None,
        };
        Ok(self.style_state(Arc::new(style), team))
    }

    fn style_state(&self, style: Arc<Style>, team: Option<String>) -> StyleState {
        let files = self.style_files(&style);
        StyleState {
            team,
            base_model: sources::base_model(&self.library(), &style),
            trigger_words: sources::trigger_words(&files),
            files,
            style,
        }
    }

    async fn team_names(&self) -> Result<HashMap<TeamId, String>> {
        let teams = self.list_teams().await?;
        Ok(teams.into_iter().map(|team: Team| (team.id, team.name)).collect())
    }

    /// Writes a style and answers it as it is then.
    async fn save_style(&self, style: Style, is_new: bool) -> Result<StyleState> {
        let saved = self.inner.store.save_style(&style, is_new).await;
        // Also when it failed: nobody knows how far it came.
        self.inner.styles.forget();
        match saved? {
            StyleSaved::Saved(revision) => self.state_of_style(Style { revision, ..style }).await,
            StyleSaved::SlugTaken(holder) => Err(slug_taken(&style.slug, holder)),
            StyleSaved::Changed => Err(changed_meanwhile(style.id)),
        }
    }

    /// Deletes a style; it can be restored, and keeps its id, its slugs and its picture until it is purged.
    pub async fn delete_style(&self, id_or_slug: &str) -> Result<StyleState> {
        let style = self.stored_style(id_or_slug).await?;
        if style.deleted_at.is_some() {
            return self.state_of_style(style).await;
        }
        let now = self.now();
        self.save_style(Style { deleted_at: Some(now), updated_at: now, ..style }, false).await
    }

    /// Brings a deleted style back as it was.
    pub async fn restore_style(&self, id_or_slug: &str) -> Result<StyleState> {
        let style = self.stored_style(id_or_slug).await?;
        if style.deleted_at.is_none() {
            return self.state_of_style(style).await;
        }
        self.save_style(Style { deleted_at: None, updated_at: self.now(), ..style }, false).await
    }

    /// Removes a style for good; its slugs are free then.
    pub async fn purge_style(&self, id_or_slug: &str) -> Result<StyleState> {
        let style = self.stored_style(id_or_slug).await?;
        let is_purged = self.inner.store.purge_style(&style).await;
        self.inner.styles.forget();
        if !is_purged? {
            return Err(changed_meanwhile(style.id));
        }
        self.state_of_style(style).await
    }

    /// The team of an audience that names one by id or name.
    pub async fn audience_of(&self, team: Option<&str>) -> Result<StyleAudience> {
        match team {
            None => Ok(StyleAudience::Public),
            Some(team) => Ok(StyleAudience::Team(self.load_team(team).await?.id)),
        }
    }
}

fn slug_taken(slug: &str, holder: StyleId) -> Error {
    Error::conflict("slug_taken", format!("the slug `{slug}` leads to the style `{holder}`; choose another"))
}

fn changed_meanwhile(id: StyleId) -> Error {
    Error::conflict(
        "changed_meanwhile",
        format!("the style `{id}` was changed by somebody else just now; look at it and try again"),
    )
}
