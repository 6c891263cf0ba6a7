//! What the server says when it refuses, as a failure for people.

use http::StatusCode;
use serde::Deserialize;

use super::Answer;
use crate::connection::Connection;
use crate::failure::Failure;

/// The envelope of errors.
#[derive(Debug, Deserialize)]
struct Refusal {
    detail: Detail,
}

/// One text, or what is wrong with each field of a body.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Detail {
    Text(String),
    Fields(Vec<FieldFault>),
}

#[derive(Debug, Deserialize)]
struct FieldFault {
    #[serde(default)]
    loc: Vec<serde_json::Value>,
    msg: String,
}

/// Turns an answer that is no success into what the user is told.
pub(super) fn read(answer: &Answer, connection: &Connection) -> Failure {
    if answer.status == StatusCode::UNAUTHORIZED {
        return connection.unauthorized();
    }
    let Ok(refusal) = serde_json::from_slice::<Refusal>(&answer.body) else {
        return Failure::new(format!("the server answered {}", answer.status))
            .hint("is it a lorakeep server, and of the same version?");
    };
    let code = answer.headers.get("x-error-code").and_then(|code| code.to_str().ok()).unwrap_or_default();
    let failure = Failure::new(text(&refusal.detail));
    match hint(code, answer, connection) {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn text(detail: &Detail) -> String {
    match detail {
        Detail::Text(text) => text.clone(),
        Detail::Fields(faults) => faults.iter().map(FieldFault::text).collect::<Vec<_>>().join("; "),
    }
}

impl FieldFault {
    fn text(&self) -> String {
        match self.loc.last().and_then(serde_json::Value::as_str) {
            Some(field) => format!("`{field}`: {}", self.msg),
            None => self.msg.clone(),
        }
    }
}

/// What the command line adds to texts that were written for every surface.
fn hint(code: &str, answer: &Answer, connection: &Connection) -> Option<String> {
    match (code, answer.status) {
        ("file_present", _) => {
            Some("move the file to the bin as well: `lorakeep rm FILE --catalog`".to_owned())
        }
        ("verification_running", _) => {
            Some("wait for it to end; `lorakeep verify --status` shows it".to_owned())
        }
        (_, StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT) => {
            let settings = connection.settings_without_effect();
            let given = settings.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            (!settings.is_empty()).then(|| {
                format!(
                    "the server that runs on this data folder asked, by its own settings: {given} of this command \
                     does not reach it; end that server, or start it with the same"
                )
            })
        }
        ("internal", _) if connection.is_local() => {
            Some("this is a defect; the same command with -vv shows the log of it".to_owned())
        }
        ("internal", _) | (_, StatusCode::INTERNAL_SERVER_ERROR) => {
            let id = answer.headers.get("x-request-id")?.to_str().ok()?;
            Some(format!("the server's log tells more under request id {id}"))
        }
        (_, StatusCode::TOO_MANY_REQUESTS) => {
            let seconds = answer.headers.get(http::header::RETRY_AFTER)?.to_str().ok()?;
            Some(format!("try again in {seconds} s"))
        }
        _ => None,
    }
}
