//! The example of an operation: a `curl` command that runs as it stands once its variables are set.

use std::fmt::Write;

use serde_json::Value;

use super::operation::{Operation, RequestBody, Shape};

/// The command; `credential` is the header by which callers of the surface show who they are.
pub(super) fn command(operation: &Operation, credential: &str) -> String {
    let mut command = String::from("curl");
    match operation.method {
        "get" if operation.is_stream() => command.push_str(" -N"),
        "get" => {}
        "head" => command.push_str(" -I"),
        method => {
            let _ = write!(command, " -X {}", method.to_uppercase());
        }
    }
    let _ = write!(command, " \"$LORAKEEP{}", address(operation.path));
    if let Some(query) = operation.example_query {
        let _ = write!(command, "?{query}");
    }
    command.push('"');
    if !operation.is_open {
        let _ = write!(command, " \\\n  -H \"{credential}\"");
    }
    for extra in operation.extra.iter().filter(|extra| extra.place == "header") {
        if let Some(example) = extra.example {
            let _ = write!(command, " \\\n  -H {}", quoted(&format!("{}: {example}", extra.name)));
        }
    }
    if let Some(body) = &operation.body {
        command.push_str(&sent(body));
    }
    command
}

fn sent(body: &RequestBody) -> String {
    let mut sent = String::new();
    match (&body.shape, &body.example) {
        (_, None) => {}
        (Shape::Form(_), Some(Value::Object(fields))) => {
            for (name, value) in fields {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                let _ = write!(sent, " \\\n  -F {}", quoted(&format!("{name}={value}")));
            }
        }
        (Shape::Typed(_), Some(example)) => {
            let text = quoted(&example.to_string());
            let _ = write!(sent, " \\\n  -H 'Content-Type: {}' \\\n  --data {text}", body.media);
        }
        (_, Some(example)) => {
            let text = quoted(example.as_str().unwrap_or_default());
            let _ = write!(sent, " \\\n  -H 'Content-Type: {}' \\\n  --data-binary {text}", body.media);
        }
    }
    sent
}

/// In quotes for a shell; a text that names variables lets them in.
fn quoted(text: &str) -> String {
    if text.contains('$') || text.contains('\'') {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        format!("'{text}'")
    }
}

/// The path with a variable in the place of each parameter: its name, or for an `{id}` what it is the id of.
fn address(path: &str) -> String {
    let mut address = String::new();
    let mut before = "";
    for part in path.split('/').skip(1) {
        let name = part.strip_prefix('{').and_then(|part| part.strip_suffix('}'));
        let _ = match name {
            Some("id") => write!(address, "/${}", singular(before)),
            // `$KEY` is the caller's own, `$LORA` a file.
            Some("key") => write!(address, "/$KEY_ID"),
            Some("lora") => write!(address, "/$STYLE"),
            Some(name) => write!(address, "/${}", name.to_uppercase()),
            None => write!(address, "/{part}"),
        };
        before = part;
    }
    address
}

/// What one of them is called.
fn singular(many: &str) -> String {
    let one = match many.strip_suffix("ies") {
        Some(start) => format!("{start}y"),
        None => many.strip_suffix('s').unwrap_or(many).to_owned(),
    };
    one.replace('-', "_").to_uppercase()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn variables_stand_for_what_only_the_reader_knows() {
        let shown = command(&Operation::get("/api/admin/entries/{id}/history", "x"), "X-API-Key: $KEY");
        assert_eq!(shown, "curl \"$LORAKEEP/api/admin/entries/$ENTRY/history\" \\\n  -H \"X-API-Key: $KEY\"");
    }

    #[test]
    fn a_body_is_quoted_so_that_a_shell_hands_it_over_whole() {
        let with = |example| command(&Operation::post("/a", "x").body::<Value>(example).open(), "");
        assert!(with(json!({"a": "b"})).ends_with("--data '{\"a\":\"b\"}'"));
        assert!(with(json!({"ids": ["$ENTRY"]})).ends_with("--data \"{\\\"ids\\\":[\\\"$ENTRY\\\"]}\""));
    }
}
