//! Giving ComfyUI a picture as an input (`POST /upload/image`, RFC 7578), streamed from its file.

use std::path::Path;

use futures_util::stream::{self, StreamExt};
use http::{Method, header};
use serde_json::Value;
use tokio_util::io::ReaderStream;

use super::super::error::UpstreamError;
use super::{ComfyUi, PICTURE_PATIENCE};

/// What the picture is called in ComfyUI's input folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UploadedImage {
    /// The name that ComfyUI chose: ours, or with a number when another picture has it.
    pub(crate) name: String,
    /// The folder below the input folder; empty at its top.
    pub(crate) subfolder: String,
}

impl ComfyUi {
    /// Uploads a picture into the input folder under `name`.
    pub(crate) async fn upload_image(
        &self,
        source: &Path,
        name: &str,
    ) -> Result<UploadedImage, UpstreamError> {
        let unreadable = |error: std::io::Error| {
            UpstreamError::refused(
                "not_readable",
                None,
                format!("the picture `{name}` cannot be read: {error}"),
            )
        };
        let file = tokio::fs::File::open(source).await.map_err(unreadable)?;
        let size = file.metadata().await.map_err(unreadable)?.len();
        let boundary = format!("lorakeep-{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        let head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"image\"; filename=\"{}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n",
            quoted(name)
        );
        let tail = format!("\r\n--{boundary}--\r\n");
        let length = head.len() as u64 + size + tail.len() as u64;
        let part = |text: String| stream::once(async { Ok(bytes::Bytes::from(text)) });
        let body = part(head).chain(ReaderStream::new(file)).chain(part(tail));
        let request = self
            .request(Method::POST, &["upload", "image"])
            .timeout(PICTURE_PATIENCE)
            .header(header::CONTENT_TYPE, format!("multipart/form-data; boundary={boundary}"))
            .header(header::CONTENT_LENGTH, length)
            .body(reqwest::Body::wrap_stream(body));
        let answer = self.json(request).await?;
        let text = |key: &str| answer.get(key).and_then(Value::as_str).map(str::to_owned);
        let named = text("name").filter(|name| !name.is_empty()).ok_or_else(|| {
            UpstreamError::refused(
                "not_comfyui",
                Some(200),
                "ComfyUI took the picture but does not say its name",
            )
        })?;
        Ok(UploadedImage { name: named, subfolder: text("subfolder").unwrap_or_default() })
    }
}

/// A file name inside quotes, as browsers write it.
fn quoted(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}
