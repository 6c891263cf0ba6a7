//! Looking models and versions up by hash, by name and in batches.

use super::{Civitai, Model, Version, explained};
use crate::upstream::error::UpstreamError;
use crate::upstream::lenient::list;

/// Versions that one batch asks for: the address stays short.
const VERSIONS_A_BATCH: usize = 50;
/// Models that a search by name looks at.
const CANDIDATES: &str = "3";

impl Civitai {
    /// The version that holds a file of that hash, of whatever kind and case; `None` when there is none.
    pub(crate) async fn version_by_hash(&self, hash: &str) -> Result<Option<Version>, UpstreamError> {
        let name = format!("the file of hash `{hash}` on CivitAI");
        match self.get(&format!("model-versions/by-hash/{}", hash.to_uppercase()), &name).await {
            Ok(answer) => Ok(Version::read(&answer.json)),
            Err(error) if error.code == "not_found" => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The best few models of a name and type.
    pub(crate) async fn search_models(&self, words: &str, kind: &str) -> Result<Vec<Model>, UpstreamError> {
        let mut url = self.api_url("models");
        let query = [("query", words), ("types", kind), ("limit", CANDIDATES), ("nsfw", "true")];
        url.query_pairs_mut().extend_pairs(query);
        self.models_at(url).await
    }

    /// The models of these versions, many with one request. Versions that the answer lacks may exist all the same.
    pub(crate) async fn models_of_versions(&self, version_ids: &[u64]) -> Result<Vec<Model>, UpstreamError> {
        let mut models = Vec::new();
        for batch in version_ids.chunks(VERSIONS_A_BATCH) {
            let ids = batch.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
            let mut url = self.api_url("models");
            url.query_pairs_mut().extend_pairs([
                ("modelVersionIds", ids.as_str()),
                ("limit", "100"),
                ("nsfw", "true"),
            ]);
            models.extend(self.models_at(url).await?);
        }
        Ok(models)
    }

    /// The models of these ids, many with one request. Models that the answer lacks may exist all the same.
    pub(crate) async fn models(&self, model_ids: &[u64]) -> Result<Vec<Model>, UpstreamError> {
        let mut models = Vec::new();
        for batch in model_ids.chunks(VERSIONS_A_BATCH) {
            let ids = batch.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
            let mut url = self.api_url("models");
            url.query_pairs_mut().extend_pairs([("ids", ids.as_str()), ("limit", "100"), ("nsfw", "true")]);
            models.extend(self.models_at(url).await?);
        }
        Ok(models)
    }

    async fn models_at(&self, url: url::Url) -> Result<Vec<Model>, UpstreamError> {
        let answer = self.api.get(url, self.credential().as_ref()).await;
        let answer = answer.map_err(|error| explained(error, "the models on CivitAI"))?;
        Ok(list(&answer.json, "items").filter_map(Model::read).collect())
    }
}
