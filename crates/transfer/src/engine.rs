//! The engine: one a process, shared by all transfers.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::active::ActiveParts;
use crate::client::{Exempt, build_client};
use crate::error::TransferError;
use crate::limits::{Bandwidth, Connections, HostGates};
use crate::observer::Observer;
use crate::options::EngineOptions;
use crate::request::{Fetched, Request};
use crate::transfer::Transfer;

/// Fetches files. Cheap to clone; clones share clients, limits and policy.
#[derive(Debug, Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

/// What all transfers of an engine share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: EngineOptions,
    /// For addresses that must be public.
    pub(crate) public_client: reqwest::Client,
    /// For configured addresses, which may be private.
    pub(crate) configured_client: reqwest::Client,
    pub(crate) connections: Arc<Connections>,
    pub(crate) bandwidth: Bandwidth,
    pub(crate) gates: HostGates,
    pub(crate) active_parts: ActiveParts,
}

impl Engine {
    /// Sets up clients and limits.
    ///
    /// # Errors
    /// [`TransferError::Client`] when TLS cannot be set up.
    pub fn new(options: EngineOptions) -> Result<Self, TransferError> {
        let client =
            |exempt| build_client(exempt, &options.user_agent, options.timeouts, &options.extra_roots);
        let shared = Shared {
            public_client: client(Exempt::None)?,
            configured_client: client(Exempt::All)?,
            connections: Connections::new(options.max_connections, options.max_connections_per_host),
            bandwidth: Bandwidth::new(options.bandwidth),
            gates: HostGates::default(),
            active_parts: ActiveParts::default(),
            options,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Changes the bytes per second of all transfers together; `None` lifts the limit.
    pub fn set_bandwidth(&self, bytes_per_second: Option<u64>) {
        self.shared.bandwidth.set(bytes_per_second);
    }

    /// Changes the connections of all transfers together (at least 1).
    pub fn set_max_connections(&self, max: usize) {
        self.shared.connections.set_max(max);
    }

    /// Fetches, verifies and publishes one file.
    ///
    /// Part and journal stay when it is cancelled or fails for a reason that may pass, so that the
    /// next call goes on from there; cancelling is also how to pause. It reacts to `cancel` within
    /// two seconds and writes nothing after it has returned. A dropped call ends soon as well, and
    /// until its threads are gone another call for the same part is [`TransferError::Busy`].
    ///
    /// # Errors
    /// See [`TransferError`]. The file is not at its destination then; only when the last sync of a
    /// folder failed may it be there already.
    pub async fn fetch(
        &self,
        request: Request,
        observer: Arc<dyn Observer>,
        cancel: CancellationToken,
    ) -> Result<Fetched, TransferError> {
        Transfer::new(&self.shared, request, observer, cancel)?.run().await
    }
}
