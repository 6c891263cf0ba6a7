//! What a connection can meet, and what a request that could not be sent means.

use std::time::Duration;

use reqwest::Response;
use url::Url;

use crate::client::NotPublic;
use crate::error::{AddressRule, Refusal, TransferError};
use crate::masked_url::MaskedUrl;

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

/// The refusal of an address.
pub(crate) fn forbidden(url: &Url, reason: AddressRule) -> TransferError {
    TransferError::ForbiddenAddress { url: MaskedUrl::new(url), reason }
}

/// Why a request could not be sent.
pub(crate) fn send_failure(url: &Url, error: reqwest::Error) -> Failure {
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
pub(crate) async fn body_start(mut response: Response, patience: Duration) -> String {
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
