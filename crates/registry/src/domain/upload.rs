//! What an upload says of itself, whichever way its bytes come.

/// By which way an upload came; it says which entity types there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadRoute {
    /// For admins.
    Admin,
    /// For users.
    User,
}

/// What an upload says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadDetails {
    /// By which way it came.
    pub route: UploadRoute,
    /// The name that the client gave.
    pub file_name: String,
    /// What it shows; `no_type_provided` when absent or empty.
    pub entity_type: Option<String>,
    /// Whether a name that is taken gets a version; else it is a conflict.
    pub use_safe_filename: bool,
}

impl UploadRoute {
    /// What an upload may show.
    pub fn entity_types(self) -> &'static [&'static str] {
        match self {
            Self::Admin => &["clothes", "faces", "identities", "product", "styles"],
            Self::User => &["clothes", "identities", "product", "styles"],
        }
    }

    /// The stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::User => "user",
        }
    }

    /// The way of that name; whatever is not the admins' is the users', which allows less.
    pub fn parse(name: &str) -> Self {
        if name == Self::Admin.as_str() { Self::Admin } else { Self::User }
    }
}
