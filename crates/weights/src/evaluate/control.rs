//! How long work is shared between threads, watched and stopped.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::EvaluateError;

/// How an evaluation is run: how wide, how it is stopped, and who hears how far it is.
#[derive(Clone, Copy)]
pub struct Control<'a> {
    /// Threads that share the modules; each holds one module at a time.
    pub threads: usize,
    /// Asked before every module; true ends the work with [`EvaluateError::Cancelled`].
    pub cancelled: &'a (dyn Fn() -> bool + Sync),
    /// Hears after every module how many steps are done, and of how many: a module is a step in an evaluation
    /// and a comparison, a series and a resizing count per cent.
    pub progress: &'a (dyn Fn(usize, usize) + Sync),
}

impl Control<'_> {
    /// Two threads that nobody stops or watches.
    pub const fn unwatched() -> Self {
        Self { threads: 2, cancelled: &|| false, progress: &|_, _| {} }
    }

    /// Does one part of a longer work: its progress is told as steps `from` to `from + steps` of `total`.
    pub(super) fn part<R>(
        &self,
        (from, steps, total): (usize, usize, usize),
        work: impl FnOnce(&Control<'_>) -> R,
    ) -> R {
        let progress = |done: usize, of: usize| (self.progress)(from + steps * done / of.max(1), total);
        work(&Control { progress: &progress, ..*self })
    }

    /// Ends the work when somebody asked for it.
    pub(super) fn check(&self) -> Result<(), EvaluateError> {
        if (self.cancelled)() { Err(EvaluateError::Cancelled) } else { Ok(()) }
    }

    /// Works on every item, in any order; the answers are in the items' order. The first error ends all.
    pub(super) fn each<T: Sync, R: Send>(
        &self,
        items: &[T],
        work: impl Fn(&T) -> Result<R, EvaluateError> + Sync,
    ) -> Result<Vec<R>, EvaluateError> {
        let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let one_thread = || -> Result<Vec<(usize, R)>, EvaluateError> {
            let mut answers = Vec::new();
            loop {
                let place = next.fetch_add(1, Ordering::Relaxed);
                let Some(item) = items.get(place) else { return Ok(answers) };
                let answer = self.check().and_then(|()| work(item));
                if answer.is_err() {
                    next.store(items.len(), Ordering::Relaxed);
                }
                answers.push((place, answer?));
                (self.progress)(done.fetch_add(1, Ordering::Relaxed) + 1, items.len());
            }
        };
        let parts = thread::scope(|scope| {
            let workers: Vec<_> =
                (0..self.threads.clamp(1, items.len().max(1))).map(|_| scope.spawn(one_thread)).collect();
            let join =
                |worker: thread::ScopedJoinHandle<'_, _>| worker.join().expect("a worker does not panic");
            workers.into_iter().map(join).collect::<Vec<Result<Vec<_>, EvaluateError>>>()
        });
        let mut answers: Vec<(usize, R)> =
            parts.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
        answers.sort_by_key(|(place, _)| *place);
        Ok(answers.into_iter().map(|(_, answer)| answer).collect())
    }
}
