//! What a rule may ask, and how the tables are searched.

use super::facts::Facts;

/// One question about a file. Patterns are those of [`Facts`].
#[derive(Clone, Copy, Debug)]
pub(super) enum Test {
    /// Some name matches.
    Has(&'static str),
    /// No name matches.
    No(&'static str),
    /// The pattern's first `#` counts up to between these, both included.
    Blocks(&'static str, u64, u64),
    /// A matching module takes vectors of one of these widths.
    Takes(&'static str, &'static [u64]),
    /// A matching module gives vectors of one of these widths.
    Gives(&'static str, &'static [u64]),
    /// A matching tensor has one of these lengths along an axis.
    Side(&'static str, usize, &'static [u64]),
    /// One of these holds.
    Any(&'static [Test]),
}

/// Whether a rule is about whole models, adapters or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    Model,
    Adapter,
    Both,
}

/// One row of a table: when all tests hold, the file is this. The first row that holds wins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub(super) scope: Scope,
    /// What a whole model of this row is called; adapters have their own word.
    pub(super) kind: &'static str,
    /// The family, or empty when the row cannot tell one from the others.
    pub(super) base: &'static str,
    pub(super) variant: &'static str,
    /// How sure the row is, in percent.
    pub(super) sure: u8,
    /// What else has the same names and shapes, as `base` or `base variant`.
    pub(super) others: &'static [&'static str],
    pub(super) tests: &'static [Test],
}

impl Test {
    fn holds(&self, facts: &Facts) -> bool {
        match *self {
            Self::Has(pattern) => facts.has(pattern),
            Self::No(pattern) => !facts.has(pattern),
            Self::Blocks(pattern, least, most) => {
                facts.blocks(pattern).is_some_and(|count| (least..=most).contains(&count))
            }
            Self::Takes(pattern, widths) => widths.iter().any(|width| facts.takes(pattern, *width)),
            Self::Gives(pattern, widths) => widths.iter().any(|width| facts.gives(pattern, *width)),
            Self::Side(pattern, axis, lengths) => {
                lengths.iter().any(|length| facts.side(pattern, axis, *length))
            }
            Self::Any(tests) => tests.iter().any(|test| test.holds(facts)),
        }
    }

    /// The test as evidence, for a person.
    fn text(&self, facts: &Facts) -> Option<String> {
        let plain = |pattern: &str| pattern.trim_start_matches('^').trim_end_matches('*').to_owned();
        match *self {
            Self::Has(pattern) => Some(format!("it has `{}`", plain(pattern))),
            Self::No(pattern) => Some(format!("it has no `{}`", plain(pattern))),
            Self::Blocks(pattern, ..) => {
                Some(format!("`{}` counts to {}", plain(pattern), facts.blocks(pattern)?))
            }
            Self::Takes(pattern, widths) => {
                let width = widths.iter().find(|width| facts.takes(pattern, **width))?;
                Some(format!("`{}` takes {width}", plain(pattern)))
            }
            Self::Gives(pattern, widths) => {
                let width = widths.iter().find(|width| facts.gives(pattern, **width))?;
                Some(format!("`{}` gives {width}", plain(pattern)))
            }
            Self::Side(pattern, axis, lengths) => {
                let length = lengths.iter().find(|length| facts.side(pattern, axis, **length))?;
                Some(format!("`{}` has {length} along axis {axis}", plain(pattern)))
            }
            Self::Any(tests) => tests.iter().find(|test| test.holds(facts))?.text(facts),
        }
    }
}

impl Rule {
    fn holds(&self, facts: &Facts, adapter: bool) -> bool {
        let wanted = if adapter { Scope::Adapter } else { Scope::Model };
        (self.scope == Scope::Both || self.scope == wanted) && self.tests.iter().all(|test| test.holds(facts))
    }

    /// Why the row holds.
    pub(super) fn evidence(&self, facts: &Facts) -> Vec<String> {
        self.tests.iter().filter_map(|test| test.text(facts)).collect()
    }
}

/// The first row that holds.
pub(super) fn find(tables: &[&'static [Rule]], facts: &Facts, adapter: bool) -> Option<&'static Rule> {
    tables.iter().copied().flatten().find(|rule| rule.holds(facts, adapter))
}

/// A row about a whole model or an adapter on it.
pub(super) const fn rule(
    base: &'static str,
    variant: &'static str,
    sure: u8,
    tests: &'static [Test],
) -> Rule {
    Rule { scope: Scope::Both, kind: "transformer", base, variant, sure, others: &[], tests }
}

impl Rule {
    pub(super) const fn only(self, scope: Scope) -> Self {
        Self { scope, ..self }
    }

    pub(super) const fn or(self, others: &'static [&'static str]) -> Self {
        Self { others, ..self }
    }

    pub(super) const fn kind(self, kind: &'static str) -> Self {
        Self { kind, scope: Scope::Model, ..self }
    }

    pub(super) const fn called(self, kind: &'static str) -> Self {
        Self { kind, ..self }
    }
}
