//! `/api/models/…`: information, trees with pages, paths, references; and `whoami`.

use super::repo::{Commit, HfRepo, RepoFile};
use super::{Caller, Gated, Place, commit_of, errors, visible};
use crate::shared::Shared;
use crate::storage::escaped;
use crate::wire::{Request, Response, form};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

/// Paths in one `paths-info` request.
const MOST_PATHS: usize = 2000;

pub(super) fn route(shared: &Shared, request: &Request, caller: Caller, place: &Place<'_>) -> Response {
    let answer = visible(shared, caller, &place.repo).and_then(|repo| match &repo.new_id {
        Some(new_id) => Ok(renamed(request, &place.repo, new_id)),
        None => of_repo(shared, request, &repo, place),
    });
    answer.unwrap_or_else(|refusal| refusal)
}

fn of_repo(
    shared: &Shared,
    request: &Request,
    repo: &HfRepo,
    place: &Place<'_>,
) -> Result<Response, Response> {
    let revision = place.rest.first().map_or("main", String::as_str);
    let answer = match (request.method.as_str(), place.verb) {
        ("GET", "refs") => references(repo),
        ("GET", "" | "revision") => info(repo, &commit_of(repo, revision)?, request.flag("blobs")),
        ("GET", "tree") => {
            let folder = place.rest.get(1..).unwrap_or_default().join("/");
            tree(shared, request, repo, &commit_of(repo, revision)?, &folder)?
        }
        ("POST", "paths-info") => paths_info(request, &commit_of(repo, revision)?),
        ("GET", "xet-read-token") => xet_token(shared),
        _ => Response::json(405, &json!({"error": "Method Not Allowed"})),
    };
    Ok(answer)
}

/// `GET /api/whoami-v2`.
pub(super) fn whoami(caller: Caller) -> Response {
    match caller {
        Caller::Holder => Response::json(
            200,
            &json!({
                "type": "user",
                "id": "64f0000000000000000000aa",
                "name": "standin-user",
                "fullname": "Stand-in User",
                "isPro": false,
                "orgs": [],
                "auth": {"type": "access_token", "accessToken": {"displayName": "standin", "role": "read"}},
            }),
        ),
        _ => errors::repo_missing(Caller::Anonymous),
    }
}

/// `GET /api/models?author=&search=&limit=`.
pub(super) fn list(shared: &Shared, request: &Request) -> Response {
    let author = request.param("author");
    let search = request.param("search").unwrap_or_default().to_lowercase();
    let limit = request.param("limit").and_then(|limit| limit.parse().ok()).unwrap_or(1000);
    let world = shared.world();
    let found = world
        .repos
        .values()
        .filter(|repo| !repo.is_private && repo.new_id.is_none())
        .filter(|repo| author.as_ref().is_none_or(|author| repo.id().starts_with(&format!("{author}/"))))
        .filter(|repo| repo.id().to_lowercase().contains(&search))
        .take(limit)
        .map(|repo| json!({"_id": object_id(repo), "id": repo.id(), "modelId": repo.id(), "private": false}));
    Response::json(200, &found.collect())
}

/// 307 to the same call under the new name; the body is text.
fn renamed(request: &Request, old: &str, new: &str) -> Response {
    let path = request.path.replacen(&format!("/api/models/{old}"), &format!("/api/models/{new}"), 1);
    let query = if request.query.is_empty() { String::new() } else { format!("?{}", request.query) };
    Response::redirect(307, &format!("{path}{query}"))
}

fn info(repo: &HfRepo, commit: &Commit, blobs: bool) -> Response {
    let siblings: Vec<Value> = commit.files.iter().map(|file| sibling(file, blobs)).collect();
    let gated = match repo.gated {
        Gated::No => json!(false),
        Gated::Auto => json!("auto"),
        Gated::Manual => json!("manual"),
    };
    let used: u64 = commit.files.iter().map(|file| file.spec.size()).sum();
    Response::json(
        200,
        &json!({
            "_id": object_id(repo),
            "id": repo.id(),
            "modelId": repo.id(),
            "author": repo.id().split_once('/').map(|(author, _)| author),
            "sha": commit.sha,
            "lastModified": "2026-07-01T12:00:00.000Z",
            "createdAt": "2026-06-01T12:00:00.000Z",
            "private": repo.is_private,
            "gated": gated,
            "disabled": repo.is_disabled,
            "downloads": 1234,
            "likes": 56,
            "tags": tags(repo),
            "pipeline_tag": "text-to-image",
            "library_name": "diffusers",
            "cardData": card(repo),
            "config": {},
            "siblings": siblings,
            "spaces": [],
            "usedStorage": used,
        }),
    )
}

fn sibling(file: &RepoFile, blobs: bool) -> Value {
    let mut sibling = Map::new();
    sibling.insert("rfilename".into(), json!(file.spec.name()));
    if blobs {
        sibling.insert("blobId".into(), json!(file.blob_id()));
        sibling.insert("size".into(), json!(file.spec.size()));
        if file.is_lfs {
            sibling.insert("lfs".into(), lfs(file, "sha256"));
        }
    }
    sibling.into()
}

/// The large file's SHA-256 is called `oid` in trees and `sha256` in the information.
fn lfs(file: &RepoFile, hash_name: &str) -> Value {
    json!({
        hash_name: file.spec.sha256(),
        "size": file.spec.size(),
        "pointerSize": file.pointer().len(),
    })
}

fn tags(repo: &HfRepo) -> Vec<String> {
    let mut tags = vec!["diffusers".to_owned(), "safetensors".to_owned(), "license:other".to_owned()];
    if let Some(base) = &repo.base_model {
        tags.extend(["lora".to_owned(), format!("base_model:{base}"), format!("base_model:adapter:{base}")]);
    }
    tags
}

fn card(repo: &HfRepo) -> Value {
    let mut card = Map::new();
    card.insert("license".into(), json!("other"));
    if let Some(base) = &repo.base_model {
        card.insert("base_model".into(), json!(base));
    }
    if let Some(word) = &repo.trigger_word {
        card.insert("instance_prompt".into(), json!(word));
    }
    card.into()
}

fn object_id(repo: &HfRepo) -> String {
    let head = repo.head();
    head[..24].to_owned()
}

fn tree(
    shared: &Shared,
    request: &Request,
    repo: &HfRepo,
    commit: &Commit,
    folder: &str,
) -> Result<Response, Response> {
    let entries = entries(commit, folder, request.flag("recursive"), request.flag("expand"));
    if entries.is_empty() && !folder.is_empty() {
        return Err(errors::entry_missing(&commit.sha));
    }
    let limit = request.param("limit").and_then(|limit| limit.parse().ok());
    let limit: usize = limit.unwrap_or(shared.options.tree_page).clamp(1, 1000);
    let start = request.param("cursor").and_then(|cursor| offset_of(&cursor)).unwrap_or(0);
    let page: Vec<Value> = entries.iter().skip(start).take(limit).cloned().collect();
    let response = Response::json(200, &page.into());
    if start + limit >= entries.len() {
        return Ok(response);
    }
    let next = format!(
        "{}{}?expand={}&recursive={}&limit={limit}&cursor={}",
        shared.addresses.huggingface,
        request.path,
        request.flag("expand"),
        request.flag("recursive"),
        escaped(&cursor_at(start + limit, repo)),
    );
    Ok(response.with("link", format!("<{next}>; rel=\"next\"")))
}

/// An opaque cursor with characters that have to be escaped in a query.
fn cursor_at(offset: usize, repo: &HfRepo) -> String {
    format!("{}+{offset}==", &object_id(repo)[..8])
}

fn offset_of(cursor: &str) -> Option<usize> {
    cursor.split_once('+')?.1.trim_end_matches('=').parse().ok()
}

fn entries(commit: &Commit, folder: &str, recursive: bool, expand: bool) -> Vec<Value> {
    let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    let mut folders = BTreeSet::new();
    let mut files = Vec::new();
    for file in &commit.files {
        let Some(inner) = file.spec.name().strip_prefix(&prefix) else { continue };
        let ends: Vec<usize> = inner.match_indices('/').map(|(at, _)| at).collect();
        let shown = if recursive { ends.len() } else { ends.len().min(1) };
        folders.extend(ends[..shown].iter().map(|end| format!("{prefix}{}", &inner[..*end])));
        if recursive || ends.is_empty() {
            files.push(entry(file, expand));
        }
    }
    let folder = |path: String| json!({"type": "directory", "oid": crate::checksum::git_blob_id(path.as_bytes()), "size": 0, "path": path});
    folders.into_iter().map(folder).chain(files).collect()
}

fn entry(file: &RepoFile, expand: bool) -> Value {
    let mut entry = Map::new();
    entry.insert("type".into(), json!("file"));
    entry.insert("oid".into(), json!(file.blob_id()));
    entry.insert("size".into(), json!(file.spec.size()));
    if file.is_lfs {
        entry.insert("lfs".into(), lfs(file, "oid"));
        entry.insert("xetHash".into(), json!(file.xet_hash()));
    }
    entry.insert("path".into(), json!(file.spec.name()));
    if expand {
        entry.insert(
            "lastCommit".into(),
            json!({"id": file.blob_id(), "title": "Add files", "date": "2026-07-01T12:00:00.000Z"}),
        );
        entry.insert("securityFileStatus".into(), json!({"status": "safe"}));
    }
    entry.into()
}

/// Python sends a form, others JSON; paths that do not exist are left out without a word.
fn paths_info(request: &Request, commit: &Commit) -> Response {
    let paths = asked_paths(request);
    if paths.len() > MOST_PATHS {
        return Response::json(400, &json!({"error": "Too many paths"}));
    }
    let found = paths.iter().filter_map(|path| {
        let folder = || commit.files.iter().any(|file| file.spec.name().starts_with(&format!("{path}/")));
        match commit.file(path) {
            Some(file) => Some(entry(file, false)),
            None if folder() => Some(json!({"type": "directory", "path": path, "size": 0})),
            None => None,
        }
    });
    Response::json(200, &found.collect())
}

fn asked_paths(request: &Request) -> Vec<String> {
    let text = String::from_utf8_lossy(&request.body);
    if let Ok(body) = serde_json::from_str::<Value>(&text) {
        let paths = body["paths"].as_array().into_iter().flatten();
        return paths.filter_map(|path| path.as_str().map(str::to_owned)).collect();
    }
    form(&text).into_iter().filter(|(name, _)| name == "paths").map(|(_, path)| path).collect()
}

fn references(repo: &HfRepo) -> Response {
    let branch = |(name, sha): &(String, String)| {
        let full = if name.starts_with("refs/") { name.clone() } else { format!("refs/heads/{name}") };
        json!({"name": name, "ref": full, "targetCommit": sha})
    };
    let branches: Vec<Value> = repo.references().iter().map(branch).collect();
    Response::json(200, &json!({"branches": branches, "tags": [], "converts": []}))
}

/// Both forms at once: Python reads the headers, Rust the JSON. No reconstruction service stands behind it.
fn xet_token(shared: &Shared) -> Response {
    let expires = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()) + 3600;
    let cas = &shared.addresses.storage;
    Response::json(200, &json!({"accessToken": "xet_standin", "exp": expires, "casUrl": cas}))
        .with("x-xet-cas-url", cas)
        .with("x-xet-access-token", "xet_standin")
        .with("x-xet-token-expiration", expires.to_string())
}
