//! ComfyUI: running prompts and looking after them, fetching and giving pictures.
//!
//! One prompt is one picture here, and its end is polled from history and queue: progress by picture needs no
//! websocket. Shapes are those of ComfyUI 0.3.64.

pub(crate) mod template;
mod upload;
mod wire;

use std::path::Path;
use std::time::Duration;

use http::{Method, StatusCode, header};
use lorakeep_transfer::{HostPolicy, Timeouts, TransferError, guarded_client};
use serde_json::{Map, Value, json};
use tokio::io::AsyncWriteExt;
use url::Url;

use super::error::UpstreamError;
use super::http::{host_of, readable, unreachable_text};

pub(crate) use upload::UploadedImage;
pub(crate) use wire::{Ended, NodeInfo, OutputImage, QueuePlace, SystemStats};

/// How long a small question may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a picture may take to go over the wire.
const PICTURE_PATIENCE: Duration = Duration::from_mins(2);
/// The longest JSON answer that is read; the whole of `/object_info` with many custom nodes is a few MiB.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// The largest picture that is taken.
const MAX_PICTURE_BYTES: u64 = 256 << 20;

/// A connected ComfyUI.
#[derive(Debug, Clone)]
pub(crate) struct ComfyUi {
    client: reqwest::Client,
    base: Url,
}

impl ComfyUi {
    /// `base` is the address that was configured, and may be private.
    pub(crate) fn new(base: Url) -> Result<Self, TransferError> {
        let hosts = HostPolicy::public_only().allow_url(&base);
        let client = guarded_client(&hosts, super::USER_AGENT, Timeouts::default())?;
        Ok(Self { client, base })
    }

    /// Version and device; the probe of whether it answers.
    pub(crate) async fn system_stats(&self, patience: Duration) -> Result<SystemStats, UpstreamError> {
        let request = self.request(Method::GET, &["system_stats"]).timeout(patience);
        Ok(SystemStats::read(&self.json(request).await?))
    }

    /// What a node takes; none when this ComfyUI has no such node.
    pub(crate) async fn node(&self, class: &str) -> Result<Option<NodeInfo>, UpstreamError> {
        let answer = self.json(self.request(Method::GET, &["object_info", class])).await?;
        Ok(answer.get(class).map(NodeInfo::read))
    }

    /// Puts a graph into the queue under an id of ours.
    ///
    /// `workflow_rejected` names the nodes and values that it does not take.
    pub(crate) async fn submit(
        &self,
        graph: &Map<String, Value>,
        prompt_id: &str,
    ) -> Result<(), UpstreamError> {
        let body = json!({"prompt": graph, "prompt_id": prompt_id, "client_id": "lorakeep"});
        let response = self.send(self.request(Method::POST, &["prompt"]).json(&body)).await?;
        let status = response.status();
        if status != StatusCode::BAD_REQUEST {
            return self.parsed(response).await.map(drop);
        }
        let body = self.read(response).await?;
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let message = format!("ComfyUI does not take this workflow: {}", wire::rejection(&body));
        Err(UpstreamError::refused("workflow_rejected", status.as_u16(), message))
    }

    /// What became of a prompt; none while it waits, runs or is not known.
    pub(crate) async fn ended(&self, prompt_id: &str) -> Result<Option<Ended>, UpstreamError> {
        let answer = self.json(self.request(Method::GET, &["history", prompt_id])).await?;
        Ok(answer.get(prompt_id).map(Ended::read))
    }

    /// Where a prompt is in the queue.
    pub(crate) async fn place(&self, prompt_id: &str) -> Result<QueuePlace, UpstreamError> {
        let answer = self.json(self.request(Method::GET, &["queue"])).await?;
        Ok(QueuePlace::read(&answer, prompt_id))
    }

    /// Takes a prompt out of the queue, or ends it when it runs. Other people's prompts go on: an interruption
    /// without an id would end whatever runs.
    pub(crate) async fn cancel(&self, prompt_id: &str) -> Result<(), UpstreamError> {
        let waiting = self.request(Method::POST, &["queue"]).json(&json!({"delete": [prompt_id]}));
        self.done(waiting).await?;
        if self.place(prompt_id).await? == QueuePlace::Running {
            self.done(self.request(Method::POST, &["interrupt"]).json(&json!({"prompt_id": prompt_id})))
                .await?;
        }
        Ok(())
    }

    /// Writes a picture to `target`, which must not be used when this fails, and answers its size.
    pub(crate) async fn fetch(&self, image: &OutputImage, target: &Path) -> Result<u64, UpstreamError> {
        let mut url = self.url(&["view"]);
        url.query_pairs_mut()
            .append_pair("filename", &image.filename)
            .append_pair("subfolder", &image.subfolder)
            .append_pair("type", &image.folder);
        let mut response = self.send(self.request_at(Method::GET, url).timeout(PICTURE_PATIENCE)).await?;
        if !response.status().is_success() {
            return Err(self.refusal(response).await);
        }
        let mut file = tokio::fs::File::create(target).await.map_err(|error| not_written(&error))?;
        let mut size = 0;
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broken(&error))? {
            size += chunk.len() as u64;
            if size > MAX_PICTURE_BYTES {
                let message = format!("the picture is larger than {} MiB", MAX_PICTURE_BYTES >> 20);
                return Err(UpstreamError::refused("too_large", None, message));
            }
            file.write_all(&chunk).await.map_err(|error| not_written(&error))?;
        }
        file.sync_all().await.map_err(|error| not_written(&error))?;
        Ok(size)
    }

    /// An address below the configured one.
    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    fn request(&self, method: Method, path: &[&str]) -> reqwest::RequestBuilder {
        self.request_at(method, self.url(path))
    }

    fn request_at(&self, method: Method, url: Url) -> reqwest::RequestBuilder {
        self.client.request(method, url).timeout(PATIENCE).header(header::ACCEPT_ENCODING, "identity")
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<reqwest::Response, UpstreamError> {
        request.send().await.map_err(|error| self.broken(&error))
    }

    async fn json(&self, request: reqwest::RequestBuilder) -> Result<Value, UpstreamError> {
        let response = self.send(request).await?;
        self.parsed(response).await
    }

    /// For answers without a body.
    async fn done(&self, request: reqwest::RequestBuilder) -> Result<(), UpstreamError> {
        let response = self.send(request).await?;
        if response.status().is_success() { Ok(()) } else { Err(self.refusal(response).await) }
    }

    async fn parsed(&self, response: reqwest::Response) -> Result<Value, UpstreamError> {
        if !response.status().is_success() {
            return Err(self.refusal(response).await);
        }
        let body = self.read(response).await?;
        serde_json::from_slice(&body).map_err(|_| {
            let message = format!(
                "`{}` does not answer as ComfyUI does; check the address in `COMFYUI_URL`",
                host_of(&self.base)
            );
            UpstreamError::refused("not_comfyui", Some(200), message)
        })
    }

    async fn read(&self, mut response: reqwest::Response) -> Result<Vec<u8>, UpstreamError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broken(&error))? {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                let message = format!("ComfyUI answered with more than {} MiB", MAX_ANSWER_BYTES >> 20);
                return Err(UpstreamError::refused("too_large", None, message));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    async fn refusal(&self, response: reqwest::Response) -> UpstreamError {
        let status = response.status().as_u16();
        let body = self.read(response).await.unwrap_or_default();
        let text = readable(&String::from_utf8_lossy(&body), 200);
        let text = if text.is_empty() { String::new() } else { format!(": {text}") };
        let message = format!("ComfyUI at `{}` answered {status}{text}", host_of(&self.base));
        if status >= 500 {
            return UpstreamError::passing("generator_failed", status, message);
        }
        UpstreamError::refused("generator_refused", status, message)
    }

    fn broken(&self, error: &reqwest::Error) -> UpstreamError {
        let what = unreachable_text(error);
        let message = format!(
            "ComfyUI at `{}` {what}; start it, or check the address in `COMFYUI_URL`",
            host_of(&self.base)
        );
        UpstreamError::passing("generator_unreachable", None, message)
    }
}

fn not_written(error: &std::io::Error) -> UpstreamError {
    UpstreamError::refused("not_written", None, format!("the picture could not be written: {error}"))
}

#[cfg(test)]
mod tests;
