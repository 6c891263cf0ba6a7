//! What may be published: the verdict of the weights crate on the very file that was fetched.

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use lorakeep_transfer::{Admission, Gate};
use lorakeep_weights::Verdict;

/// Judges one file by the name that it is going to have.
pub(super) struct ContentGate {
    /// The name that a loader will see.
    pub(super) file_name: String,
    /// Where it goes when it may not be loaded.
    pub(super) quarantine: PathBuf,
    /// The rule that a denied file broke.
    pub(super) broken_rule: Arc<OnceLock<&'static str>>,
}

impl Gate for ContentGate {
    fn admit(&self, file: &File, size: u64) -> Admission {
        match lorakeep_weights::admit(file, size, &self.file_name) {
            Verdict::Clean => Admission::Publish,
            Verdict::Denied { rule, reason } => {
                // One file is judged once; a second answer could only be the same.
                self.broken_rule.get_or_init(|| rule);
                tracing::warn!(file = self.file_name, rule, "a downloaded file goes to quarantine");
                Admission::Quarantine { to: self.quarantine.clone(), reason }
            }
            Verdict::Malformed { reason } => Admission::Refuse { reason },
        }
    }
}
