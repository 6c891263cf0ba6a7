//! Styles with their slugs and files. Each change counts one number up, by which every process sees that there was one.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::{Store, on_db};
use crate::domain::{
    EntryId, GenerationSettings, ModelPath, PairRole, PromptTemplate, Style, StyleAudience, StyleFile,
    StyleId, TeamId,
};
use crate::error::Result;

const REVISION: &str = "SELECT revision FROM style_changes WHERE id = 1";
const COUNT_UP: &str = "UPDATE style_changes SET revision = revision + 1 WHERE id = 1 RETURNING revision";
const COLUMNS: &str = "SELECT id, slug, name, description, team_id, preview, default_denoise_strength,
    default_guidance_scale, default_steps, template, pair_id, created_at, updated_at, deleted_at, revision FROM styles";
const SLUGS: &str = "SELECT style_id, slug FROM style_slugs";
const FILES: &str = "SELECT style_id, role, entry_id, dest, file, strength FROM style_files";
const SLUGS_OF: &str = "SELECT style_id, slug FROM style_slugs WHERE style_id = $1";
const FILES_OF: &str =
    "SELECT style_id, role, entry_id, dest, file, strength FROM style_files WHERE style_id = $1";
const INSERT: &str =
    "INSERT INTO styles (id, slug, name, description, team_id, preview, default_denoise_strength,
    default_guidance_scale, default_steps, template, pair_id, created_at, updated_at, deleted_at, revision)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
const UPDATE: &str = "UPDATE styles SET slug = $2, name = $3, description = $4, team_id = $5, preview = $6,
    default_denoise_strength = $7, default_guidance_scale = $8, default_steps = $9, template = $10, pair_id = $11,
    created_at = $12, updated_at = $13, deleted_at = $14, revision = $15 WHERE id = $1 AND revision = $16";
const INSERT_SLUG: &str =
    "INSERT INTO style_slugs (slug, style_id) VALUES ($1, $2) ON CONFLICT (slug) DO NOTHING";
const SLUG_HOLDER: &str = "SELECT style_id FROM style_slugs WHERE slug = $1";
const DELETE_FILES: &str = "DELETE FROM style_files WHERE style_id = $1";
const INSERT_FILE: &str = "INSERT INTO style_files (style_id, role, entry_id, dest, file, strength)
    VALUES ($1, $2, $3, $4, $5, $6)";
const PURGE: &str = "DELETE FROM styles WHERE id = $1 AND revision = $2";
const COUNT_OF_TEAM: &str = "SELECT COUNT(*) FROM styles WHERE team_id = $1 AND deleted_at IS NULL";
/// Part of the transaction that removes a team.
pub(super) const PURGE_DELETED_OF_TEAM: &str =
    "DELETE FROM styles WHERE team_id = $1 AND deleted_at IS NOT NULL";
/// Part of the transaction that removes a team.
pub(super) const COUNT_UP_ALONE: &str = "UPDATE style_changes SET revision = revision + 1 WHERE id = 1";

/// What came of writing a style.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StyleSaved {
    /// It is durable, and this is its revision.
    Saved(i64),
    /// Another style has that slug, or had it.
    SlugTaken(StyleId),
    /// Somebody else changed it in between.
    Changed,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    slug: String,
    name: String,
    description: Option<String>,
    team_id: Option<Uuid>,
    preview: Option<String>,
    default_denoise_strength: Option<f64>,
    default_guidance_scale: Option<f64>,
    default_steps: Option<i64>,
    template: Option<String>,
    pair_id: Option<String>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    deleted_at: Option<DateTime<Utc>>,
    revision: i64,
}

#[derive(sqlx::FromRow)]
struct FileRow {
    style_id: Uuid,
    role: String,
    entry_id: Uuid,
    dest: String,
    file: String,
    strength: f64,
}

type SlugRow = (Uuid, String);

impl Store {
    /// How many changes of styles there were.
    pub(crate) async fn styles_revision(&self) -> Result<i64> {
        Ok(on_db!(&self.read, pool => sqlx::query_scalar(REVISION).fetch_one(pool).await)?)
    }

    /// All styles, deleted ones too, the newest first, with the number of changes that they have at least.
    pub(crate) async fn load_styles(&self) -> Result<(i64, Vec<Style>)> {
        // Read before the rows are: they may be newer than it, never older.
        let revision = self.styles_revision().await?;
        let (rows, slugs, files): (Vec<Row>, Vec<SlugRow>, Vec<FileRow>) = on_db!(&self.read, pool => (
            QueryBuilder::new(COLUMNS).push(" ORDER BY id DESC").build_query_as().fetch_all(pool).await?,
            sqlx::query_as(SLUGS).fetch_all(pool).await?,
            sqlx::query_as(FILES).fetch_all(pool).await?,
        ));
        Ok((revision, joined(rows, slugs, files)))
    }

    /// One style by its id.
    pub(crate) async fn find_style(&self, id: StyleId) -> Result<Option<Style>> {
        let row: Option<Row> = on_db!(&self.read, pool => {
            let mut statement = QueryBuilder::new(COLUMNS);
            statement.push(" WHERE id = ").push_bind(id.0);
            statement.build_query_as().fetch_optional(pool).await?
        });
        self.with_parts(row).await
    }

    /// One style by its slug, or by one that it had.
    pub(crate) async fn find_style_of_slug(&self, slug: &str) -> Result<Option<Style>> {
        let row: Option<Row> = on_db!(&self.read, pool => {
            let mut statement = QueryBuilder::new(COLUMNS);
            statement.push(" WHERE id = (SELECT style_id FROM style_slugs WHERE slug = ");
            statement.push_bind(slug.to_owned()).push(")");
            statement.build_query_as().fetch_optional(pool).await?
        });
        self.with_parts(row).await
    }

    async fn with_parts(&self, row: Option<Row>) -> Result<Option<Style>> {
        let Some(row) = row else { return Ok(None) };
        let (slugs, files): (Vec<SlugRow>, Vec<FileRow>) = on_db!(&self.read, pool => (
            sqlx::query_as(SLUGS_OF).bind(row.id).fetch_all(pool).await?,
            sqlx::query_as(FILES_OF).bind(row.id).fetch_all(pool).await?,
        ));
        Ok(joined(vec![row], slugs, files).pop())
    }

    /// Which of these slugs lead to a style already.
    pub(crate) async fn taken_slugs(&self, slugs: &[String]) -> Result<Vec<String>> {
        let taken = on_db!(&self.read, pool => {
            let mut statement = QueryBuilder::new("SELECT slug FROM style_slugs WHERE slug IN (");
            let mut list = statement.separated(", ");
            for slug in slugs {
                list.push_bind(slug.clone());
            }
            list.push_unseparated(")");
            statement.build_query_scalar().fetch_all(pool).await?
        });
        Ok(taken)
    }

    /// Writes a style with its present slug and its files. One that was read must not have been changed since.
    pub(crate) async fn save_style(&self, style: &Style, is_new: bool) -> Result<StyleSaved> {
        on_db!(&self.write, pool => {
            let mut transaction = pool.begin().await?;
            let revision: i64 = sqlx::query_scalar(COUNT_UP).fetch_one(&mut *transaction).await?;
            let statement = sqlx::query(if is_new { INSERT } else { UPDATE })
                .bind(style.id.0)
                .bind(&style.slug)
                .bind(&style.name)
                .bind(&style.description)
                .bind(style.audience.team().map(|team| team.0))
                .bind(&style.preview)
                .bind(style.defaults.denoise_strength)
                .bind(style.defaults.guidance_scale)
                .bind(style.defaults.steps.map(i64::from))
                .bind(style.template.as_ref().map(PromptTemplate::as_str))
                .bind(&style.pair_id)
                .bind(style.created_at)
                .bind(style.updated_at)
                .bind(style.deleted_at)
                .bind(revision);
            let statement = if is_new { statement } else { statement.bind(style.revision) };
            if statement.execute(&mut *transaction).await?.rows_affected() == 0 {
                return Ok(StyleSaved::Changed);
            }
            sqlx::query(INSERT_SLUG).bind(&style.slug).bind(style.id.0).execute(&mut *transaction).await?;
            let holder: Uuid =
                sqlx::query_scalar(SLUG_HOLDER).bind(&style.slug).fetch_one(&mut *transaction).await?;
            if holder != style.id.0 {
                return Ok(StyleSaved::SlugTaken(StyleId(holder)));
            }
            sqlx::query(DELETE_FILES).bind(style.id.0).execute(&mut *transaction).await?;
            for file in &style.files {
                sqlx::query(INSERT_FILE)
                    .bind(style.id.0)
                    .bind(file.role.as_str())
                    .bind(file.entry_id.0)
                    .bind(file.path.folder.as_str())
                    .bind(file.path.file.as_str())
                    .bind(file.strength)
                    .execute(&mut *transaction)
                    .await?;
            }
            transaction.commit().await?;
            Ok(StyleSaved::Saved(revision))
        })
    }

    /// A style is gone for good, with its slugs; answers whether it was as it was read.
    pub(crate) async fn purge_style(&self, style: &Style) -> Result<bool> {
        let rows = on_db!(&self.write, pool => {
            let mut transaction = pool.begin().await?;
            sqlx::query(COUNT_UP_ALONE).execute(&mut *transaction).await?;
            let purged = sqlx::query(PURGE).bind(style.id.0).bind(style.revision);
            let rows = purged.execute(&mut *transaction).await?.rows_affected();
            transaction.commit().await?;
            rows
        });
        Ok(rows > 0)
    }

    /// How many styles are for that team alone; deleted ones do not count.
    pub(crate) async fn count_styles_of(&self, team: TeamId) -> Result<u64> {
        let count: i64 = on_db!(&self.read, pool => {
            sqlx::query_scalar(COUNT_OF_TEAM).bind(team.0).fetch_one(pool).await?
        });
        Ok(count as u64)
    }
}

/// Styles with their slugs and files, in the order of the rows.
fn joined(rows: Vec<Row>, slugs: Vec<SlugRow>, files: Vec<FileRow>) -> Vec<Style> {
    let mut slugs_of: HashMap<Uuid, Vec<String>> = HashMap::new();
    for (style, slug) in slugs {
        slugs_of.entry(style).or_default().push(slug);
    }
    let mut files_of: HashMap<Uuid, Vec<StyleFile>> = HashMap::new();
    for row in files {
        let style = row.style_id;
        files_of.entry(style).or_default().extend(row.into_file());
    }
    let joined = |row: Row| {
        let slugs = slugs_of.remove(&row.id).unwrap_or_default();
        let files = files_of.remove(&row.id).unwrap_or_default();
        row.into_style(slugs, files)
    };
    rows.into_iter().map(joined).collect()
}

impl FileRow {
    /// A path or role that this program does not allow any more counts as none.
    fn into_file(self) -> Option<StyleFile> {
        let path = ModelPath::parse(&self.dest, &self.file).ok()?;
        let role = PairRole::parse(&self.role)?;
        Some(StyleFile { role, entry_id: EntryId(self.entry_id), path, strength: self.strength })
    }
}

impl Row {
    fn into_style(self, mut slugs: Vec<String>, mut files: Vec<StyleFile>) -> Style {
        slugs.retain(|slug| *slug != self.slug);
        slugs.sort_unstable();
        files.sort_by_key(|file| file.role);
        Style {
            id: StyleId(self.id),
            slug: self.slug,
            old_slugs: slugs,
            name: self.name,
            description: self.description,
            audience: self.team_id.map_or(StyleAudience::Public, |team| StyleAudience::Team(TeamId(team))),
            preview: self.preview,
            defaults: GenerationSettings {
                denoise_strength: self.default_denoise_strength,
                guidance_scale: self.default_guidance_scale,
                steps: self.default_steps.and_then(|steps| u32::try_from(steps).ok()),
            },
            template: self.template.map(PromptTemplate::stored),
            pair_id: self.pair_id,
            files,
            created_at: self.created_at,
            updated_at: self.updated_at,
            deleted_at: self.deleted_at,
            revision: self.revision,
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;

    use super::*;
    use crate::domain::Team;
    use crate::store::testing::both_databases;

    fn style(number: u8, slug: &str) -> Style {
        let now = Utc.with_ymd_and_hms(2026, 5, 6, 7, 8, number.into()).unwrap();
        let file = StyleFile {
            role: PairRole::High,
            entry_id: EntryId::new(now),
            path: ModelPath::parse("loras/wan", "ä.safetensors").unwrap(),
            strength: 0.75,
        };
        Style {
            id: StyleId::new(now, [number; 10], None),
            slug: slug.to_owned(),
            old_slugs: Vec::new(),
            name: "Gölden Hour".to_owned(),
            description: None,
            audience: StyleAudience::Public,
            preview: None,
            defaults: GenerationSettings { guidance_scale: Some(7.5), ..GenerationSettings::default() },
            template: Some(PromptTemplate::parse("{prompt}, warm").unwrap()),
            pair_id: Some("ghibli".to_owned()),
            files: vec![StyleFile { role: PairRole::Low, ..file.clone() }, file].into_iter().rev().collect(),
            created_at: now,
            updated_at: now,
            deleted_at: None,
            revision: 0,
        }
    }

    async fn saved(store: &Store, style: Style, is_new: bool) -> Style {
        match store.save_style(&style, is_new).await.unwrap() {
            StyleSaved::Saved(revision) => Style { revision, ..style },
            other => panic!("{other:?}"),
        }
    }

    both_databases! {
        async fn a_style_comes_back_as_it_was_and_by_every_slug_that_it_had(store: Store) {
            assert_eq!(store.load_styles().await.unwrap(), (0, Vec::new()));
            let first = saved(&store, style(1, "golden-hour"), true).await;
            let second = saved(&store, style(2, "ink"), true).await;
            assert_eq!(store.load_styles().await.unwrap(), (2, vec![second.clone(), first.clone()]));
            let moved = Style { slug: "dusk".into(), deleted_at: Some(first.created_at), ..first.clone() };
            let moved = Style { old_slugs: vec!["golden-hour".into()], ..saved(&store, moved, false).await };
            for slug in ["dusk", "golden-hour"] {
                assert_eq!(store.find_style_of_slug(slug).await.unwrap(), Some(moved.clone()), "{slug}");
            }
            assert_eq!(store.find_style(first.id).await.unwrap(), Some(moved.clone()));
            assert_eq!(store.find_style_of_slug("nobody").await.unwrap(), None);
            let slugs = ["dusk", "free", "golden-hour"].map(str::to_owned);
            let mut taken = store.taken_slugs(&slugs).await.unwrap();
            taken.sort_unstable();
            assert_eq!(taken, ["dusk", "golden-hour"]);
            let back = Style { slug: "golden-hour".into(), ..moved.clone() };
            assert_eq!(saved(&store, back, false).await.slug, "golden-hour", "its own old slug is its own");
        }

        async fn what_is_another_s_or_was_changed_meanwhile_is_not_written(store: Store) {
            let first = saved(&store, style(1, "golden-hour"), true).await;
            let thief = store.save_style(&style(2, "golden-hour"), true).await.unwrap();
            assert_eq!(thief, StyleSaved::SlugTaken(first.id));
            let changed = saved(&store, Style { name: "New".into(), ..first.clone() }, false).await;
            assert_eq!(store.save_style(&first, false).await.unwrap(), StyleSaved::Changed);
            assert!(!store.purge_style(&first).await.unwrap());
            assert_eq!(store.load_styles().await.unwrap().1, std::slice::from_ref(&changed));
            assert!(store.purge_style(&changed).await.unwrap());
            assert_eq!(store.load_styles().await.unwrap().1, []);
            assert_eq!(store.taken_slugs(&["golden-hour".to_owned()]).await.unwrap(), [""; 0]);
        }

        async fn a_team_goes_with_the_styles_of_it_that_were_deleted(store: Store) {
            let now = style(1, "a").created_at;
            let team = Team { id: TeamId::new(now), name: "Northlight".into(), pinned_version: None, created_at: now };
            store.insert_team(&team).await.unwrap();
            let own = Style { audience: StyleAudience::Team(team.id), ..style(1, "a") };
            let own = saved(&store, own, true).await;
            assert_eq!(store.count_styles_of(team.id).await.unwrap(), 1);
            saved(&store, Style { deleted_at: Some(now), ..own }, false).await;
            assert_eq!(store.count_styles_of(team.id).await.unwrap(), 0);
            let before = store.styles_revision().await.unwrap();
            store.delete_team(team.id).await.unwrap();
            assert_eq!(store.load_styles().await.unwrap(), (before + 1, Vec::new()));
        }
    }
}
