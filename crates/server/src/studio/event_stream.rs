//! Server-sent events (WHATWG HTML, section 9.2): how a frame is written, how a stream is answered.

use std::convert::Infallible;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde::Serialize;

/// `data: <json>` and an empty line.
pub(super) fn data_frame(view: &impl Serialize) -> Bytes {
    frame("", view)
}

/// The same under a name.
pub(super) fn named_frame(name: &str, view: &impl Serialize) -> Bytes {
    frame(&format!("event: {name}\n"), view)
}

/// The same with a position that a client comes back with.
pub(super) fn numbered_frame(position: u64, view: &impl Serialize) -> Bytes {
    frame(&format!("id: {position}\n"), view)
}

fn frame(head: &str, view: &impl Serialize) -> Bytes {
    let mut frame = head.as_bytes().to_vec();
    frame.extend_from_slice(b"data: ");
    serde_json::to_writer(&mut frame, view).expect("strings and numbers always serialise");
    frame.extend_from_slice(b"\n\n");
    frame.into()
}

/// Answers frames as they come; nothing on the way may keep or collect them.
pub(super) fn answer(frames: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let headers = [
        (CONTENT_TYPE.as_str(), "text/event-stream"),
        (CACHE_CONTROL.as_str(), "no-cache"),
        ("x-accel-buffering", "no"),
    ];
    (headers, Body::from_stream(frames.map(Ok::<_, Infallible>))).into_response()
}
