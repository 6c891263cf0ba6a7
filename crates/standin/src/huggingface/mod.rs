//! A Hugging Face Hub: routes, callers, and the order in which it refuses.

mod api;
mod errors;
mod repo;
mod resolve;

pub use repo::{Gated, HfRepo};

use crate::shared::Shared;
use crate::wire::{Answer, Request, Response};
use repo::Commit;
use std::sync::atomic::Ordering;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    Anonymous,
    Holder,
    /// A token that is not valid: refused everywhere.
    Broken,
}

/// What a path of the Hub is about.
struct Place<'a> {
    repo: String,
    verb: &'a str,
    rest: Vec<String>,
}

/// Routes of the Hub.
pub(crate) fn route(shared: &Shared, request: &Request) -> Answer {
    let caller = caller(shared, request);
    if caller == Caller::Broken {
        return with_limits(shared, request, errors::broken_token().into());
    }
    let segments = request.segments();
    let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
    let answer = match parts.as_slice() {
        ["api", "whoami-v2"] => api::whoami(caller).into(),
        ["api", "resolve-cache", "models", rest @ ..] => resolve::cached(shared, caller, rest),
        ["api", "models"] => api::list(shared, request).into(),
        ["api", "models", rest @ ..] => match place(rest, &API_VERBS) {
            Some(place) => api::route(shared, request, caller, &place).into(),
            None => errors::repo_missing(caller).into(),
        },
        rest => match place(rest, &FILE_VERBS) {
            Some(place) if !place.verb.is_empty() => resolve::route(shared, request, caller, &place),
            _ => Response::html(404, "<html><body>404: not found</body></html>").into(),
        },
    };
    with_limits(shared, request, answer)
}

const API_VERBS: [&str; 5] = ["revision", "tree", "paths-info", "refs", "xet-read-token"];
const FILE_VERBS: [&str; 2] = ["resolve", "raw"];

/// Splits `owner/name/verb/…` (or `name/verb/…`): a repository id has one or two segments.
fn place<'a>(parts: &[&'a str], verbs: &[&str]) -> Option<Place<'a>> {
    let verb_at = (1..=2).find(|at| parts.get(*at).is_some_and(|part| verbs.contains(part)));
    let (repo, tail) = match verb_at {
        Some(at) => (&parts[..at], &parts[at..]),
        None if parts.len() <= 2 => (parts, &parts[parts.len()..]),
        None => return None,
    };
    let rest = tail.iter().skip(1).map(|part| (*part).to_owned()).collect();
    Some(Place { repo: repo.join("/"), verb: tail.first().copied().unwrap_or(""), rest })
}

fn caller(shared: &Shared, request: &Request) -> Caller {
    match (request.header("authorization"), request.bearer()) {
        (None, _) => Caller::Anonymous,
        (_, Some(token)) if token == shared.options.huggingface_token => Caller::Holder,
        _ => Caller::Broken,
    }
}

/// The repository as this caller may see it, or the refusal.
fn visible(shared: &Shared, caller: Caller, id: &str) -> Result<HfRepo, Response> {
    let Some(repo) = shared.world().repos.get(id).cloned() else {
        return Err(errors::repo_missing(caller));
    };
    if repo.is_private && caller == Caller::Anonymous {
        return Err(errors::repo_missing(caller));
    }
    if repo.is_disabled {
        return Err(errors::disabled());
    }
    Ok(repo)
}

/// The commit that a branch, tag, reference or hash names, or the refusal.
fn commit_of(repo: &HfRepo, revision: &str) -> Result<Commit, Response> {
    repo.commit_at(revision).cloned().ok_or_else(|| errors::revision_missing(revision))
}

/// Adds the rate-limit headers of anonymous callers; nothing is really limited.
fn with_limits(shared: &Shared, request: &Request, answer: Answer) -> Answer {
    let api = request.path.starts_with("/api/models") || request.path.starts_with("/api/whoami");
    let (bucket, quota) = if api { ("api", 500) } else { ("resolvers", 3000) };
    let used = shared.api_calls.fetch_add(1, Ordering::Relaxed) % quota + 1;
    match answer {
        Answer::Ready(response) => response
            .with("ratelimit", format!("\"{bucket}\";r={};t=168", quota - used))
            .with("ratelimit-policy", format!("\"fixed window\";\"{bucket}\";q={quota};w=300"))
            .into(),
        file @ Answer::File(_) => file,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_id_has_one_or_two_segments() {
        let split = |path: &'static str, verbs: &[&str]| {
            let parts: Vec<&str> = path.split('/').collect();
            place(&parts, verbs).map(|place| (place.repo, place.verb, place.rest.join("/")))
        };
        let expect = |repo: &str, verb, rest: &str| Some((repo.to_owned(), verb, rest.to_owned()));
        assert_eq!(split("o/r/resolve/main/a/b", &FILE_VERBS), expect("o/r", "resolve", "main/a/b"));
        assert_eq!(split("gpt2/resolve/main/a", &FILE_VERBS), expect("gpt2", "resolve", "main/a"));
        assert_eq!(split("o/r", &API_VERBS), expect("o/r", "", ""));
        assert_eq!(split("o/r/nonsense", &API_VERBS), None);
    }
}
