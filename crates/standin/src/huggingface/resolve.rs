//! `/{repo}/resolve/{rev}/{path}`: 302 to the storage for large files, 307 to a relative address for
//! small ones. The SHA-256 is on the first hop only.

use super::repo::{Commit, HfRepo, RepoFile};
use super::{Caller, Gated, Place, commit_of, errors, visible};
use crate::shared::Shared;
use crate::storage::escaped;
use crate::wire::{Answer, FileAnswer, Request, Response};

pub(super) fn route(shared: &Shared, request: &Request, caller: Caller, place: &Place<'_>) -> Answer {
    if !matches!(request.method.as_str(), "GET" | "HEAD") {
        return Response::text(405, "Method Not Allowed").into();
    }
    find(shared, caller, place).map_or_else(Answer::from, |(repo, commit, file)| {
        if place.verb == "raw" {
            return raw(&file).into();
        }
        if repo.is_direct {
            return direct(&repo, &commit, file).into();
        }
        if file.is_lfs { large(shared, &repo, &commit, &file) } else { small(request, &repo, &commit, &file) }
            .into()
    })
}

/// `/api/resolve-cache/models/{repo}/{commit}/{path}`, where a small file really comes from.
pub(super) fn cached(shared: &Shared, caller: Caller, parts: &[&str]) -> Answer {
    let split = (1..=2).find(|at| parts.get(*at).is_some_and(|part| is_sha(part)));
    let Some(at) = split else { return errors::repo_missing(caller).into() };
    let rest = parts[at..].iter().map(|part| (*part).to_owned()).collect();
    let place = Place { repo: parts[..at].join("/"), verb: "resolve", rest };
    find(shared, caller, &place).map_or_else(Answer::from, |(repo, commit, file)| {
        let etag = file.blob_id();
        answer(&repo, &commit, file, etag).into()
    })
}

/// The bytes at once; the `ETag` of a large file is its SHA-256.
fn direct(repo: &HfRepo, commit: &Commit, file: RepoFile) -> FileAnswer {
    let etag = if file.is_lfs { file.spec.sha256() } else { file.blob_id() };
    answer(repo, commit, file, etag)
}

fn answer(repo: &HfRepo, commit: &Commit, file: RepoFile, etag: String) -> FileAnswer {
    let kind = if file.is_lfs { "application/octet-stream" } else { "text/plain; charset=utf-8" };
    FileAnswer {
        label: label(repo, &file),
        etag,
        content_type: kind.into(),
        headers: vec![("x-repo-commit".into(), commit.sha.clone())],
        signed: None,
        spec: file.spec,
    }
}

fn find(shared: &Shared, caller: Caller, place: &Place<'_>) -> Result<(HfRepo, Commit, RepoFile), Response> {
    let mut repo = visible(shared, caller, &place.repo)?;
    if let Some(new_id) = repo.new_id.clone() {
        // The API redirects to a new name; `resolve` answers under the old one.
        repo = visible(shared, caller, &new_id)?;
    }
    let (revision, path) = place.rest.split_first().ok_or_else(|| errors::revision_missing(""))?;
    let commit = commit_of(&repo, revision)?;
    if repo.gated != Gated::No && !(repo.is_granted && caller == Caller::Holder) {
        return Err(errors::gated(caller, repo.id()));
    }
    let file = commit.file(&path.join("/")).cloned().ok_or_else(|| errors::entry_missing(&commit.sha))?;
    Ok((repo, commit, file))
}

fn large(shared: &Shared, repo: &HfRepo, commit: &Commit, file: &RepoFile) -> Response {
    let xet = file.xet_hash();
    let path = format!("/xet-bridge-us/{}/{xet}", &file.spec.mark("repo object")[..24]);
    let lifetime = shared.options.signed_url_lifetime;
    let (signature, expires) = shared.signatures.sign(&file.spec, &label(repo, file), &xet, &path, lifetime);
    let name = file.spec.name().rsplit('/').next().unwrap_or_default();
    let disposition = escaped(&format!("inline; filename*=UTF-8''{}; filename=\"{name}\";", escaped(name)));
    let location = format!(
        "{}{path}?X-Xet-Cas-Uid=public&response-content-disposition={disposition}\
         &Expires={expires}&Policy=c3RhbmRpbg__&Signature={signature}&Key-Pair-Id=KSTANDIN",
        shared.addresses.storage
    );
    let (hub, id) = (&shared.addresses.huggingface, repo.id());
    let link = format!(
        "<{hub}/api/models/{id}/xet-read-token/{}>; rel=\"xet-auth\", \
         <{}/v1/reconstructions/{xet}>; rel=\"xet-reconstruction-info\"",
        commit.sha, shared.addresses.storage
    );
    Response::redirect(302, &location)
        .with("x-repo-commit", &commit.sha)
        .with("accept-ranges", "bytes")
        .with("x-linked-size", file.spec.size().to_string())
        .with("x-linked-etag", format!("\"{}\"", file.spec.sha256()))
        .with("x-xet-hash", xet)
        .with("link", link)
}

fn small(request: &Request, repo: &HfRepo, commit: &Commit, file: &RepoFile) -> Response {
    let etag = format!("\"{}\"", file.blob_id());
    if request.header("if-none-match") == Some(etag.as_str()) {
        return Response::new(304).with("etag", etag);
    }
    let path: Vec<String> = file.spec.name().split('/').map(escaped).collect();
    let location = format!(
        "/api/resolve-cache/models/{}/{}/{}?{}=&etag={}",
        repo.id(),
        commit.sha,
        path.join("/"),
        escaped(&request.path),
        escaped(&etag)
    );
    Response::redirect(307, &location)
        .with("vary", "Origin, Accept")
        .with("x-repo-commit", &commit.sha)
        .with("x-linked-etag", &etag)
        .with("etag", etag)
}

fn raw(file: &RepoFile) -> Response {
    if file.is_lfs {
        return Response::text(200, file.pointer());
    }
    Response::new(200).with("content-type", "text/plain; charset=utf-8").body(file.spec.bytes())
}

/// Name of a repository's file for counters and faults.
fn label(repo: &HfRepo, file: &RepoFile) -> String {
    format!("{}/{}", repo.id(), file.spec.name())
}

fn is_sha(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
