//! Uploads in pieces by tus 1.0.0, with the admin's way in or with a token of the vault.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, LOCATION};
use http::request::Builder;
use http::{HeaderValue, Method, Request, StatusCode};
use lorakeep_registry::domain::Sha256;
use serde::Deserialize;

use super::{Answer, Api, Reply, refusal, stranger};
use crate::failure::{Failure, Result};

const ADMINS: &str = "/api/admin/uploads";
const VAULT: &str = "/api/v1/uploads";

/// Which door uploads go through.
#[derive(Debug, Clone)]
pub(crate) struct UploadDoor {
    path: &'static str,
    token: Option<HeaderValue>,
}

/// An upload as the server tells of it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Upload {
    pub(crate) id: String,
    pub(crate) state: String,
    pub(crate) length: u64,
    pub(crate) offset: u64,
    #[serde(default)]
    pub(crate) fingerprint: Option<String>,
    #[serde(default)]
    pub(crate) result: Option<Uploaded>,
    #[serde(default)]
    pub(crate) error: Option<UploadError>,
}

/// The file in its place.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Uploaded {
    pub(crate) partial_path: String,
    pub(crate) sha256: String,
}

/// Why an upload was refused.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct UploadError {
    pub(crate) detail: String,
}

/// What came of sending a piece.
#[derive(Debug)]
pub(crate) enum Sent {
    /// The upload is at that byte now.
    At(u64),
    /// Worth another try after a look at how far it is.
    Again(Failure),
    /// It will not work.
    Refused(Failure),
}

impl UploadDoor {
    /// The admin's, or the vault's with a token.
    pub(crate) fn new(token: Option<&str>) -> Result<Self> {
        let Some(token) = token else { return Ok(Self { path: ADMINS, token: None }) };
        let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim())).map_err(|_| {
            Failure::usage("the token holds characters that no token has").hint("copy it again")
        })?;
        value.set_sensitive(true);
        Ok(Self { path: VAULT, token: Some(value) })
    }

    fn request(&self, method: Method, path: &str) -> Builder {
        let request = Request::builder().method(method).uri(path).header(ACCEPT, "application/json");
        let request = request.header("tus-resumable", "1.0.0");
        match &self.token {
            Some(token) => request.header(AUTHORIZATION, token),
            None => request,
        }
    }

    fn one(&self, id: &str) -> String {
        format!("{}/{id}", self.path)
    }
}

impl Api {
    /// The caller's uploads, newest first.
    pub(crate) async fn uploads(&self, door: &UploadDoor) -> Result<Vec<Upload>> {
        #[derive(Deserialize)]
        struct List {
            items: Vec<Upload>,
        }
        let list: Reply<List> = self.upload_json(door, door.path).await?;
        Ok(list.data.items)
    }

    /// One of them.
    pub(crate) async fn upload(&self, door: &UploadDoor, id: &str) -> Result<Reply<Upload>> {
        self.upload_json(door, &door.one(id)).await
    }

    /// Begins an upload and answers its id.
    pub(crate) async fn begin_upload(
        &self,
        door: &UploadDoor,
        length: u64,
        said: &[(&str, String)],
    ) -> Result<String> {
        let said: Vec<String> =
            said.iter().map(|(key, value)| format!("{key} {}", STANDARD.encode(value))).collect();
        let request = door.request(Method::POST, door.path).header("upload-length", length);
        let answer = self.exchange(request.header("upload-metadata", said.join(",")), Bytes::new()).await?;
        let location = answer.headers.get(LOCATION).and_then(|value| value.to_str().ok());
        match location.and_then(|location| location.rsplit('/').next()) {
            Some(id) if answer.status == StatusCode::CREATED => Ok(id.to_owned()),
            _ if answer.status.is_success() => {
                Err(Failure::new("the server began an upload and does not say which")
                    .hint("is it a lorakeep server, and of the same version?"))
            }
            _ => Err(self.refused(door, &answer)),
        }
    }

    /// Sends the next piece, with its hash so that nothing is changed on the way.
    pub(crate) async fn send_piece(&self, door: &UploadDoor, id: &str, at: u64, piece: Bytes) -> Sent {
        let checksum = format!("sha256 {}", STANDARD.encode(Sha256::of(&piece).as_bytes()));
        let request = door
            .request(Method::PATCH, &door.one(id))
            .header("upload-offset", at)
            .header("upload-checksum", checksum)
            .header(CONTENT_TYPE, "application/offset+octet-stream");
        let answer = match self.exchange(request, piece).await {
            Ok(answer) => answer,
            Err(failure) => return Sent::Again(failure),
        };
        let offset = answer.headers.get("upload-offset").and_then(|value| value.to_str().ok()?.parse().ok());
        match (answer.status, offset) {
            (StatusCode::NO_CONTENT, Some(offset)) => Sent::At(offset),
            (status, _) if is_passing(status) => Sent::Again(self.refused(door, &answer)),
            _ => Sent::Refused(self.refused(door, &answer)),
        }
    }

    async fn upload_json<T: serde::de::DeserializeOwned>(
        &self,
        door: &UploadDoor,
        path: &str,
    ) -> Result<Reply<T>> {
        let answer = self.exchange(door.request(Method::GET, path), Bytes::new()).await?;
        if !answer.status.is_success() {
            return Err(self.refused(door, &answer));
        }
        let json: serde_json::Value =
            serde_json::from_slice(&answer.body).map_err(|error| stranger(path, &answer, &error))?;
        let data = T::deserialize(&json).map_err(|error| stranger(path, &answer, &error))?;
        Ok(Reply { data, json })
    }

    fn refused(&self, door: &UploadDoor, answer: &Answer) -> Failure {
        if door.token.is_some() && answer.status == StatusCode::UNAUTHORIZED {
            return Failure::new("the server does not accept the token").hint(
                "is it expired, or for another server? `lorakeep token inspect TOKEN` shows what it says",
            );
        }
        refusal::read(answer, &self.connection)
    }

    async fn exchange(&self, request: Builder, body: Bytes) -> Result<Answer> {
        let request =
            request.body(body).map_err(|error| Failure::new("cannot write the request").caused_by(&error))?;
        self.connection.open_answer(request).await?.whole().await
    }
}

/// Whether the same piece, or another one after a look, may work: a conflict of offsets, a writer that is leaving, a
/// piece that was changed on the way, a server in trouble.
fn is_passing(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::CONFLICT
            | StatusCode::LOCKED
            | StatusCode::TOO_MANY_REQUESTS
            | StatusCode::REQUEST_TIMEOUT
    ) || status.as_u16() == 460
        || matches!(
            status,
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
        )
}
