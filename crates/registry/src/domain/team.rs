//! Teams that call the public API, and their keys: what a key looks like and what it allows.

use std::fmt;

use chrono::{DateTime, Utc};

use super::{Sha256, TeamId, TeamKeyId};
use crate::error::{Error, Result};

/// What keys begin with that are made here.
pub const KEY_PREFIX: &str = "al_live_";
/// What keys begin with that came from elsewhere.
pub const LEGACY_KEY_PREFIX: &str = "og_";
/// Random characters of a made key, from which the hash is also read; 190 bits.
pub const KEY_SECRET_CHARACTERS: usize = 32;
/// Characters that are a sum over what stands before them, so that a slip of the pen needs no database.
const CHECKSUM_CHARACTERS: usize = 6;
/// Characters behind the prefix by which a key is looked up, and which people see of it.
const SHOWN_CHARACTERS: usize = 8;
/// The shortest key that is imported; a shorter one can be guessed.
const MIN_LEGACY_CHARACTERS: usize = 20;
/// The longest key that is looked at.
const MAX_KEY_CHARACTERS: usize = 200;
/// Longest name of a team or a key, characters.
const MAX_NAME_CHARACTERS: usize = 100;

/// Versions of the public API, oldest first. A new one comes when an answer changes its shape.
const API_VERSIONS: [&str; 2] = ["2026-05-15", "2026-11-01"];

/// A customer of the studio.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Team {
    /// Its id.
    pub id: TeamId,
    /// Unique.
    pub name: String,
    /// The version of the public API that its calls mean; `None` is the system's default.
    pub pinned_version: Option<ApiVersion>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// A key of a team, without the key itself, which nobody keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeamKey {
    /// Its id.
    pub id: TeamKeyId,
    /// Whose it is.
    pub team_id: TeamId,
    /// The team's name.
    pub team: String,
    /// What people call it; may be empty.
    pub name: String,
    /// Its first characters.
    pub lookup: String,
    /// What it allows.
    pub scopes: Vec<TeamScope>,
    /// How often it may be used; `None` is no limit.
    pub calls_per_minute: Option<u32>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// From when on it is refused.
    pub expires_at: Option<DateTime<Utc>>,
    /// When somebody ended it.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// Something that a team's key may allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TeamScope {
    /// List styles and read one.
    ReadStyles,
    /// Have prompts rendered and pictures made.
    Generate,
}

/// A dated version of the public API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiVersion(&'static str);

/// The shape of a key, judged before any look into the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyShape<'a> {
    key: &'a str,
    lookup_end: usize,
}

impl TeamScope {
    /// Every scope; what a key allows unless it is cut.
    pub const ALL: [Self; 2] = [Self::ReadStyles, Self::Generate];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadStyles => "styles:read",
            Self::Generate => "generations:run",
        }
    }

    /// The scope of that word.
    pub fn parse(word: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == word).ok_or_else(|| {
            let known = Self::ALL.map(|scope| format!("`{}`", scope.as_str())).join(", ");
            Error::invalid("unknown_scope", "scopes", format!("`{word}` is not a scope; there are {known}"))
        })
    }
}

impl ApiVersion {
    /// What a call means that names none and whose team has pinned none.
    pub const DEFAULT: Self = Self(API_VERSIONS[0]);

    /// From this version on the defaults of a style stand together, and its base model is said.
    pub const GROUPED_DEFAULTS: Self = Self(API_VERSIONS[1]);

    /// Every version, oldest first.
    pub fn all() -> impl Iterator<Item = Self> {
        API_VERSIONS.into_iter().map(Self)
    }

    /// The version of that date.
    pub fn parse(text: &str) -> Result<Self> {
        if let Some(version) = API_VERSIONS.into_iter().find(|version| *version == text) {
            return Ok(Self(version));
        }
        let known = API_VERSIONS.map(|version| format!("`{version}`")).join(", ");
        let shown: String = text.chars().take(40).collect();
        let (code, message) = if is_date(text) {
            ("unknown_version", format!("`{shown}` is not a version of the API; there are {known}"))
        } else {
            (
                "malformed_version",
                format!("a version is a date, `YYYY-MM-DD`, and not `{shown}`; there are {known}"),
            )
        };
        Err(Error::invalid(code, "version", message))
    }

    /// Its date, `YYYY-MM-DD`.
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

/// Whether a text is written as a date, whatever the calendar says of it.
fn is_date(text: &str) -> bool {
    let is_right = |(place, byte): (usize, u8)| match place {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    };
    text.len() == 10 && text.bytes().enumerate().all(is_right)
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl TeamKey {
    /// Whether it is let in at that time.
    pub fn is_in_force(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

impl<'a> KeyShape<'a> {
    /// The key, if it can be one: a made key with its right sum, or one from elsewhere.
    pub fn parse(key: &'a str) -> Option<Self> {
        let (prefix, rest) = [KEY_PREFIX, LEGACY_KEY_PREFIX]
            .into_iter()
            .find_map(|prefix| key.strip_prefix(prefix).map(|rest| (prefix, rest)))?;
        let is_plain =
            rest.bytes().all(|byte| byte.is_ascii_alphanumeric()) && key.len() <= MAX_KEY_CHARACTERS;
        let is_whole = match prefix {
            KEY_PREFIX => has_right_sum(key, rest),
            _ => key.len() >= MIN_LEGACY_CHARACTERS,
        };
        (is_plain && is_whole).then_some(Self { key, lookup_end: prefix.len() + SHOWN_CHARACTERS })
    }

    /// Its first characters, by which it is looked up.
    pub fn lookup(self) -> &'a str {
        &self.key[..self.lookup_end]
    }

    /// What is kept of it.
    pub fn sha256(self) -> Sha256 {
        Sha256::of(self.key.as_bytes())
    }

    /// Whether it came from elsewhere.
    pub fn is_legacy(self) -> bool {
        self.key.starts_with(LEGACY_KEY_PREFIX)
    }
}

/// A key around `secret`, which is [`KEY_SECRET_CHARACTERS`] random letters and digits.
pub fn key_around(secret: &str) -> String {
    let body = format!("{KEY_PREFIX}{secret}");
    format!("{body}{}", checksum(&body))
}

fn has_right_sum(key: &str, rest: &str) -> bool {
    rest.len() == KEY_SECRET_CHARACTERS + CHECKSUM_CHARACTERS
        && rest.is_ascii()
        && key.split_at(key.len() - CHECKSUM_CHARACTERS).1
            == checksum(key.split_at(key.len() - CHECKSUM_CHARACTERS).0)
}

/// The first characters of the hash; no secret, only a guard against slips.
fn checksum(body: &str) -> String {
    Sha256::of(body.as_bytes()).to_string()[..CHECKSUM_CHARACTERS].to_owned()
}

/// A name for a team or a key, trimmed; refuses what is too long or cannot be seen.
pub fn team_name(field: &'static str, text: &str) -> Result<String> {
    let name = text.trim();
    let wrong = if name.chars().count() > MAX_NAME_CHARACTERS {
        Some("is longer than 100 characters")
    } else if name.chars().any(char::is_control) {
        Some("holds control characters")
    } else {
        None
    };
    match wrong {
        Some(wrong) => Err(Error::invalid("bad_name", field, format!("the name {wrong}"))),
        None => Ok(name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "abcdefghijABCDEFGHIJ0123456789xy";

    #[test]
    fn a_made_key_is_known_by_its_sum() {
        let key = key_around(SECRET);
        assert_eq!(key.len(), 8 + KEY_SECRET_CHARACTERS + CHECKSUM_CHARACTERS);
        let shape = KeyShape::parse(&key).expect("its own shape");
        assert_eq!((shape.lookup(), shape.is_legacy()), ("al_live_abcdefgh", false));
        let slip = key.replace("ghij", "ghji");
        for wrong in [
            &slip,
            &key[..key.len() - 1],
            &format!("{key}0"),
            &key.to_uppercase(),
            "al_live_",
            "al_live_ü",
            "",
            "og_",
        ] {
            assert_eq!(KeyShape::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_key_from_elsewhere_is_long_and_plain() {
        let shape = KeyShape::parse("og_0123456789abcdefghij").expect("a key");
        assert_eq!((shape.lookup(), shape.is_legacy()), ("og_01234567", true));
        let long = format!("og_{}", "a".repeat(300));
        for wrong in [
            "og_short",
            "og_0123456789abcdef-hij",
            "og_0123456789 bcdefghij",
            "sk_0123456789abcdefghij",
            &long,
        ] {
            assert_eq!(KeyShape::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn scopes_and_versions_are_read_by_their_words() {
        for scope in TeamScope::ALL {
            assert_eq!(TeamScope::parse(scope.as_str()).expect("known"), scope);
        }
        assert_eq!(TeamScope::parse("admin").expect_err("unknown").code(), "unknown_scope");
        assert_eq!(ApiVersion::parse("2026-05-15").expect("known"), ApiVersion::DEFAULT);
        let refused = ApiVersion::parse("2031-01-01").expect_err("unknown").to_string();
        assert_eq!(refused, "`2031-01-01` is not a version of the API; there are `2026-05-15`, `2026-11-01`");
        for malformed in ["", "2026-5-15", "2026-05-15 ", "latest", "２026-05-15"] {
            assert_eq!(
                ApiVersion::parse(malformed).expect_err("no date").code(),
                "malformed_version",
                "{malformed}"
            );
        }
    }

    #[test]
    fn names_are_trimmed_and_can_be_seen() {
        assert_eq!(team_name("name", " Northlight ").expect("good"), "Northlight");
        assert!(team_name("name", "a\nb").is_err() && team_name("name", &"a".repeat(101)).is_err());
    }
}
