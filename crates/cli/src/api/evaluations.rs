//! Evaluations.

use serde_json::Value;

use super::{Api, Reply, segment};
use crate::failure::Result;

const PATH: &str = "/api/admin/evaluations";

impl Api {
    /// Takes an evaluation on.
    pub(crate) async fn evaluate(&self, request: &Value) -> Result<Reply<Value>> {
        self.post_json(PATH, request).await
    }

    /// One as it is now.
    pub(crate) async fn evaluation(&self, id: &str) -> Result<Reply<Value>> {
        self.get(&format!("{PATH}/{}", segment(id))).await
    }

    /// Asks for its end.
    pub(crate) async fn cancel_evaluation(&self, id: &str) -> Result<Reply<Value>> {
        self.post(&format!("{PATH}/{}/cancel", segment(id))).await
    }
}
