//! The HTTP clients: names are resolved, and judged, by us.
//!
//! A connection goes only to addresses that passed, and never through a proxy of the environment,
//! which would resolve names by itself.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::RootCertStore;

use crate::address::{HostPolicy, is_public};
use crate::error::TransferError;
use crate::options::Timeouts;

/// A resolved name had an address that is not public.
#[derive(Debug, thiserror::Error)]
#[error("the name does not lead to a public address")]
pub(crate) struct NotPublic;

/// Resolves names and refuses those that lead, even partly, to addresses that are not public.
#[derive(Debug)]
struct GuardedResolver {
    exempt: Exempt,
}

/// Whose addresses are not judged.
#[derive(Debug, Clone)]
pub(crate) enum Exempt {
    /// Nobody's.
    None,
    /// Every name's: for a client that is only used for addresses judged as configured.
    All,
    /// Names that the policy allows.
    Allowed(Arc<HostPolicy>),
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let exempt = match &self.exempt {
            Exempt::None => false,
            Exempt::All => true,
            Exempt::Allowed(policy) => policy.allows_name(name.as_str()),
        };
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if !exempt && !found.iter().all(|address| is_public(address.ip())) {
                return Err(NotPublic.into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// A client for API calls that reaches public hosts and those that `policy` allows.
///
/// It speaks HTTP/1.1, follows no redirect (each hop must be checked), ignores proxies of the
/// environment, sends no referrer and decodes nothing. Call [`HostPolicy::check`] with each address
/// first: addresses written as numbers never reach the resolver.
///
/// # Errors
/// [`TransferError::Client`] when TLS cannot be set up.
pub fn guarded_client(
    policy: &HostPolicy,
    user_agent: &str,
    timeouts: Timeouts,
) -> Result<reqwest::Client, TransferError> {
    build_client(Exempt::Allowed(Arc::new(policy.clone())), user_agent, timeouts, &[])
}

pub(crate) fn build_client(
    exempt: Exempt,
    user_agent: &str,
    timeouts: Timeouts,
    extra_roots: &[rustls::pki_types::CertificateDer<'static>],
) -> Result<reqwest::Client, TransferError> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls_config(extra_roots)?)
        .dns_resolver(Arc::new(GuardedResolver { exempt }))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .http1_only()
        .user_agent(user_agent)
        .connect_timeout(timeouts.connect)
        .tcp_nodelay(true)
        .pool_idle_timeout(Duration::from_secs(30))
        .build()
        .map_err(|error| TransferError::Client(error.to_string()))
}

/// TLS on ring with the system's certificates; the built-in list stands in where there are none.
fn tls_config(
    extra_roots: &[rustls::pki_types::CertificateDer<'static>],
) -> Result<rustls::ClientConfig, TransferError> {
    static ROOTS: OnceLock<RootCertStore> = OnceLock::new();
    let mut roots = ROOTS.get_or_init(root_certificates).clone();
    roots.add_parsable_certificates(extra_roots.iter().cloned());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TransferError::Client(error.to_string()))?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn root_certificates() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        tracing::warn!("the system has no root certificates; using the built-in list");
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}
