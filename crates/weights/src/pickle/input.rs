//! The bytes of a pickle, read once from front to back within a limit.

use std::io::{self, BufRead, Read};

use crate::denial::{Checked, deny};
use crate::limits::{Deadline, Limits};
use crate::read::{ReadAt, Window};

/// Names of modules and attributes are never longer than this.
const LINE_CAP: usize = 256;

/// A cursor over the part of a file in which a pickle lies.
pub(crate) struct Input<'a, F: ?Sized> {
    window: Window<'a, F>,
    start: u64,
    position: u64,
    limits: Limits,
    deadline: Deadline,
}

impl<'a, F: ReadAt + ?Sized> Input<'a, F> {
    /// Bytes `start..end` of `file`.
    pub(crate) fn new(file: &'a F, start: u64, end: u64, limits: Limits, deadline: Deadline) -> Self {
        Self { window: Window::new(file, start, end), start, position: start, limits, deadline }
    }

    /// The position in the file of the next byte.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) fn check_time(&self) -> Checked<()> {
        self.deadline.check()
    }

    fn advance(&mut self, count: u64) -> Checked<()> {
        self.position += count;
        if self.position - self.start > self.limits.pickle_bytes {
            return deny(
                "limit_bytes",
                format!("its pickle is longer than {} bytes", self.limits.pickle_bytes),
            );
        }
        Ok(())
    }

    pub(super) fn byte(&mut self) -> Checked<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn array<const N: usize>(&mut self) -> Checked<[u8; N]> {
        let mut bytes = [0; N];
        self.window.read_exact(&mut bytes)?;
        self.advance(N as u64)?;
        Ok(bytes)
    }

    /// A line without its end, as names are written.
    pub(super) fn line(&mut self) -> Checked<String> {
        let mut line = Vec::new();
        loop {
            match self.byte()? {
                b'\n' => break,
                _ if line.len() == LINE_CAP => return deny("text", "it has a name of more than 256 bytes"),
                byte => line.push(byte),
            }
        }
        String::from_utf8(line).or_else(|_| deny("text", "it has a name that is not UTF-8"))
    }

    /// `length` bytes of UTF-8, of which the content is answered when it is not longer than `keep`.
    pub(super) fn text(&mut self, length: u64, keep: usize) -> Checked<Option<String>> {
        if length > self.limits.text_bytes {
            return deny("limit_text", format!("it has a text of {length} bytes"));
        }
        if length > keep as u64 {
            self.skip_text(length)?;
            return Ok(None);
        }
        let mut bytes = vec![0; length as usize];
        self.window.read_exact(&mut bytes)?;
        self.advance(length)?;
        String::from_utf8(bytes).map(Some).or_else(|_| deny("text", "it has a text that is not UTF-8"))
    }

    /// `length` bytes as Python 2 wrote a text; what is not ASCII is not kept.
    pub(super) fn byte_text(&mut self, length: u8) -> Checked<Option<String>> {
        let mut bytes = vec![0; usize::from(length)];
        self.window.read_exact(&mut bytes)?;
        self.advance(u64::from(length))?;
        Ok(String::from_utf8(bytes).ok().filter(|text| text.is_ascii()))
    }

    fn skip_text(&mut self, length: u64) -> Checked<()> {
        let mut left = length;
        let mut carry = Vec::new();
        while left > 0 {
            self.check_time()?;
            let chunk = self.window.fill_buf()?;
            if chunk.is_empty() {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            let count = chunk.len().min(left as usize);
            carry.extend_from_slice(&chunk[..count]);
            self.window.consume(count);
            self.advance(count as u64)?;
            left -= count as u64;
            keep_cut_character(&mut carry)?;
        }
        if carry.is_empty() { Ok(()) } else { deny("text", "it has a text that is not UTF-8") }
    }
}

/// Drops what is valid from the front; a character cut in two stays for the next chunk.
fn keep_cut_character(bytes: &mut Vec<u8>) -> Checked<()> {
    let valid = match std::str::from_utf8(bytes) {
        Ok(_) => bytes.len(),
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        Err(_) => return deny("text", "it has a text that is not UTF-8"),
    };
    bytes.drain(..valid);
    Ok(())
}
