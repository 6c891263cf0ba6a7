//! Sessions of browsers: who showed the admin key once is let in by a random token from then on.
//!
//! The database knows a token by its hash, and a proof made of token and admin key: with another key no session is left,
//! and nothing in the database helps to guess either.

use chrono::{DateTime, TimeDelta, Utc};
use ring::hmac;

use super::admin_key::AdminKey;
use super::secrets::random_text;
use super::{Registry, SESSION_SECONDS};
use crate::domain::Sha256;
use crate::error::{Error, Result};
use crate::store::StoredSession;

/// Characters of a token: 256 bits.
const TOKEN_CHARACTERS: usize = 43;
/// A session that is used ends after so long all the same.
const LONGEST: TimeDelta = TimeDelta::days(30);
/// A session in use is written no more often than this.
const WRITTEN_EVERY: TimeDelta = TimeDelta::minutes(5);

impl Registry {
    /// Begins a session for whoever sent that key; answers its token, which is stored nowhere.
    ///
    /// `Denied` while there is no admin key at all.
    pub async fn begin_session(&self, key: AdminKey) -> Result<String> {
        let Some(admin_key) = key.sha256() else {
            return Err(Error::Denied { message: "there is no admin key yet".into() });
        };
        let (token, now) = (random_text(TOKEN_CHARACTERS)?, self.now());
        let session = StoredSession {
            token_sha256: Sha256::of(token.as_bytes()),
            key_proof: proof(&token, admin_key),
            created_at: now,
            expires_at: now + TimeDelta::seconds(SESSION_SECONDS),
        };
        self.inner.store.delete_expired_sessions(now).await?;
        self.inner.store.insert_session(&session).await?;
        Ok(token)
    }

    /// Whether that token is one of a running session; if so, the session goes on for another day.
    pub async fn is_session(&self, token: &str) -> Result<bool> {
        let (sha256, now) = (Sha256::of(token.as_bytes()), self.now());
        let Some(session) = self.find_session(sha256).await? else { return Ok(false) };
        let key = self.admin_key().await?.sha256();
        if session.expires_at <= now || key.is_none_or(|key| session.key_proof != proof(token, key)) {
            return Ok(false);
        }
        self.prolong(&session, now).await;
        Ok(true)
    }

    /// Ends a session; one that is not running is fine.
    pub async fn end_session(&self, token: &str) -> Result<()> {
        let sha256 = Sha256::of(token.as_bytes());
        self.inner.store.delete_session(sha256).await?;
        self.inner.known_sessions.forget(&sha256);
        Ok(())
    }

    pub(super) async fn end_all_sessions(&self) -> Result<()> {
        self.inner.store.delete_all_sessions().await?;
        self.inner.known_sessions.clear();
        Ok(())
    }

    async fn find_session(&self, sha256: Sha256) -> Result<Option<StoredSession>> {
        if let Some(session) = self.inner.known_sessions.find(&sha256) {
            return Ok(Some(session));
        }
        let session = self.inner.store.find_session(sha256).await?;
        if let Some(session) = &session {
            self.inner.known_sessions.keep(sha256, session.clone());
        }
        Ok(session)
    }

    /// Moves the end of a session that is in use. Whoever is let in is let in although that cannot be written.
    async fn prolong(&self, session: &StoredSession, now: DateTime<Utc>) {
        let expires_at = (now + TimeDelta::seconds(SESSION_SECONDS)).min(session.created_at + LONGEST);
        if expires_at - session.expires_at < WRITTEN_EVERY {
            return;
        }
        match self.inner.store.prolong_session(session.token_sha256, expires_at).await {
            Ok(()) => self.inner.known_sessions.forget(&session.token_sha256),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "a session was not prolonged");
            }
        }
    }
}

/// HMAC-SHA256 (RFC 2104) over the key's hash by the token.
fn proof(token: &str, admin_key: Sha256) -> String {
    let by_token = hmac::Key::new(hmac::HMAC_SHA256, token.as_bytes());
    hex::encode(hmac::sign(&by_token, admin_key.as_bytes()))
}
