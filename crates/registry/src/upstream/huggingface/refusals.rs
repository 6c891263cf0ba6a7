//! What the Hub's refusals mean and what the user can do: one table for API and download. The header decides, the
//! status only when there is none.

use lorakeep_transfer::Refusal;

use crate::upstream::error::UpstreamError;

/// Where a token is set, in the words of the configuration.
const SET_TOKEN: &str = "make a token on https://huggingface.co/settings/tokens and set it as HF_TOKEN";

/// What was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) repo: &'a str,
    pub(crate) revision: &'a str,
    /// Empty when the whole repository was meant.
    pub(crate) path: &'a str,
}

/// Explains a refusal.
pub(crate) fn explain(refusal: &Refusal, asked: Asked<'_>) -> UpstreamError {
    let Asked { repo, revision, path } = asked;
    let said = refusal.error_message.as_deref().unwrap_or_default();
    let refused = |code, message: String| UpstreamError::refused(code, refusal.status, message);
    match (refusal.error_code.as_deref(), refusal.status) {
        (Some("EntryNotFound"), _) => entry_missing(asked, refusal.status),
        (Some("RevisionNotFound"), _) => refused(
            "revision_not_found",
            format!("the repository `{repo}` has no branch, tag or commit `{revision}`; `main` is usual"),
        ),
        (Some("RepoNotFound"), _) => refused(
            "repo_not_found",
            format!(
                "the repository `{repo}` was not found on Hugging Face, or it is private and the configured HF_TOKEN may not \
                 read it; check its name"
            ),
        ),
        (Some("GatedRepo"), _) => gated(refusal, repo),
        (_, 401) if said.contains("Invalid credentials") => refused(
            "token_rejected",
            format!("Hugging Face does not accept the configured HF_TOKEN; {SET_TOKEN} anew"),
        ),
        (_, 401) => refused(
            "repo_not_found",
            format!(
                "the repository `{repo}` was not found on Hugging Face, or it is private; check its name, or {SET_TOKEN}"
            ),
        ),
        (_, 403) if said.contains("disabled") => refused(
            "disabled",
            format!("Hugging Face has disabled access to `{repo}`; the file has to come from another place"),
        ),
        (_, 403) => refused(
            "no_access",
            format!("the configured HF_TOKEN may not read `{repo}`; give the token read access to it"),
        ),
        (_, 404) if path.is_empty() => {
            refused("repo_not_found", format!("the repository `{repo}` was not found on Hugging Face"))
        }
        (_, 404) => entry_missing(asked, 404),
        (_, 429) => UpstreamError::passing(
            "rate_limited",
            429,
            "Hugging Face answers no more requests for now; it is tried again later (a HF_TOKEN raises the limit)",
        ),
        (_, 500..) => UpstreamError::passing(
            "upstream_failed",
            refusal.status,
            format!("Hugging Face failed with status {} at `{repo}`; try again later", refusal.status),
        ),
        (_, status) => {
            refused("upstream", format!("Hugging Face refused `{repo}` with status {status}{}", quoted(said)))
        }
    }
}

/// The repository is there, the file is not.
pub(crate) fn entry_missing(asked: Asked<'_>, status: u16) -> UpstreamError {
    let Asked { repo, revision, path } = asked;
    let page = format!("https://huggingface.co/{repo}/tree/{revision}");
    UpstreamError::refused(
        "entry_not_found",
        status,
        format!("`{repo}` has no file `{path}` at `{revision}`; look for its present name on {page}"),
    )
}

fn gated(refusal: &Refusal, repo: &str) -> UpstreamError {
    let page = format!("https://huggingface.co/{repo}");
    let message = if refusal.authenticated {
        format!(
            "`{repo}` is gated: visit {page} with the account of the configured HF_TOKEN and ask for access, then retry"
        )
    } else {
        format!("`{repo}` is gated: visit {page} and accept its conditions, then {SET_TOKEN}")
    };
    UpstreamError::refused("gated", refusal.status, message)
}

fn quoted(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" (`{text}`)") }
}

#[cfg(test)]
mod tests {
    use lorakeep_transfer::MaskedUrl;
    use url::Url;

    use super::*;

    fn refusal(status: u16, code: Option<&str>, message: &str, authenticated: bool) -> Refusal {
        Refusal {
            status,
            url: MaskedUrl::new(&Url::parse("https://huggingface.co/o/r/resolve/main/x").unwrap()),
            first_party: true,
            authenticated,
            error_code: code.map(str::to_owned),
            error_message: Some(message.to_owned()),
            body_start: String::new(),
        }
    }

    #[test]
    fn each_refusal_says_what_to_do() {
        let cases = [
            (404, Some("EntryNotFound"), "Entry not found", false, "entry_not_found", "/o/r/tree/dev"),
            (404, Some("RevisionNotFound"), "Invalid rev id: dev", false, "revision_not_found", "`dev`"),
            (404, Some("RepoNotFound"), "Repository not found", true, "repo_not_found", "may not read it"),
            (401, None, "Invalid username or password.", false, "repo_not_found", "HF_TOKEN"),
            (401, None, "Invalid credentials in Authorization header", true, "token_rejected", "anew"),
            (
                401,
                Some("GatedRepo"),
                "Access to model o/r is restricted.",
                false,
                "gated",
                "accept its conditions",
            ),
            (403, Some("GatedRepo"), "you are not in the authorized list.", true, "gated", "ask for access"),
            (403, None, "Access to this resource is disabled.", false, "disabled", "another place"),
            (403, None, "Forbidden", true, "no_access", "read access"),
            (404, None, "", false, "entry_not_found", "present name"),
            (429, None, "", false, "rate_limited", "HF_TOKEN"),
            (502, None, "", false, "upstream_failed", "try again later"),
            (418, None, "teapot", false, "upstream", "teapot"),
        ];
        for (status, code, said, authenticated, expected, text) in cases {
            let asked = Asked { repo: "o/r", revision: "dev", path: "a.safetensors" };
            let explained = explain(&refusal(status, code, said, authenticated), asked);
            assert_eq!(explained.code, expected, "{status} {said}");
            assert!(explained.message.contains(text), "{}", explained.message);
        }
    }
}
