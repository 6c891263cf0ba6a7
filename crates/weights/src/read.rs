//! Reading by position: the only way this crate touches a file.
//!
//! A position belongs to the call and not to the file, so one open file can be scanned and hashed at
//! once, and a file that somebody truncates meanwhile gives an error instead of a fault.

use std::fs::File;
use std::io::{self, BufRead, Read};

/// Bytes that can be read from any position.
pub trait ReadAt {
    /// Reads up to `buffer.len()` bytes from `offset`; 0 means that the end is reached.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Fills `buffer` from `offset`, or fails with `UnexpectedEof`.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read_at(&mut buffer[filled..], offset + filled as u64) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The first bytes, at most `limit` of them: fewer when the file is shorter.
    fn head(&self, limit: usize) -> io::Result<Vec<u8>> {
        let mut head = vec![0; limit];
        let mut filled = 0;
        while filled < limit {
            match self.read_at(&mut head[filled..], filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        head.truncate(filled);
        Ok(head)
    }
}

impl ReadAt for File {
    #[cfg(unix)]
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(self, buffer, offset)
    }

    #[cfg(windows)]
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::windows::fs::FileExt::seek_read(self, buffer, offset)
    }
}

impl ReadAt for [u8] {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        let count = buffer.len().min(self.len() - start);
        buffer[..count].copy_from_slice(&self[start..start + count]);
        Ok(count)
    }
}

impl ReadAt for Vec<u8> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.as_slice().read_at(buffer, offset)
    }
}

impl<T: ReadAt + ?Sized> ReadAt for &T {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        (**self).read_at(buffer, offset)
    }
}

/// Bytes `start..end` of a file as a buffered stream; what lies behind `end` is never shown.
pub(crate) struct Window<'a, F: ?Sized> {
    file: &'a F,
    next: u64,
    end: u64,
    buffer: Vec<u8>,
    used: usize,
}

impl<'a, F: ReadAt + ?Sized> Window<'a, F> {
    const BUFFER: u64 = 64 * 1024;

    pub(crate) fn new(file: &'a F, start: u64, end: u64) -> Self {
        Self { file, next: start, end: end.max(start), buffer: Vec::new(), used: 0 }
    }

    fn refill(&mut self) -> io::Result<()> {
        let count = Self::BUFFER.min(self.end - self.next);
        self.buffer.resize(count as usize, 0);
        self.used = 0;
        // Until the read succeeded nothing of the buffer may be handed out.
        let read = self.file.read_exact_at(&mut self.buffer, self.next);
        if read.is_err() {
            self.buffer.clear();
        }
        self.next += self.buffer.len() as u64;
        read
    }
}

impl<F: ReadAt + ?Sized> BufRead for Window<'_, F> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.used == self.buffer.len() && self.next < self.end {
            self.refill()?;
        }
        Ok(&self.buffer[self.used..])
    }

    fn consume(&mut self, amount: usize) {
        self.used = (self.used + amount).min(self.buffer.len());
    }
}

impl<F: ReadAt + ?Sized> Read for Window<'_, F> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(out.len());
        out[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_shows_its_range_and_nothing_behind_it() {
        let bytes: Vec<u8> = (0..200_000_u32).map(|number| (number % 251) as u8).collect();
        let mut window = Window::new(&bytes, 10, 150_010);
        let mut seen = Vec::new();
        window.read_to_end(&mut seen).unwrap();
        assert_eq!(seen, bytes[10..150_010]);
    }

    #[test]
    fn a_window_over_a_file_that_shrank_is_an_error() {
        let bytes = vec![7_u8; 100];
        let mut window = Window::new(&bytes, 0, 200);
        let error = window.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn reading_behind_the_end_gives_nothing() {
        assert_eq!([1_u8, 2][..].read_at(&mut [0; 4], u64::MAX).unwrap(), 0);
        assert_eq!(vec![1_u8, 2].head(16).unwrap(), [1, 2]);
    }
}
