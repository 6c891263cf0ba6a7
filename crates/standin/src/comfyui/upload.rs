//! `POST /upload/image`: a multipart form with `image`, and perhaps `subfolder`, `type` and `overwrite`.

use super::queue::Generations;
use crate::wire::{Request, Response};
use bytes::Bytes;
use serde_json::json;

/// One part of a form.
struct Part {
    name: String,
    filename: Option<String>,
    content: Bytes,
}

/// Keeps the picture under its name, or under `name (1).png` when there is one and `overwrite` is not said.
pub(super) fn image(generations: &mut Generations, request: &Request) -> Response {
    let parts = parts(request);
    let Some(image) = parts.iter().find(|part| part.name == "image") else {
        return Response::new(400);
    };
    let text = |name: &str| {
        let part = parts.iter().find(|part| part.name == name);
        part.map(|part| String::from_utf8_lossy(&part.content).into_owned())
    };
    let Some(wanted) = image.filename.clone().filter(|name| !name.is_empty()) else {
        return Response::new(400);
    };
    let subfolder = text("subfolder").unwrap_or_default();
    let kind = text("type").unwrap_or_else(|| "input".to_owned());
    if subfolder.contains("..") || wanted.contains('/') {
        return Response::new(400);
    }
    let overwrite = matches!(text("overwrite").as_deref(), Some("true" | "1"));
    let key = |name: &str| format!("{kind}/{subfolder}/{name}");
    let mut name = wanted.clone();
    let (stem, extension) = wanted.rsplit_once('.').unwrap_or((&wanted, ""));
    let mut count = 0;
    while !overwrite && generations.file(&key(&name)).is_some_and(|known| known != image.content) {
        count += 1;
        name = format!("{stem} ({count}).{extension}");
    }
    generations.keep_file(key(&name), image.content.clone());
    Response::json(200, &json!({"name": name, "subfolder": subfolder, "type": kind}))
}

fn parts(request: &Request) -> Vec<Part> {
    let boundary = request
        .header("content-type")
        .and_then(|kind| kind.split_once("boundary="))
        .map(|(_, boundary)| format!("--{}", boundary.trim_matches('"')));
    let Some(boundary) = boundary else { return Vec::new() };
    let mut found = Vec::new();
    let mut rest = request.body.as_slice();
    while let Some(start) = position(rest, boundary.as_bytes()) {
        rest = &rest[start + boundary.len()..];
        let Some(head_end) = position(rest, b"\r\n\r\n") else { break };
        let head = String::from_utf8_lossy(&rest[..head_end]).into_owned();
        let body = &rest[head_end + 4..];
        let Some(end) = position(body, format!("\r\n{boundary}").as_bytes()) else { break };
        if let Some(name) = parameter(&head, "name") {
            let content = Bytes::copy_from_slice(&body[..end]);
            found.push(Part { name, filename: parameter(&head, "filename"), content });
        }
        rest = &body[end..];
    }
    found
}

/// A parameter of the `Content-Disposition` line.
fn parameter(head: &str, name: &str) -> Option<String> {
    let (_, rest) = head.split_once(&format!("; {name}=\""))?;
    rest.split_once('"').map(|(value, _)| value.to_owned())
}

fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
