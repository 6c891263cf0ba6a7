//! The surfaces with their documents.

use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::app::VERSION;
use crate::openapi::{Description, Operation, Refused, document};
use crate::{operations, public, studio, vault};

/// A part of the API with its own callers and its own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// `/api/admin/**` and what is beside it: for the owner.
    Studio,
    /// `/api/v1/**`: for back ends with tokens.
    Vault,
    /// `/v1/**`: for a studio's customers with keys of their teams.
    Public,
}

/// The documents, each made when somebody asks for it.
static DOCUMENTS: [LazyLock<Value>; 3] = [
    LazyLock::new(|| Surface::Studio.describe()),
    LazyLock::new(|| Surface::Vault.describe()),
    LazyLock::new(|| Surface::Public.describe()),
];

impl Surface {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Studio, Self::Vault, Self::Public];

    /// Its name in addresses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Studio => "studio",
            Self::Vault => "vault",
            Self::Public => "public",
        }
    }

    /// The surface of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|surface| surface.as_str() == name)
    }

    /// Its OpenAPI document as it is committed: indented by 2, with a line feed at the end.
    pub fn openapi(self) -> String {
        format!("{:#}\n", self.document())
    }

    /// Its OpenAPI document.
    pub(crate) fn document(self) -> &'static Value {
        &DOCUMENTS[self as usize]
    }

    fn describe(self) -> Value {
        document(&self.description(), VERSION, &self.operations())
    }

    fn operations(self) -> Vec<Operation> {
        match self {
            Self::Studio => [studio::operations(), operations::described()].concat(),
            Self::Vault => vault::operations(),
            Self::Public => public::operations(),
        }
    }

    fn description(self) -> Description {
        match self {
            Self::Studio => Description {
                title: "Lorakeep: the studio API",
                about: "For the owner of the installation, the web page and the command line: catalogs, downloads, files, galleries, \
                        evaluations, teams and settings. Programs send the admin key in `X-API-Key`; browsers have a session \
                        after `POST /api/auth/login`. Refusals are `{\"detail\": …}` with a stable word in the header \
                        `X-Error-Code`; every answer carries `X-Request-Id`.",
                schemes: vec![
                    (
                        "AdminKey",
                        json!({"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The admin key"}),
                    ),
                    (
                        "Session",
                        json!({"type": "apiKey", "in": "cookie", "name": "session", "description": "A browser's session"}),
                    ),
                ],
                credential: "X-API-Key: $KEY",
                refused: Refused::Detail,
            },
            Self::Vault => Description {
                title: "Lorakeep: the vault API",
                about: "For back ends that store LoRAs on this server and ask whether they are any good. Callers send a JSON Web \
                        Token; its `role` and `scope` say what they may do. Refusals are `{\"detail\": …}` with a stable word \
                        in the header `X-Error-Code`; every answer carries `X-Request-Id`.",
                schemes: vec![(
                    "Token",
                    json!({"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "A token of an admin or a user"}),
                )],
                credential: "Authorization: Bearer $TOKEN",
                refused: Refused::Detail,
            },
            Self::Public => Description {
                title: "Lorakeep: the public API",
                about: "For a studio's customers: the styles that a team may use, and what a generator needs of them. Programs send a key \
                        of their team in `X-Api-Key`. `Aurous-Version` (or `Lorakeep-Version`) chooses a dated version of the answers, \
                        and every answer says which one it has. Refusals are `{\"error\": {\"code\", \"message\", \"request_id\"}}`.",
                schemes: vec![(
                    "TeamKey",
                    json!({"type": "apiKey", "in": "header", "name": "X-Api-Key", "description": "A key of a team"}),
                )],
                credential: "X-Api-Key: $TEAM_KEY",
                refused: Refused::Code,
            },
        }
    }
}
