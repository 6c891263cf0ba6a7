//! Asking for bytes: one ranged GET along the redirects, judged by what the answer means.
//!
//! Never HEAD: storage signs the method, and some first parties refuse it. The first answer's body
//! is the first piece. The address that the redirects led to is kept for the next pieces and thrown
//! away when it no longer answers, because signed addresses expire.

use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode, header};
use reqwest::Response;
use url::Url;

use crate::address::{NotPublic, Trust};
use crate::engine::Shared;
use crate::error::{AddressRule, Refusal, TransferError};
use crate::limits::{Permit, lock};
use crate::masked_url::MaskedUrl;
use crate::request::{Credential, Facts};
use crate::retry::retry_after;

/// Bytes of an error body that are kept.
const BODY_START: usize = 4096;

/// Why a connection did not do what it was to do.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It may work the next time.
    Passing(Trouble),
    /// The server sends the whole file although a part was asked for.
    RangeIgnored,
    /// What came does not fit to what was there; only a start from byte 0 helps.
    Contradiction(String),
    /// Nothing helps.
    Final(TransferError),
    /// No connection was free, or another transfer needs this one more.
    NoConnection,
    /// The writer has ended and knows why.
    WriterGone,
}

/// A failure that may pass.
#[derive(Debug, Clone)]
pub(crate) struct Trouble {
    /// What happened, for people.
    pub(crate) reason: String,
    /// How long the server asked us to stay away.
    pub(crate) wait: Option<Duration>,
    /// A storage host's "no" to an address that the first party had just given out.
    pub(crate) refusal: Option<Box<Refusal>>,
}

impl From<TransferError> for Failure {
    fn from(error: TransferError) -> Self {
        Self::Final(error)
    }
}

impl Failure {
    pub(crate) fn passing(reason: impl Into<String>) -> Self {
        Self::Passing(Trouble { reason: reason.into(), wait: None, refusal: None })
    }
}

/// Whether to wait when all connections are in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    Wait,
    Try,
}

/// What to ask for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ask {
    /// The bytes; `None` for the whole file.
    pub(crate) range: Option<Range<u64>>,
    /// The strong validator that they must come under.
    pub(crate) etag: Option<String>,
}

/// An answer with a body to read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: Response,
    pub(crate) content: Content,
    /// Strong validator of the answer.
    pub(crate) etag: Option<String>,
    pub(crate) url: Url,
    /// Held as long as the connection is used.
    pub(crate) _permit: Permit,
}

/// Which bytes an answer brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// 206.
    Part { range: Range<u64>, total: Option<u64> },
    /// 200.
    Whole { length: Length },
    /// 416: nothing, and perhaps the size of the file.
    Beyond { total: Option<u64> },
}

/// What is known of the end of a whole body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    Known(u64),
    /// The body marks its end.
    Marked,
    /// The end of the connection is the end of the body: cut or complete, nobody knows.
    Unknown,
}

/// One file at its source; shared by the connections of a transfer.
#[derive(Debug)]
pub(crate) struct Source {
    shared: Arc<Shared>,
    url: Url,
    credential: Option<Credential>,
    resolved: Mutex<Option<Hop>>,
    /// One connection follows the redirects, the others wait for where they lead.
    resolving: tokio::sync::Mutex<()>,
    facts: Mutex<Facts>,
}

/// Where the next request goes.
#[derive(Debug, Clone, PartialEq)]
struct Hop {
    url: Url,
    trust: Trust,
    /// The origin was never left, so the credential may go along.
    at_home: bool,
    count: usize,
}

impl Source {
    pub(crate) fn new(shared: Arc<Shared>, url: Url, credential: Option<Credential>) -> Self {
        Self {
            shared,
            url,
            credential,
            resolved: Mutex::default(),
            resolving: tokio::sync::Mutex::default(),
            facts: Mutex::default(),
        }
    }

    pub(crate) fn masked(&self) -> MaskedUrl {
        MaskedUrl::new(&self.url)
    }

    /// Host and port that the bytes come from as far as known.
    fn current_host(&self) -> String {
        let resolved = lock(&self.resolved).as_ref().map(|hop| authority(&hop.url));
        resolved.unwrap_or_else(|| authority(&self.url))
    }

    /// Whether a connection to where the bytes come from is free now.
    pub(crate) fn has_room(&self) -> bool {
        self.shared.connections.has_room(&self.current_host())
    }

    /// Asks for bytes, by the known address first and from the beginning when that fails.
    pub(crate) async fn ask(&self, ask: &Ask, patience: Patience) -> Result<Answer, Failure> {
        if let Some(answer) = self.ask_resolved(ask, patience).await? {
            return Ok(answer);
        }
        let _turn = self.resolving.lock().await;
        // Whoever had the turn before may have found the new address.
        if let Some(answer) = self.ask_resolved(ask, patience).await? {
            return Ok(answer);
        }
        let start = self.hop(self.url.clone(), None)?;
        match self.follow(start, ask, patience).await {
            Ok((answer, last)) => {
                *lock(&self.resolved) = Some(last);
                Ok(answer)
            }
            Err(Failure::Final(TransferError::Refused(refusal))) if may_be_stale(&refusal) => {
                let reason = format!("the storage behind `{}` answered {}", self.masked(), refusal.status);
                Err(Failure::Passing(Trouble { reason, wait: None, refusal: Some(refusal) }))
            }
            Err(failure) => Err(failure),
        }
    }

    /// Asks at the address that an earlier request was led to. `None` when there is none or it
    /// no longer answers.
    async fn ask_resolved(&self, ask: &Ask, patience: Patience) -> Result<Option<Answer>, Failure> {
        let Some(known) = lock(&self.resolved).clone() else { return Ok(None) };
        match self.follow(known.clone(), ask, patience).await {
            Ok((answer, _)) => Ok(Some(answer)),
            Err(Failure::Final(TransferError::Refused(refusal))) if known.count > 0 => {
                tracing::debug!(status = refusal.status, url = %refusal.url, "asking for a new address");
                let mut resolved = lock(&self.resolved);
                if resolved.as_ref() == Some(&known) {
                    *resolved = None;
                }
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    fn hop(&self, url: Url, from: Option<&Hop>) -> Result<Hop, TransferError> {
        let hosts = &self.shared.options.hosts;
        let trust = match from {
            Some(from) => hosts.judge_redirect(&from.url, from.trust, &url)?,
            None => hosts.judge(&url)?,
        };
        let at_home = from.is_none_or(|from| from.at_home && from.url.origin() == url.origin());
        let downgrade = from.is_some_and(|from| from.url.scheme() == "https" && url.scheme() == "http");
        let both_configured =
            trust == Trust::Configured && from.is_some_and(|from| from.trust == Trust::Configured);
        if downgrade && !both_configured {
            return Err(forbidden(&url, AddressRule::Downgrade));
        }
        Ok(Hop { url, trust, at_home, count: from.map_or(0, |from| from.count + 1) })
    }

    /// Follows redirects from `hop` to an answer with a body.
    async fn follow(&self, mut hop: Hop, ask: &Ask, patience: Patience) -> Result<(Answer, Hop), Failure> {
        let limit = self.shared.options.max_redirects + hop.count;
        loop {
            let (response, permit) = self.send(&hop, ask, patience).await?;
            self.learn(&hop, response.headers());
            match response.status() {
                status if is_redirect(status) => {
                    if hop.count >= limit {
                        let limit = self.shared.options.max_redirects;
                        return Err(TransferError::TooManyRedirects { url: self.masked(), limit }.into());
                    }
                    hop = self.hop(target(&hop.url, &response)?, Some(&hop))?;
                }
                StatusCode::OK | StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
                    return Ok((answer(response, permit, &hop.url)?, hop));
                }
                _ => return Err(self.judge(&hop, response).await),
            }
        }
    }

    async fn send(&self, hop: &Hop, ask: &Ask, patience: Patience) -> Result<(Response, Permit), Failure> {
        let host = authority(&hop.url);
        let shared = &self.shared;
        shared.gates.pass(&host).await;
        let permit = match patience {
            Patience::Wait => shared.connections.acquire(&host).await,
            Patience::Try => shared.connections.try_acquire(&host).ok_or(Failure::NoConnection)?,
        };
        let client = match hop.trust {
            Trust::Configured => &shared.configured_client,
            Trust::Public => &shared.public_client,
        };
        let sending = client.get(hop.url.clone()).headers(self.headers(hop, ask)).send();
        match tokio::time::timeout(shared.options.timeouts.response, sending).await {
            Ok(Ok(response)) => Ok((response, permit)),
            Ok(Err(error)) => Err(send_failure(&hop.url, error)),
            Err(_) => Err(Failure::passing(format!("`{host}` did not answer in time"))),
        }
    }

    fn headers(&self, hop: &Hop, ask: &Ask) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, header::HeaderValue::from_static("identity"));
        let credential = self.credential.as_ref().filter(|_| hop.at_home);
        if let Some(value) = credential.and_then(|credential| credential.header_for(&hop.url)) {
            headers.insert(header::AUTHORIZATION, value);
        }
        if let Some(Range { start, end }) = ask.range.clone() {
            let value = format!("bytes={start}-{}", end.saturating_sub(1).max(start));
            headers.insert(header::RANGE, value.parse().expect("digits are a header value"));
            // Validators come from header values and so are ones again.
            if let Some(etag) = ask.etag.as_ref().and_then(|etag| etag.parse().ok()) {
                headers.insert(header::IF_RANGE, etag);
            }
        }
        headers
    }

    /// Keeps what the headers tell. What only the first party can know is taken from it alone.
    fn learn(&self, hop: &Hop, headers: &HeaderMap) {
        let mut facts = lock(&self.facts);
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if hop.at_home {
            let facts = &mut *facts;
            if let Some(etag) = text("x-linked-etag") {
                facts.linked_etag = Some(etag.trim_start_matches("W/").trim_matches('"').to_owned());
            }
            facts.linked_size =
                text("x-linked-size").and_then(|size| size.parse().ok()).or(facts.linked_size);
            facts.repo_commit = text("x-repo-commit").map(str::to_owned).or(facts.repo_commit.take());
        }
    }

    /// Adds what the answer with the bytes tells.
    pub(crate) fn learn_final(&self, answer: &Answer) -> Facts {
        let mut facts = lock(&self.facts);
        let headers = answer.response.headers();
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        facts.etag = text(header::ETAG).map(str::to_owned);
        if let Some(disposition) = headers.get(header::CONTENT_DISPOSITION) {
            facts.file_name =
                file_name(&String::from_utf8_lossy(disposition.as_bytes())).or(facts.file_name.take());
        }
        facts.final_host = answer.url.host_str().map(str::to_owned);
        facts.clone()
    }

    /// What a status without a body for us means.
    async fn judge(&self, hop: &Hop, response: Response) -> Failure {
        let status = response.status();
        let host = authority(&hop.url);
        let wish = retry_after(response.headers(), SystemTime::now());
        let busy = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        if busy && let Some(wish) = wish {
            let wait = self.shared.options.retry.granted(wish, fastrand::f64());
            self.shared.gates.close(&host, wait);
            let reason = format!("`{host}` answered {status}");
            return Failure::Passing(Trouble { reason, wait: Some(wait), refusal: None });
        }
        let passing = busy
            || status.is_server_error()
            || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY);
        if passing {
            return Failure::passing(format!("`{host}` answered {status}"));
        }
        Failure::Final(TransferError::Refused(Box::new(self.refusal(hop, response).await)))
    }

    async fn refusal(&self, hop: &Hop, response: Response) -> Refusal {
        let text = |name| response.headers().get(name).map(|value| printable(value.as_bytes(), 300));
        let (error_code, error_message) = (text("x-error-code"), text("x-error-message"));
        Refusal {
            status: response.status().as_u16(),
            url: MaskedUrl::new(&hop.url),
            first_party: hop.url.origin() == self.url.origin(),
            authenticated: hop.at_home
                && self
                    .credential
                    .as_ref()
                    .is_some_and(|credential| credential.header_for(&hop.url).is_some()),
            error_code,
            error_message,
            body_start: body_start(response, self.shared.options.timeouts.response).await,
        }
    }
}

/// Whether a storage host's refusal may come from an address that expired or is not yet valid.
fn may_be_stale(refusal: &Refusal) -> bool {
    !refusal.first_party && matches!(refusal.status, 401 | 403 | 404 | 410)
}

fn forbidden(url: &Url, reason: AddressRule) -> TransferError {
    TransferError::ForbiddenAddress { url: MaskedUrl::new(url), reason }
}

/// Host and port: what limits and gates count by.
fn authority(url: &Url) -> String {
    format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default())
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn target(from: &Url, response: &Response) -> Result<Url, TransferError> {
    let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
    let malformed = || forbidden(from, AddressRule::Malformed);
    let mut url = from.join(location.ok_or_else(malformed)?).map_err(|_| malformed())?;
    url.set_fragment(None);
    Ok(url)
}

fn answer(response: Response, permit: Permit, url: &Url) -> Result<Answer, Failure> {
    let headers = response.headers();
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING) {
        let encoding = printable(encoding.as_bytes(), 40);
        if !encoding.is_empty() && !encoding.eq_ignore_ascii_case("identity") {
            return Err(TransferError::Encoded { url: MaskedUrl::new(url), encoding }.into());
        }
    }
    let content = content(response.status(), headers)
        .map_err(|detail| Failure::Contradiction(format!("`{}` {detail}", authority(url))))?;
    let etag = headers.get(header::ETAG).and_then(|value| strong_etag(value.to_str().ok()?));
    Ok(Answer { content, etag, url: url.clone(), _permit: permit, response })
}

/// A strong validator; weak ones promise too little to put parts together.
fn strong_etag(text: &str) -> Option<String> {
    let text = text.trim();
    (text.len() > 2 && text.starts_with('"') && text.ends_with('"')).then(|| text.to_owned())
}

fn content(status: StatusCode, headers: &HeaderMap) -> Result<Content, String> {
    let length =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let ranges = headers.get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
    match status {
        StatusCode::PARTIAL_CONTENT => {
            let (range, total) = ranges.and_then(parse_content_range).ok_or_else(|| {
                format!("sent a part without a usable `Content-Range` (`{}`)", ranges.unwrap_or(""))
            })?;
            if length.is_some_and(|length| length != range.end - range.start) {
                return Err("sent a part whose length is not that of its range".to_owned());
            }
            Ok(Content::Part { range, total })
        }
        StatusCode::RANGE_NOT_SATISFIABLE => {
            let total = ranges.and_then(|text| text.strip_prefix("bytes */")?.parse().ok());
            Ok(Content::Beyond { total })
        }
        _ => Ok(Content::Whole {
            length: match length {
                Some(length) => Length::Known(length),
                None if headers.contains_key(header::TRANSFER_ENCODING) => Length::Marked,
                None => Length::Unknown,
            },
        }),
    }
}

/// Reads `bytes 0-9/100` and `bytes 0-9/*`.
fn parse_content_range(text: &str) -> Option<(Range<u64>, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes ")?.trim().split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let range = first.parse().ok()?..last.parse::<u64>().ok()?.checked_add(1)?;
    let total = if total == "*" { None } else { Some(total.parse::<u64>().ok()?) };
    (range.start < range.end && total.is_none_or(|total| range.end <= total)).then_some((range, total))
}

/// The `filename` parameter of a `Content-Disposition`.
fn file_name(disposition: &str) -> Option<String> {
    let at = disposition.to_ascii_lowercase().find("filename=")? + "filename=".len();
    let value = disposition.get(at..)?.trim_start();
    let Some(quoted) = value.strip_prefix('"') else {
        let plain = value.split(';').next()?.trim();
        return (!plain.is_empty()).then(|| plain.to_owned());
    };
    let mut name = String::new();
    let mut characters = quoted.chars();
    loop {
        match characters.next()? {
            '"' => break,
            '\\' => name.push(characters.next()?),
            character => name.push(character),
        }
    }
    (!name.is_empty()).then_some(name)
}

/// Why a request could not be sent.
fn send_failure(url: &Url, error: reqwest::Error) -> Failure {
    let host = url.host_str().unwrap_or_default();
    let error = error.without_url();
    let causes = || std::iter::successors(std::error::Error::source(&error), |cause| cause.source());
    if causes().any(<dyn std::error::Error>::is::<NotPublic>) {
        return forbidden(url, AddressRule::NotPublic).into();
    }
    for cause in causes() {
        if let Some(rustls::Error::InvalidCertificate(reason)) = tls_error(cause) {
            let host = host.to_owned();
            return TransferError::Certificate { host, reason: reason.to_string() }.into();
        }
    }
    let root = causes().last().map_or_else(|| error.to_string(), ToString::to_string);
    Failure::passing(format!("cannot reach `{host}`: {root}"))
}

/// The TLS error that `error` is or wraps; `io::Error` hides what it wraps from the chain of causes.
fn tls_error<'a>(mut error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    while let Some(wrapped) = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        error = wrapped;
    }
    error.downcast_ref()
}

/// The first 4 KiB of a body if it is text, read with little patience.
async fn body_start(mut response: Response, patience: Duration) -> String {
    let mut start = Vec::new();
    let reading = async {
        while start.len() < BODY_START {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    start.extend_from_slice(&chunk[..chunk.len().min(BODY_START - start.len())]);
                }
                Ok(None) | Err(_) => break,
            }
        }
    };
    // A body that does not come in time is cut where it is.
    let _ = tokio::time::timeout(patience.min(Duration::from_secs(5)), reading).await;
    if start.contains(&0) { String::new() } else { String::from_utf8_lossy(&start).into_owned() }
}

/// Text from a header without control characters, cut to `limit` characters.
fn printable(bytes: &[u8], limit: usize) -> String {
    String::from_utf8_lossy(bytes).chars().filter(|character| !character.is_control()).take(limit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_read_and_senseless_ones_refused() {
        assert_eq!(parse_content_range("bytes 0-9/100"), Some((0..10, Some(100))));
        assert_eq!(parse_content_range("bytes 5-5/*"), Some((5..6, None)));
        for wrong in [
            "",
            "bytes",
            "bytes 9-0/100",
            "bytes 0-100/100",
            "items 0-1/2",
            "bytes -5/9",
            "bytes 0-18446744073709551615/*",
        ] {
            assert_eq!(parse_content_range(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn only_strong_validators_count() {
        assert_eq!(strong_etag("\"a\"").as_deref(), Some("\"a\""));
        assert_eq!(strong_etag("W/\"a\""), None);
        assert_eq!(strong_etag("a"), None);
    }

    #[test]
    fn file_names_are_taken_as_they_are_written() {
        assert_eq!(file_name("attachment; filename=\"a b.safetensors\"").as_deref(), Some("a b.safetensors"));
        assert_eq!(file_name("attachment; FileName=a.pt; x=y").as_deref(), Some("a.pt"));
        assert_eq!(file_name("attachment; filename=\"a\\\"b;c\"").as_deref(), Some("a\"b;c"));
        assert_eq!(file_name("attachment; filename*=UTF-8''x"), None);
        assert_eq!(file_name("attachment; filename=\"open"), None);
    }
}
