//! Prompt templates: what becomes of a customer's prompt before it reaches the generator.
//!
//! A template is a text with placeholders in braces. `{{` and `}}` are braces themselves, which prompts use for choices.

use std::fmt::Write;

use crate::error::{Error, Result};

/// Longest template, characters.
const MAX_CHARACTERS: usize = 4000;

/// A text with placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptTemplate(String);

/// What placeholders stand for.
#[derive(Debug, Clone, Copy, Default)]
pub struct TemplateValues<'a> {
    /// `{prompt}`: what the customer wrote.
    pub prompt: &'a str,
    /// `{trigger_words}`: the words of the LoRA, with `, ` between.
    pub trigger_words: &'a str,
    /// `{style}`: the style's name.
    pub style: &'a str,
}

/// Something that a template can hold in the place of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Placeholder {
    Prompt,
    TriggerWords,
    Style,
}

/// A part of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    Value(Placeholder),
    /// Braces with something in them that is no placeholder, or a brace alone.
    Strange(&'a str),
}

impl Placeholder {
    const ALL: [Self; 3] = [Self::Prompt, Self::TriggerWords, Self::Style];

    fn name(self) -> &'static str {
        match self {
            Self::Prompt => "prompt",
            Self::TriggerWords => "trigger_words",
            Self::Style => "style",
        }
    }

    fn value<'a>(self, values: &TemplateValues<'a>) -> &'a str {
        match self {
            Self::Prompt => values.prompt,
            Self::TriggerWords => values.trigger_words,
            Self::Style => values.style,
        }
    }
}

impl PromptTemplate {
    /// Reads a template. It must hold `{prompt}`, and no placeholder that nobody knows.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        if text.chars().count() > MAX_CHARACTERS {
            return Err(wrong(format!("the template is longer than {MAX_CHARACTERS} characters")));
        }
        let pieces: Vec<Piece<'_>> = Pieces(text).collect();
        if let Some(Piece::Strange(strange)) = pieces.iter().find(|piece| matches!(piece, Piece::Strange(_)))
        {
            return Err(strange_piece(strange));
        }
        if !pieces.contains(&Piece::Value(Placeholder::Prompt)) {
            return Err(wrong("the template must hold `{prompt}`, the place of what the customer writes"));
        }
        Ok(Self(text.to_owned()))
    }

    /// A template that was read before.
    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }

    /// The text as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text with the values in it. What stands in a value stays as it is, braces and all.
    pub fn apply(&self, values: &TemplateValues<'_>) -> String {
        let mut applied = String::with_capacity(self.0.len() + values.prompt.len());
        for piece in Pieces(&self.0) {
            applied.push_str(match piece {
                Piece::Text(text) | Piece::Strange(text) => text,
                Piece::Value(placeholder) => placeholder.value(values),
            });
        }
        applied
    }
}

fn wrong(message: impl Into<String>) -> Error {
    Error::invalid("bad_template", "template", message)
}

fn strange_piece(strange: &str) -> Error {
    let mut known = String::new();
    for placeholder in Placeholder::ALL {
        // Writing to a string does not fail.
        let _ = write!(known, "`{{{}}}`, ", placeholder.name());
    }
    let shown: String = strange.chars().take(60).collect();
    wrong(format!(
        "`{shown}` is not a placeholder; there are {}, and a brace itself is written twice",
        known.trim_end_matches(", ")
    ))
}

/// The parts of a text, one after the other.
struct Pieces<'a>(&'a str);

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let rest = self.0;
        let brace = rest.find(['{', '}']).unwrap_or(rest.len());
        let (piece, taken) = match rest.split_at(brace) {
            ("", "") => return None,
            ("", braced) => first_of(braced),
            (text, _) => (Piece::Text(text), text.len()),
        };
        self.0 = &rest[taken..];
        Some(piece)
    }
}

/// What a text that begins with a brace begins with, and how long that is.
fn first_of(text: &str) -> (Piece<'_>, usize) {
    if text.starts_with("{{") || text.starts_with("}}") {
        return (Piece::Text(&text[..1]), 2);
    }
    let name = text.strip_prefix('{').and_then(|inner| inner.split_once('}')).map(|(name, _)| name);
    let Some(name) = name else { return (Piece::Strange(&text[..1]), 1) };
    let length = name.len() + 2;
    match Placeholder::ALL.into_iter().find(|placeholder| placeholder.name() == name) {
        Some(placeholder) => (Piece::Value(placeholder), length),
        None => (Piece::Strange(&text[..length]), length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: TemplateValues<'_> =
        TemplateValues { prompt: "a {style} cat", trigger_words: "glhr, warm", style: "Golden Hour" };

    fn applied(template: &str) -> String {
        PromptTemplate::parse(template).expect(template).apply(&VALUES)
    }

    #[test]
    fn values_are_put_in_once_and_stay_as_they_are() {
        assert_eq!(applied("{prompt}, {trigger_words}"), "a {style} cat, glhr, warm");
        assert_eq!(
            applied("{style}: {prompt} {{red|blue}} {prompt}"),
            "Golden Hour: a {style} cat {red|blue} a {style} cat"
        );
        assert_eq!(applied("  {prompt}}}  "), "a {style} cat}");
    }

    #[test]
    fn what_is_not_understood_is_refused_and_named() {
        for (template, part) in [
            ("golden hour", "must hold `{prompt}`"),
            ("", "must hold `{prompt}`"),
            ("{{prompt}}", "must hold `{prompt}`"),
            (
                "{prompt} {promt}",
                "`{promt}` is not a placeholder; there are `{prompt}`, `{trigger_words}`, `{style}`",
            ),
            ("{prompt} {red|blue}", "`{red|blue}` is not a placeholder"),
            ("{prompt} {", "`{` is not a placeholder"),
            ("{prompt} }", "`}` is not a placeholder"),
            ("{ prompt }", "`{ prompt }` is not a placeholder"),
        ] {
            let refused = PromptTemplate::parse(template).expect_err(template).to_string();
            assert!(refused.contains(part), "{template}: {refused}");
        }
        assert!(PromptTemplate::parse(&format!("{{prompt}}{}", "a".repeat(4000))).is_err());
    }
}
