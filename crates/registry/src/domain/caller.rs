//! Who asks, whatever the credential was, and what they may do on the vault (decision 21).

use super::{ApiVersion, TeamId, TeamKeyId, TeamScope};
use crate::error::{Error, Result};

/// The way a caller proved who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallerKind {
    /// The key of the installation, a browser session made with it, or the socket in the data folder.
    Admin,
    /// A bearer token of the vault.
    Token(TokenCaller),
    /// A key of a team: the public API only.
    Team(TeamCaller),
    /// Nobody: open routes only.
    Anonymous,
}

/// Who calls the public API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeamCaller {
    /// The team.
    pub team_id: TeamId,
    /// Its name.
    pub team: String,
    /// The key that was sent.
    pub key_id: TeamKeyId,
    /// What the key allows.
    pub scopes: Vec<TeamScope>,
    /// How often the key may be used; `None` is no limit.
    pub calls_per_minute: Option<u32>,
    /// What the team's calls mean when they name no version.
    pub pinned_version: Option<ApiVersion>,
}

/// Who holds a bearer token, as the token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenCaller {
    /// The `sub` claim.
    pub subject: String,
    /// The `role` claim, as far as it is a known one.
    pub role: Option<Role>,
    /// The words of the `scope` claim; `None` when the token has none.
    pub scopes: Option<Vec<String>>,
}

/// What a token's `role` can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Everything on the vault.
    Admin,
    /// Upload, list and read, run evaluations.
    User,
}

/// Something that a token may allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Upload by the users' route.
    Upload,
    /// Upload by the admins' route.
    AdminUpload,
    /// List, facts, bytes.
    Read,
    /// Delete, restore, purge.
    Delete,
    /// Run evaluations.
    Evaluate,
}

/// A caller with what they may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who it is.
    pub kind: CallerKind,
}

impl Role {
    /// The role of that name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "admin" => Some(Self::Admin),
            "user" => Some(Self::User),
            _ => None,
        }
    }
}

impl Right {
    /// Every right.
    pub const ALL: [Self; 5] = [Self::Upload, Self::AdminUpload, Self::Read, Self::Delete, Self::Evaluate];

    /// The word of a token's `scope` that allows it.
    pub fn scope(self) -> &'static str {
        match self {
            Self::Upload | Self::AdminUpload => "lora:upload",
            Self::Read => "lora:read",
            Self::Delete => "lora:delete",
            Self::Evaluate => "evaluation:run",
        }
    }

    /// Whether the role of a user is enough.
    fn is_for_users(self) -> bool {
        matches!(self, Self::Upload | Self::Read | Self::Evaluate)
    }
}

impl TokenCaller {
    /// The role's rights, cut to the scope; without a role the scope counts as a user's.
    pub fn may(&self, right: Right) -> bool {
        let by_role = match self.role {
            Some(Role::Admin) => true,
            Some(Role::User) => right.is_for_users(),
            None => self.scopes.is_some() && right.is_for_users(),
        };
        let in_scope =
            self.scopes.as_ref().is_none_or(|scopes| scopes.iter().any(|scope| scope == right.scope()));
        by_role && in_scope
    }
}

impl Caller {
    /// The owner of this installation.
    pub fn admin() -> Self {
        Self { kind: CallerKind::Admin }
    }

    /// Nobody.
    pub fn anonymous() -> Self {
        Self { kind: CallerKind::Anonymous }
    }

    /// A team's program.
    pub fn team(team: TeamCaller) -> Self {
        Self { kind: CallerKind::Team(team) }
    }

    /// The holder of a token.
    pub fn token(token: TokenCaller) -> Self {
        Self { kind: CallerKind::Token(token) }
    }

    /// The name for records of what was done.
    pub fn name(&self) -> &str {
        match &self.kind {
            CallerKind::Admin => "admin",
            CallerKind::Token(token) => &token.subject,
            CallerKind::Team(team) => &team.team,
            CallerKind::Anonymous => "anonymous",
        }
    }

    /// Refuses everyone but the admin.
    pub fn require_admin(&self) -> Result<()> {
        match self.kind {
            CallerKind::Admin => Ok(()),
            _ => Err(Error::Denied { message: "this needs the admin key".into() }),
        }
    }

    /// The team that calls, if its key allows that.
    pub fn require_team(&self, scope: TeamScope) -> Result<&TeamCaller> {
        match &self.kind {
            CallerKind::Team(team) if team.scopes.contains(&scope) => Ok(team),
            _ => {
                let message = format!("this needs a key of a team with the scope `{}`", scope.as_str());
                Err(Error::Denied { message })
            }
        }
    }

    /// Refuses whoever does not have that right.
    pub fn require(&self, right: Right) -> Result<()> {
        match &self.kind {
            CallerKind::Admin => Ok(()),
            CallerKind::Token(token) if token.may(right) => Ok(()),
            _ => {
                let role = if right.is_for_users() { "`user` or `admin`" } else { "`admin`" };
                let scope = right.scope();
                let message = format!("this needs a token with the role {role}; a scope must hold `{scope}`");
                Err(Error::Denied { message })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights(role: Option<Role>, scope: Option<&str>) -> Vec<Right> {
        let scopes = scope.map(|scope| scope.split(' ').map(str::to_owned).collect());
        let token = TokenCaller { subject: "ann".into(), role, scopes };
        Right::ALL.into_iter().filter(|right| token.may(*right)).collect()
    }

    #[test]
    fn a_role_gives_rights_and_a_scope_cuts_them() {
        use Right::{AdminUpload, Delete, Evaluate, Read, Upload};
        assert_eq!(rights(Some(Role::Admin), None), Right::ALL);
        assert_eq!(rights(Some(Role::User), None), [Upload, Read, Evaluate]);
        assert_eq!(rights(Some(Role::Admin), Some("lora:read lora:delete")), [Read, Delete]);
        assert_eq!(rights(Some(Role::Admin), Some("lora:upload")), [Upload, AdminUpload]);
        assert_eq!(rights(Some(Role::User), Some("lora:delete lora:read")), [Read]);
        assert_eq!(rights(None, Some("lora:upload lora:delete")), [Upload]);
        assert_eq!(rights(None, None), []);
        assert_eq!(rights(Some(Role::Admin), Some("lora:UPLOAD")), []);
    }

    #[test]
    fn a_refusal_says_what_is_missing() {
        let user = TokenCaller { subject: "ann".into(), role: Some(Role::User), scopes: None };
        let refused = Caller::token(user).require(Right::Delete).expect_err("denied").to_string();
        assert_eq!(refused, "this needs a token with the role `admin`; a scope must hold `lora:delete`");
        assert!(Caller::anonymous().require(Right::Read).is_err());
        assert!(Caller::admin().require(Right::Delete).is_ok());
    }
}
