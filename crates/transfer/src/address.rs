//! Which addresses may be asked: public ones over https, and those that are configured.
//!
//! What the text of an address shows is judged here, at each hop; what its name resolves to is judged
//! in `client`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use crate::error::{AddressRule, TransferError};
use crate::masked_url::MaskedUrl;

/// Which hosts may be asked although they are private, use plain http or another port than 443.
///
/// `localhost`, `127.0.0.1` and `[::1]` count as one host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostPolicy {
    allowed: Vec<AllowedHost>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct AllowedHost {
    host: String,
    port: Option<u16>,
}

/// An entry of a host list that is no host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a host; write `name`, `name:port`, `192.0.2.1` or `[::1]:port`")]
pub struct InvalidHost(String);

/// Why an address passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// The host is configured: it may be private and plain.
    Configured,
    /// The host must turn out to be public.
    Public,
}

impl HostPolicy {
    /// Only public hosts, over https, on port 443.
    pub fn public_only() -> Self {
        Self::default()
    }

    /// Also allows `entry`: `host` (on every port), `host:port`, `[ipv6]` or `[ipv6]:port`.
    ///
    /// # Errors
    /// When `entry` is no host.
    pub fn allow_host(mut self, entry: &str) -> Result<Self, InvalidHost> {
        let entry = entry.trim();
        let invalid = || InvalidHost(entry.to_owned());
        if entry.is_empty() || entry.contains(['/', '@', '?', '#', '\\']) {
            return Err(invalid());
        }
        // A bare IPv6 address has colons that are no port.
        let bracketed = entry.parse::<Ipv6Addr>().map(|address| format!("[{address}]"));
        let authority = bracketed.unwrap_or_else(|_| entry.to_owned());
        let url = Url::parse(&format!("http://{authority}/")).map_err(|_| invalid())?;
        let names_port = authority.rsplit(']').next().is_some_and(|rest| rest.contains(':'));
        let port = if names_port { url.port_or_known_default() } else { None };
        self.allowed.push(AllowedHost { host: canonical_host(&url).ok_or_else(invalid)?, port });
        Ok(self)
    }

    /// Also allows the host and port of a configured upstream.
    #[must_use]
    pub fn allow_url(mut self, upstream: &Url) -> Self {
        if let Some(host) = canonical_host(upstream) {
            self.allowed.push(AllowedHost { host, port: upstream.port_or_known_default() });
        }
        self
    }

    /// Refuses addresses that break a rule which their text alone shows. Names are judged again when
    /// they are resolved, by the client of [`guarded_client`](crate::guarded_client).
    ///
    /// # Errors
    /// [`TransferError::ForbiddenAddress`].
    pub fn check(&self, url: &Url) -> Result<(), TransferError> {
        self.judge(url).map(|_| ())
    }

    pub(crate) fn judge(&self, url: &Url) -> Result<Trust, TransferError> {
        self.rule(url).map_err(|reason| TransferError::ForbiddenAddress { url: MaskedUrl::new(url), reason })
    }

    /// Judges where a redirect leads. A configured host may also send on to itself on another port: a mirror or a
    /// stand-in whose storage runs beside it.
    pub(crate) fn judge_redirect(&self, from: &Url, trust: Trust, to: &Url) -> Result<Trust, TransferError> {
        let stays = trust == Trust::Configured && canonical_host(from) == canonical_host(to);
        let keeps_secret = from.scheme() == "http" || to.scheme() == "https";
        if stays && keeps_secret && form_rule(to).is_ok() {
            return Ok(Trust::Configured);
        }
        self.judge(to)
    }

    fn rule(&self, url: &Url) -> Result<Trust, AddressRule> {
        let host = form_rule(url)?;
        if self.allows(url) {
            return Ok(Trust::Configured);
        }
        judge_host(&host)?;
        if url.scheme() != "https" {
            return Err(AddressRule::PlainHttp);
        }
        if url.port_or_known_default() != Some(443) {
            return Err(AddressRule::Port);
        }
        Ok(Trust::Public)
    }

    fn allows(&self, url: &Url) -> bool {
        let (Some(host), Some(port)) = (canonical_host(url), url.port_or_known_default()) else {
            return false;
        };
        self.allowed.iter().any(|entry| entry.host == host && entry.port.is_none_or(|only| only == port))
    }

    /// Whether `name` is one of the allowed hosts, on whatever port.
    pub(crate) fn allows_name(&self, name: &str) -> bool {
        let name = canonical_name(name);
        self.allowed.iter().any(|entry| entry.host == name)
    }
}

/// What holds for every address, configured or not.
fn form_rule(url: &Url) -> Result<Host<&str>, AddressRule> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(AddressRule::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(AddressRule::UserInfo);
    }
    url.host().ok_or(AddressRule::NoHost)
}

/// The host in the one spelling that is compared; the loopback's names are one.
fn canonical_host(url: &Url) -> Option<String> {
    Some(match url.host()? {
        Host::Domain(name) => canonical_name(name),
        Host::Ipv4(address) => canonical_address(IpAddr::V4(address)),
        Host::Ipv6(address) => canonical_address(IpAddr::V6(address)),
    })
}

fn canonical_name(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

fn canonical_address(address: IpAddr) -> String {
    if address == IpAddr::V4(Ipv4Addr::LOCALHOST) || address == IpAddr::V6(Ipv6Addr::LOCALHOST) {
        return "localhost".to_owned();
    }
    address.to_string()
}

/// Judges what can be judged without a lookup.
fn judge_host(host: &Host<&str>) -> Result<(), AddressRule> {
    let public = match host {
        Host::Ipv4(address) => is_public_v4(*address),
        Host::Ipv6(address) => is_public_v6(*address),
        Host::Domain(name) => {
            let name = canonical_name(name);
            name != "localhost" && !name.ends_with(".localhost")
        }
    };
    if public { Ok(()) } else { Err(AddressRule::NotPublic) }
}

/// Whether `address` is on the public internet, by IANA's special-purpose registries. Forms that
/// carry an IPv4 address inside (mapped, NAT64) are judged by it; tunnels are refused.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !matches!(
        address.octets(),
        [0 | 10 | 127 | 224..=255, ..]            // this network, private, loopback, multicast, reserved
            | [100, 64..=127, ..]                 // carrier-grade NAT
            | [169, 254, ..]                      // link-local, cloud metadata
            | [172, 16..=31, ..]                  // private
            | [192, 0, 0 | 2, _]                  // protocol assignments, documentation
            | [192, 88, 99, _]                    // 6to4 relays
            | [192, 168, ..]                      // private
            | [198, 18 | 19, ..]                  // benchmarks
            | [198, 51, 100, _]                   // documentation
            | [203, 0, 113, _] // documentation
    )
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let embedded = Ipv4Addr::from((u32::from(segments[6]) << 16) | u32::from(segments[7]));
    match segments {
        [0, 0, 0, 0, 0, 0xffff, _, _] | [0x64, 0xff9b, 0, 0, 0, 0, _, _] => is_public_v4(embedded),
        // ISATAP and 6to4 are tunnels.
        [_, _, _, _, 0 | 0x200, 0x5efe, _, _] | [0x2002, ..] => false,
        // Teredo, ORCHID, benchmarks; documentation.
        [0x2001, second, ..] => second > 0x01ff && second != 0x0db8,
        // Documentation.
        [0x3fff, second, ..] => second > 0x0fff,
        // Everything else that is routed lies in 2000::/3.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(policy: &HostPolicy, text: &str) -> Option<AddressRule> {
        policy.rule(&Url::parse(text).unwrap()).err()
    }

    #[test]
    fn addresses_that_are_not_public_are_refused_in_every_spelling() {
        let hosts = [
            "127.0.0.1",
            "127.1",
            "0",
            "0.0.0.0",
            "0177.0.0.1",
            "0x7f000001",
            "2130706433",
            "127.0.0.1.",
            "127%2e0%2e0%2e1",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "198.18.0.1",
            "198.19.9.9",
            "169.254.169.254",
            "192.0.0.1",
            "192.0.2.1",
            "198.51.100.7",
            "203.0.113.9",
            "192.88.99.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::127.0.0.1]",
            "[fe80::1]",
            "[fc00::1]",
            "[fd12::1]",
            "[2002:7f00:1::]",
            "[64:ff9b::a9fe:a9fe]",
            "[64:ff9b:1::8.8.8.8]",
            "[2001::1]",
            "[2001:db8::1]",
            "[3fff::1]",
            "[2606:4700::5efe:7f00:1]",
            "[2606:4700::200:5efe:10.0.0.1]",
            "[ff02::1]",
            "[5f00::1]",
            "[100::1]",
            "[fec0::1]",
            "localhost",
            "LOCALHOST.",
            "a.localhost",
            "１２７.0.0.1",
            "127。0。0。1",
        ];
        for host in hosts {
            let text = format!("https://{host}/model");
            assert_eq!(rule(&HostPolicy::public_only(), &text), Some(AddressRule::NotPublic), "{text}");
        }
    }

    #[test]
    fn public_addresses_pass_and_carried_ones_are_judged_by_what_they_carry() {
        for host in
            ["huggingface.co", "1.1.1.1", "[2606:4700::1111]", "[::ffff:1.1.1.1]", "[64:ff9b::1.1.1.1]"]
        {
            let text = format!("https://{host}/model");
            assert_eq!(rule(&HostPolicy::public_only(), &text), None, "{text}");
        }
    }

    #[test]
    fn other_schemes_users_ports_and_plain_http_are_refused() {
        let policy = HostPolicy::public_only();
        for text in
            ["file:///etc/passwd", "ftp://a.example/", "gopher://a.example/", "data:text/plain,x", "unix:/x"]
        {
            assert_eq!(rule(&policy, text), Some(AddressRule::Scheme), "{text}");
        }
        assert_eq!(rule(&policy, "https://user@a.example/"), Some(AddressRule::UserInfo));
        assert_eq!(rule(&policy, "https://:pw@a.example/"), Some(AddressRule::UserInfo));
        assert_eq!(rule(&policy, "https://a.example:22/"), Some(AddressRule::Port));
        assert_eq!(rule(&policy, "http://a.example/"), Some(AddressRule::PlainHttp));
        assert_eq!(rule(&policy, "https://a.example\\@127.0.0.1/"), None, "a backslash ends the host");
        assert!(Url::parse("https://a.example:65536/").is_err());
    }

    #[test]
    fn an_allowed_host_may_be_private_and_plain_but_only_on_its_port() {
        let policy = HostPolicy::public_only().allow_url(&Url::parse("http://127.0.0.1:8188/x").unwrap());
        assert_eq!(rule(&policy, "http://127.0.0.1:8188/y"), None);
        assert_eq!(rule(&policy, "http://localhost:8188/y"), None, "the loopback is one host");
        assert_eq!(rule(&policy, "http://127.0.0.1:8189/y"), Some(AddressRule::NotPublic));
        assert_eq!(rule(&policy, "https://127.0.0.1/y"), Some(AddressRule::NotPublic));
    }

    #[test]
    fn host_lists_take_names_numbers_and_ports() {
        let policy = ["nas.lan", "10.0.0.5:9000", "::1", "[fd00::2]:81"]
            .iter()
            .fold(HostPolicy::public_only(), |policy, entry| policy.allow_host(entry).unwrap());
        for text in [
            "http://nas.lan/",
            "http://NAS.lan.:1234/",
            "http://10.0.0.5:9000/",
            "http://[::1]:77/",
            "http://127.0.0.1:77/",
            "http://[fd00::2]:81/",
        ] {
            assert_eq!(rule(&policy, text), None, "{text}");
        }
        assert_eq!(rule(&policy, "http://10.0.0.5/"), Some(AddressRule::NotPublic));
        assert!(HostPolicy::public_only().allow_host("http://x").is_err());
        assert!(HostPolicy::public_only().allow_host("").is_err());
        assert!(HostPolicy::public_only().allow_host("a b").is_err());
    }
}
