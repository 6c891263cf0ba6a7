//! What can be changed while the server runs, and what is wrong with the installation.

use axum::Json as JsonBody;
use axum::extract::State;
use lorakeep_registry::SettingsChange;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::environment::{EnvBody, EnvView};
use super::extract::{self, Json};
use super::views::{DoctorView, PageView, SettingsView};
use crate::app::AppState;
use crate::envelope::Refusal;
use crate::openapi::{Operation, tagged};

pub(super) fn operations() -> Vec<Operation> {
    tagged(
        "Settings",
        [
            Operation::get("/api/admin/settings", "What can be changed while the server runs")
                .json::<SettingsView>(),
            Operation::put("/api/admin/settings", "Changes settings; absent fields stay")
                .body::<SettingsBody>(json!({"max_concurrent_downloads": 3, "bandwidth": null}))
                .json::<SettingsView>(),
            Operation::get("/api/admin/settings/env", "Keys of upstreams and limits; secrets never come out")
                .json::<PageView<EnvView>>(),
            Operation::put("/api/admin/settings/env", "Sets one of them; null takes it away")
                .body::<EnvBody>(json!({"key": "CIVITAI_API_KEY", "value": "$CIVITAI_KEY"}))
                .json::<EnvView>()
                .refuses([404, 409]),
            Operation::get("/api/admin/doctor", "What is wrong with the installation").json::<DoctorView>(),
        ],
    )
}

pub(super) async fn show(State(app): AppState) -> JsonBody<SettingsView> {
    JsonBody(app.registry().settings().into())
}

/// A change; absent fields stay. `max_concurrent` and `max_concurrent_downloads` are one setting.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::option_option, reason = "absent stays, null lifts the limit")]
pub(super) struct SettingsBody {
    max_concurrent: Option<u32>,
    max_concurrent_downloads: Option<u32>,
    #[serde(default, deserialize_with = "extract::present")]
    bandwidth: Option<Option<u64>>,
    downloads_paused: Option<bool>,
    max_upload_bytes: Option<u64>,
    bin_days: Option<u32>,
}

impl SettingsBody {
    fn into_change(self) -> Result<SettingsChange, Refusal> {
        if let (Some(short), Some(long)) = (self.max_concurrent, self.max_concurrent_downloads)
            && short != long
        {
            let msg = "`max_concurrent` and `max_concurrent_downloads` are one setting, send one of them";
            return Err(Refusal::unreadable(
                vec!["body".into(), "max_concurrent".into()],
                msg,
                "value_error",
            ));
        }
        Ok(SettingsChange {
            max_concurrent_downloads: self.max_concurrent_downloads.or(self.max_concurrent),
            bandwidth_bytes_per_second: self.bandwidth,
            downloads_paused: self.downloads_paused,
            max_upload_bytes: self.max_upload_bytes,
            bin_days: self.bin_days,
        })
    }
}

pub(super) async fn change(
    State(app): AppState,
    Json(body): Json<SettingsBody>,
) -> Result<JsonBody<SettingsView>, Refusal> {
    Ok(JsonBody(app.registry().change_settings(body.into_change()?).await?.into()))
}

pub(super) async fn examine(State(app): AppState) -> JsonBody<DoctorView> {
    JsonBody(app.registry().doctor().await.into())
}
