//! Giving an image to ComfyUI as an input (decision 13).

use std::path::{Path, PathBuf};

use super::record::GalleryImage;
use crate::error::{Error, Result, Thing};
use crate::service::Registry;

impl Registry {
    /// Copies an image into ComfyUI's input folder and answers the name that workflows know it by.
    ///
    /// `NotFound` when the gallery or the disk lacks it, `Unavailable` (`not_configured`) without the folder.
    pub async fn copy_to_input(&self, image_id: u64) -> Result<String> {
        let image = self.gallery_image(image_id).await?;
        let source = self.input_source(&image)?;
        let folder = self.inner.config.comfyui_input_dir().ok_or_else(|| Error::Unavailable {
            code: "not_configured",
            message: "ComfyUI's folder is not known; set `COMFYUI_DIR` (or `--comfyui-dir`) to the folder that holds `input/`"
                .to_owned(),
        })?;
        let extension = source.extension().map(|own| own.to_string_lossy().into_owned()).unwrap_or_default();
        let extension = if extension == "jpeg" { "jpg" } else { &extension };
        let name = format!("gallery_{image_id}.{extension}");
        let target = folder.join(&name);
        self.blocking("copying into the input folder", move || copy(&source, &folder, &target))
            .await?
            .map_err(|error| crate::files::io_error("ComfyUI's input folder", error))?;
        Ok(name)
    }

    /// The file itself; of a video its first frame.
    fn input_source(&self, image: &GalleryImage) -> Result<PathBuf> {
        let relative =
            if image.kind == "video" { image.thumb_path.as_deref() } else { Some(image.file_path.as_str()) };
        let Some(relative) = relative else {
            let message = "this video has no first frame here; install `ffmpeg` and fetch it again";
            return Err(Error::Unavailable { code: "ffmpeg_missing", message: message.to_owned() });
        };
        let path = self.gallery_path(relative).filter(|path| path.is_file());
        path.ok_or_else(|| Error::not_found(Thing::File, relative))
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
