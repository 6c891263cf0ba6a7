//! `lorakeep version`: of this program, and of the server that is named.

use clap::Args;
use serde_json::json;

use crate::api::Api;
use crate::args::GlobalArgs;
use crate::commands::Ended;
use crate::connection::Connection;
use crate::failure::Result;
use crate::output::Output;

/// Show the version of this program, and of the server named by --server
#[derive(Debug, Args)]
pub(crate) struct VersionArgs {}

pub(crate) async fn run(global: &GlobalArgs, output: &Output) -> Result<Ended> {
    let version = env!("CARGO_PKG_VERSION");
    let server = if global.connection.server.as_deref().is_some_and(|server| !server.is_empty()) {
        let api = Api::new(Connection::open(global, output).await?);
        let health = api.health().await?;
        api.close().await;
        health.data.app_version
    } else {
        None
    };
    if output.is_json() {
        output.json(&json!({ "version": version, "server_version": server }))?;
        return Ok(Ended::Done);
    }
    Output::line(&format!("lorakeep {version}"))?;
    if let Some(server) = server {
        Output::line(&format!("server {server}"))?;
    }
    Ok(Ended::Done)
}
