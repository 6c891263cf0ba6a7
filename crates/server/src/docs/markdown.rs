//! A surface's reference in Markdown, for those who read no HTML.

use std::fmt::Write;

use serde_json::Value;

use super::surfaces::Surface;

/// Every operation of the surface.
pub(crate) fn reference(surface: Surface) -> String {
    let document = surface.document();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut page =
        format!("# {}\n\n{}\n", text(&document["info"]["title"]), text(&document["info"]["description"]));
    let paths = document["paths"].as_object();
    for (path, methods) in paths.into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            write_operation(&mut page, path, method, operation);
        }
    }
    page
}

/// Writing to a text does not fail.
fn write_operation(page: &mut String, path: &str, method: &str, operation: &Value) {
    let text = |name: &str| operation[name].as_str().unwrap_or_default();
    let _ = write!(page, "\n## {} {path}\n\n{}.\n", method.to_uppercase(), text("summary"));
    if !text("description").is_empty() {
        let _ = write!(page, "\n{}\n", text("description"));
    }
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    for (place, parameter) in parameters.enumerate() {
        let own = |name: &str| parameter[name].as_str().unwrap_or_default();
        let must = if parameter["required"] == true { ", required" } else { "" };
        let start = if place == 0 { "\n" } else { "" };
        let _ = writeln!(page, "{start}- `{}` ({}{must}): {}", own("name"), own("in"), own("description"));
    }
    let statuses: Vec<&str> =
        operation["responses"].as_object().into_iter().flatten().map(|own| own.0.as_str()).collect();
    let _ = write!(page, "\nAnswers: {}.\n", statuses.join(", "));
    let command = operation["x-codeSamples"][0]["source"].as_str().unwrap_or_default();
    let _ = write!(page, "\n```sh\n{command}\n```\n");
}
