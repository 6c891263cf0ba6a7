//! `/api/v1/models`, `/tags` and `/creators`.

use super::model::CivitModel;
use super::{enums, error, page, signed_in, views};
use crate::shared::Shared;
use crate::wire::{Request, Response};
use serde_json::{Value, json};

/// Pages may reach this deep.
const DEEPEST: usize = 1000;

/// `GET /api/v1/models`.
pub(super) fn list(shared: &Shared, request: &Request) -> Response {
    if let Some(refusal) = refused(shared, request) {
        return refusal;
    }
    let world = shared.world();
    let mut found: Vec<&CivitModel> = world.models.iter().filter(|model| matches(model, request)).collect();
    if request.param("sort").as_deref() == Some("Newest") {
        found.sort_by_key(|model| std::cmp::Reverse(model.id));
    }
    let items: Vec<Value> = found.into_iter().map(|model| views::model(shared, model)).collect();
    Response::json(200, &page(shared, request, &items, 100))
}

/// `GET /api/v1/models/{id}`.
pub(super) fn one(shared: &Shared, id: &str) -> Response {
    let Ok(id) = id.parse::<u64>() else {
        let issue =
            json!({"code": "invalid_type", "path": ["id"], "message": "Expected number, received nan"});
        return Response::json(400, &json!({"error": {"issues": [issue], "name": "ZodError"}}));
    };
    match shared.world().models.iter().find(|model| model.id == id && is_shown(model)) {
        Some(model) => Response::json(200, &views::model(shared, model)),
        None => error(404, &format!("No model with id {id}")),
    }
}

/// `GET /api/v1/tags`.
pub(super) fn tags(shared: &Shared, request: &Request) -> Response {
    let query = request.param("query").unwrap_or_default().to_lowercase();
    let mut names: Vec<String> = shared.world().models.iter().flat_map(|model| model.tags.clone()).collect();
    names.sort();
    names.dedup();
    names.retain(|name| name.contains(&query));
    named(shared, request, &names, "tag")
}

/// `GET /api/v1/creators`.
pub(super) fn creators(shared: &Shared, request: &Request) -> Response {
    let query = request.param("query").unwrap_or_default().to_lowercase();
    let mut names: Vec<String> = shared.world().models.iter().map(|model| model.creator.clone()).collect();
    names.sort();
    names.dedup();
    names.retain(|name| name.contains(&query));
    named(shared, request, &names, "username")
}

fn named(shared: &Shared, request: &Request, names: &[String], parameter: &str) -> Response {
    let key = if parameter == "tag" { "name" } else { "username" };
    let link = |name: &String| format!("{}/api/v1/models?{parameter}={name}", shared.addresses.civitai);
    let items: Vec<Value> = names.iter().map(|name| json!({key: name, "link": link(name)})).collect();
    let mut answer = page(shared, request, &items, 20);
    let size = answer["metadata"]["pageSize"].as_u64().unwrap_or(20) as usize;
    answer["metadata"]["totalItems"] = json!(items.len());
    answer["metadata"]["totalPages"] = json!(items.len().div_ceil(size));
    Response::json(200, &answer)
}

fn refused(shared: &Shared, request: &Request) -> Option<Response> {
    let number = |name| request.param(name).and_then(|value| value.parse::<usize>().ok());
    let own = request.flag("favorites") || request.flag("hidden");
    if own && !signed_in(shared, request) {
        return Some(error(401, "Unauthorized"));
    }
    if request.param("query").is_some() && request.param("page").is_some() {
        return Some(error(400, "Cannot use page param with query search. Use cursor-based pagination."));
    }
    if number("page").unwrap_or(0) * number("limit").unwrap_or(100) > DEEPEST {
        return Some(error(429, "You've requested too many pages, please use cursors instead"));
    }
    if number("limit").is_some_and(|limit| limit > 100) {
        let issue = json!({"code": "too_big", "maximum": 100, "path": ["limit"], "message": "Number must be less than or equal to 100"});
        return Some(Response::json(400, &json!({"error": {"issues": [issue], "name": "ZodError"}})));
    }
    let wrong = |name, known: &[&str]| {
        request.params().into_iter().any(|(key, value)| key == name && !known.contains(&value.as_str()))
    };
    let list = [("types", enums::MODEL_TYPES), ("baseModels", enums::BASE_MODELS)];
    list.into_iter().find(|(name, known)| wrong(*name, known)).map(|(name, known)| bad_choice(name, known))
}

/// The validator's text lists all options, which some clients read.
fn bad_choice(name: &str, options: &[&str]) -> Response {
    let inner = json!({"received": "?", "code": "invalid_enum_value", "options": options, "path": [name]});
    let issue = json!({"code": "invalid_union", "unionErrors": [{"issues": [inner], "name": "ZodError"}], "path": [name], "message": "Invalid input"});
    Response::json(400, &json!({"error": {"issues": [issue], "name": "ZodError"}}))
}

fn is_shown(model: &CivitModel) -> bool {
    !model.deleted && !model.poi
}

fn matches(model: &CivitModel, request: &Request) -> bool {
    let params = request.params();
    let all = |name: &str| -> Vec<&str> {
        params.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
    };
    let has_id = |list: &str, ids: &[u64]| {
        list.split(',').filter_map(|id| id.trim().parse().ok()).any(|id| ids.contains(&id))
    };
    let versions: Vec<u64> = model.versions.iter().map(|version| version.id).collect();
    let any_or_none =
        |list: Vec<&str>, test: &dyn Fn(&str) -> bool| list.is_empty() || list.into_iter().any(test);
    is_shown(model)
        && (!model.nsfw || request.flag("nsfw"))
        && any_or_none(all("ids"), &|ids| has_id(ids, &[model.id]))
        && any_or_none(all("modelVersionIds"), &|ids| has_id(ids, &versions))
        && any_or_none(all("query"), &|text| model.name.to_lowercase().contains(&text.to_lowercase()))
        && any_or_none(all("tag"), &|tag| model.tags.iter().any(|own| own == tag))
        && any_or_none(all("username"), &|name| model.creator == name)
        && any_or_none(all("types"), &|kind| model.kind == kind)
        && any_or_none(all("baseModels"), &|base| {
            model.versions.iter().any(|version| version.base_model == base)
        })
}
