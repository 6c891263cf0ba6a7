//! What an engine is set up with.

use std::sync::Arc;
use std::time::Duration;

use crate::address::HostPolicy;
use crate::disk::{Disk, SystemDisk};
use crate::retry::RetryPolicy;

const MIB: u64 = 1 << 20;

/// The settings of an [`Engine`](crate::Engine). Start from `default()` and change what differs.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// The product's own name, `name/version`. Names of browsers change how servers answer.
    pub user_agent: String,
    /// Connections that one file uses at most.
    pub connections_per_file: usize,
    /// Bytes per second of one connection from which on another one is not worth its cost. Where a
    /// connection is that fast, the processor is the limit, and pieces that arrive out of order
    /// cost more of it.
    pub enough_per_connection: u64,
    /// Connections of all transfers together.
    pub max_connections: usize,
    /// Connections to one host of all transfers together.
    pub max_connections_per_host: usize,
    /// Bytes per second of all transfers together.
    pub bandwidth: Option<u64>,
    /// Smallest and largest piece that a connection asks for at once, in bytes.
    pub piece_size: std::ops::RangeInclusive<u64>,
    /// Retries and waits.
    pub retry: RetryPolicy,
    /// What is too slow to wait for.
    pub min_speed: MinSpeed,
    /// Limits of the parts of a request.
    pub timeouts: Timeouts,
    /// Redirects that are followed at most.
    pub max_redirects: usize,
    /// Which hosts may be asked beside public ones.
    pub hosts: HostPolicy,
    /// Certificate authorities trusted beside the system's, in DER form.
    pub extra_roots: Vec<rustls::pki_types::CertificateDer<'static>>,
    /// Least time between two progress events.
    pub progress_interval: Duration,
    /// Bytes of one piece after which the journal notes them; bounds what a killed process loses.
    pub journal_bytes: u64,
    /// Unsynced bytes after which the data is made durable in the background.
    pub sync_bytes: u64,
    /// Bytes that stay free on the disk.
    pub free_space_reserve: u64,
    /// File operations; tests let them fail.
    pub disk: Arc<dyn Disk>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            user_agent: concat!("lorakeep/", env!("CARGO_PKG_VERSION")).to_owned(),
            connections_per_file: 4,
            enough_per_connection: 192 * MIB,
            max_connections: 16,
            max_connections_per_host: 8,
            bandwidth: None,
            piece_size: 16 * MIB..=64 * MIB,
            retry: RetryPolicy::default(),
            min_speed: MinSpeed::default(),
            timeouts: Timeouts::default(),
            max_redirects: 10,
            hosts: HostPolicy::public_only(),
            extra_roots: Vec::new(),
            progress_interval: Duration::from_millis(150),
            journal_bytes: 2 * MIB,
            sync_bytes: 64 * MIB,
            free_space_reserve: 256 * MIB,
            disk: Arc::new(SystemDisk),
        }
    }
}

/// A connection that brings less than this is closed and opened anew. Time spent waiting for the
/// disk or for the bandwidth limit does not count.
#[derive(Debug, Clone, Copy)]
pub struct MinSpeed {
    /// Bytes per second.
    pub bytes_per_second: u64,
    /// Over how long it is judged; a silent connection is closed after this time too.
    pub window: Duration,
}

impl Default for MinSpeed {
    /// 1 KiB/s over a minute.
    fn default() -> Self {
        Self { bytes_per_second: 1024, window: Duration::from_mins(1) }
    }
}

/// Limits of the parts of a request.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// Name lookup, TCP and TLS together.
    pub connect: Duration,
    /// From the request to the answer's headers.
    pub response: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(15), response: Duration::from_secs(30) }
    }
}
