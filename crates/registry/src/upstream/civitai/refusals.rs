//! What CivitAI's refusals mean and what the user can do: one table for API and download.

use chrono::DateTime;
use lorakeep_transfer::Refusal;
use serde_json::Value;

use crate::upstream::error::UpstreamError;
use crate::upstream::http::readable;

/// Where a key is set, in the words of the configuration.
const SET_KEY: &str = "make an API key on CivitAI (account settings) and set it as CIVITAI_API_KEY";

/// Explains a refusal of `name`, such as `version 12 on CivitAI`.
pub(crate) fn explain(refusal: &Refusal, name: &str) -> UpstreamError {
    let body = Said::read(&refusal.body_start);
    let refused = |code, message: String| UpstreamError::refused(code, refusal.status, message);
    match refusal.status {
        401 if body.mentions("disabled downloads") => generation_only(name),
        401 if refusal.authenticated => refused(
            "key_rejected",
            format!("CivitAI does not accept the configured key for {name}; {SET_KEY} anew"),
        ),
        401 => refused(
            "login_required",
            format!("CivitAI gives out {name} only to those who are logged in; {SET_KEY}"),
        ),
        403 if body.is_early_access() => early_access(name, body.deadline.as_deref()),
        403 if !refusal.authenticated => refused(
            "no_access",
            format!("CivitAI does not give out {name} without an account that may have it; {SET_KEY}"),
        ),
        403 => refused(
            "no_access",
            format!(
                "the account of the configured CivitAI key may not download {name}; open it on CivitAI to see what it asks for"
            ),
        ),
        404 => refused(
            "not_found",
            format!("{name} was not found: it was deleted or unpublished there, or the id is wrong"),
        ),
        410 => archived(name),
        429 if body.mentions("unusual amount") => account_limit(),
        429 => UpstreamError::passing(
            "rate_limited",
            429,
            "CivitAI answers no more requests for now; it is tried again later",
        ),
        500.. => UpstreamError::passing(
            "upstream_failed",
            refusal.status,
            format!("CivitAI failed with status {} at {name}; try again later", refusal.status),
        ),
        status => {
            refused("upstream", format!("CivitAI refused {name} with status {status}{}", body.quoted()))
        }
    }
}

/// The creator allows it to be used on the site only.
pub(crate) fn generation_only(name: &str) -> UpstreamError {
    UpstreamError::refused(
        "generation_only",
        401,
        format!("the creator of {name} has disabled downloads: it can only be used on CivitAI itself"),
    )
}

/// Archived models keep their page and lose their files.
pub(crate) fn archived(name: &str) -> UpstreamError {
    UpstreamError::refused(
        "archived",
        410,
        format!("{name} was archived and can no longer be downloaded; look for another version"),
    )
}

/// Taken down by the site.
pub(crate) fn taken_down(name: &str) -> UpstreamError {
    UpstreamError::refused(
        "taken_down",
        404,
        format!("{name} was taken down by CivitAI and can no longer be downloaded"),
    )
}

fn early_access(name: &str, deadline: Option<&str>) -> UpstreamError {
    let until = match deadline.and_then(|text| DateTime::parse_from_rfc3339(text).ok()) {
        Some(deadline) => format!("in early access until {}", deadline.to_utc().format("%Y-%m-%d %H:%M UTC")),
        None => "in early access".to_owned(),
    };
    let message = format!(
        "{name} is {until}; download it after that, or buy access on CivitAI with the account of the configured key"
    );
    UpstreamError::refused("early_access", 403, message)
}

fn account_limit() -> UpstreamError {
    let message = "CivitAI limits the account of the configured key because of many downloads; wait some hours and retry, or \
                   contact support@civitai.com";
    UpstreamError::refused("account_limit", 429, message)
}

/// What a refusal's body says: JSON for products, plain text for browsers.
#[derive(Default)]
struct Said {
    error: String,
    message: String,
    deadline: Option<String>,
}

impl Said {
    fn read(body: &str) -> Self {
        let Ok(json) = serde_json::from_str::<Value>(body) else {
            let message =
                if body.trim_start().starts_with('<') { String::new() } else { readable(body, 200) };
            return Self { message, ..Self::default() };
        };
        let text = |field| {
            json.get(field).and_then(Value::as_str).map(|text| readable(text, 200)).unwrap_or_default()
        };
        Self {
            error: text("error"),
            message: text("message"),
            deadline: Some(text("deadline")).filter(|text| !text.is_empty()),
        }
    }

    fn mentions(&self, words: &str) -> bool {
        self.error.contains(words) || self.message.contains(words)
    }

    fn is_early_access(&self) -> bool {
        self.deadline.is_some() || self.mentions("Early Access")
    }

    fn quoted(&self) -> String {
        let text = if self.message.is_empty() { &self.error } else { &self.message };
        if text.is_empty() { String::new() } else { format!(" (`{text}`)") }
    }
}

#[cfg(test)]
mod tests {
    use lorakeep_transfer::MaskedUrl;
    use url::Url;

    use super::*;

    fn refusal(status: u16, body: &str, authenticated: bool) -> Refusal {
        Refusal {
            status,
            url: MaskedUrl::new(&Url::parse("https://civitai.com/api/download/models/1?token=x").unwrap()),
            first_party: true,
            authenticated,
            error_code: None,
            error_message: None,
            body_start: body.to_owned(),
        }
    }

    #[test]
    fn each_refusal_says_what_to_do() {
        let login = r#"{"error":"Unauthorized","message":"The creator of this asset requires you to be logged in to download it"}"#;
        let disabled = r#"{"error":"Unauthorized","message":"The creator of this asset has disabled downloads on this file"}"#;
        let early = r#"{"error":"Early Access","deadline":"2026-10-01T00:00:00.000Z","message":"This asset is in Early Access."}"#;
        let limit = r#"{"error":"We've noticed an unusual amount of downloading from your account."}"#;
        let cases = [
            (401, login, false, "login_required", "CIVITAI_API_KEY"),
            (401, login, true, "key_rejected", "CIVITAI_API_KEY"),
            (401, disabled, true, "generation_only", "disabled downloads"),
            (403, early, true, "early_access", "until 2026-10-01 00:00 UTC"),
            (403, r#"{"error":"Early Access","deadline":7}"#, true, "early_access", "buy access"),
            (403, r#"{"error":"Forbidden"}"#, true, "no_access", "may not download"),
            (
                403,
                r#"{"error":"You do not have access to download this file"}"#,
                false,
                "no_access",
                "CIVITAI_API_KEY",
            ),
            (404, r#"{"error":"File not found"}"#, true, "not_found", "deleted or unpublished"),
            (
                410,
                r#"{"error":"Model archived, not available for download"}"#,
                true,
                "archived",
                "another version",
            ),
            (429, limit, true, "account_limit", "wait some hours"),
            (429, "", false, "rate_limited", "tried again"),
            (503, "<html>", false, "upstream_failed", "try again later"),
            (418, "short and stout", false, "upstream", "short and stout"),
        ];
        for (status, body, authenticated, code, text) in cases {
            let explained = explain(&refusal(status, body, authenticated), "version 1 on CivitAI");
            assert_eq!(explained.code, code, "{status} {body}");
            assert!(explained.message.contains(text), "{}", explained.message);
            assert_eq!(explained.is_transient, matches!(code, "rate_limited" | "upstream_failed"), "{code}");
        }
    }
}
