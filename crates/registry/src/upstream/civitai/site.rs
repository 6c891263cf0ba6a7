//! What an image was made with, through the site's own calls; they want a key.

use serde_json::{Value, json};
use url::Url;

use super::{Civitai, explained};
use crate::upstream::error::UpstreamError;

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

    fn query_url(&self, procedure: &str, image_id: u64) -> Url {
        let mut url = self.below(&format!("api/trpc/{procedure}"));
        let input = json!({ "json": { "id": image_id } }).to_string();
        url.query_pairs_mut().append_pair("input", &input);
        url
    }
}
