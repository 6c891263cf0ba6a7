//! Names that people read, made from what CivitAI says.
//!
//! Uploaders repeat the model's name in the version's, add emoji and marketing in brackets, and put the version into the
//! model's name. The steps here are the studio contract's, so that a name comes out the same as in a studio of today.

/// `Model version [base FP]`, cleaned (the contract's rule for fetched metadata).
pub fn cleaned_name(model: &str, version: &str, base_model: &str, precision: &str) -> String {
    let mut model = plain(model);
    let version = without_brackets(&plain(version));
    if let Some(number) = leading_number(&version) {
        model = without_trailing_version(&model, &version, number);
    }
    let version = version_rest(&model, &version);
    collapsed(&format!("{model} {version} {}", bracket(base_model, precision)))
}

/// `Model version [base FP]` as it stands, the version left out when it repeats the model (the contract's rule for adding).
pub fn added_name(model: &str, version: &str, base_model: &str, precision: &str) -> String {
    let version = if version.to_lowercase() == model.to_lowercase() { "" } else { version };
    collapsed(&format!("{model} {version} {}", bracket(base_model, precision)))
}

/// `[base FP]`; empty when both are.
fn bracket(base_model: &str, precision: &str) -> String {
    let precision = precision.to_uppercase();
    let precision = if precision == "NONE" { "" } else { &precision };
    let inside = collapsed(&format!("{base_model} {precision}"));
    if inside.is_empty() { inside } else { format!("[{inside}]") }
}

/// Without Chinese characters, their punctuation, emoji and symbols.
fn plain(text: &str) -> String {
    let is_dropped = |character: char| {
        matches!(character, '\u{4E00}'..='\u{9FFF}' | '\u{3000}'..='\u{303F}')
            || matches!(character, '\u{1F000}'..='\u{1FFFF}' | '\u{2600}'..='\u{27BF}' | '\u{FE00}'..='\u{FEFF}')
    };
    text.chars().filter(|&character| !is_dropped(character)).collect::<String>().trim().to_owned()
}

/// Drops `(…)` with 12 or more characters inside, then all brackets.
fn without_brackets(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('(') {
        let Some(length) = rest[open..].find(')') else { break };
        let inside = &rest[open + 1..open + length];
        kept.push_str(&rest[..open]);
        if inside.chars().count() < 12 {
            kept.push_str(&rest[open..=open + length]);
        }
        rest = &rest[open + length + 1..];
    }
    kept.push_str(rest);
    kept.replace(['(', ')', '[', ']', '{', '}'], "").trim().to_owned()
}

/// The number that a version begins with, without its `v`: `1.5` of `v1.5 pruned`.
fn leading_number(version: &str) -> Option<&str> {
    let digits = version.strip_prefix(['v', 'V']).unwrap_or(version);
    let end = digits
        .find(|character: char| !character.is_ascii_digit() && character != '.')
        .unwrap_or(digits.len());
    Some(digits[..end].trim_end_matches('.'))
        .filter(|number| number.starts_with(|c: char| c.is_ascii_digit()))
}

/// Cuts the version, or its bare number, from the end of the model's name.
fn without_trailing_version(model: &str, version: &str, number: &str) -> String {
    let lettered_end =
        version.len() - version.strip_prefix(['v', 'V']).unwrap_or(version).len() + number.len();
    for tail in [&version[..lettered_end], number] {
        let Some(start) = model.len().checked_sub(tail.len()).filter(|&start| model.is_char_boundary(start))
        else {
            continue;
        };
        if start > 0 && model[start..].eq_ignore_ascii_case(tail) {
            return model[..start].trim_end_matches([' ', '-', '_']).to_owned();
        }
    }
    model.to_owned()
}

/// What the version says beyond the model's name.
fn version_rest(model: &str, version: &str) -> String {
    let folded = |text: &str| text.to_lowercase().replace('_', " ");
    let (model_folded, version_folded) = (folded(model), folded(version));
    if !model_folded.is_empty() && version_folded.starts_with(&model_folded) {
        let skipped = model_folded.chars().count();
        let rest: String = version.chars().skip(skipped).collect();
        return rest.trim_start_matches([' ', '_', '-']).to_owned();
    }
    let words: Vec<&str> = model_folded.split_whitespace().collect();
    let spaced = version.replace('_', " ");
    spaced
        .split_whitespace()
        .filter(|token| !repeats_a_word(&token.to_lowercase(), &words))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Whether a version token says only what a word of the model's name says.
fn repeats_a_word(token: &str, words: &[&str]) -> bool {
    let without_v = |text: &str| text.trim_start_matches('v').to_owned();
    let is_long = |text: &str| text.chars().count() >= 5;
    words.iter().any(|word| {
        token == *word
            || (!without_v(token).is_empty() && without_v(token) == without_v(word))
            || (is_long(token) && is_long(word) && (token.starts_with(word) || word.starts_with(token)))
    })
}

fn collapsed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_repeats_the_model_is_left_out() {
        assert_eq!(
            cleaned_name("EasyNegative", "EasyNegative", "SD 1.5", "fp16"),
            "EasyNegative [SD 1.5 FP16]"
        );
        assert_eq!(
            cleaned_name("veryBadImageNegative", "veryBadImageNegative_v1.3", "SD 1.5", "fp16"),
            "veryBadImageNegative v1.3 [SD 1.5 FP16]"
        );
    }

    #[test]
    fn a_version_number_at_the_end_of_the_model_is_not_said_twice() {
        assert_eq!(cleaned_name("Dream Shaper v8", "v8", "SD 1.5", ""), "Dream Shaper v8 [SD 1.5]");
        assert_eq!(
            cleaned_name("Dream Shaper 8", "v8 pruned", "SD 1.5", "fp16"),
            "Dream Shaper v8 pruned [SD 1.5 FP16]"
        );
    }

    #[test]
    fn emoji_marketing_and_empty_parts_vanish() {
        assert_eq!(
            cleaned_name("🔥 Soft Wash 🎨", "v2 (now with twice the colour)", "", "none"),
            "Soft Wash v2"
        );
        assert_eq!(cleaned_name("水彩 Wash", "1.0", "Flux.1 D", ""), "Wash 1.0 [Flux.1 D]");
        assert_eq!(cleaned_name("", "", "", ""), "");
    }

    #[test]
    fn added_entries_keep_the_words_as_they_stand() {
        assert_eq!(added_name("Soft Wash", "soft wash", "SDXL 1.0", "fp16"), "Soft Wash [SDXL 1.0 FP16]");
        assert_eq!(added_name("Soft Wash", "v2 (new)", "", ""), "Soft Wash v2 (new)");
    }

    proptest::proptest! {
        #[test]
        fn any_names_give_a_name(model in ".{0,40}", version in ".{0,40}", base in ".{0,10}", precision in ".{0,6}") {
            let name = cleaned_name(&model, &version, &base, &precision);
            proptest::prop_assert!(!name.contains("  "));
        }
    }
}
