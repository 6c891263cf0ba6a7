//! Time-outs and caps of the wire, in one place so that tests can make them short.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// File descriptors that the rest of the process may need: database, models, downloads.
const RESERVED_FILES: u64 = 256;

/// What one client may cost. The defaults suit a server that strangers can reach.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at once over TCP; the socket in the data folder is not counted.
    pub max_connections: usize,
    /// From the first byte of a request (or from the connect) until its head is complete.
    pub header_timeout: Duration,
    /// Between two requests of one connection.
    pub idle_timeout: Duration,
    /// A request body must bring [`Self::min_body_bytes`] in each such span.
    pub body_timeout: Duration,
    /// What counts as progress of a request body, bytes.
    pub min_body_bytes: usize,
    /// A client that takes no byte of its answer for so long is dropped.
    pub write_timeout: Duration,
    /// Longest request head, bytes.
    pub max_header_bytes: usize,
    /// Most header lines of a request.
    pub max_headers: usize,
    /// How long running requests may go on after the shutdown began.
    pub shutdown_grace: Duration,
    /// How long a refused client may go on sending before the connection is cut, so that it reads its refusal.
    pub linger: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 2_000,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(20),
            min_body_bytes: 16 * 1024,
            write_timeout: Duration::from_secs(30),
            max_header_bytes: 32 * 1024,
            max_headers: 100,
            shutdown_grace: Duration::from_secs(8),
            linger: Duration::from_secs(2),
        }
    }
}

/// The new limit; `None` when the system refuses.
fn raise_open_files(files: u64, maximum: Option<u64>) -> Option<u64> {
    match setrlimit(Resource::Nofile, Rlimit { current: Some(files), maximum }) {
        Ok(()) => Some(files),
        Err(error) => {
            tracing::warn!(%error, files, "the limit of open files could not be raised");
            None
        }
    }
}

impl Limits {
    /// Asks the system for as many open files as this process may have, and lowers the cap on connections to what is
    /// left beside the files of the rest of the process.
    pub(crate) fn fit_to_open_files(&mut self) {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let wanted = self.max_connections as u64 + RESERVED_FILES;
        let reachable = maximum.map_or(wanted, |maximum| maximum.min(wanted));
        let files = match current {
            Some(current) if current < reachable => raise_open_files(reachable, maximum).unwrap_or(current),
            Some(current) => current,
            None => wanted,
        };
        let room = files.saturating_sub(RESERVED_FILES).max(files / 2);
        self.max_connections = self.max_connections.min(room as usize);
    }

    /// How often connections are looked at: often enough for the shortest time-out.
    pub(super) fn sweep_interval(&self) -> Duration {
        let shortest = self.header_timeout.min(self.idle_timeout).min(self.write_timeout);
        (shortest / 4).clamp(Duration::from_millis(20), Duration::from_secs(1))
    }
}
