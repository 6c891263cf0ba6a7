//! What in a request cannot be meant, and where it stands.

use schemars::JsonSchema;
use serde::Serialize;

/// Something in a request that cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestFault {
    /// Names and indexes that lead to it.
    pub path: Vec<PathStep>,
    /// What is wrong.
    pub message: String,
    /// What is wrong, as a stable word in the manner of FastAPI.
    pub kind: &'static str,
}

/// One step into a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum PathStep {
    /// A field.
    Field(&'static str),
    /// An item of a list.
    Item(usize),
}

impl RequestFault {
    pub(super) fn new(
        path: impl Into<Vec<PathStep>>,
        kind: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self { path: path.into(), message: message.into(), kind }
    }

    /// The path in one word, as `images.seeds.0`.
    pub fn field(&self) -> String {
        let step = |step: &PathStep| match step {
            PathStep::Field(name) => (*name).to_owned(),
            PathStep::Item(place) => place.to_string(),
        };
        self.path.iter().map(step).collect::<Vec<_>>().join(".")
    }
}
