//! Scripted faults: what goes wrong, for which file or path, and how often.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One thing that goes wrong on the wire. Byte counts are of the response body unless said otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The connection is reset (TCP RST) once this many body bytes were written.
    CloseAfter(u64),
    /// The header promises the whole body; the connection is closed cleanly after this many bytes.
    ShortBody(u64),
    /// `Content-Length` is off by this much. The true body is sent, then the connection is closed.
    WrongContentLength(i64),
    /// No `Content-Length`: the body comes in chunks.
    NoContentLength,
    /// A `Range` is answered with `200` and the whole file.
    IgnoreRange,
    /// `206` with the bytes asked for, but a `Content-Range` that names others (shifted by one byte).
    WrongContentRange,
    /// Another status instead of the answer.
    Status(StatusFault),
    /// After this many requests for the file its `ETag` changes; the bytes stay.
    #[serde(rename = "change_etag_after")]
    ChangeETagAfter(u64),
    /// After this many requests the file is another one of the same size: new bytes, new `ETag`.
    ChangeContentAfter(u64),
    /// A signed address answers `403` for good once it gave this much; a new one has to be resolved.
    /// With [`Times`], counts the addresses that expire.
    ExpireSignedUrlAfter(Allowance),
    /// Nothing more comes after this many bytes, while the connection stays open.
    StallAfter(u64),
    /// The body trickles at this many bytes a second.
    DripRate(u64),
    /// The byte at this offset of the file is inverted. Counts only responses that cover the offset.
    CorruptByteAt(u64),
    /// `302` to the same address, for ever.
    RedirectLoop,
    /// `302` to this address.
    RedirectTo(String),
    /// `200` with `Content-Encoding: gzip` around the whole file, whatever was asked for.
    GzipEncoding,
    /// `200` and an HTML page in the place of the answer.
    #[serde(rename = "html_page_200")]
    HtmlPage200,
    /// The connection is reset before the first byte of an answer.
    ResetOnConnect,
    /// The answer starts this many milliseconds later.
    LatencyMs(u64),
    /// Several at once, as for a slow connection that breaks.
    Together(Vec<Fault>),
}

impl Fault {
    /// A bare status without `Retry-After`.
    pub fn status(code: u16) -> Self {
        Self::Status(StatusFault { code, retry_after: RetryAfter::None, body: String::new() })
    }

    /// A status with a `Retry-After` of the given form.
    pub fn status_retry(code: u16, retry_after: RetryAfter) -> Self {
        Self::Status(StatusFault { code, retry_after, body: String::new() })
    }
}

/// A status that replaces the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusFault {
    /// HTTP status code.
    pub code: u16,
    /// What the server says about trying again.
    #[serde(default)]
    pub retry_after: RetryAfter,
    /// Body text; JSON when it begins with a brace.
    #[serde(default)]
    pub body: String,
}

/// How an answer tells when to try again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfter {
    /// Not at all.
    #[default]
    None,
    /// `Retry-After: <seconds>`.
    Seconds(u64),
    /// `Retry-After: <HTTP date>` this many seconds from now.
    HttpDate(u64),
    /// `Retry-After: 99999999999`, longer than anybody should believe.
    Absurd,
    /// `Retry-After: soon`, which is neither form.
    Nonsense,
    /// Hugging Face's `RateLimit: "resolvers";r=0;t=<seconds>` and no `Retry-After`.
    RateLimit(u64),
}

/// What a signed address gives before it expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Allowance {
    /// Body bytes; a response that runs is not cut.
    Bytes(u64),
    /// Requests.
    Requests(u64),
}

/// How often a fault acts. Requests on which it could not act do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Times {
    /// The first time only.
    Once,
    /// So many times.
    N(u32),
    /// Until [`clear_faults`](crate::Standin::clear_faults).
    Always,
}

/// What a request looks like to the script.
#[derive(Debug, Default)]
pub(crate) struct Occasion<'a> {
    /// Path of the request, percent-encoded as sent.
    pub(crate) path: &'a str,
    /// Label of the file asked for, as `standin/big/a.safetensors`.
    pub(crate) file: Option<&'a str>,
    /// The request has a range that can be answered.
    pub(crate) ranged: bool,
    /// Offsets of the file that the answer would cover.
    pub(crate) span: (u64, u64),
    /// Bytes and requests that this signed address gave so far.
    pub(crate) used: Option<(u64, u64)>,
}

impl Occasion<'_> {
    fn is_for(&self, target: &str) -> bool {
        match self.file {
            _ if target.starts_with('/') => self.path.starts_with(target),
            Some(file) => names_file(target, file),
            None => false,
        }
    }
}

/// Whether `target` is the label of a file, or whole last parts of it.
pub(crate) fn names_file(target: &str, label: &str) -> bool {
    label == target || label.strip_suffix(target).is_some_and(|head| head.ends_with('/'))
}

/// Faults in the order in which they were scripted.
#[derive(Debug, Default)]
pub(crate) struct Script {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    target: String,
    fault: Fault,
    left: Option<u32>,
    met: u64,
}

impl Script {
    pub(crate) fn add(&mut self, target: &str, fault: Fault, times: Times) {
        let left = match times {
            Times::Once => Some(1),
            Times::N(count) => Some(count),
            Times::Always => None,
        };
        self.entries.push(Entry { target: target.to_owned(), fault, left, met: 0 });
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    /// The faults of this request: per target the first one that can act, and its count goes down.
    pub(crate) fn take(&mut self, occasion: &Occasion<'_>) -> Plan {
        let mut plan = Plan::default();
        let mut served: Vec<String> = Vec::new();
        for entry in &mut self.entries {
            if !occasion.is_for(&entry.target) {
                continue;
            }
            entry.met += 1;
            if served.contains(&entry.target) || entry.left == Some(0) || !entry.acts(occasion) {
                continue;
            }
            entry.left = entry.left.map(|left| left - 1);
            served.push(entry.target.clone());
            plan.add(&entry.fault);
        }
        plan
    }
}

impl Entry {
    fn acts(&self, occasion: &Occasion<'_>) -> bool {
        acts(&self.fault, self.met, occasion)
    }
}

fn acts(fault: &Fault, met: u64, occasion: &Occasion<'_>) -> bool {
    match fault {
        Fault::IgnoreRange | Fault::WrongContentRange => occasion.ranged,
        Fault::ChangeETagAfter(requests) | Fault::ChangeContentAfter(requests) => met > *requests,
        Fault::CorruptByteAt(offset) => (occasion.span.0..occasion.span.1).contains(offset),
        Fault::ExpireSignedUrlAfter(Allowance::Bytes(bytes)) => {
            occasion.used.is_some_and(|used| used.0 >= *bytes)
        }
        Fault::ExpireSignedUrlAfter(Allowance::Requests(requests)) => {
            occasion.used.is_some_and(|used| used.1 >= *requests)
        }
        Fault::Together(faults) => faults.iter().any(|fault| acts(fault, met, occasion)),
        _ => true,
    }
}

/// How the body ends when it does not end whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// TCP reset.
    Reset,
    /// Orderly close.
    Close,
    /// Silence on an open connection.
    Stall,
}

/// Everything that goes wrong with one answer.
#[derive(Debug, Default, Clone)]
pub(crate) struct Plan {
    pub(crate) latency: Duration,
    pub(crate) reset_at_once: bool,
    pub(crate) instead: Option<Instead>,
    pub(crate) expire_signature: bool,
    pub(crate) ignore_range: bool,
    pub(crate) wrong_content_range: bool,
    pub(crate) change_etag: bool,
    pub(crate) change_content: bool,
    pub(crate) gzip: bool,
    pub(crate) length_off_by: i64,
    pub(crate) chunked: bool,
    pub(crate) stop: Option<(u64, Ending)>,
    pub(crate) rate: Option<u64>,
    pub(crate) corrupt: Vec<u64>,
}

/// An answer that takes the place of the true one.
#[derive(Debug, Clone)]
pub(crate) enum Instead {
    Status(StatusFault),
    Html,
    Redirect(Option<String>),
}

impl Plan {
    fn add(&mut self, fault: &Fault) {
        match fault {
            Fault::CloseAfter(bytes) => self.stop = Some((*bytes, Ending::Reset)),
            Fault::ShortBody(bytes) => self.stop = Some((*bytes, Ending::Close)),
            Fault::StallAfter(bytes) => self.stop = Some((*bytes, Ending::Stall)),
            Fault::WrongContentLength(by) => self.length_off_by = *by,
            Fault::NoContentLength => self.chunked = true,
            Fault::IgnoreRange => self.ignore_range = true,
            Fault::WrongContentRange => self.wrong_content_range = true,
            Fault::Status(status) => self.instead = Some(Instead::Status(status.clone())),
            Fault::ChangeETagAfter(_) => self.change_etag = true,
            Fault::ChangeContentAfter(_) => self.change_content = true,
            Fault::ExpireSignedUrlAfter(_) => self.expire_signature = true,
            Fault::DripRate(rate) => self.rate = Some(*rate),
            Fault::CorruptByteAt(offset) => self.corrupt.push(*offset),
            Fault::RedirectLoop => self.instead = Some(Instead::Redirect(None)),
            Fault::RedirectTo(url) => self.instead = Some(Instead::Redirect(Some(url.clone()))),
            Fault::GzipEncoding => self.gzip = true,
            Fault::HtmlPage200 => self.instead = Some(Instead::Html),
            Fault::ResetOnConnect => self.reset_at_once = true,
            Fault::LatencyMs(milliseconds) => self.latency += Duration::from_millis(*milliseconds),
            Fault::Together(faults) => faults.iter().for_each(|fault| self.add(fault)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_of_one_target_act_in_order_and_run_out() {
        let mut script = Script::default();
        script.add("a.bin", Fault::ShortBody(1), Times::Once);
        script.add("a.bin", Fault::ShortBody(2), Times::N(2));
        let occasion = Occasion { file: Some("repo/a.bin"), ..Occasion::default() };
        let stops: Vec<_> = (0..4).map(|_| script.take(&occasion).stop.map(|stop| stop.0)).collect();
        assert_eq!(stops, [Some(1), Some(2), Some(2), None]);
    }

    #[test]
    fn a_fault_that_cannot_act_neither_counts_nor_blocks_the_next() {
        let mut script = Script::default();
        script.add("a.bin", Fault::CorruptByteAt(100), Times::Once);
        script.add("a.bin", Fault::NoContentLength, Times::Once);
        let first = script.take(&Occasion { file: Some("a.bin"), span: (0, 100), ..Occasion::default() });
        assert!(first.corrupt.is_empty() && first.chunked);
        let second = script.take(&Occasion { file: Some("a.bin"), span: (100, 200), ..Occasion::default() });
        assert_eq!(second.corrupt, [100]);
    }

    #[test]
    fn a_path_prefix_and_a_file_name_both_apply_and_names_match_whole_parts() {
        assert!(names_file("b.bin", "o/r/b.bin") && names_file("o/r/b.bin", "o/r/b.bin"));
        assert!(!names_file("b.bin", "o/r/ab.bin"));
        let mut script = Script::default();
        script.add("/files/", Fault::LatencyMs(5), Times::Always);
        script.add("b.bin", Fault::IgnoreRange, Times::Always);
        let plan = script.take(&Occasion {
            path: "/files/b.bin",
            file: Some("b.bin"),
            ranged: true,
            ..Occasion::default()
        });
        assert!(plan.ignore_range && plan.latency == Duration::from_millis(5));
    }
}
