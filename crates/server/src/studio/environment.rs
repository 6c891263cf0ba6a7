//! Keys of upstreams and limits by the names of their environment variables. Secrets go in and never come out.

use axum::Json as JsonBody;
use axum::extract::State;
use lorakeep_registry::EnvSetting;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::extract::Json;
use super::views::PageView;
use crate::app::AppState;
use crate::envelope::Refusal;

/// One setting; a secret has no `value`.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct EnvView {
    key: &'static str,
    value: Option<String>,
    is_set: bool,
    is_secret: bool,
    last4: Option<String>,
    origin: &'static str,
}

impl From<EnvSetting> for EnvView {
    fn from(setting: EnvSetting) -> Self {
        let EnvSetting { key, value, is_secret, is_set, ending, origin } = setting;
        Self { key, value, is_set, is_secret, last4: ending, origin }
    }
}

/// A value as text or number; null and an empty text take it away.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EnvBody {
    key: String,
    value: Value,
}

pub(super) async fn show(State(app): AppState) -> Result<JsonBody<PageView<EnvView>>, Refusal> {
    let settings = app.registry().env_settings().await?;
    Ok(JsonBody(PageView::all(settings.into_iter().map(EnvView::from).collect())))
}

pub(super) async fn change(
    State(app): AppState,
    Json(body): Json<EnvBody>,
) -> Result<JsonBody<EnvView>, Refusal> {
    let value = match body.value {
        Value::Null => None,
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => {
            let loc = vec!["body".into(), "value".into()];
            return Err(Refusal::unreadable(loc, "Input should be a valid string", "string_type"));
        }
    };
    Ok(JsonBody(app.registry().set_env(&body.key, value.as_deref()).await?.into()))
}
