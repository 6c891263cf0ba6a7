//! Fetching a picture or video into a file: guarded addresses, a bound in size and time, content judged by its bytes.

use std::path::Path;
use std::time::Duration;

use http::header;
use tokio::io::AsyncWriteExt;
use url::Url;

use super::error::UpstreamError;
use super::http::{ApiClient, from_transfer};
use crate::domain::{MediaFormat, SNIFFED_BYTES};

/// The largest file that is taken, bytes.
const MAX_BYTES: u64 = 512 << 20;
/// How long one file may take.
const PATIENCE: Duration = Duration::from_mins(5);
/// Redirects that are followed; each address is judged anew.
const MAX_REDIRECTS: usize = 5;

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FetchedMedia {
    pub(crate) format: MediaFormat,
    pub(crate) size_bytes: u64,
}

impl ApiClient {
    /// Writes what is at `url` to `target`, which must not be used when this fails.
    pub(crate) async fn fetch_media(&self, url: Url, target: &Path) -> Result<FetchedMedia, UpstreamError> {
        if let Ok(fetched) = tokio::time::timeout(PATIENCE, self.fetch_media_from(url.clone(), target)).await
        {
            return fetched;
        }
        let message = format!("`{}` sent the file too slowly; try again later", host(&url));
        Err(UpstreamError::passing("too_slow", None, message))
    }

    async fn fetch_media_from(&self, mut url: Url, target: &Path) -> Result<FetchedMedia, UpstreamError> {
        for _ in 0..=MAX_REDIRECTS {
            self.hosts.check(&url).map_err(|error| from_transfer(&error))?;
            let request = self.client.get(url.clone()).header(header::ACCEPT_ENCODING, "identity");
            let response = request.send().await.map_err(|_| broken(&url))?;
            if !response.status().is_redirection() {
                return write(response, &url, target).await;
            }
            let to = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
            let to = to
                .and_then(|text| url.join(text).ok())
                .filter(|to| url.scheme() != "https" || to.scheme() == "https");
            url = to.ok_or_else(|| broken(&url))?;
        }
        Err(UpstreamError::refused("too_many_redirects", None, "the image host redirects in a circle"))
    }
}

async fn write(
    mut response: reqwest::Response,
    url: &Url,
    target: &Path,
) -> Result<FetchedMedia, UpstreamError> {
    let status = response.status();
    if !status.is_success() {
        let message = format!("`{}` refused the file with status {}", host(url), status.as_u16());
        return Err(UpstreamError::refused("media_refused", status.as_u16(), message));
    }
    let announced = response.content_length();
    let local = |error: std::io::Error| {
        UpstreamError::refused("not_written", None, format!("the file could not be written: {error}"))
    };
    let mut file = tokio::fs::File::create(target).await.map_err(local)?;
    let (mut start, mut size_bytes) = (Vec::with_capacity(SNIFFED_BYTES), 0);
    while let Some(chunk) = response.chunk().await.map_err(|_| broken(url))? {
        let missing = SNIFFED_BYTES.saturating_sub(start.len());
        start.extend_from_slice(&chunk[..missing.min(chunk.len())]);
        size_bytes += chunk.len() as u64;
        if size_bytes > MAX_BYTES {
            let message = format!("the file is larger than {} MiB", MAX_BYTES >> 20);
            return Err(UpstreamError::refused("too_large", None, message));
        }
        file.write_all(&chunk).await.map_err(local)?;
    }
    if announced.is_some_and(|announced| announced != size_bytes) {
        return Err(broken(url));
    }
    file.sync_all().await.map_err(local)?;
    let format = MediaFormat::sniff(&start).ok_or_else(|| {
        let message = format!("`{}` sent something that is neither a picture nor a video", host(url));
        UpstreamError::refused("not_media", Some(200), message)
    })?;
    Ok(FetchedMedia { format, size_bytes })
}

fn broken(url: &Url) -> UpstreamError {
    let message = format!("the connection to `{}` broke; check the network, or try again later", host(url));
    UpstreamError::passing("unreachable", None, message)
}

fn host(url: &Url) -> &str {
    url.host_str().unwrap_or_default()
}
