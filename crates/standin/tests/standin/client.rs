//! A client that shows what was on the wire: status line, headers, body bytes, and how it ended.

use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How the answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The promised length or the last chunk came.
    Whole,
    /// The server closed the connection before that.
    Closed,
    /// TCP reset.
    Reset,
}

#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) end: End,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }

    pub(crate) fn location(&self) -> &str {
        self.header("location").expect("the answer redirects")
    }
}

pub(crate) async fn get(url: &str, headers: &[(&str, &str)]) -> Got {
    request("GET", url, headers, "").await
}

pub(crate) async fn request(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Got {
    let (mut stream, host, target) = connect(url).await;
    let mut text = format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\n");
    for (name, value) in headers {
        text.extend([name, ": ", value, "\r\n"]);
    }
    if !body.is_empty() {
        text.extend(["content-length: ", &body.len().to_string(), "\r\n"]);
    }
    text.extend(["\r\n", body]);
    stream.write_all(text.as_bytes()).await.expect("the request is written");
    read(&mut stream, method == "HEAD").await
}

pub(crate) async fn connect(url: &str) -> (TcpStream, String, String) {
    let rest = url.strip_prefix("http://").expect("a plain http address");
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let stream = TcpStream::connect(host).await.expect("the stand-in listens");
    (stream, host.to_owned(), format!("/{path}"))
}

/// Reads one answer.
pub(crate) async fn read(stream: &mut TcpStream, head_only: bool) -> Got {
    let mut bytes = Vec::new();
    loop {
        let head_end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(head_end) = head_end {
            let (status, headers) = parse_head(&bytes[..head_end]);
            let mut got = Got { status, headers, body: bytes.split_off(head_end + 4), end: End::Whole };
            if !head_only {
                read_body(stream, &mut got).await;
            }
            return got;
        }
        if let Err(end) = more(stream, &mut bytes).await {
            return Got { status: 0, headers: Vec::new(), body: bytes, end };
        }
    }
}

async fn read_body(stream: &mut TcpStream, got: &mut Got) {
    let promised: Option<usize> =
        got.header("content-length").map(|length| length.parse().expect("a number"));
    loop {
        let whole = match promised {
            Some(length) => got.body.len() >= length,
            None => got.body.ends_with(b"\r\n0\r\n\r\n") || got.body == b"0\r\n\r\n",
        };
        if whole {
            if promised.is_none() {
                got.body = unchunked(&got.body);
            }
            return;
        }
        if let Err(end) = more(stream, &mut got.body).await {
            got.end = end;
            return;
        }
    }
}

/// Appends what comes next, or says why nothing does.
pub(crate) async fn more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Result<(), End> {
    match timeout(Duration::from_mins(1), stream.read_buf(bytes)).await.expect("something comes or ends") {
        Ok(0) => Err(End::Closed),
        Ok(_) => Ok(()),
        Err(error) => {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
            Err(End::Reset)
        }
    }
}

fn parse_head(head: &[u8]) -> (u16, Vec<(String, String)>) {
    let text = std::str::from_utf8(head).expect("the head is text");
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status line");
    let headers = lines.filter_map(|line| line.split_once(": "));
    (
        status.parse().expect("a status"),
        headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect(),
    )
}

fn unchunked(mut framed: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let line = framed.windows(2).position(|window| window == b"\r\n").expect("a chunk's length");
        let length = std::str::from_utf8(&framed[..line]).expect("hex digits");
        let length = usize::from_str_radix(length, 16).expect("hex digits");
        if length == 0 {
            return body;
        }
        body.extend_from_slice(&framed[line + 2..line + 2 + length]);
        framed = &framed[line + 2 + length + 2..];
    }
}
