//! What a route answers, before faults are applied.

use crate::content::FileSpec;
use crate::storage::Signed;
use bytes::Bytes;
use serde_json::Value;
use std::sync::Arc;

/// An answer of a route.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Complete already.
    Ready(Response),
    /// A file: range, validators and faults decide what of it.
    File(Box<FileAnswer>),
}

/// Status, headers and a body that is known.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

/// A file to be served with its validators.
#[derive(Debug)]
pub(crate) struct FileAnswer {
    pub(crate) spec: FileSpec,
    /// Name under which counters and faults know it.
    pub(crate) label: String,
    /// `ETag` without quotes.
    pub(crate) etag: String,
    pub(crate) content_type: String,
    /// Further headers.
    pub(crate) headers: Vec<(String, String)>,
    /// The signed address through which it was reached.
    pub(crate) signed: Option<Arc<Signed>>,
}

impl Response {
    /// An empty answer.
    pub(crate) fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    /// A JSON body.
    pub(crate) fn json(status: u16, value: &Value) -> Self {
        Self::new(status).with("content-type", "application/json; charset=utf-8").body(value.to_string())
    }

    /// A text body.
    pub(crate) fn text(status: u16, text: impl Into<String>) -> Self {
        Self::new(status).with("content-type", "text/plain; charset=utf-8").body(text.into())
    }

    /// An HTML page.
    pub(crate) fn html(status: u16, page: impl Into<Bytes>) -> Self {
        Self::new(status).with("content-type", "text/html; charset=utf-8").body(page)
    }

    /// An S3-style XML error.
    pub(crate) fn xml_error(status: u16, code: &str, message: &str) -> Self {
        let xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
        );
        Self::new(status).with("content-type", "application/xml").body(xml)
    }

    /// A redirect with the short text body that the real servers send.
    pub(crate) fn redirect(status: u16, location: &str) -> Self {
        Self::text(status, format!("Redirecting to {location}")).with("location", location)
    }

    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    #[must_use]
    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        Self::Ready(response)
    }
}

impl From<FileAnswer> for Answer {
    fn from(file: FileAnswer) -> Self {
        Self::File(Box::new(file))
    }
}
