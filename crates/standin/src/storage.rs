//! Object storage under another host name: signed addresses that expire, plain files, images.

use crate::civitai::images;
use crate::content::FileSpec;
use crate::control;
use crate::observe::lock;
use crate::shared::Shared;
use crate::wire::{Answer, FileAnswer, Request, Response};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Which store CivitAI redirects to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Delivery {
    /// Cloudflare R2: `X-Amz-Signature` and its siblings, 24 hours.
    #[default]
    R2,
    /// Backblaze B2: the signature is a query parameter called `Authorization`, 1 hour.
    B2,
}

/// One signed address.
#[derive(Debug)]
pub(crate) struct Signed {
    spec: FileSpec,
    label: String,
    etag: String,
    path: String,
    expires: SystemTime,
    dead: AtomicBool,
    bytes: AtomicU64,
    requests: AtomicU64,
}

impl Signed {
    /// Bytes and requests given so far.
    pub(crate) fn used(&self) -> (u64, u64) {
        (self.bytes.load(Ordering::SeqCst), self.requests.load(Ordering::SeqCst))
    }

    pub(crate) fn gave(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::SeqCst);
    }

    pub(crate) fn count_request(&self) {
        self.requests.fetch_add(1, Ordering::SeqCst);
    }

    /// Ends the address before its time.
    pub(crate) fn expire(&self) {
        self.dead.store(true, Ordering::SeqCst);
    }

    fn is_over(&self) -> bool {
        self.dead.load(Ordering::SeqCst) || SystemTime::now() >= self.expires
    }
}

/// All addresses signed so far, by signature.
#[derive(Debug, Default)]
pub(crate) struct Signatures {
    by_signature: Mutex<HashMap<String, Arc<Signed>>>,
    made: AtomicU64,
}

impl Signatures {
    /// Signs `path` for a file and returns the signature (64 hex digits) and its end in Unix seconds.
    pub(crate) fn sign(
        &self,
        spec: &FileSpec,
        label: &str,
        etag: &str,
        path: &str,
        lifetime: Duration,
    ) -> (String, u64) {
        let number = self.made.fetch_add(1, Ordering::SeqCst);
        let signature = spec.mark(&format!("signature {number}"));
        let expires = SystemTime::now() + lifetime;
        let signed = Signed {
            spec: spec.clone(),
            label: label.to_owned(),
            etag: etag.to_owned(),
            path: path.to_owned(),
            expires,
            dead: AtomicBool::new(false),
            bytes: AtomicU64::new(0),
            requests: AtomicU64::new(0),
        };
        lock(&self.by_signature).insert(signature.clone(), Arc::new(signed));
        (signature, expires.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
    }

    /// Ends every address signed so far.
    pub(crate) fn expire_all(&self) {
        lock(&self.by_signature).values().for_each(|signed| signed.expire());
    }

    fn find(&self, signature: &str) -> Option<Arc<Signed>> {
        lock(&self.by_signature).get(signature).map(Arc::clone)
    }
}

/// Routes of the storage host.
pub(crate) fn route(shared: &Shared, request: &Request) -> Answer {
    let segments = request.segments();
    let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
    if let ["__control", rest @ ..] = parts.as_slice() {
        return control::route(shared, request, rest).into();
    }
    if request.header("authorization").is_some() {
        return Response::xml_error(400, "InvalidRequest", "Missing x-amz-content-sha256").into();
    }
    match parts.as_slice() {
        ["files", name @ ..] => plain(shared, request, &name.join("/")),
        [images::CDN, uuid, params, _] => images::picture(shared, uuid, params),
        ["image-originals", uuid] => images::original(shared, uuid),
        _ => signed(shared, request),
    }
}

/// A plain web server's file, without signature.
fn plain(shared: &Shared, request: &Request, name: &str) -> Answer {
    if !matches!(request.method.as_str(), "GET" | "HEAD") {
        return Response::text(405, "method not allowed").into();
    }
    let Some(spec) = shared.world().files.get(name).cloned() else {
        return Response::text(404, "not found").into();
    };
    let etag = spec.mark("plain")[..24].to_owned();
    FileAnswer {
        label: name.to_owned(),
        etag,
        content_type: "application/octet-stream".into(),
        headers: Vec::new(),
        signed: None,
        spec,
    }
    .into()
}

fn signed(shared: &Shared, request: &Request) -> Answer {
    let names = ["X-Amz-Signature", "Signature", "Authorization"];
    let Some(signature) = names.iter().find_map(|name| request.param(name)) else {
        return Response::xml_error(403, "AccessDenied", "Access Denied").into();
    };
    match shared.signatures.find(&inner_signature(&signature)) {
        Some(signed) if request.method == "GET" && signed.path == request.path => {
            if signed.is_over() {
                return expired();
            }
            from_store(signed, request).into()
        }
        _ => Response::xml_error(
            403,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided.",
        )
        .into(),
    }
}

/// The answer to an address whose time is over.
pub(crate) fn expired() -> Answer {
    Response::xml_error(403, "AccessDenied", "Request has expired").into()
}

fn from_store(signed: Arc<Signed>, request: &Request) -> FileAnswer {
    let disposition = ["response-content-disposition", "b2ContentDisposition"];
    let headers = disposition
        .iter()
        .find_map(|name| request.param(name))
        .map(|value| ("content-disposition".to_owned(), value));
    FileAnswer {
        spec: signed.spec.clone(),
        label: signed.label.clone(),
        etag: signed.etag.clone(),
        content_type: "application/octet-stream".into(),
        headers: headers.into_iter().collect(),
        signed: Some(signed),
    }
}

/// B2 wraps the signature: `3_{date}_{signature}_004_{expiry}_{n}_dnld`.
fn inner_signature(given: &str) -> String {
    given.split('_').nth(2).unwrap_or(given).to_owned()
}

/// Everything but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Percent-encodes a query value or a path segment.
pub(crate) fn escaped(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}
