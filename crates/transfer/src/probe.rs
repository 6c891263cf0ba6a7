//! Asking for bytes: one ranged GET along the redirects, judged by what the answer means.
//!
//! Never HEAD: storage signs the method, and some first parties refuse it. The first answer's body
//! is the first piece. The address that the redirects led to is kept for the next pieces and thrown
//! away when it no longer answers, because signed addresses expire.

use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use http::{HeaderMap, StatusCode, header};
use reqwest::Response;
use url::Url;

use crate::address::Trust;
use crate::answer::{Answer, answer, authority, file_name, printable};
use crate::engine::Shared;
use crate::error::{AddressRule, Refusal, TransferError};
use crate::failure::{Failure, Trouble, body_start, forbidden, send_failure};
use crate::limits::{Permit, lock};
use crate::masked_url::MaskedUrl;
use crate::request::{Credential, Facts};
use crate::retry::retry_after;

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
        if let Some(wait) =
            shared.gates.closed_for(&host).filter(|wait| *wait > shared.options.retry.max_pause)
        {
            let reason = format!("`{host}` asked all of us to wait");
            return Err(Failure::Passing(Trouble { reason, wait: Some(wait), refusal: None }));
        }
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
