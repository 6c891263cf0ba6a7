//! Styles: what a studio shows its customers of a LoRA or of a pair.

mod defaults;
mod generation;
mod id;
mod slug;
mod template;

use chrono::{DateTime, Utc};

use super::{EntryId, ModelPath, PairRole, TeamId};
use crate::error::{Error, Result};

pub use defaults::{GenerationSettings, StyleStrengths};
pub use generation::{
    GenerationState, MAX_GENERATED_PICTURES, idempotency_key, judge_negative, judge_pictures, judge_side,
};
pub use id::StyleId;
pub use slug::{parse_slug, slug_candidates};
pub use template::{PromptTemplate, TemplateValues};

/// Longest name of a style, characters.
const MAX_NAME_CHARACTERS: usize = 200;
/// Longest description of a style, characters.
const MAX_DESCRIPTION_CHARACTERS: usize = 4000;

/// The public face of a LoRA or of a pair.
#[derive(Debug, Clone, PartialEq)]
pub struct Style {
    /// The same for ever.
    pub id: StyleId,
    /// Its name in addresses; may change, and is nobody else's.
    pub slug: String,
    /// Slugs that it had before and that still lead to it.
    pub old_slugs: Vec<String>,
    /// What people call it.
    pub name: String,
    /// What it does, for people.
    pub description: Option<String>,
    /// Who may see it.
    pub audience: StyleAudience,
    /// The name of its preview's file, which follows from its content.
    pub preview: Option<String>,
    /// What a call means that does not say otherwise.
    pub defaults: GenerationSettings,
    /// What becomes of a prompt.
    pub template: Option<PromptTemplate>,
    /// The pair that it was made from.
    pub pair_id: Option<String>,
    /// Its LoRA files, one a role, in the order of the roles.
    pub files: Vec<StyleFile>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// When it was deleted; it can come back.
    pub deleted_at: Option<DateTime<Utc>>,
    /// Which change of all styles was its last, so that two who change it at once do not overwrite each other.
    pub revision: i64,
}

/// Who may see a style.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StyleAudience {
    /// Every team.
    Public,
    /// That team alone.
    Team(TeamId),
}

/// One LoRA file of a style.
#[derive(Debug, Clone, PartialEq)]
pub struct StyleFile {
    /// Its part in the pair; `Both` when there is no pair.
    pub role: PairRole,
    /// The entry that it is.
    pub entry_id: EntryId,
    /// Where that entry was when the style was made; by it a catalog finds it again that was read anew.
    pub path: ModelPath,
    /// How strongly it is applied.
    pub strength: f64,
}

impl Style {
    /// Whether a team may see it.
    pub fn is_visible_to(&self, team: TeamId) -> bool {
        self.deleted_at.is_none() && self.audience.includes(team)
    }
}

impl StyleAudience {
    /// Whether that team belongs to it.
    pub fn includes(self, team: TeamId) -> bool {
        match self {
            Self::Public => true,
            Self::Team(own) => own == team,
        }
    }

    /// The team that it is for alone.
    pub fn team(self) -> Option<TeamId> {
        match self {
            Self::Public => None,
            Self::Team(team) => Some(team),
        }
    }
}

/// A name for a style, trimmed.
pub fn style_name(text: &str) -> Result<String> {
    let name = text.trim();
    if name.is_empty() {
        return Err(Error::invalid("bad_name", "name", "a style needs a name"));
    }
    judge_text("name", name, MAX_NAME_CHARACTERS, char::is_control)?;
    Ok(name.to_owned())
}

/// A description, trimmed; `None` when nothing is left.
pub fn style_description(text: &str) -> Result<Option<String>> {
    let text = text.trim();
    judge_text("description", text, MAX_DESCRIPTION_CHARACTERS, is_unreadable)?;
    Ok(Some(text.to_owned()).filter(|text| !text.is_empty()))
}

/// What no text for people holds; lines may break.
fn is_unreadable(character: char) -> bool {
    character.is_control() && !matches!(character, '\n' | '\t' | '\r')
}

fn judge_text(field: &'static str, text: &str, most: usize, is_wrong: fn(char) -> bool) -> Result<()> {
    let wrong = if text.chars().count() > most {
        format!("is longer than {most} characters")
    } else if text.chars().any(is_wrong) {
        "holds control characters".to_owned()
    } else {
        return Ok(());
    };
    Err(Error::invalid("bad_text", field, format!("the {field} {wrong}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_descriptions_are_trimmed_and_can_be_read() {
        assert_eq!(style_name(" Golden Hour ").expect("good"), "Golden Hour");
        assert_eq!(style_name("  ").expect_err("nameless").to_string(), "a style needs a name");
        assert!(style_name("a\nb").is_err() && style_name(&"a".repeat(201)).is_err());
        assert_eq!(style_description(" a\nb ").expect("good"), Some("a\nb".to_owned()));
        assert_eq!(style_description(" ").expect("good"), None);
        assert!(style_description("a\u{1b}[2J").is_err());
    }

    #[test]
    fn a_private_style_is_seen_by_its_team_alone() {
        let now = DateTime::UNIX_EPOCH;
        let (own, other) = (TeamId::new(now), TeamId::new(now));
        assert!(StyleAudience::Public.includes(own) && StyleAudience::Team(own).includes(own));
        assert!(!StyleAudience::Team(own).includes(other));
    }
}
