//! Keys that tokens are checked with: a secret, a PEM file, the keys of a JWKS file. Each is for one algorithm.

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::hmac;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::KeyError;

/// Shortest secret of HS256, bytes.
const MIN_SECRET_BYTES: usize = 32;
/// Longest key file, bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The object identifiers of key types, in DER (RFC 3279, RFC 5480, RFC 8410).
const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const ED25519_KEY: &[u8] = &[0x2b, 0x65, 0x70];

/// One key.
pub(super) struct Key {
    /// Its id in a JWKS file.
    id: Option<String>,
    material: Material,
}

/// What signatures are checked with; it decides the algorithm.
enum Material {
    Secret(hmac::Key),
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl Key {
    /// A secret of at least 256 bits, as RFC 7518 section 3.2 demands: a shorter one can be guessed from any token.
    pub(super) fn secret(secret: &SecretString) -> Result<Self, KeyError> {
        let bytes = secret.expose_secret().as_bytes();
        if bytes.len() < MIN_SECRET_BYTES {
            return Err(KeyError(format!(
                "the secret of LORAKEEP_JWT_SECRET has {} bytes and needs {MIN_SECRET_BYTES} or more, or tokens could be \
                 forged by guessing it; `openssl rand -hex 32` makes a good one",
                bytes.len()
            )));
        }
        Ok(Self { id: None, material: Material::Secret(hmac::Key::new(hmac::HMAC_SHA256, bytes)) })
    }

    /// A file with one public key, `BEGIN PUBLIC KEY` or `BEGIN RSA PUBLIC KEY`.
    pub(super) fn read_pem(file: &Path) -> Result<Self, KeyError> {
        let text = read(file)?;
        let material = pem(&text).ok_or_else(|| {
            KeyError(format!(
                "`{}` holds no public key of a supported kind; it must be a PEM file with `BEGIN PUBLIC KEY`, of RSA (2048 \
                 bits or more), P-256 or Ed25519",
                file.display()
            ))
        })?;
        Ok(Self { id: None, material })
    }

    /// A JSON Web Key Set (RFC 7517). Keys for other uses are passed over; secrets have no place in it.
    pub(super) fn read_jwks(file: &Path) -> Result<Vec<Self>, KeyError> {
        let set: Set = serde_json::from_str(&read(file)?)
            .map_err(|error| KeyError(format!("`{}` is not a JSON Web Key Set: {error}", file.display())))?;
        let keys: Vec<Self> = set.keys.into_iter().filter_map(Jwk::key).collect();
        if keys.is_empty() {
            return Err(KeyError(format!(
                "`{}` holds no key that can check tokens; RSA, P-256 and Ed25519 are supported",
                file.display()
            )));
        }
        Ok(keys)
    }

    /// Whether a token of that algorithm and key id is to be checked with this key.
    pub(super) fn is_for(&self, algorithm: &str, id: Option<&str>) -> bool {
        let is_named = match (&self.id, id) {
            (Some(own), Some(id)) => own == id,
            // A secret and a PEM file have no id; a token without one may be of any key.
            _ => true,
        };
        is_named && self.algorithm() == algorithm
    }

    fn algorithm(&self) -> &'static str {
        match self.material {
            Material::Secret(_) => "HS256",
            Material::Rsa { .. } => "RS256",
            Material::P256(_) => "ES256",
            Material::Ed25519(_) => "EdDSA",
        }
    }

    pub(super) fn verifies(&self, signed: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Secret(key) => hmac::verify(key, signed, signature).is_ok(),
            Material::Rsa { modulus, exponent } => RsaPublicKeyComponents { n: modulus, e: exponent }
                .verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature)
                .is_ok(),
            Material::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed, signature).is_ok()
            }
            Material::Ed25519(point) => {
                UnparsedPublicKey::new(&ED25519, point).verify(signed, signature).is_ok()
            }
        }
    }
}

/// The signature of HS256.
pub(super) fn hs256(secret: &[u8], signed: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed).as_ref().to_vec()
}

/// base64url without padding (RFC 7515).
pub(super) fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) fn decoded(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

fn read(file: &Path) -> Result<String, KeyError> {
    let unreadable = |error| KeyError(format!("the key file `{}` cannot be read: {error}", file.display()));
    if fs::metadata(file).map_err(unreadable)?.len() > MAX_FILE_BYTES {
        return Err(KeyError(format!(
            "the key file `{}` is larger than {MAX_FILE_BYTES} bytes",
            file.display()
        )));
    }
    fs::read_to_string(file).map_err(unreadable)
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Jwk {
    fn key(self) -> Option<Key> {
        if self.usage.as_deref().is_some_and(|usage| usage != "sig") {
            return None;
        }
        let bytes = |text: &Option<String>| decoded(text.as_deref()?);
        let material = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => Material::Rsa { modulus: bytes(&self.n)?, exponent: bytes(&self.e)? },
            ("EC", Some("P-256")) => Material::P256([vec![4], bytes(&self.x)?, bytes(&self.y)?].concat()),
            ("OKP", Some("Ed25519")) => Material::Ed25519(bytes(&self.x)?),
            _ => return None,
        };
        let key = Key { id: self.kid, material };
        // A key that says another algorithm is for that one.
        self.alg.is_none_or(|alg| alg == key.algorithm()).then_some(key)
    }
}

/// The key of a PEM text.
fn pem(text: &str) -> Option<Material> {
    if let Some(body) = block(text, "PUBLIC KEY") {
        return public_key(&body);
    }
    rsa(&block(text, "RSA PUBLIC KEY")?)
}

fn block(text: &str, label: &str) -> Option<Vec<u8>> {
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let body = text.split_once(&begin)?.1.split_once(&end)?.0;
    STANDARD.decode(body.split_ascii_whitespace().collect::<String>()).ok()
}

/// A `SubjectPublicKeyInfo` (RFC 5280 section 4.1).
fn public_key(der: &[u8]) -> Option<Material> {
    let (info, []) = element(der, 0x30)? else { return None };
    let (algorithm, rest) = element(info, 0x30)?;
    let (bits, []) = element(rest, 0x03)? else { return None };
    // The first byte counts the bits that do not belong to the key.
    let (0, key) = bits.split_first().map(|(unused, key)| (*unused, key))? else { return None };
    let (kind, parameters) = element(algorithm, 0x06)?;
    if kind == RSA_ENCRYPTION {
        return rsa(key);
    }
    if kind == ED25519_KEY {
        return (key.len() == 32).then(|| Material::Ed25519(key.to_vec()));
    }
    let is_p256 = kind == EC_PUBLIC_KEY && element(parameters, 0x06).is_some_and(|(curve, _)| curve == P256);
    (is_p256 && key.len() == 65 && key[0] == 4).then(|| Material::P256(key.to_vec()))
}

/// An `RSAPublicKey` (RFC 8017 appendix A.1.1).
fn rsa(der: &[u8]) -> Option<Material> {
    let (numbers, []) = element(der, 0x30)? else { return None };
    let (modulus, rest) = element(numbers, 0x02)?;
    let (exponent, []) = element(rest, 0x02)? else { return None };
    let unsigned = |number: &[u8]| number.iter().copied().skip_while(|byte| *byte == 0).collect::<Vec<u8>>();
    let (modulus, exponent) = (unsigned(modulus), unsigned(exponent));
    (modulus.len() >= 256).then_some(Material::Rsa { modulus, exponent })
}

/// The content of the first DER element, which has that tag, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[own, first], rest) = der.split_first_chunk::<2>()?;
    if own != tag {
        return None;
    }
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x82 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 3))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}
