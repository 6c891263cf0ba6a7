//! A small HTTP client for tests: one connection a request, and raw bytes when the wire itself is the matter.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest wait for anything that should come at once.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A request that is being put together.
pub(crate) struct Call {
    address: SocketAddr,
    request: Request<Full<Bytes>>,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Call {
    pub(crate) fn new(address: SocketAddr, method: Method, path: &str) -> Self {
        let request = Request::builder().method(method).uri(path).header("host", address.to_string());
        Self { address, request: request.body(Full::default()).expect("a request") }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::try_from(name).expect("a header name");
        self.request.headers_mut().append(name, HeaderValue::try_from(value).expect("a header value"));
        self
    }

    pub(crate) fn body(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        *self.request.body_mut() = Full::new(body.into());
        self.header("content-type", content_type)
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    /// A form with one file.
    pub(crate) fn form(self, field: &str, content: &[u8]) -> Self {
        let head = format!(
            "--form-end\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"a.json\"\r\n\r\n"
        );
        let body = [head.as_bytes(), content, b"\r\n--form-end--\r\n"].concat();
        self.body("multipart/form-data; boundary=form-end", body)
    }

    pub(crate) async fn send(self) -> Answer {
        tokio::time::timeout(PATIENCE, self.send_patiently()).await.expect("an answer in time")
    }

    async fn send_patiently(self) -> Answer {
        let stream = TcpStream::connect(self.address).await.expect("connected");
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("a connection");
        let connection = tokio::spawn(connection);
        let (head, body) = sender.send_request(self.request).await.expect("an answer").into_parts();
        let body = body.collect().await.expect("a whole body").to_bytes();
        drop(sender);
        connection.abort();
        Answer { status: head.status, headers: head.headers, body }
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {}", String::from_utf8_lossy(&self.body)))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().expect("text")).unwrap_or_default()
    }

    /// Status and JSON body as one value, for snapshots.
    pub(crate) fn shown(&self) -> Value {
        serde_json::json!({"status": self.status.as_u16(), "body": masked(self.json())})
    }
}

/// Ids, paths and amounts that differ from run to run, masked.
pub(crate) fn masked(value: Value) -> Value {
    const VARYING: [&str; 9] = [
        "id",
        "edit",
        "download_id",
        "bin_id",
        "bin_path",
        "request_id",
        "free_bytes",
        "elapsed_ms",
        "next_cursor",
    ];
    match value {
        Value::Object(fields) => {
            let mask = |(name, value): (String, Value)| {
                let is_masked = VARYING.contains(&name.as_str()) && !value.is_null() && !is_category(&value);
                let value = if is_masked { format!("[{name}]").into() } else { masked(value) };
                (name, value)
            };
            Value::Object(fields.into_iter().map(mask).collect())
        }
        Value::Array(items) => items.into_iter().map(masked).collect(),
        Value::String(text) => without_ids(&text).into(),
        other => other,
    }
}

/// A text with each id between backticks masked.
fn without_ids(text: &str) -> String {
    let is_id = |part: &str| part.len() == 32 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.split('`').map(|part| if is_id(part) { "[id]" } else { part }).collect::<Vec<_>>().join("`")
}

/// A category's id is a word, not 32 digits.
fn is_category(id: &Value) -> bool {
    id.as_str().is_some_and(|id| id.len() < 24 && !id.contains('/'))
}

/// Sends `bytes` and reads until the server closes.
pub(crate) async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    // The server may refuse and close before all is sent.
    let _ = stream.write_all(bytes).await;
    read_to_end(&mut stream).await
}

pub(crate) async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let outcome =
        tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("closed in time");
    assert!(outcome.is_ok(), "cut without a close: {outcome:?} after {}", String::from_utf8_lossy(&answer));
    String::from_utf8(answer).expect("text")
}

/// Reads until `part` has come.
pub(crate) async fn read_until(stream: &mut TcpStream, part: &str) -> String {
    let mut text = String::new();
    let read = async {
        while !text.contains(part) {
            let mut buffer = [0; 4096];
            let read = stream.read(&mut buffer).await.expect("readable");
            assert_ne!(read, 0, "closed before `{part}` came: {text}");
            text.push_str(std::str::from_utf8(&buffer[..read]).expect("text"));
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("it comes in time");
    text
}
