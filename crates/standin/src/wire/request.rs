//! Reading one request: head, then a body of known length.

use bytes::{Buf, BytesMut};
use percent_encoding::percent_decode_str;
use std::io::{self, ErrorKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MAX_HEAD: usize = 64 * 1024;
const MAX_BODY: usize = 16 * 1024 * 1024;

/// A request as it came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path as sent, percent-encoded.
    pub(crate) path: String,
    /// Query as sent.
    pub(crate) query: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// Reads the next request of a connection; `None` when the client closed it between requests.
    pub(crate) async fn read(stream: &mut TcpStream, buffer: &mut BytesMut) -> io::Result<Option<Self>> {
        let Some(head_end) = read_head(stream, buffer).await? else { return Ok(None) };
        let mut request = parse_head(&buffer[..head_end])?;
        buffer.advance(head_end);
        let length = request.body_length()?;
        if request.header("expect").is_some() {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        while buffer.len() < length {
            if stream.read_buf(buffer).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        request.body = buffer.split_to(length).to_vec();
        Ok(Some(request))
    }

    /// Value of the first header with this lower-case name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Parts of the path, each percent-decoded.
    pub(crate) fn segments(&self) -> Vec<String> {
        self.path.trim_start_matches('/').split('/').map(decoded).collect()
    }

    /// Query parameters in order, decoded.
    pub(crate) fn params(&self) -> Vec<(String, String)> {
        form(&self.query)
    }

    /// First value of a query parameter.
    pub(crate) fn param(&self, name: &str) -> Option<String> {
        self.params().into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// Whether a query parameter says yes, as Python (`True`) or JavaScript (`true`) write it.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.param(name).is_some_and(|value| value.eq_ignore_ascii_case("true") || value == "1")
    }

    /// The token of `Authorization: Bearer …`.
    pub(crate) fn bearer(&self) -> Option<&str> {
        self.header("authorization")?.strip_prefix("Bearer ").map(str::trim)
    }

    fn body_length(&self) -> io::Result<usize> {
        let length = self.header("content-length").map_or(Ok(0), str::parse);
        match length {
            Ok(length) if length <= MAX_BODY => Ok(length),
            _ => Err(bad("a body needs a `Content-Length` of at most 16 MiB")),
        }
    }
}

/// `a=1&b=2` as pairs, decoded.
pub(crate) fn form(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (decoded(&key.replace('+', " ")), decoded(&value.replace('+', " "))))
        .collect()
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

async fn read_head(stream: &mut TcpStream, buffer: &mut BytesMut) -> io::Result<Option<usize>> {
    loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            return Ok(Some(at + 4));
        }
        if buffer.len() > MAX_HEAD {
            return Err(bad("the request head is longer than 64 KiB"));
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

fn parse_head(head: &[u8]) -> io::Result<Request> {
    let text = std::str::from_utf8(head).map_err(|_| bad("the request head is not UTF-8"))?;
    let mut lines = text.split("\r\n").filter(|line| !line.is_empty());
    let mut start = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target)) = (start.next(), start.next()) else {
        return Err(bad("the request line needs a method and a target"));
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Ok(Request { method: method.into(), path: path.into(), query: query.into(), headers, body: Vec::new() })
}

fn bad(why: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_taken_apart_and_decoded() {
        let head = b"GET /a%20b/c%2Fd?x=1+2&y=%26&z HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer k\r\n\r\n";
        let request = parse_head(head).unwrap();
        assert_eq!(request.segments(), ["a b", "c/d"]);
        let pairs = [("x", "1 2"), ("y", "&"), ("z", "")].map(|(key, value)| (key.into(), value.into()));
        assert_eq!(request.params(), pairs);
        assert_eq!((request.header("host"), request.bearer()), (Some("h"), Some("k")));
    }
}
