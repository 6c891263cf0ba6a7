//! The gallery: fetch one image, show, star, choose, delete, give to ComfyUI.

use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json as JsonBody, Router};
use http::{HeaderMap, StatusCode};
use lorakeep_registry::error::Thing;
use lorakeep_registry::{Error, GalleryFilter, GalleryImage};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::extract::{self, FileName, Json, PathId, Query};
use super::gallery_run::{Action, RunBody};
use super::views::GalleryRowView;
use crate::app::{App, AppState};
use crate::envelope::Refusal;
use crate::media;
use crate::openapi::{Operation, tagged};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/admin/loras/gallery/download-single/{image_id}", post(download_single))
        .route("/api/admin/loras/gallery/to-input/{image_id}", post(to_input))
        .route("/api/admin/loras/gallery/media/{name}", get(send_media))
        .route("/api/admin/loras/gallery/thumb/{name}", get(send_thumbnail))
        .route("/api/admin/loras/gallery/{image_id}", axum::routing::delete(delete_one))
        .route("/api/admin/loras/gallery/{image_id}/meta", get(meta))
        .route("/api/admin/loras/gallery/{image_id}/star", post(star))
        .route("/api/admin/loras/gallery/{image_id}/set-preview", post(set_preview))
        .route("/api/admin/loras/{model_id}/gallery", get(list).post(run).delete(delete_all))
}

pub(super) fn operations() -> Vec<Operation> {
    tagged(
        "Gallery",
        [
            Operation::post(
                "/api/admin/loras/gallery/download-single/{image_id}",
                "Fetches one image of CivitAI",
            )
            .json::<FetchedView>()
            .refuses([409, 502, 503, 507]),
            Operation::post(
                "/api/admin/loras/gallery/to-input/{image_id}",
                "Copies an image into ComfyUI's input folder",
            )
            .json::<InputView>()
            .refuses([502, 503]),
            Operation::get("/api/admin/loras/gallery/media/{name}", "The file of an image").by_range("*/*"),
            Operation::get("/api/admin/loras/gallery/thumb/{name}", "The thumbnail of an image")
                .by_range("image/*"),
            Operation::delete("/api/admin/loras/gallery/{image_id}", "Deletes an image")
                .json::<ImageDeletedView>(),
            Operation::get(
                "/api/admin/loras/gallery/{image_id}/meta",
                "One image with what it was made with",
            )
            .json::<MetaView>(),
            Operation::post(
                "/api/admin/loras/gallery/{image_id}/star",
                "Stars an image, or takes the star away",
            )
            .json::<StarredView>(),
            Operation::post(
                "/api/admin/loras/gallery/{image_id}/set-preview",
                "Lets an image stand for its model",
            )
            .json::<PreviewSetView>(),
            Operation::get("/api/admin/loras/{model_id}/gallery", "What is here of a model")
                .query::<GalleryQuery>()
                .json::<GalleryView>(),
            Operation::post(
                "/api/admin/loras/{model_id}/gallery",
                "Fetches images of a model in the background, or ends that",
            )
            .body::<RunBody>(json!({"action": "start:20", "sort": "Most Reactions", "nsfw": false}))
            .json::<RunView>()
            .refuses([409, 503]),
            Operation::delete("/api/admin/loras/{model_id}/gallery", "Deletes its images; starred ones stay")
                .query::<GalleryQuery>()
                .json::<GalleryDeletedView>(),
        ],
    )
}

/// The contract's columns, and `status`.
#[derive(Serialize, JsonSchema)]
struct FetchedView {
    status: &'static str,
    #[serde(flatten)]
    row: GalleryRowView,
}

async fn download_single(
    State(app): AppState,
    PathId(image_id): PathId,
) -> Result<JsonBody<FetchedView>, Refusal> {
    let image = app.registry().fetch_gallery_image(image_id).await.map_err(not_fetched)?;
    Ok(JsonBody(FetchedView { status: "downloaded", row: GalleryRowView::from(&image) }))
}

/// Whatever CivitAI refuses is one thing to the contract's clients.
fn not_fetched(error: Error) -> Refusal {
    let Error::Upstream { code, message, .. } = error else { return error.into() };
    let detail = format!("Failed to download image from CivitAI: {message}");
    Refusal::new(StatusCode::BAD_GATEWAY, code, detail)
}

/// The name in ComfyUI's input folder.
#[derive(Serialize, JsonSchema)]
struct InputView {
    filename: String,
}

async fn to_input(State(app): AppState, PathId(image_id): PathId) -> Result<JsonBody<InputView>, Refusal> {
    let copied = app.registry().give_to_comfyui(image_id).await;
    let filename = copied.map_err(|error| match error {
        Error::NotFound { thing: Thing::Image, .. } => not_found("Image not found in gallery"),
        Error::NotFound { thing: Thing::File, .. } => not_found("File not found on disk"),
        Error::Upstream { code, message, .. } => {
            let detail = format!("Upload to ComfyUI failed: {message}");
            Refusal::new(StatusCode::BAD_GATEWAY, code, detail)
        }
        other => other.into(),
    })?;
    Ok(JsonBody(InputView { filename }))
}

fn not_found(detail: &str) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "not_found", detail)
}

async fn send_media(
    State(app): AppState,
    FileName(name): FileName,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    media::send(app.registry().gallery_media(id_of(&name)?).await?, &headers).await
}

async fn send_thumbnail(
    State(app): AppState,
    FileName(name): FileName,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    media::send(app.registry().gallery_thumbnail(id_of(&name)?).await?, &headers).await
}

/// The id of `123` and of `123.jpeg`.
fn id_of(name: &str) -> Result<u64, Refusal> {
    let digits = name.split_once('.').map_or(name, |(digits, _)| digits);
    digits.parse().map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, "invalid_id", "Invalid id"))
}

/// An image with what it was made with, as CivitAI gave it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "GalleryImageMeta")]
struct MetaView {
    #[serde(flatten)]
    row: GalleryRowView,
    meta: Value,
    generation_data: Value,
}

async fn meta(State(app): AppState, PathId(image_id): PathId) -> Result<JsonBody<MetaView>, Refusal> {
    let image = app.registry().gallery_image(image_id).await.map_err(|error| match error {
        Error::NotFound { .. } => not_found("Metadata not found"),
        other => other.into(),
    })?;
    let row = GalleryRowView::from(&image);
    Ok(JsonBody(MetaView {
        row,
        meta: image.meta,
        generation_data: image.generation_data.unwrap_or_default(),
    }))
}

#[derive(Serialize, JsonSchema)]
struct StarredView {
    starred: bool,
}

async fn star(State(app): AppState, PathId(image_id): PathId) -> Result<JsonBody<StarredView>, Refusal> {
    Ok(JsonBody(StarredView { starred: app.registry().toggle_star(image_id).await? }))
}

#[derive(Serialize, JsonSchema)]
struct PreviewSetView {
    status: &'static str,
    model_id: u64,
    civitai_id: String,
}

async fn set_preview(
    State(app): AppState,
    PathId(image_id): PathId,
) -> Result<JsonBody<PreviewSetView>, Refusal> {
    let model_id = app.registry().set_preview(image_id).await?;
    Ok(JsonBody(PreviewSetView { status: "ok", model_id, civitai_id: image_id.to_string() }))
}

#[derive(Serialize, JsonSchema)]
struct ImageDeletedView {
    status: &'static str,
    civitai_id: String,
}

async fn delete_one(
    State(app): AppState,
    PathId(image_id): PathId,
) -> Result<JsonBody<ImageDeletedView>, Refusal> {
    app.registry().delete_gallery_image(image_id).await?;
    Ok(JsonBody(ImageDeletedView { status: "deleted", civitai_id: image_id.to_string() }))
}

/// Which images of a model.
#[derive(Debug, Deserialize, JsonSchema)]
struct GalleryQuery {
    version_id: Option<u64>,
    #[serde(default, deserialize_with = "extract::flag")]
    starred: bool,
}

/// In the form of the contract: the model's own images, those of others, their bytes, the previews.
#[derive(Serialize, JsonSchema)]
struct GalleryView {
    /// How the last run stands; `idle` when there was none.
    status: &'static str,
    downloaded: u64,
    skipped: u64,
    total: u64,
    pages_fetched: u64,
    error: Option<String>,
    counted: usize,
    gallery_card: Vec<GalleryRowView>,
    gallery_card_bytes: u64,
    gallery_community: Vec<GalleryRowView>,
    gallery_community_bytes: u64,
    default_preview: Option<String>,
    custom_preview: Option<String>,
}

async fn list(
    State(app): AppState,
    PathId(model_id): PathId,
    Query(query): Query<GalleryQuery>,
) -> Result<JsonBody<GalleryView>, Refusal> {
    let filter = GalleryFilter { version_id: query.version_id, only_starred: query.starred };
    let gallery = app.registry().gallery_of_model(model_id, filter).await?;
    let progress = app.registry().gallery_progress(model_id);
    let (card, community): (Vec<_>, Vec<_>) =
        gallery.images.iter().partition(|image| image.source == "original");
    let bytes = |images: &[&GalleryImage]| images.iter().map(|image| image.file_size).sum::<u64>();
    let rows = |images: &[&GalleryImage]| images.iter().map(|image| GalleryRowView::from(*image)).collect();
    let first = card.first().or_else(|| community.first()).map(|image| image.id.to_string());
    Ok(JsonBody(GalleryView {
        status: progress.status,
        downloaded: progress.downloaded,
        skipped: progress.skipped,
        total: progress.total,
        pages_fetched: progress.pages_fetched,
        error: progress.error,
        counted: gallery.images.len(),
        gallery_card: rows(&card),
        gallery_card_bytes: bytes(&card),
        gallery_community: rows(&community),
        gallery_community_bytes: bytes(&community),
        default_preview: first,
        custom_preview: gallery.preview.map(|id| id.to_string()),
    }))
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "GalleryRunStarted")]
struct RunView {
    /// `downloading` or `stopping`.
    status: &'static str,
}

async fn run(
    State(app): AppState,
    PathId(model_id): PathId,
    Json(body): Json<RunBody>,
) -> Result<JsonBody<RunView>, Refusal> {
    let status = match body.into_action()? {
        Action::Start(request) => {
            app.registry().start_gallery(model_id, request)?;
            "downloading"
        }
        Action::Stop => {
            app.registry().stop_gallery(model_id);
            "stopping"
        }
    };
    Ok(JsonBody(RunView { status }))
}

#[derive(Serialize, JsonSchema)]
struct GalleryDeletedView {
    deleted: u64,
}

async fn delete_all(
    State(app): AppState,
    PathId(model_id): PathId,
    Query(query): Query<GalleryQuery>,
) -> Result<JsonBody<GalleryDeletedView>, Refusal> {
    let deleted = app.registry().delete_gallery(model_id, query.version_id).await?;
    Ok(JsonBody(GalleryDeletedView { deleted }))
}
