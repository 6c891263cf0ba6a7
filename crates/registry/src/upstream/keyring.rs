//! The one credential for an upstream, bound to it, which can be changed while requests are made.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use lorakeep_transfer::Credential;
use secrecy::SecretString;
use url::Url;

/// All clones are the same: a change holds from the next request on.
#[derive(Clone)]
pub(crate) struct Keyring {
    home: Url,
    credential: Arc<RwLock<Option<Credential>>>,
}

impl Keyring {
    pub(super) fn new(home: &Url, secret: Option<SecretString>) -> Self {
        let keyring = Self { home: home.clone(), credential: Arc::default() };
        keyring.replace(secret);
        keyring
    }

    /// The credential in force.
    pub(crate) fn credential(&self) -> Option<Credential> {
        self.credential.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another secret into force, or none.
    pub(crate) fn replace(&self, secret: Option<SecretString>) {
        let credential = secret.map(|secret| Credential::bearer(&self.home, secret));
        *self.credential.write().unwrap_or_else(PoisonError::into_inner) = credential;
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Keyring for {}", self.home.host_str().unwrap_or_default())
    }
}
