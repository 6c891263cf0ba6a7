//! Files that the user names: they are looked up before anything is done, and a name that no catalog knows gets the names
//! that it may have meant.

use crate::api::{Api, Entry, FileName, Reply};
use crate::failure::{Failure, Result};

/// The most names that are offered.
const MAX_OFFERS: usize = 3;

/// The entries of these names, in their order; the first that does not exist is the failure.
pub(crate) async fn resolve(names: &[String], api: &Api) -> Result<Vec<(FileName, Reply<Entry>)>> {
    let mut entries = Vec::with_capacity(names.len());
    for name in names {
        let file = FileName::parse(name);
        match api.entry(&file).await {
            Ok(entry) => entries.push((file, entry)),
            Err(failure) if failure.hint.is_none() => return Err(with_offers(failure, &file, api).await),
            Err(failure) => return Err(failure),
        }
    }
    Ok(entries)
}

async fn with_offers(failure: Failure, name: &FileName, api: &Api) -> Failure {
    let Ok(entries) = api.entries().await else { return failure };
    let offers = close_to(&name.file, entries.iter().map(|entry| entry.data.file.as_str()));
    if entries.is_empty() {
        return failure
            .hint("the catalog is empty: `lorakeep add REFERENCE` or `lorakeep import --builtin` fills it");
    }
    if offers.is_empty() {
        return failure
            .hint("`lorakeep list` shows what the catalogs know, `lorakeep add` puts more into them");
    }
    let offers: Vec<String> = offers.into_iter().map(|offer| format!("`{offer}`")).collect();
    failure.hint(format!("did you mean {}?", offers.join(" or ")))
}

/// Names that share the most with what was typed: letters and digits only, case aside.
fn close_to<'a>(wanted: &str, known: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let wanted = essence(wanted);
    let mut scored: Vec<(f64, &str)> = known
        .map(|name| (likeness(&wanted, &essence(name)), name))
        .filter(|(score, _)| *score >= 0.6)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.dedup_by_key(|(_, name)| *name);
    scored.into_iter().map(|(_, name)| name).take(MAX_OFFERS).collect()
}

/// The name without its extension, its punctuation and its case.
fn essence(name: &str) -> String {
    let stem = match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() && extension.len() <= 11 => stem,
        _ => name,
    };
    stem.chars().filter(|character| character.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// 1 when equal; the share of common pairs of neighbours (Dice's coefficient) else; a part of a name counts much.
fn likeness(wanted: &str, name: &str) -> f64 {
    if wanted == name {
        return 1.0;
    }
    if wanted.len() >= 4 && name.contains(wanted) {
        return 0.9;
    }
    let pairs = |text: &str| -> Vec<(char, char)> { text.chars().zip(text.chars().skip(1)).collect() };
    let (left, mut right) = (pairs(wanted), pairs(name));
    let all = left.len() + right.len();
    if all == 0 {
        return 0.0;
    }
    let common = left.iter().filter(|pair| {
        right.iter().position(|other| other == *pair).map(|at| right.swap_remove(at)).is_some()
    });
    2.0 * common.count() as f64 / all as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 4] = [
        "flux1-dev-fp8.safetensors",
        "flux1-schnell-fp8.safetensors",
        "ae.safetensors",
        "wan_2.1_vae.safetensors",
    ];

    #[test]
    fn a_name_that_is_almost_right_is_offered() {
        assert_eq!(close_to("Flux1_dev_fp8.safetensors", KNOWN.into_iter()), ["flux1-dev-fp8.safetensors"]);
        assert_eq!(close_to("wan2.1vae", KNOWN.into_iter()), ["wan_2.1_vae.safetensors"]);
        assert_eq!(close_to("schnell", KNOWN.into_iter()), ["flux1-schnell-fp8.safetensors"]);
    }

    #[test]
    fn a_name_of_something_else_gets_no_offer() {
        assert!(close_to("sd_xl_base_1.0.safetensors", KNOWN.into_iter()).is_empty());
        assert!(close_to("", KNOWN.into_iter()).is_empty());
    }
}
