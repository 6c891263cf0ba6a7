//! `lorakeep doctor`: what is wrong with this installation, and what to do about it.

use clap::Args;

use crate::api::Api;
use crate::commands::Ended;
use crate::failure::Result;
use crate::output::{Field, Output, Tone};

/// Check database, folders, free space, upstreams and helper programs
///
/// Exits with 1 when a check failed; a warning says that something works with less.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {}

pub(crate) async fn run(api: &Api, output: &Output) -> Result<Ended> {
    let doctor = api.doctor().await?;
    let checks = &doctor.data.checks;
    let failed = checks.iter().any(|check| check.outcome == "failed");
    if output.is_json() {
        output.json(&doctor.json)?;
        return Ok(Ended::failed_if(failed));
    }
    let rows = checks
        .iter()
        .map(|check| {
            let tone = match check.outcome.as_str() {
                "ok" => Tone::Good,
                "warning" => Tone::Warning,
                _ => Tone::Bad,
            };
            vec![Field::toned(&check.outcome, tone), Field::text(&check.name), Field::text(&check.message)]
        })
        .collect();
    output.table(&["OUTCOME", "CHECK", "SEEN"], rows)?;
    for check in checks.iter().filter(|check| check.outcome != "ok") {
        if let Some(hint) = &check.hint {
            output.hint(&format!("{}: {hint}", check.name));
        }
    }
    Ok(Ended::failed_if(failed))
}
