//! From the events of a transfer to the numbers of its job.

use std::sync::Arc;

use lorakeep_transfer::{Event, Observer};

use crate::domain::{DownloadId, DownloadState};
use crate::service::live::Live;
use crate::service::{Registry, Wait};

/// Stores numbers and wakes who watches; does nothing that could take long.
pub(super) struct Watch {
    pub(super) registry: Registry,
    pub(super) id: DownloadId,
    pub(super) live: Arc<Live>,
}

impl Observer for Watch {
    fn on_event(&self, event: Event) {
        let live = &self.live;
        match event {
            Event::Started { size, resumed_bytes, connections } => {
                live.enter(DownloadState::Downloading);
                live.connected(connections);
                live.moved(resumed_bytes, size, 0);
                tracing::debug!(download.id = %self.id, size, resumed_bytes, connections, "bytes flow");
            }
            Event::Progress { bytes_done, size, bytes_per_second, segments } => {
                live.enter(DownloadState::Downloading);
                live.moved(bytes_done, size, bytes_per_second);
                live.filled(segments);
            }
            Event::Retrying { attempt, reason, wait } => {
                let until = self.registry.inner.clock.now() + wait;
                live.wait(Wait { until, reason: reason.clone() });
                let seconds = wait.as_secs_f64();
                tracing::warn!(download.id = %self.id, attempt, reason, wait_seconds = seconds, "a transfer tries again");
            }
            Event::Restarting { reason } => {
                live.moved(0, None, 0);
                live.filled(Vec::new());
                tracing::warn!(download.id = %self.id, reason, "a transfer starts over");
            }
            Event::Verifying => {
                live.enter(DownloadState::Verifying);
            }
            _ => return,
        }
        self.registry.inner.jobs.bump();
    }
}
