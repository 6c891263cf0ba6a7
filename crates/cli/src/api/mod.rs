//! The studio API as typed calls. Every answer is kept twice: as the structs that the commands read, and as the JSON that
//! `--json` prints, so that scripts see the API's objects and nothing less.

mod access;
mod adoption;
mod bin;
mod catalog;
mod civitai;
mod downloads;
mod entries;
mod evaluations;
mod events;
mod identification;
mod installation;
mod quarantine;
mod refusal;
mod sidecars;
mod styles;
mod sync;
mod uploads;
mod verification;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Method, Request};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::connection::{Answer, Connection, Streamed};
use crate::failure::{Failure, Result};

pub(crate) use access::{Team, TeamKey};
pub(crate) use adoption::{AdoptBody, Adoption};
pub(crate) use bin::{BinItem, Deleted};
pub(crate) use catalog::{AddBody, Added, Entry, ImportReport, ScanReport, Stats};
pub(crate) use downloads::{Download, Move};
pub(crate) use entries::{Edited, EntriesEdited};
pub(crate) use events::Event;
pub(crate) use identification::{DuplicateFile, DuplicateGroup, Duplicates, LookedUp, LookupReport};
pub(crate) use installation::{EnvSetting, Settings};
pub(crate) use quarantine::Quarantined;
pub(crate) use sidecars::SidecarReport;
pub(crate) use styles::{Style, StyleQuery};
pub(crate) use uploads::{Sent, Upload, UploadDoor, UploadError};
pub(crate) use verification::{VerificationReport, VerifiedFile};

/// Rows asked for at once; the API's upper bound.
const PAGE_ROWS: u32 = 1000;
/// Characters of an id that people see; its end is the random part.
const SHORT_ID: usize = 8;
/// Everything but what RFC 3986 calls unreserved.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The API of one server.
pub(crate) struct Api {
    connection: Connection,
}

/// An answer, read and as it came.
#[derive(Debug, Clone)]
pub(crate) struct Reply<T> {
    pub(crate) data: T,
    pub(crate) json: Value,
}

/// A file as the user names it: `name.safetensors`, or `folder/name.safetensors` when two have the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileName {
    pub(crate) dest: Option<String>,
    pub(crate) file: String,
}

/// A page of a list.
#[derive(Debug, Deserialize)]
struct Page {
    items: Vec<Value>,
    #[serde(default)]
    next_cursor: Option<String>,
}

impl FileName {
    /// Splits folder and name at the last `/`.
    pub(crate) fn parse(name: &str) -> Self {
        match name.rsplit_once('/') {
            Some((dest, file)) => Self { dest: Some(dest.to_owned()), file: file.to_owned() },
            None => Self { dest: None, file: name.to_owned() },
        }
    }

    /// `prefix/{file}suffix?dest=…` with everything escaped.
    fn path(&self, prefix: &str, suffix: &str) -> String {
        let mut path = format!("{prefix}/{}{suffix}", segment(&self.file));
        if let Some(dest) = &self.dest {
            path.push_str("?dest=");
            path.push_str(&segment(dest));
        }
        path
    }
}

impl std::fmt::Display for FileName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.dest {
            Some(dest) => write!(f, "{dest}/{}", self.file),
            None => f.write_str(&self.file),
        }
    }
}

impl Api {
    /// Over that connection.
    pub(crate) fn new(connection: Connection) -> Self {
        Self { connection }
    }

    /// Whether the work is done by this process, and ends with it.
    pub(crate) fn is_local(&self) -> bool {
        self.connection.is_local()
    }

    /// Starts the background work when it is this process that has to do it.
    pub(crate) fn start_work(&self) {
        self.connection.start_work();
    }

    /// Lets other commands on this machine in while this process holds the data folder for long.
    pub(crate) fn share(&self) {
        self.connection.share();
    }

    /// Ends what this process opened.
    pub(crate) async fn close(self) {
        self.connection.close().await;
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Reply<T>> {
        self.call(Method::GET, path, None).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &str) -> Result<Reply<T>> {
        self.call(Method::POST, path, None).await
    }

    async fn post_json<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<Reply<T>> {
        self.call(Method::POST, path, Some(json_body(body)?)).await
    }

    async fn put_json<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<Reply<T>> {
        self.call(Method::PUT, path, Some(json_body(body)?)).await
    }

    async fn patch_json<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<Reply<T>> {
        self.call(Method::PATCH, path, Some(json_body(body)?)).await
    }

    async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<Reply<T>> {
        self.call(Method::DELETE, path, None).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<(HeaderValue, Bytes)>,
    ) -> Result<Reply<T>> {
        let answer = self.send(method, path, body).await?;
        let json: Value =
            serde_json::from_slice(&answer.body).map_err(|error| stranger(path, &answer, &error))?;
        let data = T::deserialize(&json).map_err(|error| stranger(path, &answer, &error))?;
        Ok(Reply { data, json })
    }

    /// Sends a request and refuses every answer that is not a success.
    async fn send(&self, method: Method, path: &str, body: Option<(HeaderValue, Bytes)>) -> Result<Answer> {
        self.open_answer(method, path, body).await?.whole().await
    }

    /// The same, with the body left to be read as it comes.
    async fn open_answer(
        &self,
        method: Method,
        path: &str,
        body: Option<(HeaderValue, Bytes)>,
    ) -> Result<Streamed> {
        let mut request = Request::builder().method(method).uri(path).header(ACCEPT, "application/json");
        let mut content = Bytes::new();
        if let Some((content_type, bytes)) = body {
            request = request.header(CONTENT_TYPE, content_type);
            content = bytes;
        }
        let request = request
            .body(content)
            .map_err(|error| Failure::new("cannot write the request").caused_by(&error))?;
        let answer = self.connection.open_answer(request).await?;
        if answer.is_success() {
            return Ok(answer);
        }
        Err(refusal::read(&answer.whole().await?, &self.connection))
    }

    /// Every row of a list, page by page. `path` may have a query.
    async fn rows<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<Reply<T>>> {
        let mut rows = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let separator = if path.contains('?') { '&' } else { '?' };
            let mut page_path = format!("{path}{separator}limit={PAGE_ROWS}");
            if let Some(cursor) = &cursor {
                page_path.push_str("&cursor=");
                page_path.push_str(&segment(cursor));
            }
            let page: Reply<Page> = self.get(&page_path).await?;
            for json in page.data.items {
                let data = T::deserialize(&json).map_err(|error| {
                    Failure::new(format!("cannot read the answer to `{path}`")).caused_by(&error)
                })?;
                rows.push(Reply { data, json });
            }
            match page.data.next_cursor {
                Some(next) if cursor.as_ref() != Some(&next) => cursor = Some(next),
                _ => return Ok(rows),
            }
        }
    }
}

/// The page that `--json` prints for a list that was read whole.
pub(crate) fn page_of<T>(rows: &[Reply<T>]) -> Value {
    let items: Vec<&Value> = rows.iter().map(|row| &row.json).collect();
    serde_json::json!({ "items": items, "next_cursor": null, "total": items.len() })
}

/// The end of an id, which tells it from others well enough for people.
pub(crate) fn short_id(id: &str) -> &str {
    id.get(id.len().saturating_sub(SHORT_ID)..).unwrap_or(id)
}

/// Whether somebody who typed `text` means that id: whole, or by its end.
pub(crate) fn is_id(id: &str, text: &str) -> bool {
    id == text || (text.len() >= SHORT_ID && id.ends_with(text))
}

fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

fn json_body(body: &impl Serialize) -> Result<(HeaderValue, Bytes)> {
    let bytes = serde_json::to_vec(body)
        .map_err(|error| Failure::new("cannot write the request").caused_by(&error))?;
    Ok((HeaderValue::from_static("application/json"), bytes.into()))
}

/// A multipart body with one part `file` of that name and type, under a boundary that the content does not hold.
fn form(name: &str, kind: &str, content: &[u8]) -> Result<(HeaderValue, Bytes)> {
    let boundary = (0..=u32::MAX)
        .map(|number| format!("lorakeep-{number}"))
        .find(|boundary| !content.windows(boundary.len()).any(|window| window == boundary.as_bytes()))
        .ok_or_else(|| Failure::new("cannot write the request"))?;
    let mut body = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
         Content-Type: {kind}\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(content);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    let content_type =
        HeaderValue::from_str(&format!("multipart/form-data; boundary={}", segment(&boundary)))
            .map_err(|error| Failure::new("cannot write the request").caused_by(&error))?;
    Ok((content_type, body.into()))
}

/// Something answered, but not what the API says.
fn stranger(path: &str, answer: &Answer, error: &serde_json::Error) -> Failure {
    let kind =
        answer.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("without a type");
    Failure::new(format!(
        "the answer to `{path}` is not what lorakeep's API says ({}, {kind})",
        answer.status.as_u16()
    ))
    .caused_by(error)
    .hint("is it a lorakeep server, and of the same version?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_with_or_without_its_folder() {
        assert_eq!(FileName::parse("a.pt"), FileName { dest: None, file: "a.pt".into() });
        assert_eq!(FileName::parse("loras/WAN/a.pt").dest.as_deref(), Some("loras/WAN"));
        assert_eq!(FileName::parse("../a.pt").dest.as_deref(), Some(".."));
    }

    #[test]
    fn names_cannot_leave_their_place_in_the_path() {
        let name = FileName { dest: Some("a b/../c".into()), file: "x?y#z%2f/é.pt".into() };
        assert_eq!(
            name.path("/api/admin/models", "/catalog"),
            "/api/admin/models/x%3Fy%23z%252f%2F%C3%A9.pt/catalog?dest=a%20b%2F..%2Fc"
        );
    }

    #[test]
    fn the_boundary_is_never_in_the_document() {
        let (content_type, body) =
            form("catalog.json", "application/json", b"{\"file\": \"lorakeep-0\"}").expect("a body");
        assert_eq!(content_type, "multipart/form-data; boundary=lorakeep-1");
        let text = String::from_utf8(body.to_vec()).expect("text");
        assert!(text.starts_with("--lorakeep-1\r\n") && text.ends_with("\r\n--lorakeep-1--\r\n"), "{text}");
    }
}
