//! The engine: one a process, shared by all transfers.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::address::{Exempt, build_client};
use crate::error::TransferError;
use crate::limits::{Bandwidth, Connections, HostGates};
use crate::observer::Observer;
use crate::options::EngineOptions;
use crate::request::{Fetched, Request};

/// Fetches files. Cheap to clone; clones share clients, limits and policy.
#[derive(Debug, Clone)]
pub struct Engine {
    pub(crate) shared: Arc<Shared>,
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
    pub async fn fetch(
        &self,
        request: Request,
        observer: Arc<dyn Observer>,
        cancel: CancellationToken,
    ) -> Result<Fetched, TransferError> {
        let _ = (request, observer, cancel);
        Err(TransferError::Internal("the transfer itself lands next".to_owned()))
    }
}
