//! Thumbnails: pictures by our own decoders within limits, the first frame of a video by `ffmpeg` when it is installed.

use std::io::Cursor;
use std::path::Path;
use std::time::Duration;

use image::codecs::jpeg::JpegEncoder;

use crate::domain::MediaFormat;
use crate::service::picture::decode;
use crate::service::program::{Ended, Program, run_bounded};

/// Pixels.
const WIDTH: u32 = 300;
/// Taller ones would be slivers.
const MAX_HEIGHT: u32 = 1200;
const QUALITY: u8 = 70;
/// How long `ffmpeg` may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The thumbnail as JPEG; `None` when the file cannot be shown small.
pub(super) fn thumbnail(path: &Path, format: MediaFormat) -> Option<Vec<u8>> {
    let made = match format {
        MediaFormat::Png | MediaFormat::Jpeg | MediaFormat::Webp => small_picture(path),
        MediaFormat::Gif | MediaFormat::Avif | MediaFormat::Mp4 | MediaFormat::Webm => first_frame(path),
    };
    made.inspect_err(|reason| tracing::info!(path = %path.display(), reason, "no thumbnail was made")).ok()
}

fn small_picture(path: &Path) -> Result<Vec<u8>, String> {
    let small = decode(path)?.thumbnail(WIDTH, MAX_HEIGHT).into_rgb8();
    let mut bytes = Cursor::new(Vec::new());
    JpegEncoder::new_with_quality(&mut bytes, QUALITY)
        .encode_image(&small)
        .map_err(|error| error.to_string())?;
    Ok(bytes.into_inner())
}

/// `ffmpeg` reads this one file and nothing else, and writes to its output.
fn first_frame(path: &Path) -> Result<Vec<u8>, String> {
    let scale = format!("scale={WIDTH}:-2");
    let mut command = Program::Ffmpeg.call();
    command.args(["-nostdin", "-v", "error", "-protocol_whitelist", "file,pipe", "-i"]).arg(path).args([
        "-frames:v",
        "1",
        "-vf",
        &scale,
        "-f",
        "image2pipe",
        "-c:v",
        "mjpeg",
        "-",
    ]);
    match run_bounded(command, PATIENCE) {
        Ok(Ended { is_success: true, stdout, .. })
            if MediaFormat::sniff(&stdout) == Some(MediaFormat::Jpeg) =>
        {
            Ok(stdout)
        }
        Ok(Ended { stderr, .. }) => Err(stderr),
        Err(error) => Err(format!("`ffmpeg`: {error}")),
    }
}
