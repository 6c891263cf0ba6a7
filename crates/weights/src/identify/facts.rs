//! The names and shapes of a file, condensed so that rules can ask about them.
//!
//! Names are flattened: `double_blocks.3.img_attn.qkv` and `double_blocks_3_img_attn_qkv` both become the
//! template `double_blocks_#_img_attn_qkv` with the number 3 kept beside it, so that one rule holds for
//! every trainer's spelling.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

/// The most numbers of one name that are kept.
const NUMBERS: usize = 4;
/// The most different widths of one template that are kept.
const WIDTHS: usize = 8;

/// All names of one shape of writing.
#[derive(Debug, Default)]
struct Template {
    numbers: Vec<[u16; NUMBERS]>,
    inputs: Vec<u64>,
    outputs: Vec<u64>,
    shapes: Vec<Box<[u64]>>,
}

/// What rules ask.
#[derive(Debug, Default)]
pub(super) struct Facts {
    templates: HashMap<String, Template>,
    /// Every word of every template: most patterns have one that is not there.
    words: HashSet<String>,
}

/// Flattens a name into its template and the numbers in it.
fn flatten(name: &str) -> (String, [u16; NUMBERS]) {
    let mut template = String::with_capacity(name.len());
    let mut numbers = [0; NUMBERS];
    let mut seen = 0;
    for (index, token) in name.split(['.', '_']).enumerate() {
        if index > 0 {
            template.push('_');
        }
        match token.parse::<u16>() {
            Ok(number) if token.bytes().all(|byte| byte.is_ascii_digit()) => {
                template.push('#');
                if let Some(slot) = numbers.get_mut(seen) {
                    *slot = number;
                }
                seen += 1;
            }
            _ => template.push_str(token),
        }
    }
    (template, numbers)
}

fn insert_width(widths: &mut Vec<u64>, width: Option<u64>) {
    if let Some(width) = width
        && widths.len() < WIDTHS
        && !widths.contains(&width)
    {
        widths.push(width);
    }
}

impl Facts {
    /// Adds one module or tensor. `part` is put before the name, as `te1:`.
    pub(super) fn add(
        &mut self,
        part: &str,
        name: &str,
        input: Option<u64>,
        output: Option<u64>,
        shape: &[u64],
    ) {
        let (mut flat, numbers) = flatten(name);
        flat.insert_str(0, part);
        if !self.templates.contains_key(&flat) {
            self.words.extend(words(&flat).map(str::to_owned));
            self.templates.insert(flat.clone(), Template::default());
        }
        let template = self.templates.get_mut(&flat).expect("it was just put there");
        template.numbers.push(numbers);
        insert_width(&mut template.inputs, input);
        insert_width(&mut template.outputs, output);
        if template.shapes.len() < WIDTHS && !template.shapes.iter().any(|known| **known == *shape) {
            template.shapes.push(shape.into());
        }
    }

    fn matching<'a>(&'a self, pattern: &'a Pattern) -> impl Iterator<Item = (&'a Template, usize)> {
        let there = pattern.word.as_ref().is_none_or(|word| self.words.contains(word));
        let templates = there.then_some(&self.templates).into_iter().flatten();
        templates.filter_map(|(text, template)| Some((template, pattern.find(text)?)))
    }

    /// Whether some name matches.
    pub(super) fn has(&self, pattern: &'static str) -> bool {
        let pattern = compiled(pattern);
        self.matching(&pattern)
            .any(|(template, at)| template.numbers.iter().any(|row| pattern.fits(*row, at)))
    }

    /// One more than the highest number at the pattern's first `#`.
    pub(super) fn blocks(&self, pattern: &'static str) -> Option<u64> {
        let pattern = compiled(pattern);
        let pattern = &pattern;
        let numbers = self.matching(pattern).flat_map(|(template, at)| {
            let rows = template.numbers.iter().filter(move |row| at < row.len() && pattern.fits(**row, at));
            rows.map(move |row| u64::from(row[at]) + 1)
        });
        numbers.max()
    }

    /// Whether a matching module takes vectors of this width.
    pub(super) fn takes(&self, pattern: &'static str, width: u64) -> bool {
        self.any(pattern, |template| template.inputs.contains(&width))
    }

    /// Whether a matching module gives vectors of this width.
    pub(super) fn gives(&self, pattern: &'static str, width: u64) -> bool {
        self.any(pattern, |template| template.outputs.contains(&width))
    }

    /// Whether a matching tensor has this length along `axis`.
    pub(super) fn side(&self, pattern: &'static str, axis: usize, length: u64) -> bool {
        self.any(pattern, |template| template.shapes.iter().any(|shape| shape.get(axis) == Some(&length)))
    }

    fn any(&self, pattern: &'static str, holds: impl Fn(&Template) -> bool) -> bool {
        let pattern = compiled(pattern);
        self.matching(&pattern).any(|(template, _)| holds(template))
    }
}

/// A piece of a template: whole words, `#` for any number, a number for itself, `^` for the start, and `*`
/// at the end when the last word may go on. Questions about widths do not look at the numbers.
struct Pattern {
    text: String,
    /// A word that a template must have, when the pattern has a whole one.
    word: Option<String>,
    wanted: Vec<Option<u16>>,
    from_start: bool,
    open_end: bool,
}

/// Patterns stand in tables, so there are few, and each is read once.
static COMPILED: LazyLock<RwLock<HashMap<&'static str, Arc<Pattern>>>> = LazyLock::new(RwLock::default);

fn compiled(pattern: &'static str) -> Arc<Pattern> {
    let known = COMPILED.read().unwrap_or_else(PoisonError::into_inner).get(pattern).map(Arc::clone);
    known.unwrap_or_else(|| {
        let new = Arc::new(Pattern::new(pattern));
        COMPILED.write().unwrap_or_else(PoisonError::into_inner).insert(pattern, Arc::clone(&new));
        new
    })
}

impl Pattern {
    fn new(pattern: &str) -> Self {
        let (from_start, rest) = match pattern.strip_prefix('^') {
            Some(rest) => (true, rest),
            None => (false, pattern),
        };
        let (rest, open_end) = match rest.strip_suffix('*') {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let (mut text, mut wanted) = (String::with_capacity(rest.len()), Vec::new());
        for (index, token) in rest.split('_').enumerate() {
            if index > 0 {
                text.push('_');
            }
            let number = token.parse::<u16>().ok();
            if number.is_some() || token == "#" {
                wanted.push(number);
                text.push('#');
            } else {
                text.push_str(token);
            }
        }
        let whole = if open_end { text.rsplit_once('_').map_or("", |(whole, _)| whole) } else { &text };
        let word = words(whole).max_by_key(|word| word.len()).map(str::to_owned);
        Self { text, word, wanted, from_start, open_end }
    }

    /// Where in a template's numbers the pattern's first one is, when the template has the pattern.
    fn find(&self, template: &str) -> Option<usize> {
        let ends_well =
            |at: usize| self.open_end || is_border(template[at + self.text.len()..].chars().next());
        if self.from_start {
            return (template.starts_with(&self.text) && ends_well(0)).then_some(0);
        }
        let mut starts = template.match_indices(self.text.as_str()).map(|(at, _)| at);
        let at = starts.find(|at| is_border(template[..*at].chars().next_back()) && ends_well(*at))?;
        Some(template[..at].matches('#').count())
    }

    fn fits(&self, numbers: [u16; NUMBERS], at: usize) -> bool {
        self.wanted.iter().enumerate().all(|(index, wanted)| match (wanted, numbers.get(at + index)) {
            (Some(wanted), Some(number)) => wanted == number,
            (Some(_), None) => false,
            (None, _) => true,
        })
    }
}

/// The words between the borders, without the numbers.
fn words(template: &str) -> impl Iterator<Item = &str> {
    template.split(['_', ':']).filter(|word| !word.is_empty() && *word != "#")
}

fn is_border(neighbour: Option<char>) -> bool {
    matches!(neighbour, None | Some('_' | ':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        let mut facts = Facts::default();
        for number in 0..19 {
            facts.add(
                "",
                &format!("double_blocks.{number}.img_attn.qkv"),
                Some(3072),
                Some(9216),
                &[9216, 3072],
            );
        }
        facts.add("", "input_blocks_4_1_transformer_blocks_0_attn2_to_k", Some(2048), Some(640), &[]);
        facts.add("te1:", "text_model_encoder_layers_3_mlp_fc1", Some(768), None, &[]);
        facts
    }

    #[test]
    fn both_spellings_are_one_template() {
        assert_eq!(flatten("a.12.b_c").0, flatten("a_7_b.c").0);
        assert_eq!(flatten("norm1.linear_2").0, "norm1_linear_#");
    }

    #[test]
    fn patterns_match_whole_words() {
        let facts = facts();
        assert!(facts.has("^double_blocks_#_img_attn"));
        assert!(facts.has("img_attn_qkv"));
        assert!(!facts.has("attn_qkv_x"));
        assert!(!facts.has("img_at"));
        assert!(facts.has("img_at*"));
        assert!(!facts.has("^img_attn_qkv"));
        assert!(facts.has("te1:text_model"));
        assert!(!facts.has("^text_model"));
    }

    #[test]
    fn numbers_are_kept_beside_the_template() {
        let facts = facts();
        assert_eq!(facts.blocks("^double_blocks_#"), Some(19));
        assert_eq!(facts.blocks("^single_blocks_#"), None);
        assert!(facts.has("input_blocks_4_1"));
        assert!(!facts.has("input_blocks_4_2"));
        assert_eq!(facts.blocks("transformer_blocks_#"), Some(1));
        assert!(facts.takes("attn2_to_k", 2048) && !facts.takes("attn2_to_k", 768));
        assert!(facts.gives("img_attn_qkv", 9216) && facts.side("img_attn_qkv", 1, 3072));
    }
}
