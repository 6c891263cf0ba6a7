//! Filling in what is missing: thumbnails of the gallery, names of models.

use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json as JsonBody, Router};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use lorakeep_registry::ThumbnailProgress;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::event_stream::{answer, named_frame};
use crate::app::{App, AppState};
use crate::envelope::Refusal;
use crate::openapi::{Operation, tagged};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/admin/loras/gallery/backfill-thumbs", get(thumbnails).post(thumbnails).head(nothing))
        .route("/api/admin/loras/gallery/backfill-thumbs/cancel", post(cancel_thumbnails))
}

pub(super) fn operations() -> Vec<Operation> {
    const PATH: &str = "/api/admin/loras/gallery/backfill-thumbs";
    const ABOUT: &str =
        "Server-sent events: `progress` while it goes on, `log` for trouble, `done` at the end.";
    const EVENTS: &str = "How the run stands; a second client joins it";
    tagged(
        "Gallery",
        [
            Operation::get(PATH, "Makes thumbnails that are missing")
                .about(ABOUT)
                .event_stream(EVENTS)
                .refuses([503]),
            Operation::post(PATH, "Makes thumbnails that are missing")
                .about(ABOUT)
                .event_stream(EVENTS)
                .refuses([503]),
            Operation::post("/api/admin/loras/gallery/backfill-thumbs/cancel", "Ends that run")
                .json::<ThumbnailsCancelledView>(),
        ],
    )
}

/// Starts the run, or joins the one that goes on, and tells how it stands until it ends.
async fn thumbnails(State(app): AppState) -> Result<Response, Refusal> {
    let place = app.studio().watcher_place()?;
    let progress = app.registry().make_missing_thumbnails();
    let frames = frames(progress).inspect(move |_| {
        // Held as long as somebody listens.
        let _ = &place;
    });
    Ok(answer(frames.take_until(app.studio().shutdown())))
}

/// Asking for the head alone starts nothing.
async fn nothing() {}

#[derive(Serialize, JsonSchema)]
struct ThumbnailsCancelledView {
    /// `cancelling` or `idle`.
    status: &'static str,
}

async fn cancel_thumbnails(State(app): AppState) -> JsonBody<ThumbnailsCancelledView> {
    let was_running = app.registry().cancel_thumbnails();
    JsonBody(ThumbnailsCancelledView { status: if was_running { "cancelling" } else { "idle" } })
}

/// Events `log` and `progress`, and `done` at the end.
fn frames(progress: watch::Receiver<ThumbnailProgress>) -> impl Stream<Item = Bytes> + Send + 'static {
    stream::unfold(Some((progress, None::<String>, true)), |state| async move {
        let (mut progress, told, is_first) = state?;
        if !is_first {
            progress.changed().await.ok()?;
        }
        let now = progress.borrow_and_update().clone();
        let mut frame = Vec::new();
        if now.trouble.is_some() && now.trouble != told {
            frame.extend_from_slice(&named_frame("log", &json!({ "message": now.trouble })));
        }
        let name = if now.is_running { "progress" } else { "done" };
        frame.extend_from_slice(&named_frame(name, &view(&now)));
        let next = now.is_running.then_some((progress, now.trouble, false));
        Some((Bytes::from(frame), next))
    })
}

fn view(progress: &ThumbnailProgress) -> Value {
    json!({
        "total": progress.total,
        "done": progress.done,
        "made": progress.made,
        "failed": progress.failed,
        "cancelled": progress.is_cancelled,
    })
}
