//! A made-up studio: catalogs of the real shapes, a gallery with its database, a clone of a repository.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lorakeep_registry::{AdoptionReport, AdoptionRequest, AdoptionState, AdoptionStatus, Registry};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::harness::{Home, eventually};

pub(crate) const MODELS: &str = include_str!("../../data/studio/models.json");
pub(crate) const LORAS: &str = include_str!("../../data/studio/loras.json");

const GALLERY: &str = "
    CREATE TABLE gallery_images (civitai_id TEXT PRIMARY KEY, file_uuid TEXT, type TEXT, ext TEXT, file_path TEXT,
        thumb_path TEXT, meta_path TEXT, model_id INTEGER, username TEXT, reactions INTEGER, starred INTEGER DEFAULT 0,
        source TEXT, prompt TEXT, downloaded_at TEXT, extra BLOB);
    CREATE TABLE image_versions (civitai_id TEXT, version_id INTEGER);
    CREATE TABLE gallery_previews (model_id INTEGER, civitai_id TEXT);
    INSERT INTO gallery_images VALUES ('12345678', NULL, 'image', '.jpeg', 'media/123/456/12345678.jpeg', NULL, NULL, 7,
        'painter', 3, 1, 'original', 'a lake', '2026-03-01T10:00:00', x'00');
    INSERT INTO image_versions VALUES ('12345678', 70);
    INSERT INTO gallery_previews VALUES (7, '12345678');";

/// A picture of that size as PNG.
pub(crate) fn picture(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image::RgbImage::new(width, height).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// Puts an image where the studio keeps the one of that id.
pub(crate) fn write_image(studio: &Path, id: u64, bytes: &[u8]) -> PathBuf {
    let digits = format!("{id:0<6}");
    let folder = studio.join(format!("assets/images/media/{}/{}", &digits[..3], &digits[3..6]));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(format!("{id}.jpeg"));
    fs::write(&path, bytes).unwrap();
    path
}

/// A studio beside the folders of the test.
pub(crate) async fn studio_in(home: &Home) -> PathBuf {
    let studio = home.data.with_file_name("studio");
    for folder in ["catalogs", "assets/images/media", ".repo/catalogs", ".repo/.git", "database"] {
        fs::create_dir_all(studio.join(folder)).unwrap();
    }
    let texts = [
        ("catalogs/models.json", MODELS),
        ("catalogs/loras.json", LORAS),
        ("catalogs/llm.json", "{}"),
        (".repo/catalogs/models.json", MODELS),
        (".repo/.git/HEAD", "ref: refs/heads/main\n"),
    ];
    for (path, text) in texts {
        fs::write(studio.join(path), text).unwrap();
    }
    write_image(&studio, 12_345_678, &picture(640, 480));
    let bare = write_image(&studio, 42, &picture(16, 16));
    fs::write(bare.with_extension("thumb.jpg"), picture(8, 8)).unwrap();
    let metadata = r#"{"width": 16, "stats": {"heartCount": 2, "likeCount": 3}, "meta": null}"#;
    fs::write(bare.with_extension("json"), metadata).unwrap();
    write_image(&studio, 77_777_777, b"<html>not a picture</html>");
    let database =
        SqliteConnectOptions::new().filename(studio.join("assets/images/gallery.db")).create_if_missing(true);
    let mut connection = database.connect().await.unwrap();
    sqlx::raw_sql(GALLERY).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    studio
}

/// Adopts and waits for the end, which must be a good one.
pub(crate) async fn adopt(registry: &Registry, path: &Path) -> Arc<AdoptionReport> {
    let status = run(registry, AdoptionRequest { path: path.to_owned(), ..AdoptionRequest::default() }).await;
    assert_eq!(status.state, AdoptionState::Done, "{status:?}");
    status.report.unwrap()
}

/// Adopts and waits for the end.
pub(crate) async fn run(registry: &Registry, request: AdoptionRequest) -> AdoptionStatus {
    registry.start_adoption(request).await.unwrap();
    eventually("it ends", || registry.adoption().state != AdoptionState::Running).await;
    registry.adoption()
}

/// Every file with its bytes and its time.
pub(crate) fn snapshot_of(folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, std::time::SystemTime)> {
    let (mut files, mut folders) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(folder).unwrap() {
            let path = item.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let changed = fs::metadata(&path).unwrap().modified().unwrap();
                files.insert(path.clone(), (fs::read(&path).unwrap(), changed));
            }
        }
    }
    files
}

/// The catalog file without its version and date.
pub(crate) fn body(text: &str) -> String {
    let is_counted = |line: &&str| line.starts_with("  \"version\":") || line.starts_with("  \"date\":");
    text.split('\n').filter(|line| !is_counted(line)).collect::<Vec<_>>().join("\n")
}
