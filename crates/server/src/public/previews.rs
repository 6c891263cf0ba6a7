//! Pictures of styles, for everybody who knows their address: a customer's page shows them without a key.

use axum::extract::State;
use axum::response::Response;
use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::envelope::{Head, PublicRefusal};
use crate::app::AppState;
use crate::extract::FileName;
use crate::media;

/// The name follows from the content.
const FOR_GOOD: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

pub(super) async fn send(
    State(app): AppState,
    Head(FileName(name)): Head<FileName>,
    headers: HeaderMap,
) -> Result<Response, PublicRefusal> {
    let mut response = media::send(app.registry().style_preview(&name)?, &headers).await?;
    let own = response.headers_mut();
    own.insert(CACHE_CONTROL, FOR_GOOD);
    own.insert(RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
    Ok(response)
}
