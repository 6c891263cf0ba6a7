//! What the database said a moment ago about who is let in.
//!
//! Every request asks, and lists are answered from memory; so an answer is believed for a moment. It is short enough
//! that whatever another process revokes stops here within a second.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long an answer is believed.
const BELIEVED: Duration = Duration::from_millis(500);
/// Answers that are kept; beyond it all of them are asked for again.
const MAX_ANSWERS: usize = 10_000;

/// Answers by what was asked.
#[derive(Debug)]
pub(crate) struct Recent<K, V>(Mutex<HashMap<K, (V, Instant)>>);

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Hash + Eq, V: Clone> Recent<K, V> {
    fn answers(&self) -> MutexGuard<'_, HashMap<K, (V, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer, when it is recent enough.
    pub(crate) fn find(&self, asked: &K) -> Option<V> {
        self.answers().get(asked).filter(|(_, at)| at.elapsed() < BELIEVED).map(|(answer, _)| answer.clone())
    }

    /// Keeps what the database just said.
    pub(crate) fn keep(&self, asked: K, answer: V) {
        let mut answers = self.answers();
        if answers.len() >= MAX_ANSWERS {
            answers.clear();
        }
        answers.insert(asked, (answer, Instant::now()));
    }

    /// Asks again next time.
    pub(crate) fn forget(&self, asked: &K) {
        self.answers().remove(asked);
    }

    /// Asks for everything again.
    pub(crate) fn clear(&self) {
        self.answers().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_believed_for_less_than_a_second() {
        let recent = Recent::default();
        recent.keep("key", 1);
        assert_eq!((recent.find(&"key"), recent.find(&"other")), (Some(1), None));
        tokio::time::advance(Duration::from_millis(600)).await;
        assert_eq!(recent.find(&"key"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_forgotten_is_asked_for_again_and_the_memory_is_bounded() {
        let recent = Recent::default();
        recent.keep(1, ());
        recent.forget(&1);
        assert_eq!(recent.find(&1), None);
        for number in 0..=MAX_ANSWERS * 2 {
            recent.keep(number, ());
        }
        assert!(recent.answers().len() <= MAX_ANSWERS);
    }
}
