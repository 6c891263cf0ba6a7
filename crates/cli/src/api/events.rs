//! What happened: the last events, and the stream of those that come.

use bytes::BytesMut;
use http::Method;
use serde::Deserialize;
use serde_json::Value;

use super::{Api, Reply};
use crate::connection::Streamed;
use crate::failure::{Failure, Result};

/// A frame of the stream is never so long; what is has lost its end.
const LONGEST_FRAME: usize = 1 << 20;

/// One thing that happened.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Event {
    pub(crate) id: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) timestamp: String,
    /// `info`, `success`, `warning` or `error`.
    pub(crate) severity: String,
    pub(crate) message: String,
}

/// Events as they come.
pub(crate) struct EventStream {
    answer: Streamed,
    /// What came and is no whole frame yet.
    rest: BytesMut,
}

impl Api {
    /// The last events, oldest first; `query` as in the address.
    pub(crate) async fn events(&self, query: &str) -> Result<Vec<Reply<Event>>> {
        let list: Reply<Vec<Value>> = self.get(&format!("/api/admin/events?{query}")).await?;
        list.data.into_iter().map(read).collect()
    }

    /// Those from now on.
    pub(crate) async fn watch_events(&self, query: &str) -> Result<EventStream> {
        let path = format!("/api/admin/events/stream?{query}");
        let answer = self.open_answer(Method::GET, &path, None).await?;
        Ok(EventStream { answer, rest: BytesMut::new() })
    }
}

impl EventStream {
    /// The next one; `None` when the server ends.
    pub(crate) async fn next(&mut self) -> Result<Option<Reply<Event>>> {
        loop {
            while let Some(frame) = take_frame(&mut self.rest) {
                if let Some(json) = data_of(&frame)? {
                    return read(json).map(Some);
                }
            }
            if self.rest.len() > LONGEST_FRAME {
                return Err(Failure::new("the stream of events is none"));
            }
            match self.answer.next().await? {
                Some(bytes) => self.rest.extend_from_slice(&bytes),
                None => return Ok(None),
            }
        }
    }
}

/// Takes what stands before the first empty line.
fn take_frame(bytes: &mut BytesMut) -> Option<BytesMut> {
    let end = bytes.windows(2).position(|two| two == b"\n\n")?;
    Some(bytes.split_to(end + 2))
}

/// The data of a frame; a comment has none.
fn data_of(frame: &[u8]) -> Result<Option<Value>> {
    let mut lines = frame.split(|byte| *byte == b'\n');
    let Some(data) = lines.find_map(|line| line.strip_prefix(b"data: ")) else { return Ok(None) };
    serde_json::from_slice(data).map(Some).map_err(|error| unreadable(&error))
}

fn read(json: Value) -> Result<Reply<Event>> {
    Ok(Reply { data: Event::deserialize(&json).map_err(|error| unreadable(&error))?, json })
}

fn unreadable(error: &serde_json::Error) -> Failure {
    Failure::new("cannot read an event").caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_however_they_are_cut() {
        let stream = b": watching\n\nid: 7\ndata: {\"a\":1}\n\n: still here\n\nid: 8\ndata: {\"a\":2}\n\n";
        let (mut rest, mut seen) = (BytesMut::new(), Vec::new());
        for byte in stream {
            rest.extend_from_slice(&[*byte]);
            while let Some(frame) = take_frame(&mut rest) {
                seen.extend(data_of(&frame).expect("it is read"));
            }
        }
        assert_eq!(seen, [serde_json::json!({"a": 1}), serde_json::json!({"a": 2})]);
        assert!(rest.is_empty());
    }
}
