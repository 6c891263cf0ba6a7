//! Tokens of the vault: JSON Web Tokens (RFC 7519) by a secret, a public key, or the public keys of a JWKS file.
//!
//! Strict on purpose: the key decides the algorithm and never the token, nothing in a token's header leads anywhere, and
//! what is not understood is refused. Tokens of other kinds (encrypted, unsigned, with critical extensions) are not read.

mod claims;
mod key;

use std::fmt;

use chrono::{DateTime, Utc};
use lorakeep_registry::config::AccessConfig;
use lorakeep_registry::domain::TokenCaller;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use claims::{Claims, Expectation};
use key::Key;

pub use claims::LEEWAY_SECONDS;

/// Longest token that is looked at, bytes.
const MAX_TOKEN_BYTES: usize = 16 << 10;
/// Header fields that would make a reader fetch keys, or that it must understand.
const REFUSED_FIELDS: [&str; 6] = ["jku", "jwk", "x5u", "x5c", "crit", "b64"];

/// Why a token is refused; for the log and for `lorakeep token inspect`, not for the one who sent it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TokenError {
    /// It is not a token at all.
    #[error("it is not a JSON Web Token: {0}")]
    Malformed(&'static str),
    /// Its header says something that is refused.
    #[error("its header holds `{0}`, which is not accepted")]
    Header(&'static str),
    /// No configured key is for it.
    #[error("no configured key is for its algorithm and key id")]
    NoKey,
    /// The signature is not one of the configured key.
    #[error("its signature is wrong")]
    Signature,
    /// A claim is missing, wrong, or of another type.
    #[error("{0}")]
    Claim(String),
}

/// A key that cannot be used; says which setting to look at.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct KeyError(pub(crate) String);

/// Checks tokens.
pub struct Verifier {
    keys: Vec<Key>,
    audience: Option<String>,
    issuer: Option<String>,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
}

impl Verifier {
    /// Reads the configured keys; `None` when there are none, and the vault is closed.
    pub fn load(access: &AccessConfig) -> Result<Option<Self>, KeyError> {
        let mut keys = Vec::new();
        if let Some(secret) = &access.jwt_secret {
            keys.push(Key::secret(secret)?);
        }
        if let Some(file) = &access.jwt_public_key {
            keys.push(Key::read_pem(file)?);
        }
        if let Some(file) = &access.jwt_jwks {
            keys.extend(Key::read_jwks(file)?);
        }
        if keys.is_empty() {
            return Ok(None);
        }
        let (audience, issuer) = (access.jwt_audience.clone(), access.jwt_issuer.clone());
        Ok(Some(Self { keys, audience, issuer }))
    }

    /// Who holds that token.
    pub fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<TokenCaller, TokenError> {
        let parts = Parts::of(token)?;
        let header = parts.header()?;
        let mut fitting =
            self.keys.iter().filter(|key| key.is_for(&header.alg, header.kid.as_deref())).peekable();
        if fitting.peek().is_none() {
            return Err(TokenError::NoKey);
        }
        if !fitting.any(|key| key.verifies(parts.signed, &parts.signature)) {
            return Err(TokenError::Signature);
        }
        let expected = Expectation { audience: self.audience.as_deref(), issuer: self.issuer.as_deref() };
        Claims::parse(&parts.payload)?.check(expected, now)
    }
}

/// Header and claims of a token as they stand, nothing of them checked; for people who look into one.
pub fn unverified(token: &str) -> Result<(Value, Value), TokenError> {
    let parts = Parts::of(token)?;
    let read = |bytes: &[u8]| {
        serde_json::from_slice(bytes).map_err(|_| TokenError::Malformed("a part of it is not JSON"))
    };
    Ok((read(&parts.header)?, read(&parts.payload)?))
}

/// A token by HS256, for `lorakeep token create`.
pub fn issue(secret: &SecretString, claims: &Value) -> String {
    let header = json!({"alg": "HS256", "typ": "JWT"});
    let signed = format!("{}.{}", key::encoded(header.to_string()), key::encoded(claims.to_string()));
    let signature = key::hs256(secret.expose_secret().as_bytes(), signed.as_bytes());
    format!("{signed}.{}", key::encoded(signature))
}

/// The three parts, decoded, and what the signature is over.
struct Parts<'a> {
    signed: &'a [u8],
    header: Vec<u8>,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl<'a> Parts<'a> {
    fn of(token: &'a str) -> Result<Self, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Malformed("it is too long"));
        }
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenError::Malformed("it does not have three parts"));
        };
        let decoded = |part| key::decoded(part).ok_or(TokenError::Malformed("a part of it is not base64url"));
        Ok(Self {
            signed: &token.as_bytes()[..header.len() + 1 + payload.len()],
            header: decoded(header)?,
            payload: decoded(payload)?,
            signature: decoded(signature)?,
        })
    }

    fn header(&self) -> Result<Header, TokenError> {
        let malformed = TokenError::Malformed("its header is not understood");
        let fields: serde_json::Map<String, Value> =
            serde_json::from_slice(&self.header).map_err(|_| malformed)?;
        if let Some(refused) = REFUSED_FIELDS.into_iter().find(|field| fields.contains_key(*field)) {
            return Err(TokenError::Header(refused));
        }
        // From the bytes again, so that a field that stands twice is refused.
        serde_json::from_slice(&self.header)
            .map_err(|_| TokenError::Malformed("its header is not understood"))
    }
}

#[cfg(test)]
mod tests;
