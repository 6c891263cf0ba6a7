//! The one client for API calls: guarded addresses, paced, retried by meaning, bounded in time and size.

use std::time::{Duration, SystemTime};

use bytes::BytesMut;
use http::{HeaderMap, Method, StatusCode, header};
use lorakeep_transfer::{
    Credential, HostPolicy, MaskedUrl, Refusal, RetryPolicy, Timeouts, TransferError, guarded_client,
    retry_after,
};
use serde_json::Value;
use url::Url;

use super::error::UpstreamError;
use super::pace::{Pace, Rate};

/// The limits of API calls.
#[derive(Debug, Clone)]
pub(crate) struct ApiLimits {
    /// The longest answer that is read, in bytes.
    pub(crate) max_answer_bytes: usize,
    /// How long one try may take, its body included.
    pub(crate) timeout: Duration,
    /// Tries and waits; `max_retry_after` is the longest pause that a caller is kept waiting for.
    pub(crate) retry: RetryPolicy,
    /// How often a host is asked.
    pub(crate) rate: Rate,
}

impl Default for ApiLimits {
    fn default() -> Self {
        Self {
            max_answer_bytes: 32 << 20,
            timeout: Duration::from_mins(1),
            retry: RetryPolicy {
                max_attempts: 4,
                max_delay: Duration::from_secs(8),
                max_retry_after: Duration::from_secs(20),
                ..RetryPolicy::default()
            },
            rate: Rate { interval: Duration::from_millis(200), burst: 8 },
        }
    }
}

/// Redirects that an API call follows.
const MAX_REDIRECTS: usize = 5;
/// How much of a refusal's body is kept.
const BODY_START: usize = 4096;

/// The client for API calls. Downloads go through the transfer engine instead.
#[derive(Debug)]
pub(crate) struct ApiClient {
    pub(super) client: reqwest::Client,
    pub(super) hosts: HostPolicy,
    limits: ApiLimits,
    pace: Pace,
}

/// One call.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    pub(super) url: Url,
    /// Goes to the host it is bound to, also after a redirect, and to no other.
    pub(super) credential: Option<&'a Credential>,
    pub(super) body: Option<Value>,
}

/// A good answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) headers: HeaderMap,
    pub(super) json: Value,
}

/// Why there is no good answer.
#[derive(Debug)]
pub(super) enum ApiError {
    /// The server said no; each upstream has its own table of what that means.
    Refused(Refusal),
    /// Anything else, explained already.
    Failed(UpstreamError),
}

/// How one try ended badly.
enum Trouble {
    Final(ApiError),
    /// May pass; the server's wish for a pause beside it.
    Passing(ApiError, Option<Duration>),
}

impl ApiClient {
    pub(crate) fn new(hosts: HostPolicy, limits: ApiLimits) -> Result<Self, TransferError> {
        let client = guarded_client(&hosts, super::USER_AGENT, Timeouts::default())?;
        let pace = Pace::new(limits.rate);
        Ok(Self { client, hosts, limits, pace })
    }

    pub(super) async fn get(&self, url: Url, credential: Option<&Credential>) -> Result<Answer, ApiError> {
        self.call(Call { method: Method::GET, url, credential, body: None }).await
    }

    pub(super) async fn post(
        &self,
        url: Url,
        credential: Option<&Credential>,
        body: Value,
    ) -> Result<Answer, ApiError> {
        self.call(Call { method: Method::POST, url, credential, body: Some(body) }).await
    }

    /// Makes the call, again while trouble may pass and patience lasts.
    async fn call(&self, call: Call<'_>) -> Result<Answer, ApiError> {
        let policy = &self.limits.retry;
        let mut attempt = 0;
        loop {
            // Another call may have been told to stay away meanwhile.
            let host = host_of(&call.url);
            if let Some(left) = self.pace.closed_for(host).filter(|left| *left > policy.max_retry_after) {
                return Err(ApiError::Failed(told_to_wait(host, None, left)));
            }
            attempt += 1;
            let (error, wish) = match self.attempt(&call).await {
                Ok(answer) => return Ok(answer),
                Err(Trouble::Final(error)) => return Err(error),
                Err(Trouble::Passing(error, wish)) => (error, wish),
            };
            if let Some(wish) = wish {
                self.pace.close(host_of(&call.url), wish.min(Duration::from_hours(1)));
            }
            let too_long = wish.is_some_and(|wish| wish > policy.max_retry_after);
            if too_long || attempt >= policy.max_attempts {
                return Err(given_up(error, wish, host_of(&call.url)));
            }
            // A wished pause is kept by the pace.
            if wish.is_none() {
                tokio::time::sleep(policy.backoff(attempt, fastrand::f64())).await;
            }
        }
    }

    async fn attempt(&self, call: &Call<'_>) -> Result<Answer, Trouble> {
        let (mut url, origin) = (call.url.clone(), host_of(&call.url).to_owned());
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send(call, &url).await?;
            if !response.status().is_redirection() {
                let authenticated = call.credential.is_some_and(|key| key.header_for(&url).is_some());
                let first_party = host_of(&url) == origin;
                return self.read(response, &url, first_party, authenticated).await;
            }
            url = redirect_target(&response, &url)?;
        }
        Err(Trouble::Final(ApiError::Failed(UpstreamError::refused(
            "too_many_redirects",
            None,
            format!("`{origin}` redirects in a circle; check the configured address"),
        ))))
    }

    async fn send(&self, call: &Call<'_>, url: &Url) -> Result<reqwest::Response, Trouble> {
        self.hosts.check(url).map_err(|error| Trouble::Final(ApiError::Failed(from_transfer(&error))))?;
        self.pace.turn(host_of(url)).await;
        let mut request = self
            .client
            .request(call.method.clone(), url.clone())
            .timeout(self.limits.timeout)
            .header(header::ACCEPT, "application/json")
            .header(header::ACCEPT_ENCODING, "identity");
        if let Some(value) = call.credential.and_then(|credential| credential.header_for(url)) {
            request = request.header(header::AUTHORIZATION, value);
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        request.send().await.map_err(|error| unreachable_host(url, &error))
    }

    async fn read(
        &self,
        response: reqwest::Response,
        url: &Url,
        first_party: bool,
        authenticated: bool,
    ) -> Result<Answer, Trouble> {
        let (status, headers) = (response.status(), response.headers().clone());
        let is_good = status.is_success();
        let limit = if is_good { self.limits.max_answer_bytes } else { BODY_START };
        let body = read_at_most(response, limit, url).await?;
        if is_good {
            let body = body.whole.ok_or_else(|| too_large(url, limit))?;
            let json = parse(&body, &headers, url)?;
            if let Some(wait) = retry_after(&headers, SystemTime::now()) {
                // The last request of a window was granted: the next one waits.
                self.pace.close(host_of(url), wait.min(Duration::from_mins(5)));
            }
            return Ok(Answer { headers, json });
        }
        let refusal = refusal(status, &headers, url, first_party, authenticated, &body.start);
        let wish = retry_after(&headers, SystemTime::now());
        Err(match status.as_u16() {
            408 | 425 | 429 | 500..=599 => Trouble::Passing(ApiError::Refused(refusal), wish),
            _ => Trouble::Final(ApiError::Refused(refusal)),
        })
    }
}

struct Body {
    start: Vec<u8>,
    whole: Option<Vec<u8>>,
}

/// Reads no more than `limit` bytes; `whole` is missing when there were more.
async fn read_at_most(mut response: reqwest::Response, limit: usize, url: &Url) -> Result<Body, Trouble> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unreachable_host(url, &error))? {
        body.extend_from_slice(&chunk);
        if body.len() > limit {
            body.truncate(limit);
            return Ok(Body { start: body.to_vec(), whole: None });
        }
    }
    Ok(Body { start: body[..body.len().min(BODY_START)].to_vec(), whole: Some(body.into()) })
}

fn parse(body: &[u8], headers: &HeaderMap, url: &Url) -> Result<Value, Trouble> {
    let encoded = headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity");
    let what = if encoded {
        "compressed data".to_owned()
    } else {
        match serde_json::from_slice(body) {
            Ok(json) => return Ok(json),
            Err(_) if looks_like_html(body) => format!("a web page{}", title(body)),
            Err(error) => format!("something that is not JSON ({error})"),
        }
    };
    let message = format!(
        "`{}` answered {what} where data were expected; try again later, or check the configured address and whether \
         a proxy or login page answers instead",
        host_of(url)
    );
    Err(Trouble::Final(ApiError::Failed(UpstreamError::passing("not_json", Some(200), message))))
}

fn looks_like_html(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'<')
}

/// A page's title for a message, cut.
fn title(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(BODY_START)]);
    let title = text
        .split_once("<title>")
        .and_then(|(_, rest)| rest.split_once("</title>"))
        .map(|(title, _)| title.trim());
    match title {
        Some(title) if !title.is_empty() => format!(" (`{}`)", readable(title, 60)),
        _ => String::new(),
    }
}

/// A foreign text on one line, cut.
pub(super) fn readable(text: &str, limit: usize) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(limit).collect();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn refusal(
    status: StatusCode,
    headers: &HeaderMap,
    url: &Url,
    first_party: bool,
    authenticated: bool,
    body: &[u8],
) -> Refusal {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(|text| readable(text, 300));
    Refusal {
        status: status.as_u16(),
        url: MaskedUrl::new(url),
        first_party,
        authenticated,
        error_code: text("x-error-code"),
        error_message: text("x-error-message"),
        body_start: String::from_utf8_lossy(body).into_owned(),
    }
}

fn redirect_target(response: &reqwest::Response, url: &Url) -> Result<Url, Trouble> {
    let target = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
    let target = target.and_then(|text| url.join(text).ok());
    let is_downgrade = target.as_ref().is_some_and(|to| url.scheme() == "https" && to.scheme() != "https");
    // A page behind a login looks like a redirect to it; an API never moves to another host.
    match target {
        Some(target) if !is_downgrade && target.origin() == url.origin() => Ok(target),
        _ => Err(Trouble::Final(ApiError::Failed(UpstreamError::refused(
            "redirected",
            response.status().as_u16(),
            format!("`{}` redirects its API to another address; check the configured address", host_of(url)),
        )))),
    }
}

fn too_large(url: &Url, limit: usize) -> Trouble {
    let message = format!(
        "`{}` answered with more than {} MiB of data; nothing of it is used",
        host_of(url),
        limit >> 20
    );
    Trouble::Final(ApiError::Failed(UpstreamError::refused("too_large", Some(200), message)))
}

/// A connection that failed; the text names the host and never what it resolved to.
fn unreachable_host(url: &Url, error: &reqwest::Error) -> Trouble {
    let what = unreachable_text(error);
    tracing::debug!(host = host_of(url), error = %error_chain(error), "an API call failed");
    let message = format!("`{}` {what}; check the network, or try again later", host_of(url));
    Trouble::Passing(ApiError::Failed(UpstreamError::passing("unreachable", None, message)), None)
}

/// What happened to a connection that failed, to stand behind the name of its host.
pub(super) fn unreachable_text(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "did not answer in time"
    } else if error.is_connect() {
        "cannot be reached"
    } else {
        "broke the connection"
    }
}

/// The causes without the address, which may hold a signed query.
fn error_chain(error: &reqwest::Error) -> String {
    let mut causes = Vec::new();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        causes.push(error.to_string());
        cause = error.source();
    }
    causes.join(": ")
}

/// What is said when patience ends: a host that asked for a pause is busy, not broken; the rest is for the
/// upstream's own table.
fn given_up(error: ApiError, wish: Option<Duration>, host: &str) -> ApiError {
    match error {
        ApiError::Failed(failure) => ApiError::Failed(UpstreamError { retry_after: wish, ..failure }),
        ApiError::Refused(refusal) => match wish {
            Some(wish) => ApiError::Failed(told_to_wait(host, Some(refusal.status), wish)),
            None => ApiError::Refused(refusal),
        },
    }
}

fn told_to_wait(host: &str, status: Option<u16>, wait: Duration) -> UpstreamError {
    let message = format!("`{host}` asks for a pause of {} s; it goes on after that", wait.as_secs());
    UpstreamError { retry_after: Some(wait), ..UpstreamError::passing("rate_limited", status, message) }
}

/// A transfer's guard said no before anything was sent.
pub(super) fn from_transfer(error: &TransferError) -> UpstreamError {
    UpstreamError::refused(error.code(), None, error.to_string())
}

/// The host for messages and for pacing.
pub(super) fn host_of(url: &Url) -> &str {
    url.host_str().unwrap_or_default()
}

/// The address of `rel="next"` in a `Link` header (RFC 8288), when it stays on the same host.
pub(super) fn next_page(headers: &HeaderMap, url: &Url) -> Option<Url> {
    let links = headers.get(header::LINK)?.to_str().ok()?;
    let link = links.split(',').find(|link| link.contains("rel=\"next\""))?;
    let target = link.split_once('<')?.1.split_once('>')?.0;
    url.join(target).ok().filter(|next| next.origin() == url.origin())
}
