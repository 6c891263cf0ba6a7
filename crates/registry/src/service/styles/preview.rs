//! Pictures of styles: an image of the gallery or one that was sent, made anew as JPEG, so that nothing of the original but
//! what it shows reaches a customer. A file is named by its content and never changes.

use std::collections::HashSet;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::DynamicImage;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;

use super::{StyleShelf, StyleState};
use crate::domain::{MediaFormat, Sha256, Style};
use crate::error::{Error, Result, Thing};
use crate::files::io_error;
use crate::service::picture::{decode, decode_bytes};
use crate::service::{MediaFile, Registry};

/// The longest picture that is taken, bytes.
pub const MAX_PREVIEW_BYTES: usize = 16 << 20;
/// The longer side of a preview, pixels.
const SIDE: u32 = 1024;
const QUALITY: u8 = 85;
/// Digits of the hash that name a file; nobody finds another content for as many.
const NAME_DIGITS: usize = 40;

impl Registry {
    /// Shows a style by a picture that was sent: PNG, JPEG or WebP.
    pub async fn set_style_preview(&self, id_or_slug: &str, picture: Vec<u8>) -> Result<StyleState> {
        let style = self.stored_style(id_or_slug).await?;
        let name = self.keep_preview(move || decode_bytes(picture)).await?;
        self.save_style(Style { preview: Some(name), updated_at: self.now(), ..style }, false).await
    }

    /// A style's picture by its name.
    pub fn style_preview(&self, name: &str) -> Result<MediaFile> {
        let path = self.previews_of_styles().join(name);
        if is_preview_name(name) && path.is_file() {
            return Ok(MediaFile { path, media_type: MediaFormat::Jpeg.media_type() });
        }
        Err(Error::not_found(Thing::Image, name))
    }

    /// Makes a preview of an image of the gallery; of a video its first frame.
    pub(super) async fn preview_of_gallery(&self, image_id: u64) -> Result<String> {
        let image = self.gallery_image(image_id).await?;
        let source = self.input_source(&image)?;
        self.keep_preview(move || decode(&source)).await
    }

    async fn keep_preview(
        &self,
        read: impl FnOnce() -> Result<DynamicImage, String> + Send + 'static,
    ) -> Result<String> {
        let folder = self.previews_of_styles();
        let _turn = self.inner.studio.thumbnails.acquire().await;
        self.blocking("making a preview", move || {
            let bytes = read().and_then(|picture| packed(&picture)).map_err(|reason| unreadable(&reason))?;
            keep(&folder, &bytes).map_err(|error| io_error("the pictures of styles", error))
        })
        .await?
    }

    /// Removes pictures that no style has, not even a deleted one.
    pub(super) async fn remove_stray_previews(&self, shelf: &StyleShelf) -> Result<()> {
        let folder = self.previews_of_styles();
        let used: HashSet<String> = shelf.all().filter_map(|style| style.preview.clone()).collect();
        self.blocking("removing stray previews", move || remove_others(&folder, &used)).await
    }

    fn previews_of_styles(&self) -> PathBuf {
        self.inner.config.data_dir.join("style-previews")
    }
}

fn unreadable(reason: &str) -> Error {
    Error::invalid(
        "bad_picture",
        "file",
        format!("the picture cannot be read: {reason}; send a PNG, JPEG or WebP"),
    )
}

/// As JPEG, not larger than needed, with nothing of the original's metadata. What is transparent becomes white.
fn packed(picture: &DynamicImage) -> Result<Vec<u8>, String> {
    let small = if picture.width().max(picture.height()) > SIDE {
        &picture.resize(SIDE, SIDE, FilterType::CatmullRom)
    } else {
        picture
    };
    let mut bytes = Cursor::new(Vec::new());
    let flat = on_white(small);
    JpegEncoder::new_with_quality(&mut bytes, QUALITY)
        .encode_image(&flat)
        .map_err(|error| error.to_string())?;
    Ok(bytes.into_inner())
}

fn on_white(picture: &DynamicImage) -> image::RgbImage {
    if !picture.color().has_alpha() {
        return picture.to_rgb8();
    }
    let mixed = |channel: u8, alpha: u8| {
        let (channel, alpha) = (u32::from(channel), u32::from(alpha));
        ((channel * alpha + 255 * (255 - alpha)) / 255) as u8
    };
    let rgba = picture.to_rgba8();
    image::RgbImage::from_fn(rgba.width(), rgba.height(), |x, y| {
        let [red, green, blue, alpha] = rgba.get_pixel(x, y).0;
        image::Rgb([mixed(red, alpha), mixed(green, alpha), mixed(blue, alpha)])
    })
}

/// Writes the file of that content, unless it is there; answers its name.
fn keep(folder: &Path, bytes: &[u8]) -> std::io::Result<String> {
    let name = format!("{}.jpg", &Sha256::of(bytes).to_string()[..NAME_DIGITS]);
    let path = folder.join(&name);
    if path.is_file() {
        return Ok(name);
    }
    fs::create_dir_all(folder)?;
    let part = folder.join(format!(".{:x}.part", fastrand::u64(..)));
    let kept = write_durably(&part, bytes).and_then(|()| fs::rename(&part, &path));
    if kept.is_err() {
        // What happened before is what to tell.
        drop(fs::remove_file(&part));
    }
    kept.map(|()| name)
}

fn write_durably(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = fs::File::create_new(path)?;
    std::io::Write::write_all(&mut file, bytes)?;
    file.sync_all()
}

fn is_preview_name(name: &str) -> bool {
    let digits = name.strip_suffix(".jpg").unwrap_or_default();
    digits.len() == NAME_DIGITS && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// One that stays costs space, not more.
fn remove_others(folder: &Path, used: &HashSet<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if used.contains(&name) {
            continue;
        }
        if let Err(error) = fs::remove_file(entry.path()) {
            tracing::warn!(path = %entry.path().display(), %error, "a stray preview cannot be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_is_small_and_flat() {
        let clear = image::RgbaImage::from_pixel(3000, 30, image::Rgba([10, 20, 30, 0]));
        let bytes = packed(&DynamicImage::ImageRgba8(clear)).expect("packed");
        assert_eq!(MediaFormat::sniff(&bytes), Some(MediaFormat::Jpeg));
        let read = image::load_from_memory(&bytes).expect("read").into_rgb8();
        assert_eq!(read.dimensions(), (1024, 10));
        assert!(read.pixels().all(|pixel| pixel.0.iter().all(|channel| *channel > 250)), "white");
    }

    #[test]
    fn a_name_that_no_preview_has_is_refused() {
        assert!(is_preview_name(&format!("{}.jpg", "0a".repeat(20))));
        for wrong in ["", ".jpg", "../../lorakeep.db", &format!("{}.jpg", "0A".repeat(20)), &"0a".repeat(20)]
        {
            assert!(!is_preview_name(wrong), "{wrong}");
        }
    }
}
