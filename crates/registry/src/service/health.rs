//! Why the installation is degraded, as far as it knows by itself.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Reasons by who gave them; empty when all is well.
#[derive(Debug, Default)]
pub(crate) struct HealthReasons(Mutex<BTreeMap<String, String>>);

impl HealthReasons {
    /// Sets or clears the reason of that part; answers whether it changed.
    pub(crate) fn set(&self, part: impl Into<String>, reason: Option<String>) -> bool {
        let mut reasons = self.lock();
        match reason {
            Some(reason) => {
                let part = part.into();
                reasons.insert(part, reason.clone()).is_none_or(|old| old != reason)
            }
            None => reasons.remove(&part.into()).is_some(),
        }
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<String> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
