//! Files that may not be loaded: list, release by hash, remove.

use axum::Json;
use axum::extract::{Extension, State};
use lorakeep_registry::domain::{Caller, Sha256};

use super::extract::{PageQuery, Path, Query};
use super::views::{PageView, PurgedView, QuarantinedView, ReleasedView};
use crate::app::AppState;
use crate::envelope::Refusal;
use crate::openapi::{Operation, tagged};

pub(super) fn operations() -> Vec<Operation> {
    tagged(
        "Files",
        [
            Operation::get("/api/admin/quarantine", "Files that may not be loaded, newest first")
                .query::<PageQuery>()
                .json::<PageView<QuarantinedView>>(),
            Operation::post(
                "/api/admin/quarantine/{sha256}/release",
                "Puts the newest file of that content where it was to go",
            )
            .json::<ReleasedView>()
            .refuses([409, 503]),
            Operation::delete(
                "/api/admin/quarantine/{sha256}",
                "Removes every quarantined file of that content for good",
            )
            .json::<PurgedView>()
            .refuses([503]),
        ],
    )
}

pub(super) async fn list(
    State(app): AppState,
    Query(page): Query<PageQuery>,
) -> Result<Json<PageView<QuarantinedView>>, Refusal> {
    let page = app.registry().list_quarantine(page.into()).await?;
    Ok(Json(PageView::new(page, QuarantinedView::from)))
}

pub(super) async fn release(
    State(app): AppState,
    Extension(caller): Extension<Caller>,
    Path(sha256): Path<Sha256>,
) -> Result<Json<ReleasedView>, Refusal> {
    Ok(Json(app.registry().release_quarantined(sha256, &caller).await?.into()))
}

pub(super) async fn remove(
    State(app): AppState,
    Path(sha256): Path<Sha256>,
) -> Result<Json<PurgedView>, Refusal> {
    Ok(Json(app.registry().delete_quarantined(sha256).await?.into()))
}
