//! A server elsewhere, over HTTP with its admin key.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use url::Url;

use super::Streamed;
use crate::failure::{Failure, Result};

const KEY_HEADER: HeaderName = HeaderName::from_static("x-api-key");
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Scans of slow disks answer when they are done.
const READ_TIMEOUT: Duration = Duration::from_mins(10);

/// A server by its address.
pub(super) struct Remote {
    client: reqwest::Client,
    base: Url,
    key: Option<HeaderValue>,
}

impl Remote {
    /// Judges address and key; connects to nothing yet.
    pub(super) fn new(server: &str, key: Option<&str>) -> Result<Self> {
        let base = parse_base(server)?;
        let key = key.map(parse_key).transpose()?;
        let client = reqwest::Client::builder()
            .user_agent(concat!("lorakeep/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            // The key goes to the server that was named, not to one that it points at.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Failure::new("cannot set up HTTP").caused_by(&error))?;
        Ok(Self { client, base, key })
    }

    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    pub(super) fn has_key(&self) -> bool {
        self.key.is_some()
    }

    pub(super) async fn send(&self, request: http::Request<Bytes>) -> Result<Streamed> {
        let (parts, body) = request.into_parts();
        let address = format!("{}{}", self.base.as_str().trim_end_matches('/'), parts.uri);
        let mut outgoing = self.client.request(parts.method, address).headers(parts.headers).body(body);
        if let Some(key) = &self.key {
            outgoing = outgoing.header(KEY_HEADER, key);
        }
        let response = outgoing.send().await.map_err(|error| self.unreachable(&error))?;
        if response.status().is_redirection() && response.status() != http::StatusCode::NOT_MODIFIED {
            return Err(self.elsewhere(&response));
        }
        Ok(Streamed::new(http::Response::from(response), format!("`{}`", self.base)))
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let base = self.base.as_str().trim_end_matches('/');
        let failure = if error.is_timeout() {
            Failure::new(format!("the server at `{base}` does not answer in time"))
        } else {
            Failure::new(format!("cannot reach a server at `{base}`: {}", innermost(error)))
        };
        failure
            .caused_by(error)
            .hint("is it running there, and is the address right? `lorakeep serve` starts one")
    }

    fn elsewhere(&self, response: &reqwest::Response) -> Failure {
        let target = response.headers().get(http::header::LOCATION).and_then(|value| value.to_str().ok());
        let failure = Failure::new(format!("the server at `{}` sends us elsewhere", self.base));
        match target {
            Some(target) => {
                failure.hint(format!("name the right address with --server; it pointed at `{target}`"))
            }
            None => failure.hint("name the right address with --server"),
        }
    }
}

fn parse_base(server: &str) -> Result<Url> {
    let wrong = |what: &str| {
        Failure::usage(format!("`{server}` is not a server's address: {what}"))
            .hint("write it like http://127.0.0.1:8000")
    };
    let base = Url::parse(server).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
        return Err(wrong("it must begin with http:// or https://"));
    }
    if base.query().is_some() || base.fragment().is_some() {
        return Err(wrong("it must end with host, port or path"));
    }
    if !base.username().is_empty() || base.password().is_some() {
        return Err(
            Failure::usage("a key does not belong into the server's address").hint("pass it with --key")
        );
    }
    Ok(base)
}

fn parse_key(key: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(key.trim())
        .map_err(|_| Failure::usage("the key holds characters that no key has").hint("copy it again"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The cause that a person understands: `connection refused`, not the layers above it.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    match cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
        Some(std::io::ErrorKind::ConnectionRefused) => "connection refused".to_owned(),
        Some(std::io::ErrorKind::ConnectionReset) => "connection reset".to_owned(),
        _ => cause.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_must_be_one_of_a_server() {
        for right in ["http://127.0.0.1:8000", "https://box.example/lorakeep/", "http://[::1]:1"] {
            assert!(parse_base(right).is_ok(), "{right}");
        }
        for wrong in
            ["box:8000", "127.0.0.1:8000", "ftp://box", "http://", "http://k@box", "http://box/?key=1", ""]
        {
            assert!(parse_base(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_key_is_trimmed_and_never_shown() {
        let key = parse_key(" abc\n").expect("a key");
        assert_eq!(key.as_bytes(), b"abc");
        assert_eq!(format!("{key:?}"), "Sensitive");
        assert!(parse_key("a\nb").is_err());
    }
}
