//! Giving an image to ComfyUI as an input (decision 13).

use std::path::{Path, PathBuf};

use super::record::GalleryImage;
use crate::domain::MediaFormat;
use crate::error::{Error, Result, Thing};
use crate::service::Registry;
use crate::upstream::comfyui::UploadedImage;

/// What is handed over.
struct Input {
    source: PathBuf,
    /// `gallery_<id>.<ext>`.
    name: String,
}

impl Registry {
    /// Copies an image into ComfyUI's input folder, or uploads it when only ComfyUI's address is known; answers the name
    /// that workflows know it by.
    ///
    /// `NotFound` when the gallery or the disk lacks it, `Unavailable` (`not_configured`) without folder and address.
    pub async fn give_to_comfyui(&self, image_id: u64) -> Result<String> {
        let image = self.gallery_image(image_id).await?;
        let input = self.input_of(&image)?;
        if let Some(folder) = self.inner.config.comfyui_input_dir() {
            return self.copy_to_input(input, folder).await;
        }
        let comfyui = self.inner.jobs.upstreams.comfyui.as_ref().ok_or_else(not_configured)?;
        let UploadedImage { name, subfolder } = comfyui.upload_image(&input.source, &input.name).await?;
        Ok(if subfolder.is_empty() { name } else { format!("{subfolder}/{name}") })
    }

    async fn copy_to_input(&self, input: Input, folder: PathBuf) -> Result<String> {
        let target = folder.join(&input.name);
        let source = input.source;
        self.blocking("copying into the input folder", move || copy(&source, &folder, &target))
            .await?
            .map_err(|error| crate::files::io_error("ComfyUI's input folder", error))?;
        Ok(input.name)
    }

    fn input_of(&self, image: &GalleryImage) -> Result<Input> {
        let source = self.input_source(image)?;
        let format = if image.kind == "video" {
            Some(MediaFormat::Jpeg)
        } else {
            MediaFormat::of_extension(&image.extension)
        };
        let extension = format.map_or("", MediaFormat::extension);
        let extension = if extension == ".jpeg" { ".jpg" } else { extension };
        Ok(Input { source, name: format!("gallery_{}{extension}", image.id) })
    }

    /// The file itself; of a video its first frame.
    pub(in crate::service) fn input_source(&self, image: &GalleryImage) -> Result<PathBuf> {
        let relative =
            if image.kind == "video" { image.thumb_path.as_deref() } else { Some(image.file_path.as_str()) };
        let Some(relative) = relative else {
            let message =
                "this video has no first frame here; install `ffmpeg` and let the thumbnails be made again";
            return Err(Error::Unavailable { code: "ffmpeg_missing", message: message.to_owned() });
        };
        let path = self.gallery_path(relative).filter(|path| path.is_file());
        path.ok_or_else(|| Error::not_found(Thing::File, relative))
    }
}

fn not_configured() -> Error {
    Error::Unavailable {
        code: "not_configured",
        message: "ComfyUI is not known; set `COMFYUI_DIR` (or `--comfyui-dir`) to the folder that holds `input/`, or \
                  `COMFYUI_URL` to its address"
            .to_owned(),
    }
}

/// Written beside the target and renamed, so that ComfyUI never reads half a file.
fn copy(source: &Path, folder: &Path, target: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let part = folder.join(format!(".lorakeep-{:x}.part", fastrand::u64(..)));
    let copied = std::fs::copy(source, &part).and_then(|_| std::fs::rename(&part, target));
    if copied.is_err() {
        // Best effort: the copy's own failure is what to tell.
        drop(std::fs::remove_file(&part));
    }
    copied
}
