//! The hash of a file that is still arriving: it follows the contiguous prefix.
//!
//! Bytes that arrive at the prefix are hashed from memory while they are warm; what arrived out of
//! order is read back, mostly from the page cache. When the network is faster than the hash, the
//! writer waits a little: the transfer cannot end before its hash anyway, and reading back costs more.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::digest::{READ_BLOCK, Sha256Digest};
use crate::limits::lock;

/// Bytes kept in memory for the hash at most.
const QUEUE_BYTES: usize = 1 << 20;
/// Further behind than this, bytes are read back instead.
const LAG_BYTES: u64 = 16 << 20;

/// Joins the writer, which reports what is written, and the thread that hashes it.
#[derive(Debug)]
pub(crate) struct PrefixHash {
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Debug)]
struct State {
    /// Bytes at known places, in order, each at or after `hashed`.
    queue: VecDeque<(u64, Bytes)>,
    queued: usize,
    /// The file is whole up to here.
    prefix: u64,
    hashed: u64,
    end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// More may come.
    Open,
    /// The prefix will not move any more.
    Complete,
    /// Nobody wants the hash.
    Abandoned,
}

enum Work {
    Memory(Bytes),
    Disk { from: u64, length: usize },
}

impl PrefixHash {
    /// Starts with `prefix` bytes that are on disk already.
    pub(crate) fn new(prefix: u64) -> Self {
        let state = State { queue: VecDeque::new(), queued: 0, prefix, hashed: 0, end: End::Open };
        Self { state: Mutex::new(state), moved: Condvar::new() }
    }

    /// Reports that `parts` were written at `offset` and the file is now whole up to `prefix`.
    /// Blocks for a moment when the hash is only a little behind.
    pub(crate) fn written(&self, offset: u64, parts: Vec<Bytes>, prefix: u64) {
        let mut state = lock(&self.state);
        let mut position = offset;
        for part in parts {
            let in_order = position == state.prefix;
            position += part.len() as u64;
            if !in_order {
                break;
            }
            if state.prefix - state.hashed <= LAG_BYTES {
                state = self.wait_for_room(state, part.len());
                state.queued += part.len();
                let at = state.prefix;
                state.queue.push_back((at, part));
            }
            state.prefix = position;
        }
        state.prefix = state.prefix.max(prefix);
        self.moved.notify_all();
    }

    fn wait_for_room<'a>(&self, mut state: MutexGuard<'a, State>, length: usize) -> MutexGuard<'a, State> {
        while state.queued > 0 && state.queued + length > QUEUE_BYTES && state.end == End::Open {
            self.moved.notify_all();
            state = self.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state
    }

    /// Says that the prefix is the whole file.
    pub(crate) fn complete(&self) {
        let mut state = lock(&self.state);
        if state.end == End::Open {
            state.end = End::Complete;
        }
        self.moved.notify_all();
    }

    /// Lets the hashing thread and a waiting writer go.
    pub(crate) fn abandon(&self) {
        lock(&self.state).end = End::Abandoned;
        self.moved.notify_all();
    }

    /// Hashes `file` as it grows; returns at its end, or `None` when abandoned. Blocking.
    pub(crate) fn run(&self, file: &File) -> io::Result<Option<Sha256Digest>> {
        let mut hasher = Sha256::new();
        let mut buffer = Vec::new();
        loop {
            let length = match self.next()? {
                Some(Work::Memory(bytes)) => {
                    hasher.update(&bytes);
                    bytes.len()
                }
                Some(Work::Disk { from, length }) => {
                    buffer.resize(READ_BLOCK, 0);
                    file.read_exact_at(&mut buffer[..length], from)?;
                    hasher.update(&buffer[..length]);
                    length
                }
                None => break,
            };
            lock(&self.state).hashed += length as u64;
        }
        let complete = lock(&self.state).end == End::Complete;
        Ok(complete.then(|| Sha256Digest::from_hasher(hasher)))
    }

    /// Waits for the next bytes in order; `None` at the end.
    fn next(&self) -> io::Result<Option<Work>> {
        let mut state = lock(&self.state);
        loop {
            if state.end == End::Abandoned {
                return Ok(None);
            }
            while state.queue.front().is_some_and(|(at, _)| *at < state.hashed) {
                let (_, stale) = state.queue.pop_front().expect("looked at above");
                state.queued -= stale.len();
            }
            let hashed = state.hashed;
            if state.queue.front().is_some_and(|(at, _)| *at == hashed) {
                let (_, bytes) = state.queue.pop_front().expect("looked at above");
                state.queued -= bytes.len();
                self.moved.notify_all();
                return Ok(Some(Work::Memory(bytes)));
            }
            let on_disk = state.queue.front().map_or(state.prefix, |(at, _)| *at);
            if on_disk > hashed {
                let length = (on_disk - hashed).min(READ_BLOCK as u64) as usize;
                return Ok(Some(Work::Disk { from: hashed, length }));
            }
            if state.end == End::Complete {
                return Ok(None);
            }
            state = self.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;

    use crate::ranges::RangeSet;

    proptest! {
        #[test]
        fn the_hash_is_right_in_whatever_order_blocks_arrive(
            content in prop::collection::vec(any::<u8>(), 1..4000),
            block in 1_usize..700,
            order in any::<prop::sample::Index>(),
            resumed in any::<prop::sample::Index>(),
        ) {
            let file = tempfile::tempfile().unwrap();
            let resumed = resumed.index(content.len());
            file.write_all_at(&content[..resumed], 0).unwrap();
            let hash = Arc::new(PrefixHash::new(resumed as u64));
            let hashing = std::thread::spawn({
                let (hash, file) = (Arc::clone(&hash), file.try_clone().unwrap());
                move || hash.run(&file).unwrap()
            });
            let mut blocks: Vec<usize> = (resumed..content.len()).step_by(block).collect();
            let turn = order.index(blocks.len().max(1));
            blocks.rotate_left(turn);
            let mut written = RangeSet::default();
            written.insert(0..resumed as u64);
            for start in blocks {
                let bytes = &content[start..(start + block).min(content.len())];
                file.write_all_at(bytes, start as u64).unwrap();
                written.insert(start as u64..(start + bytes.len()) as u64);
                let (left, right) = bytes.split_at(bytes.len() / 2);
                let parts = vec![Bytes::copy_from_slice(left), Bytes::copy_from_slice(right)];
                hash.written(start as u64, parts, written.prefix());
            }
            hash.complete();
            prop_assert_eq!(hashing.join().unwrap(), Some(Sha256Digest::of(&content)));
        }
    }

    #[test]
    fn an_abandoned_hash_lets_its_thread_go() {
        let hash = Arc::new(PrefixHash::new(0));
        let hashing = std::thread::spawn({
            let hash = Arc::clone(&hash);
            move || hash.run(&tempfile::tempfile().unwrap()).unwrap()
        });
        hash.abandon();
        assert_eq!(hashing.join().unwrap(), None);
    }
}
