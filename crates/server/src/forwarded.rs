//! Which client a request comes from, and how, when a proxy stands between.

use std::net::IpAddr;

use http::request::Parts;
use http::{HeaderMap, HeaderName};
use lorakeep_registry::config::{Network, ServerConfig};

use crate::wire::Peer;

const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The client's address: the peer's own, unless that is a proxy that is believed; then the last address of
/// `X-Forwarded-For` that is none of those. What stands further left is the client's own claim.
pub(crate) fn client_address(peer: IpAddr, headers: &HeaderMap, proxies: &[Network]) -> IpAddr {
    let is_proxy = |address| is_proxy(address, proxies);
    if !is_proxy(peer) {
        return peer;
    }
    let hops = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
    let hops: Vec<&str> = hops.flat_map(|value| value.split(',')).collect();
    let mut client = peer;
    for hop in hops.into_iter().rev() {
        // A proxy that writes nonsense is as far as can be seen.
        let Some(address) = parse(hop.trim()) else { break };
        client = address;
        if !is_proxy(address) {
            break;
        }
    }
    client
}

/// Whether the client speaks HTTPS: so says the public address, or a proxy that is believed.
pub(crate) fn is_https(parts: &Parts, server: &ServerConfig) -> bool {
    if server.public_url.as_ref().is_some_and(|url| url.scheme() == "https") {
        return true;
    }
    let Some(Peer::Address(peer)) = parts.extensions.get() else { return false };
    let said = parts.headers.get_all(FORWARDED_PROTO).iter().next_back();
    let last = said.and_then(|value| value.to_str().ok()?.rsplit(',').next());
    is_proxy(*peer, &server.trusted_proxies)
        && last.is_some_and(|proto| proto.trim().eq_ignore_ascii_case("https"))
}

fn is_proxy(address: IpAddr, proxies: &[Network]) -> bool {
    proxies.iter().any(|network| network.contains(address))
}

/// An address, in brackets or with a port as some proxies write it.
fn parse(hop: &str) -> Option<IpAddr> {
    let bare = hop.trim_start_matches('[').split(']').next().unwrap_or(hop);
    let address = bare.parse().or_else(|_| hop.parse::<std::net::SocketAddr>().map(|address| address.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn client(peer: &str, forwarded: &'static [&'static str]) -> String {
        let proxies = [Network { address: "10.0.0.0".parse().expect("an address"), prefix_bits: 8 }];
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED_FOR, HeaderValue::from_static(value));
        }
        client_address(peer.parse().expect("an address"), &headers, &proxies).to_string()
    }

    #[test]
    fn a_stranger_is_not_believed() {
        assert_eq!(client("192.0.2.1", &["198.51.100.1"]), "192.0.2.1");
    }

    #[test]
    fn a_known_proxy_is_believed_as_far_as_it_saw() {
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["203.0.113.9, 198.51.100.1, 10.0.0.2"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["203.0.113.9", "198.51.100.1:5000"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["[2001:db8::1]:443"]), "2001:db8::1");
        assert_eq!(client("10.0.0.1", &["198.51.100.1, nonsense"]), "10.0.0.1");
    }
}
