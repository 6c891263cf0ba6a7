//! What a token says, and whether it holds now.

use chrono::{DateTime, Utc};
use lorakeep_registry::domain::{Role, TokenCaller};
use serde::Deserialize;

use super::TokenError;

/// How far clocks may differ, seconds.
pub const LEEWAY_SECONDS: i64 = 30;

/// The claims that are looked at; others may stand beside them. A claim of another type is an error, never absent.
#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    sub: String,
    exp: f64,
    nbf: Option<f64>,
    iat: Option<f64>,
    iss: Option<String>,
    aud: Option<Audience>,
    role: Option<String>,
    scope: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// What `aud` and `iss` must be, where that is configured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expectation<'a> {
    pub(super) audience: Option<&'a str>,
    pub(super) issuer: Option<&'a str>,
}

impl Audience {
    fn holds(&self, wanted: &str) -> bool {
        match self {
            Self::One(one) => one == wanted,
            Self::Several(all) => all.iter().any(|one| one == wanted),
        }
    }
}

impl Claims {
    pub(super) fn parse(payload: &[u8]) -> Result<Self, TokenError> {
        // serde would read an array of the fields, too.
        if payload.trim_ascii_start().first() != Some(&b'{') {
            return Err(TokenError::Malformed("its claims are not an object"));
        }
        serde_json::from_slice(payload)
            .map_err(|error| TokenError::Claim(format!("its claims do not hold: {error}")))
    }

    pub(super) fn check(
        self,
        expected: Expectation<'_>,
        now: DateTime<Utc>,
    ) -> Result<TokenCaller, TokenError> {
        let refuse = |text: &str| Err(TokenError::Claim(text.to_owned()));
        let (now, leeway) = (now.timestamp() as f64, LEEWAY_SECONDS as f64);
        // JSON has no number that is none, so these compare.
        if now >= self.exp + leeway {
            return refuse("it has expired (`exp`)");
        }
        if self.nbf.is_some_and(|from| from > now + leeway) {
            return refuse("it does not hold yet (`nbf`)");
        }
        if self.iat.is_some_and(|at| at > now + leeway) {
            return refuse("it was made in the future (`iat`)");
        }
        if self.sub.is_empty() {
            return refuse("it names nobody (`sub`)");
        }
        if expected.issuer.is_some_and(|wanted| self.iss.as_deref() != Some(wanted)) {
            return refuse("it was made by somebody else (`iss`)");
        }
        if expected.audience.is_some_and(|wanted| !self.aud.as_ref().is_some_and(|own| own.holds(wanted))) {
            return refuse("it is for somebody else (`aud`)");
        }
        let role = match self.role.as_deref() {
            None => None,
            Some(name) => match Role::parse(name) {
                Some(role) => Some(role),
                None => return refuse("its role is neither `admin` nor `user`"),
            },
        };
        let scopes = self.scope.map(|scope| scope.split_ascii_whitespace().map(str::to_owned).collect());
        Ok(TokenCaller { subject: self.sub, role, scopes })
    }
}
