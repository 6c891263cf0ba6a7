//! `lorakeep show`: one entry with everything that is known of it.

use clap::Args;
use serde_json::Value;

use crate::api::{Api, Entry, Reply};
use crate::commands::{Ended, names};
use crate::failure::Result;
use crate::output::{Field, Output};

/// Show everything that is known of files, and who says it
///
/// With --json: a list of entries as `GET /api/admin/entries/{id}` answers them.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lorakeep show style.safetensors
  lorakeep show loras/v1/style.safetensors --json | jq '.[0].origins'")]
pub(crate) struct ShowArgs {
    /// File names, or folder/name when two have the same name
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
}

pub(crate) async fn run(args: &ShowArgs, api: &Api, output: &Output) -> Result<Ended> {
    let mut details = Vec::new();
    for (_, entry) in names::resolve(&args.files, api).await? {
        details.push(api.entry_by_id(entry_id(&entry)).await?);
    }
    if output.is_json() {
        output.json(&details.iter().map(|detail| &detail.json).collect::<Vec<_>>())?;
        return Ok(Ended::Done);
    }
    for detail in &details {
        output.table(&["FIELD", "VALUE", "FROM"], rows(&detail.json))?;
    }
    Ok(Ended::Done)
}

/// The id of an entry as the API answered it.
pub(super) fn entry_id(entry: &Reply<Entry>) -> &str {
    entry.json["id"].as_str().unwrap_or_default()
}

/// Every field that says something, with who says it.
fn rows(entry: &Value) -> Vec<Vec<Field>> {
    let fields = entry.as_object().into_iter().flatten();
    let said = fields.filter(|(field, value)| *field != "origins" && !is_nothing(value));
    let row = |(field, value): (&String, &Value)| {
        let origin = entry["origins"][field].as_str();
        vec![Field::text(field), Field::text(text_of(value)), Field::text(origin.unwrap_or_default())]
    };
    said.map(row).collect()
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Number(number) => number.as_f64() == Some(0.0),
        _ => false,
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text_of).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}
