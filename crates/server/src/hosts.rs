//! The names that this server answers to. A page of a stranger's site can make its own name lead to this machine (DNS
//! rebinding) and would then count as ours; so a name that is not known is refused.

use std::net::{IpAddr, Ipv6Addr};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::HOST;
use http::uri::Authority;
use http::{HeaderMap, StatusCode, Uri};
use lorakeep_registry::config::ServerConfig;

use crate::app::App;
use crate::envelope::Refusal;
use crate::wire::Peer;

/// Longest name that is shown in a refusal; DNS knows none that is longer.
const MAX_SHOWN: usize = 253;

/// The names, beside loopback and addresses, which nobody can make lead elsewhere.
#[derive(Debug)]
pub(crate) struct HostNames(Vec<Name>);

#[derive(Debug, PartialEq, Eq)]
enum Name {
    /// Whatever was asked for.
    Any,
    /// That name.
    Exact(String),
    /// Every name that ends so.
    Below(String),
}

impl HostNames {
    /// The machine's own name, that of the public address, and the configured ones.
    pub(crate) fn new(config: &ServerConfig) -> Self {
        let machine = rustix::system::uname().nodename().to_string_lossy().to_ascii_lowercase();
        let public = config.public_url.as_ref().and_then(|url| url.host_str()).map(str::to_owned);
        let own = [machine.clone(), format!("{machine}.local")].into_iter().chain(public).map(Name::Exact);
        Self(own.chain(config.host_names.iter().map(|name| Name::parse(name))).collect())
    }

    /// Whether `host`, as the header has it, is one of them.
    fn are(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        if host.contains('@') || !has_sound_port(&authority) {
            return false;
        }
        let name = authority.host().trim_end_matches('.').to_ascii_lowercase();
        is_address(&name) || is_loopback(&name) || self.0.iter().any(|own| own.is(&name))
    }
}

impl Name {
    fn parse(text: &str) -> Self {
        match text.strip_prefix('*') {
            Some("") => Self::Any,
            Some(end) => Self::Below(end.to_ascii_lowercase()),
            None => Self::Exact(text.to_ascii_lowercase()),
        }
    }

    fn is(&self, name: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(own) => !own.is_empty() && own == name,
            Self::Below(end) => name.len() > end.len() && name.ends_with(end),
        }
    }
}

fn is_address(name: &str) -> bool {
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    bare.map_or_else(|| name.parse::<IpAddr>().is_ok(), |name| name.parse::<Ipv6Addr>().is_ok())
}

/// Whether what stands behind the name is nothing or a port.
fn has_sound_port(authority: &Authority) -> bool {
    match authority.as_str().get(authority.host().len()..) {
        Some("") => true,
        Some(rest) => rest.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok()),
        None => false,
    }
}

/// `localhost` and what is below it never leave the machine (RFC 6761).
fn is_loopback(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

/// Refuses requests from the network for a name that is not ours.
pub(crate) async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    let is_from_network = matches!(request.extensions().get::<Peer>(), Some(Peer::Address(_)));
    match unknown(app.hosts(), request.headers(), request.uri()).filter(|_| is_from_network) {
        Some(host) => refuse(&host).into_response(),
        None => next.run(request).await,
    }
}

/// The name that was asked for and is not ours, from the header or from an address in the request line.
fn unknown(names: &HostNames, headers: &HeaderMap, uri: &Uri) -> Option<String> {
    let header = headers.get(HOST).map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
    let line = uri.authority().map(ToString::to_string);
    header.into_iter().chain(line).find(|host| !names.are(host))
}

fn refuse(host: &str) -> Refusal {
    let shown: String = host.chars().take(MAX_SHOWN).collect();
    let detail = format!(
        "this server does not answer to the name `{shown}`; if it is yours, set `LORAKEEP_PUBLIC_URL`, or add it to \
         `LORAKEEP_HOST_NAMES`"
    );
    Refusal::new(StatusCode::MISDIRECTED_REQUEST, "unknown_host", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(configured: &[&str]) -> HostNames {
        HostNames(configured.iter().map(|name| Name::parse(name)).collect())
    }

    #[test]
    fn addresses_and_loopback_names_are_always_ours() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:8000",
            "192.168.1.7:80",
            "[::1]:8000",
            "[2001:db8::1]",
            "localhost",
            "LOCALHOST:1",
            "localhost.",
            "studio.localhost:8000",
        ] {
            assert!(names(&[]).are(host), "{host}");
        }
    }

    #[test]
    fn other_names_are_not_unless_they_are_configured() {
        for host in [
            "",
            "evil",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "1.2.3",
            "a@127.0.0.1",
            "[::1",
            "localhost:port",
            "notlocalhost",
        ] {
            assert!(!names(&["studio.example", "*.pods.example"]).are(host), "{host}");
        }
        let own = names(&["Studio.example", "*.pods.example"]);
        assert!(own.are("studio.EXAMPLE:443") && own.are("a-8000.pods.example"));
        assert!(!own.are("pods.example") && !own.are("xpods.example") && !own.are("a.studio.example"));
        assert!(names(&["*"]).are("anything.example"));
    }
}
