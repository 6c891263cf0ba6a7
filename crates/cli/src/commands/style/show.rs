//! Styles as tables.

use serde_json::Value;

use super::seen_by;
use crate::api::{Reply, Style, page_of};
use crate::commands::Ended;
use crate::failure::Result;
use crate::output::{Field, Output, Tone};
use crate::units::{counted, minute};

/// Fields that are shown by the files' own table.
const ELSEWHERE: &str = "files";

pub(super) fn list(styles: &[Reply<Style>], are_deleted: bool, output: &Output) -> Result<Ended> {
    if output.is_json() {
        output.json(&page_of(styles))?;
        return Ok(Ended::Done);
    }
    if styles.is_empty() {
        output.say(if are_deleted {
            "there is no deleted style"
        } else {
            "there is no such style; `lorakeep style create` makes one"
        });
        return Ok(Ended::Done);
    }
    let rows = styles.iter().map(|style| row(&style.data)).collect();
    output.table(&["STYLE", "NAME", "FOR", "BASE MODEL", "FILES", "STATUS", "MADE"], rows)?;
    output.say(&counted(styles.len() as u64, "style"));
    Ok(Ended::Done)
}

fn row(style: &Style) -> Vec<Field> {
    let roles: Vec<&str> = style.files.iter().map(|file| file.role.as_str()).collect();
    let status = if style.ready { ("ready", Tone::Good) } else { ("file missing", Tone::Warning) };
    vec![
        Field::text(&style.slug),
        Field::text(&style.name),
        Field::text(style.team.as_deref().unwrap_or("everybody")),
        Field::text(style.base_model.as_deref().unwrap_or_default()),
        Field::text(roles.join(" ")),
        Field::toned(status.0, status.1),
        Field::text(minute(&style.created_at)),
    ]
}

/// Each style with everything that it says, then its files.
pub(super) fn details(styles: &[Reply<Style>], output: &Output) -> Result<Ended> {
    if output.is_json() {
        output.json(&styles.iter().map(|style| &style.json).collect::<Vec<_>>())?;
        return Ok(Ended::Done);
    }
    for style in styles {
        output.table(&["FIELD", "VALUE"], fields(&style.json))?;
        let files = style.data.files.iter().map(|file| {
            let status = if file.present { ("present", Tone::Good) } else { ("missing", Tone::Warning) };
            vec![
                Field::text(&file.role),
                Field::text(format!("{}/{}", file.dest, file.file)),
                Field::number(file.strength.to_string()),
                Field::toned(status.0, status.1),
            ]
        });
        output.table(&["ROLE", "FILE", "STRENGTH", "STATUS"], files.collect())?;
        output.detail(&seen_by(&style.data));
    }
    Ok(Ended::Done)
}

fn fields(style: &Value) -> Vec<Vec<Field>> {
    let fields = style.as_object().into_iter().flatten();
    let is_said = |value: &Value| !value.is_null() && value.as_array().is_none_or(|items| !items.is_empty());
    let said = fields.filter(|(name, value)| *name != ELSEWHERE && is_said(value));
    said.map(|(name, value)| vec![Field::text(name), Field::text(text_of(value))]).collect()
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text_of).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}
