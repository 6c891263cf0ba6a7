//! The admin key: configured, or made here and known by its hash alone.

use secrecy::ExposeSecret;
use subtle::ConstantTimeEq;

use super::Registry;
use super::secrets::random_text;
use crate::domain::Sha256;
use crate::error::{Error, Result};

/// The row with the hash of a key that was made here.
const ADMIN_KEY: &str = "admin_key_sha256";
/// What a made key begins with, and how many characters follow: 256 bits.
const PREFIX: &str = "lk_";
const CHARACTERS: usize = 43;

/// The admin key in force, to hold a sent one against.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AdminKey(Option<Sha256>);

impl AdminKey {
    /// Whether `key` is it: hashes compared in constant time; never true for an empty key.
    pub fn is(&self, key: &[u8]) -> bool {
        let is_equal = |own: Sha256| bool::from(own.as_bytes().ct_eq(Sha256::of(key).as_bytes()));
        !key.is_empty() && self.0.is_some_and(is_equal)
    }

    /// Its hash; `None` before there is a key.
    pub(super) fn sha256(self) -> Option<Sha256> {
        self.0
    }
}

impl Registry {
    /// The admin key in force: the configured one, else the one that was made, as the database knows it.
    pub async fn admin_key(&self) -> Result<AdminKey> {
        let configured = self.inner.config.access.api_key.as_ref();
        if let Some(key) = configured {
            return Ok(AdminKey(Some(Sha256::of(key.expose_secret().as_bytes()))));
        }
        if let Some(sha256) = self.inner.known_admin_key.find(&()) {
            return Ok(AdminKey(sha256));
        }
        let text = self.inner.store.find_setting(ADMIN_KEY).await?;
        let sha256 = text.and_then(|text| text.parse().ok());
        self.inner.known_admin_key.keep((), sha256);
        Ok(AdminKey(sha256))
    }

    /// The admin key, made now and to be printed once; `None` when one was configured or made before.
    ///
    /// Only its hash is stored. Called by whatever starts the server, so that a command cannot lose the key.
    pub async fn take_first_start_key(&self) -> Result<Option<String>> {
        if self.inner.config.access.api_key.is_some() {
            return Ok(None);
        }
        let key = new_key()?;
        // Another server on the same database may make one in this moment; one of them wins.
        let is_ours =
            self.inner.store.insert_setting(ADMIN_KEY, &Sha256::of(key.as_bytes()).to_string()).await?;
        self.inner.known_admin_key.clear();
        Ok(is_ours.then_some(key))
    }

    /// Replaces the admin key by a new one, which is answered once, and ends every session.
    ///
    /// `Conflict` (`key_configured`) when the key stands in the configuration.
    pub async fn rotate_admin_key(&self) -> Result<String> {
        if self.inner.config.access.api_key.is_some() {
            let message = "the admin key is the configured `API_KEY`; change it there and start the server again, which \
                           ends every session";
            return Err(Error::conflict("key_configured", message));
        }
        let key = new_key()?;
        let sha256 = Sha256::of(key.as_bytes()).to_string();
        self.inner.store.save_settings(&[(ADMIN_KEY, sha256)]).await?;
        self.inner.known_admin_key.clear();
        self.end_all_sessions().await?;
        tracing::info!("the admin key was replaced");
        Ok(key)
    }
}

fn new_key() -> Result<String> {
    Ok(format!("{PREFIX}{}", random_text(CHARACTERS)?))
}
