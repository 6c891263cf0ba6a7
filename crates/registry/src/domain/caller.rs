//! Who asks, whatever the credential was.

use crate::error::{Error, Result};

/// The way a caller proved who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallerKind {
    /// The key of the installation, a browser session made with it, or the socket in the data folder.
    Admin,
    /// A bearer token of the vault, by its subject.
    Token {
        /// The `sub` claim.
        subject: String,
    },
    /// Nobody: open routes only.
    Anonymous,
}

/// A caller with what they may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who it is.
    pub kind: CallerKind,
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

    /// Refuses everyone but the admin.
    pub fn require_admin(&self) -> Result<()> {
        match self.kind {
            CallerKind::Admin => Ok(()),
            _ => Err(Error::Denied { message: "this needs the admin key".into() }),
        }
    }
}
