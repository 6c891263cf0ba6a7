//! The queue: ask for files, look at jobs, act on them.

use axum::Json as JsonBody;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use lorakeep_registry::domain::{DownloadId, DownloadState, Trigger};
use lorakeep_registry::{
    DownloadFilter, Enqueue, Enqueued, JobState, PageRequest, Placement, Result as RegistryResult,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::extract::{self, FileName, Json, PageQuery, Path, Query};
use super::views::{BatchView, ChangedView, DownloadView, EnqueuedView, PageView};
use crate::app::{App, AppState};
use crate::envelope::Refusal;
use crate::openapi::{Operation, tagged};

pub(super) fn operations() -> Vec<Operation> {
    tagged(
        "Downloads",
        [
            Operation::post("/api/admin/models/download/{filename}", "Asks for one file")
                .query::<EnqueueQuery>()
                .json::<EnqueuedView>()
                .refuses([409, 503]),
            Operation::post("/api/admin/models/download-batch", "Asks for many files")
                .body::<BatchBody>(json!({"filenames": ["$FILENAME"]}))
                .json::<BatchView>()
                .refuses([503]),
            Operation::get("/api/admin/downloads", "The queue as a list")
                .query::<ListQuery>()
                .example_query("state=queued,error&limit=20")
                .json::<PageView<DownloadView>>(),
            Operation::get("/api/admin/downloads/{id}", "One download").json::<DownloadView>(),
            Operation::post("/api/admin/downloads/{id}/pause", "Pauses it")
                .json::<DownloadView>()
                .refuses([409]),
            Operation::post("/api/admin/downloads/{id}/resume", "Lets it go on")
                .json::<DownloadView>()
                .refuses([409]),
            Operation::post("/api/admin/downloads/{id}/cancel", "Ends it")
                .json::<DownloadView>()
                .refuses([409]),
            Operation::post("/api/admin/downloads/{id}/retry", "Tries a failed one again")
                .json::<DownloadView>()
                .refuses([409, 503]),
            Operation::post("/api/admin/downloads/{id}/move", "Gives it another place in the queue")
                .about("With exactly one field.")
                .body::<MoveBody>(json!({"to": "top"}))
                .json::<DownloadView>()
                .refuses([409]),
            Operation::post("/api/admin/downloads/pause-all", "Pauses every download").json::<ChangedView>(),
            Operation::post("/api/admin/downloads/resume-all", "Lets every download go on")
                .json::<ChangedView>(),
        ],
    )
}

/// How one file is asked for.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct EnqueueQuery {
    #[serde(default, deserialize_with = "extract::flag")]
    force: bool,
    dest: Option<String>,
}

pub(super) async fn enqueue(
    State(app): AppState,
    FileName(file): FileName,
    Query(query): Query<EnqueueQuery>,
) -> Result<JsonBody<EnqueuedView>, Refusal> {
    let how = Enqueue { force: query.force, trigger: Trigger::Manual, priority: 0 };
    let enqueued: Enqueued = app.registry().enqueue(&file, query.dest.as_deref(), how).await?;
    Ok(JsonBody(EnqueuedView::new(file, enqueued)))
}

/// Many files at once.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BatchBody {
    filenames: Vec<String>,
    #[serde(default)]
    force: bool,
}

pub(super) async fn enqueue_batch(
    State(app): AppState,
    Json(body): Json<BatchBody>,
) -> Result<JsonBody<BatchView>, Refusal> {
    Ok(JsonBody(app.registry().enqueue_batch(&body.filenames, body.force).await?.into()))
}

/// Which jobs are listed; a list of states with commas between.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct ListQuery {
    state: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

pub(super) async fn list(
    State(app): AppState,
    Query(query): Query<ListQuery>,
) -> Result<JsonBody<PageView<DownloadView>>, Refusal> {
    let states = parse_states(query.state.as_deref().unwrap_or_default())?;
    let page: PageRequest = PageQuery::new(query.limit, query.cursor).into();
    let page = app.registry().list_downloads(DownloadFilter { states }, page).await?;
    Ok(JsonBody(PageView::new(page, |job| DownloadView::new(app.registry(), &job))))
}

fn parse_states(text: &str) -> Result<Vec<DownloadState>, Refusal> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    names.map(|name| DownloadState::parse(name).ok_or_else(|| unknown_state(name))).collect()
}

fn unknown_state(name: &str) -> Refusal {
    let known = DownloadState::ALL.map(|state| format!("'{}'", state.as_str())).join(", ");
    let msg = format!("`{name}` is not a state; there are {known}");
    Refusal::unreadable(vec!["query".into(), "state".into()], msg, "enum")
}

pub(super) async fn show(State(app): AppState, Path(id): Path<DownloadId>) -> Result<Response, Refusal> {
    respond(&app, app.registry().load_download(id).await)
}

pub(super) async fn pause(State(app): AppState, Path(id): Path<DownloadId>) -> Result<Response, Refusal> {
    respond(&app, app.registry().pause_download(id).await)
}

pub(super) async fn resume(State(app): AppState, Path(id): Path<DownloadId>) -> Result<Response, Refusal> {
    respond(&app, app.registry().resume_download(id).await)
}

pub(super) async fn cancel(State(app): AppState, Path(id): Path<DownloadId>) -> Result<Response, Refusal> {
    respond(&app, app.registry().cancel_download(id).await)
}

pub(super) async fn retry(State(app): AppState, Path(id): Path<DownloadId>) -> Result<Response, Refusal> {
    respond(&app, app.registry().retry_download(id).await)
}

fn respond(app: &App, outcome: RegistryResult<JobState>) -> Result<Response, Refusal> {
    Ok(JsonBody(DownloadView::new(app.registry(), &outcome?)).into_response())
}

/// Where to; exactly one field.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MoveBody {
    to: Option<String>,
    before: Option<String>,
    after: Option<String>,
    priority: Option<i64>,
}

impl MoveBody {
    fn placement(&self) -> Result<Placement, Refusal> {
        match (self.to.as_deref(), &self.before, &self.after, self.priority) {
            (Some("top"), None, None, None) => Ok(Placement::Top),
            (Some("bottom"), None, None, None) => Ok(Placement::Bottom),
            (None, Some(id), None, None) => parse_id("before", id).map(Placement::Before),
            (None, None, Some(id), None) => parse_id("after", id).map(Placement::After),
            (None, None, None, Some(priority)) => Ok(Placement::Priority(priority)),
            _ => Err(unclear_move()),
        }
    }
}

fn parse_id(field: &str, text: &str) -> Result<DownloadId, Refusal> {
    text.parse().map_err(|_| {
        Refusal::unreadable(
            vec!["body".into(), field.into()],
            "Input should be the id of a download",
            "value_error",
        )
    })
}

fn unclear_move() -> Refusal {
    let msg = "say where to with exactly one of `to` ('top' or 'bottom'), `before`, `after`, `priority`";
    Refusal::unreadable(vec!["body".into()], msg, "value_error")
}

pub(super) async fn place(
    State(app): AppState,
    Path(id): Path<DownloadId>,
    Json(body): Json<MoveBody>,
) -> Result<Response, Refusal> {
    respond(&app, app.registry().move_download(id, body.placement()?).await)
}

pub(super) async fn pause_all(State(app): AppState) -> Result<JsonBody<ChangedView>, Refusal> {
    Ok(JsonBody(ChangedView { changed: app.registry().pause_all_downloads().await? }))
}

pub(super) async fn resume_all(State(app): AppState) -> Result<JsonBody<ChangedView>, Refusal> {
    Ok(JsonBody(ChangedView { changed: app.registry().resume_all_downloads().await? }))
}
