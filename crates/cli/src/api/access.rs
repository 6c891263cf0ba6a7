//! Who is let in.

use serde::Deserialize;

use super::{Api, Reply};
use crate::failure::Result;

/// A key, shown once.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct NewKey {
    pub(crate) key: String,
}

impl Api {
    /// Replaces the admin key.
    pub(crate) async fn rotate_admin_key(&self) -> Result<Reply<NewKey>> {
        self.post("/api/admin/admin-key/rotate").await
    }
}
