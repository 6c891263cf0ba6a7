//! The gallery of a studio: `assets/images/media/AAA/BBB/<id>.<ext>` with thumbnail and metadata beside, and
//! `gallery.db`, which knows to which model an image belongs and what a user starred or chose.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::report::GalleryFinding;
use super::run::Run;
use crate::domain::{MediaFormat, SNIFFED_BYTES};
use crate::error::Result;
use crate::files::read_up_to;
use crate::service::gallery::{GalleryImage, Kept, LocalMedia};
use crate::store::{StudioGalleryRows, read_studio_gallery};
use crate::upstream::lenient::{flag, list, text, whole};

/// The largest metadata file of an image, bytes.
const MAX_METADATA_BYTES: u64 = 4 << 20;

/// One image of the folder with what lies beside it.
#[derive(Debug, Default)]
struct Found {
    media: Option<PathBuf>,
    small: Option<PathBuf>,
    metadata: Option<PathBuf>,
}

/// What the studio's own database says.
#[derive(Debug, Default)]
struct Known {
    rows: HashMap<u64, Map<String, Value>>,
    versions: HashMap<u64, Vec<u64>>,
    /// The chosen image of a model.
    previews: Vec<(u64, u64)>,
}

impl Run {
    /// Takes the gallery over.
    pub(super) async fn gallery(&mut self) -> Result<()> {
        let Some(folder) = self.folder.images.clone() else { return Ok(()) };
        let mut finding = GalleryFinding { path: folder.display().to_string(), ..GalleryFinding::default() };
        let look = folder.clone();
        let found = self.registry.blocking("looking at a gallery", move || found_below(&look)).await?;
        let known = self.studio_rows(&folder).await?;
        self.begin("gallery", found.len() as u64);
        for (id, found) in found {
            if self.is_stopped() {
                break;
            }
            self.image(id, found, &known, &mut finding).await?;
            self.step();
        }
        self.chosen_previews(&known, &mut finding).await?;
        self.report.gallery = Some(finding);
        Ok(())
    }

    async fn image(
        &mut self,
        id: u64,
        found: Found,
        known: &Known,
        finding: &mut GalleryFinding,
    ) -> Result<()> {
        let Some(path) = found.media else { return Ok(()) };
        let look = path.clone();
        let Some((format, size_bytes)) =
            self.registry.blocking("looking at a picture", move || format_of(&look)).await?
        else {
            finding.unusable += 1;
            self.report.warn(format!(
                "`{}` was left out: its content is neither a picture nor a video",
                path.display()
            ));
            return Ok(());
        };
        *(if format.is_video() { &mut finding.videos } else { &mut finding.images }) += 1;
        finding.bytes += size_bytes;
        if self.registry.gallery_image(id).await.is_ok() {
            finding.known += 1;
            return Ok(());
        }
        if self.request.is_dry {
            finding.added += 1;
            return Ok(());
        }
        let metadata = match found.metadata {
            Some(path) => {
                self.registry.blocking("reading an image's metadata", move || metadata_at(&path)).await?
            }
            None => Value::Null,
        };
        let record = record_of(id, known, &metadata, self.registry.now());
        let kept = self
            .registry
            .keep_local_media(LocalMedia { path: path.clone(), small: found.small, record })
            .await;
        match kept {
            Ok(Kept::New) => finding.added += 1,
            Ok(Kept::Known) => finding.known += 1,
            Ok(Kept::Unusable(reason)) => {
                self.report.warn(format!("`{}` was left out: {reason}", path.display()));
            }
            Err(error @ crate::Error::Unavailable { .. }) => return Err(error),
            Err(error) => {
                self.report.warn(format!(
                    "`{}` was not taken: {}",
                    path.display(),
                    crate::error::chain(&error)
                ));
            }
        }
        Ok(())
    }

    /// Takes over which images a user chose to stand for a model; a choice made here stays.
    async fn chosen_previews(&mut self, known: &Known, finding: &mut GalleryFinding) -> Result<()> {
        for &(model_id, image_id) in &known.previews {
            let is_here = self.registry.gallery_image(image_id).await.is_ok();
            if is_here && !self.request.is_dry && self.registry.choose_preview(model_id, image_id).await? {
                finding.chosen_previews += 1;
            }
        }
        Ok(())
    }

    /// What `gallery.db` says, read from a copy; nothing when there is none or it cannot be read.
    async fn studio_rows(&mut self, folder: &Path) -> Result<Known> {
        let database = folder.join("gallery.db");
        if !database.is_file() {
            return Ok(Known::default());
        }
        let scratch = self.registry.inner.config.data_dir.join(".adoption");
        let (from, to) = (folder.to_owned(), scratch.clone());
        let copied = self
            .registry
            .blocking("copying the gallery's database", move || copy_database(&from, &to))
            .await?;
        let rows = match copied {
            Ok(copy) => read_studio_gallery(&copy).await.map_err(|error| crate::error::chain(&error)),
            Err(error) => Err(error.to_string()),
        };
        // Best effort: what is left is overwritten by the next run.
        drop(tokio::fs::remove_dir_all(&scratch).await);
        Ok(rows.map_or_else(
            |error| {
                let text = format!(
                    "`{}` cannot be read ({error}); images are taken without their models and stars",
                    database.display()
                );
                self.report.warn(text);
                Known::default()
            },
            Known::of,
        ))
    }
}

impl Known {
    fn of(rows: StudioGalleryRows) -> Self {
        let id = |row: &Map<String, Value>, column: &str| row.get(column).and_then(number);
        let mut known = Self::default();
        for row in rows.versions {
            if let (Some(image), Some(version)) = (id(&row, "civitai_id"), id(&row, "version_id")) {
                known.versions.entry(image).or_default().push(version);
            }
        }
        let pair = |row: &Map<String, Value>| Some((id(row, "model_id")?, id(row, "civitai_id")?));
        known.previews = rows.previews.iter().filter_map(pair).collect();
        known.rows = rows.images.into_iter().filter_map(|row| Some((id(&row, "civitai_id")?, row))).collect();
        known
    }
}

/// A whole number, as number or as text.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()))
}

/// The images below `media/` by id, with what lies beside each. Links are passed over: they may lead anywhere.
fn found_below(images: &Path) -> BTreeMap<u64, Found> {
    let mut found: BTreeMap<u64, Found> = BTreeMap::new();
    for folder in folders_below(&images.join("media")).iter().flat_map(|outer| folders_below(outer)) {
        for (path, name) in files_in(&folder) {
            let stem = name.split('.').next().unwrap_or_default();
            let Ok(id) = stem.parse::<u64>() else { continue };
            let own = found.entry(id).or_default();
            match &name[stem.len()..] {
                ".json" => own.metadata = Some(path),
                ending if ending.starts_with(".thumb.") => own.small = Some(path),
                _ => own.media = Some(path),
            }
        }
    }
    found.retain(|_, found| found.media.is_some());
    found
}

fn folders_below(folder: &Path) -> Vec<PathBuf> {
    let items = fs::read_dir(folder).into_iter().flatten().flatten();
    items.filter(|item| item.file_type().is_ok_and(|kind| kind.is_dir())).map(|item| item.path()).collect()
}

fn files_in(folder: &Path) -> Vec<(PathBuf, String)> {
    let items = fs::read_dir(folder).into_iter().flatten().flatten();
    let files = items.filter(|item| item.file_type().is_ok_and(|kind| kind.is_file()));
    files.filter_map(|item| Some((item.path(), item.file_name().into_string().ok()?))).collect()
}

/// Format and length of a file that is a picture or a video.
fn format_of(path: &Path) -> Option<(MediaFormat, u64)> {
    use std::io::Read;
    let file = fs::File::open(path).ok()?;
    let size_bytes = file.metadata().ok()?.len();
    let mut start = Vec::with_capacity(SNIFFED_BYTES);
    file.take(SNIFFED_BYTES as u64).read_to_end(&mut start).ok()?;
    Some((MediaFormat::sniff(&start)?, size_bytes))
}

/// The metadata beside an image; what cannot be read counts as absent, since the picture is worth more.
fn metadata_at(path: &Path) -> Value {
    let bytes = read_up_to(path, MAX_METADATA_BYTES).ok();
    bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

/// Copies the database with its journal, so that what was written last is in it.
fn copy_database(folder: &Path, scratch: &Path) -> std::io::Result<PathBuf> {
    fs::create_dir_all(scratch)?;
    let copy = scratch.join("gallery.db");
    for ending in ["", "-wal"] {
        let (from, to) =
            (folder.join(format!("gallery.db{ending}")), scratch.join(format!("gallery.db{ending}")));
        crate::files::remove_file(&to)?;
        if from.is_file() {
            fs::copy(from, to)?;
        }
    }
    Ok(copy)
}

/// The record of an image: what the database says, else what the metadata beside it says.
fn record_of(id: u64, known: &Known, metadata: &Value, now: DateTime<Utc>) -> GalleryImage {
    let row = known.rows.get(&id).cloned().map_or(Value::Null, Value::Object);
    let word = |column: &str, field: &str| text(&row, column).or_else(|| text(metadata, field));
    let count = |column: &str, field: &str| whole(&row, column).or_else(|| whole(metadata, field));
    let stats = metadata.get("stats").unwrap_or(&Value::Null);
    let generation =
        ["generation_data", "generationData", "gen_data"].iter().find_map(|field| metadata.get(field));
    let generation = generation.filter(|data| data.is_object());
    let meta = metadata.get("meta").or_else(|| generation.and_then(|data| data.get("meta")));
    let prompt = text(&row, "prompt").map(|prompt| serde_json::json!({ "prompt": prompt }));
    let username = metadata.get("user").and_then(|user| text(user, "username"));
    let model_id = count("model_id", "modelId").unwrap_or_default();
    let downloaded_at = text(&row, "downloaded_at").and_then(|text| moment(&text)).unwrap_or(now);
    GalleryImage {
        file_uuid: word("file_uuid", "url").filter(|uuid| uuid::Uuid::try_parse(uuid).is_ok()),
        version_ids: known
            .versions
            .get(&id)
            .cloned()
            .unwrap_or_else(|| list(metadata, "modelVersionIds").filter_map(Value::as_u64).collect()),
        post_id: count("post_id", "postId"),
        post_title: word("post_title", "postTitle"),
        username: word("username", "username").or(username),
        base_model: word("base_model", "baseModel"),
        width: count("width", "width"),
        height: count("height", "height"),
        duration: row.get("duration").and_then(Value::as_f64),
        has_audio: whole(&row, "audio") == Some(1),
        created_at: word("created_at", "createdAt"),
        reactions: whole(&row, "reactions").unwrap_or_else(|| {
            ["heartCount", "likeCount"].iter().filter_map(|field| whole(stats, field)).sum()
        }),
        comments: whole(&row, "comments").or_else(|| whole(stats, "commentCount")).unwrap_or_default(),
        collected: whole(&row, "collected").unwrap_or_default(),
        search_mode: text(&row, "search_mode").unwrap_or_else(|| "fixed".to_owned()),
        source: text(&row, "source").unwrap_or_else(|| "community".to_owned()),
        is_starred: whole(&row, "starred") == Some(1) || flag(&row, "starred"),
        meta: meta.filter(|meta| meta.is_object()).cloned().or(prompt).unwrap_or_default(),
        generation_data: generation.cloned(),
        ..GalleryImage::local(id, model_id, downloaded_at)
    }
}

/// A moment with a zone, or without one, which counts as UTC.
fn moment(text: &str) -> Option<DateTime<Utc>> {
    let zoned = DateTime::parse_from_rfc3339(text).ok().map(|moment| moment.to_utc());
    zoned.or_else(|| {
        let forms = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"];
        forms
            .iter()
            .find_map(|form| chrono::NaiveDateTime::parse_from_str(text, form).ok())
            .map(|moment| moment.and_utc())
    })
}
