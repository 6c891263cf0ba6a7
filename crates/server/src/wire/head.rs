//! A strict look at request heads before hyper sees them.
//!
//! hyper accepts a lone line feed, `Content-Length` beside `Transfer-Encoding`, and a repeated `Content-Length`: forms
//! that two programs in a row may read differently (request smuggling, RFC 9112 sections 2.2 and 6.3). This scanner
//! follows the bytes of a connection and says where such a form begins.

/// The longest line start that is kept: enough for the names and numbers that are looked at.
const LINE_START: usize = 64;

/// Follows one connection's bytes.
#[derive(Debug)]
pub(super) struct HeadScanner {
    state: State,
    line: LineStart,
    content_length: Option<u64>,
    is_chunked: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the request line; empty lines are passed over.
    Start,
    /// Within the head. `after_cr` says that the last byte was a carriage return.
    Head { after_cr: bool },
    /// Within a body of known length.
    Body { remaining: u64 },
    /// Within a chunked body: the connection ends with its answer, so nothing more is judged.
    Unframed,
}

/// What came of a look at some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    /// Whether any byte belonged to a head.
    pub(super) saw_head: bool,
    /// Where the first forbidden form begins, if there is one.
    pub(super) fault_at: Option<usize>,
}

impl HeadScanner {
    pub(super) fn new() -> Self {
        Self { state: State::Start, line: LineStart::default(), content_length: None, is_chunked: false }
    }

    /// Looks at the next bytes of the connection.
    pub(super) fn look(&mut self, bytes: &[u8]) -> Look {
        let mut look = Look { saw_head: false, fault_at: None };
        let mut at = 0;
        while at < bytes.len() {
            match self.state {
                State::Unframed => break,
                State::Body { remaining } => {
                    let passed = remaining.min((bytes.len() - at) as u64);
                    at += passed as usize;
                    self.state = if passed == remaining {
                        State::Start
                    } else {
                        State::Body { remaining: remaining - passed }
                    };
                }
                State::Start | State::Head { .. } => {
                    look.saw_head = true;
                    if self.take(bytes[at]).is_err() {
                        look.fault_at = Some(at);
                        break;
                    }
                    at += 1;
                }
            }
        }
        look
    }

    /// One byte of a head; an error says that it completes a forbidden form.
    fn take(&mut self, byte: u8) -> Result<(), ()> {
        let after_cr = matches!(self.state, State::Head { after_cr: true });
        match byte {
            b'\n' if !after_cr => Err(()),
            b'\n' => self.end_line(),
            b'\r' => {
                self.state = State::Head { after_cr: true };
                Ok(())
            }
            _ if after_cr => Err(()),
            byte => {
                self.state = State::Head { after_cr: false };
                self.line.push(byte);
                Ok(())
            }
        }
    }

    fn end_line(&mut self) -> Result<(), ()> {
        if self.line.is_empty() {
            self.end_head();
            return Ok(());
        }
        self.state = State::Head { after_cr: false };
        self.line.is_after_first = true;
        let verdict = self.judge_line();
        self.line.clear();
        verdict
    }

    /// Notes the framing of the body; an error when two headers disagree about it.
    fn judge_line(&mut self) -> Result<(), ()> {
        if let Some(value) = self.line.value_of(b"content-length") {
            let length = digits(value.trim_ascii()).ok_or(())?;
            if self.content_length.replace(length).is_some() {
                return Err(());
            }
        }
        self.is_chunked |= self.line.value_of(b"transfer-encoding").is_some();
        if self.is_chunked && self.content_length.is_some() { Err(()) } else { Ok(()) }
    }

    fn end_head(&mut self) {
        let is_leading_line = !self.line.is_after_first;
        self.state = match (self.is_chunked, self.content_length.take()) {
            _ if is_leading_line => State::Start,
            (true, _) => State::Unframed,
            (false, Some(remaining)) if remaining > 0 => State::Body { remaining },
            (false, _) => State::Start,
        };
        self.line.is_after_first = false;
    }
}

/// The beginning of the present header line.
#[derive(Debug, Default)]
struct LineStart {
    bytes: Vec<u8>,
    length: usize,
    /// Whether a line of this head ended before.
    is_after_first: bool,
}

impl LineStart {
    fn push(&mut self, byte: u8) {
        if self.bytes.len() < LINE_START {
            self.bytes.push(byte);
        }
        self.length += 1;
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.length = 0;
    }

    fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The value of the header `name` (lower case) when this line is one. A value that was cut does not parse as a
    /// number, and so is refused where it matters.
    fn value_of(&self, name: &[u8]) -> Option<&[u8]> {
        let (start, rest) = self.bytes.split_at_checked(name.len())?;
        let value = rest.strip_prefix(b":")?;
        let is_cut = self.length > self.bytes.len();
        start.eq_ignore_ascii_case(name).then_some(if is_cut { &[] } else { value })
    }
}

/// A number of decimal digits alone; no sign, which Rust's own parser would accept.
fn digits(text: &[u8]) -> Option<u64> {
    let text =
        std::str::from_utf8(text).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(bytes: &[u8]) -> Option<usize> {
        HeadScanner::new().look(bytes).fault_at
    }

    #[test]
    fn ordinary_requests_pass_however_they_are_cut() {
        let stream = b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nPOST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n\n\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";
        for piece in 1..stream.len() {
            let mut scanner = HeadScanner::new();
            for bytes in stream.chunks(piece) {
                assert_eq!(scanner.look(bytes).fault_at, None, "cut every {piece}");
            }
            assert_eq!(scanner.state, State::Start);
        }
    }

    #[test]
    fn a_lone_line_feed_or_carriage_return_is_a_fault() {
        assert_eq!(fault(b"GET / HTTP/1.1\nHost: a\n\n"), Some(14));
        assert_eq!(fault(b"GET / HTTP/1.1\r\nHost: a\n\r\n"), Some(23));
        assert_eq!(fault(b"GET / HTTP/1.1\r\nA: b\rc\r\n"), Some(21));
    }

    #[test]
    fn two_ways_to_frame_a_body_are_a_fault() {
        let head = |lines: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n");
        for lines in [
            "Content-Length: 3\r\nTransfer-Encoding: chunked",
            "transfer-encoding: chunked\r\ncontent-length: 3",
            "Content-Length: 3\r\nContent-Length: 3",
            "Content-Length: +5",
            "Content-Length: 0x5",
            "Content-Length: 5, 5",
        ] {
            assert!(fault(head(lines).as_bytes()).is_some(), "{lines}");
        }
        let padded = format!("Content-Length:{}5", " ".repeat(80));
        assert!(fault(head(&padded).as_bytes()).is_some());
        assert_eq!(fault(head("Transfer-Encoding: chunked").as_bytes()), None);
    }

    #[test]
    fn a_pipelined_head_is_judged_as_well() {
        let stream = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}GET / HTTP/1.1\nHost: a\n\n";
        assert!(fault(stream).is_some());
    }
}
