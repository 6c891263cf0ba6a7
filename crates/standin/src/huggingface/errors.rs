//! The Hub's refusals: the headers decide, not the body.

use super::Caller;
use crate::wire::Response;
use serde_json::json;

const AUTHENTICATE: &str = "Bearer realm=\"Authentication required\"";

/// A missing repository, or a private one to an anonymous caller.
pub(super) fn repo_missing(caller: Caller) -> Response {
    match caller {
        Caller::Holder => json_error(404, "Repository not found").with("x-error-code", "RepoNotFound"),
        _ => json_error(401, "Invalid username or password.").with("www-authenticate", AUTHENTICATE),
    }
}

pub(super) fn broken_token() -> Response {
    json_error(401, "Invalid credentials in Authorization header").with("www-authenticate", AUTHENTICATE)
}

pub(super) fn revision_missing(revision: &str) -> Response {
    text_error(404, &format!("Invalid rev id: {revision}")).with("x-error-code", "RevisionNotFound")
}

pub(super) fn entry_missing(commit: &str) -> Response {
    text_error(404, "Entry not found").with("x-error-code", "EntryNotFound").with("x-repo-commit", commit)
}

pub(super) fn gated(caller: Caller, repo: &str) -> Response {
    let (status, message) = match caller {
        Caller::Holder => (
            403,
            format!(
                "Access to model {repo} is restricted and you are not in the authorized list. \
                 Visit https://huggingface.co/{repo} to ask for access."
            ),
        ),
        _ => (
            401,
            format!(
                "Access to model {repo} is restricted. You must have access to it and be authenticated \
                 to access it. Please log in."
            ),
        ),
    };
    text_error(status, &message).with("x-error-code", "GatedRepo")
}

pub(super) fn disabled() -> Response {
    text_error(403, "Access to this resource is disabled.")
}

fn json_error(status: u16, message: &str) -> Response {
    Response::json(status, &json!({"error": message})).with("x-error-message", message)
}

fn text_error(status: u16, message: &str) -> Response {
    Response::text(status, message).with("x-error-message", message)
}
