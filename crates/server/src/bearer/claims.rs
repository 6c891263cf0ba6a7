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

/// What `aud` and `iss` must be; without a configured value a token must not have the claim (RFC 7519 section 4.1.3).
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
        // A claim that nothing is configured for cannot be checked, and what cannot be checked does not hold.
        match (expected.issuer, self.iss.as_deref()) {
            (None, None) => {}
            (Some(wanted), Some(own)) if own == wanted => {}
            (None, Some(_)) => {
                return refuse("it says who made it (`iss`), and LORAKEEP_JWT_ISSUER does not say who may");
            }
            (Some(_), _) => return refuse("it was made by somebody else (`iss`)"),
        }
        match (expected.audience, &self.aud) {
            (None, None) => {}
            (Some(wanted), Some(own)) if own.holds(wanted) => {}
            (None, Some(_)) => {
                return refuse(
                    "it says whom it is for (`aud`), and LORAKEEP_JWT_AUDIENCE does not say that it is us",
                );
            }
            (Some(_), _) => return refuse("it is for somebody else (`aud`)"),
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
