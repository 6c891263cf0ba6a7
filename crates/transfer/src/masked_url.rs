//! Addresses as people and logs may see them: signed queries, user names and fragments never show.

use std::fmt;

use url::Url;

/// An address without its secrets: scheme, host, port and path.
///
/// A query is shown as `?…`, because signed storage addresses and keys travel there. User names,
/// passwords and fragments are left out.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct MaskedUrl(String);

impl MaskedUrl {
    /// Masks `url`.
    pub fn new(url: &Url) -> Self {
        let mut text = format!("{}://", url.scheme());
        if let Some(host) = url.host_str() {
            text.push_str(host);
        }
        if let Some(port) = url.port() {
            text.push(':');
            text.push_str(&port.to_string());
        }
        text.push_str(url.path());
        if url.query().is_some() {
            text.push_str("?…");
        }
        Self(text)
    }

    /// The masked text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&Url> for MaskedUrl {
    fn from(url: &Url) -> Self {
        Self::new(url)
    }
}

impl fmt::Display for MaskedUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for MaskedUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_url_shows_neither_query_nor_user_nor_fragment() {
        let url = Url::parse("https://me:secret@host.example:8443/a/b?sig=abc&token=x#frag").unwrap();
        assert_eq!(MaskedUrl::new(&url).to_string(), "https://host.example:8443/a/b?…");
        assert_eq!(format!("{:?}", MaskedUrl::new(&url)), "https://host.example:8443/a/b?…");
    }
}
