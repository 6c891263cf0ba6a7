//! An image and what it was made with, through the site's own calls; they want a key.

use serde_json::{Value, json};
use url::Url;

use super::{Civitai, Image, explained, unreadable};
use crate::upstream::error::UpstreamError;
use crate::upstream::lenient::{flag, text, whole};

/// The part of every address of the image host that names the site's store.
const BUCKET: &str = "xG1nkqKTMzGDvpLrqFT7WA";

/// The answer of `image.getGenerationData`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GenerationData {
    /// The whole answer, as it came.
    pub(crate) raw: Value,
    /// What it says of the image.
    pub(crate) data: Value,
}

impl GenerationData {
    /// The same form for what is known from elsewhere.
    pub(crate) fn of(data: Value) -> Self {
        Self { raw: json!({ "result": { "data": { "json": data.clone() } } }), data }
    }
}

impl Civitai {
    /// The generation data of an image; `None` without a key, which the site would refuse.
    pub(crate) async fn generation_data(
        &self,
        image_id: u64,
    ) -> Result<Option<GenerationData>, UpstreamError> {
        if self.credential().is_none() {
            return Ok(None);
        }
        let name = format!("the generation data of image {image_id} on CivitAI");
        let answer = self
            .api
            .get(self.query_url("image.getGenerationData", image_id), self.credential().as_ref())
            .await;
        let raw = answer.map_err(|error| explained(error, &name))?.json;
        if let Some(data) = raw.pointer("/result/data/json").filter(|data| data.is_object()) {
            return Ok(Some(GenerationData { data: data.clone(), raw }));
        }
        let message = format!("CivitAI answered {name} in a form that is not known here");
        Err(UpstreamError::passing("unexpected_shape", 200, message))
    }

    /// One image as the site itself knows it, also where the public API hides it; `None` without a key.
    pub(crate) async fn site_image(&self, image_id: u64) -> Result<Option<Image>, UpstreamError> {
        if self.credential().is_none() {
            return Ok(None);
        }
        let name = format!("image {image_id} on CivitAI");
        let answer = self.api.get(self.query_url("image.get", image_id), self.credential().as_ref()).await;
        let raw = answer.map_err(|error| explained(error, &name))?.json;
        let data = raw.pointer("/result/data/json").filter(|data| whole(data, "id") == Some(image_id));
        let image = data.and_then(|data| self.read_site_image(data)).ok_or_else(|| unreadable(&name))?;
        Ok(Some(image))
    }

    /// The record of `image.get` names its bytes by a UUID alone.
    fn read_site_image(&self, data: &Value) -> Option<Image> {
        let image = Image::read(data)?;
        let given = image.url.clone()?;
        let is_video = image.kind.as_deref() == Some("video");
        let url = if given.starts_with("http") { given } else { self.image_url(&given, is_video)?.into() };
        let metadata = data.get("metadata").unwrap_or(&Value::Null);
        Some(Image {
            url: Some(url),
            username: data.get("user").and_then(|user| text(user, "username")),
            duration: metadata.get("duration").and_then(Value::as_f64),
            has_audio: flag(metadata, "audio"),
            ..image
        })
    }

    /// Where the image host has the original of that name: beside the site, or on a host of its own.
    fn image_url(&self, uuid: &str, is_video: bool) -> Option<Url> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if uuid.is_empty() || !uuid.chars().all(is_plain) {
            return None;
        }
        let extension = if is_video { "mp4" } else { "jpeg" };
        let mut url = self.below(&format!("{BUCKET}/{uuid}/original=true/{uuid}.{extension}"));
        let host = self.base.host_str()?;
        if matches!(host, "civitai.com" | "civitai.red" | "civitai.green") {
            url.set_host(Some(&format!("image.{host}"))).ok()?;
        }
        Some(url)
    }

    fn query_url(&self, procedure: &str, image_id: u64) -> Url {
        let mut url = self.below(&format!("api/trpc/{procedure}"));
        let input = json!({ "json": { "id": image_id } }).to_string();
        url.query_pairs_mut().append_pair("input", &input);
        url
    }
}
