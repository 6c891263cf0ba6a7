//! What a file's metadata and name claim. Hostile text, so it only ever narrows what the keys allow.

use std::collections::BTreeMap;

use super::words::{ARCHITECTURES, BASE_VERSIONS, NOISE_WORDS, TRAINERS, TRAINING, VARIANT_WORDS};

/// The most trigger words that are offered.
const TRIGGER_CAP: usize = 30;
/// The longest trigger word, in bytes.
const TRIGGER_LENGTH: usize = 200;

/// A word that may wake what an adapter has learned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TriggerWord {
    /// The word or phrase; hostile text.
    pub word: String,
    /// How many training images had it; none when the author names it.
    pub count: Option<u64>,
}

/// The metadata of a file by key, and its name.
pub(super) struct Claims<'a> {
    entries: BTreeMap<&'a str, &'a str>,
    file_name: String,
}

/// A base model that is claimed, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) base: &'static str,
    pub(super) variant: &'static str,
    pub(super) source: &'static str,
}

impl<'a> Claims<'a> {
    pub(super) fn new(entries: impl Iterator<Item = (&'a str, &'a str)>, file_name: &str) -> Self {
        Self { entries: entries.collect(), file_name: file_name.to_lowercase() }
    }

    fn get(&self, key: &str) -> Option<&'a str> {
        self.entries.get(key).copied().filter(|value| !value.is_empty() && *value != "None")
    }

    /// The base models that the metadata names; `modelspec` first.
    pub(super) fn bases(&self) -> Vec<Claim> {
        let architecture = self.get("modelspec.architecture").map(str::to_lowercase).and_then(|value| {
            let row = ARCHITECTURES.iter().find(|(start, ..)| value.starts_with(start))?;
            Some(Claim { base: row.1, variant: row.2, source: "modelspec.architecture" })
        });
        let version = self.get("ss_base_model_version").map(str::to_lowercase).and_then(|value| {
            let row = BASE_VERSIONS.iter().find(|(whole, ..)| *whole == value)?;
            Some(Claim { base: row.1, variant: row.2, source: "ss_base_model_version" })
        });
        version.into_iter().chain(architecture).collect()
    }

    /// A variant of `base` that only names can tell: a fine-tune, a distillation, the expert of a pair.
    pub(super) fn variant(&self, base: &str) -> Option<(&'static str, &'static str)> {
        let model = self.get("ss_sd_model_name").unwrap_or_default().to_lowercase();
        let title = self.get("modelspec.title").unwrap_or_default().to_lowercase();
        for (text, source) in
            [(&model, "ss_sd_model_name"), (&title, "modelspec.title"), (&self.file_name, "file name")]
        {
            let word = VARIANT_WORDS.iter().find(|(word, family, _)| *family == base && text.contains(word));
            if let Some((_, _, variant)) = word {
                return Some((variant, source));
            }
        }
        None
    }

    /// `high` or `low` for the experts of WAN 2.2, by whole words of the file's name.
    pub(super) fn noise(&self) -> Option<&'static str> {
        let is_border = |neighbour: Option<char>| neighbour.is_none_or(|letter| !letter.is_alphanumeric());
        let found = NOISE_WORDS.iter().find(|(word, _)| {
            self.file_name.match_indices(word).any(|(at, _)| {
                is_border(self.file_name[..at].chars().next_back())
                    && is_border(self.file_name[at + word.len()..].chars().next())
            })
        });
        found.map(|(_, role)| *role)
    }

    /// The program that trained it.
    pub(super) fn trainer(&self) -> Option<&'static str> {
        let row = TRAINERS.iter().find(|(key, part, _)| {
            self.entries.get(key).is_some_and(|value| value.to_lowercase().contains(part))
        });
        row.map(|(_, _, trainer)| *trainer)
    }

    /// What it says about the training, in a fixed order.
    pub(super) fn training(&self) -> Vec<(String, String)> {
        let entry = |key: &&str| Some(((*key).to_owned(), self.get(key)?.chars().take(2000).collect()));
        TRAINING.iter().filter_map(entry).collect()
    }

    /// A whole number of the metadata.
    pub(super) fn number(&self, key: &str) -> Option<f64> {
        self.get(key)?.parse().ok().filter(|value: &f64| value.is_finite())
    }

    /// `lora_alpha` of PEFT's configuration, when there is one value for all modules.
    pub(super) fn peft_alpha(&self) -> Option<f64> {
        let json: serde_json::Value = serde_json::from_str(self.get("lora_adapter_metadata")?).ok()?;
        let object = json.as_object()?;
        let value = object.iter().find(|(key, _)| key.rsplit('.').next() == Some("lora_alpha"))?.1;
        value.as_f64()
    }

    /// What the author names, then the tags of the training images by how often they were there.
    pub(super) fn trigger_words(&self) -> Vec<TriggerWord> {
        let phrase = self.get("modelspec.trigger_phrase").into_iter().flat_map(|text| text.split(','));
        let mut words: Vec<TriggerWord> = phrase.filter_map(|word| trigger(word, None)).collect();
        for (word, count) in self.tags() {
            if words.len() < TRIGGER_CAP && !words.iter().any(|known| known.word == word) {
                words.extend(trigger(&word, Some(count)));
            }
        }
        words.truncate(TRIGGER_CAP);
        words
    }

    fn tags(&self) -> Vec<(String, u64)> {
        type Frequencies = BTreeMap<String, BTreeMap<String, serde_json::Number>>;
        let text = self.get("ss_tag_frequency").unwrap_or_default();
        let folders: Frequencies = serde_json::from_str(text).unwrap_or_default();
        let mut sums: BTreeMap<String, u64> = BTreeMap::new();
        for (tag, count) in folders.into_values().flatten() {
            let sum = sums.entry(tag.trim().to_owned()).or_default();
            *sum = sum.saturating_add(count.as_u64().unwrap_or(0));
        }
        let mut tags: Vec<(String, u64)> = sums.into_iter().collect();
        tags.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        tags
    }
}

fn trigger(word: &str, count: Option<u64>) -> Option<TriggerWord> {
    let word = word.trim();
    let right = !word.is_empty() && word.len() <= TRIGGER_LENGTH && !word.contains(char::is_control);
    right.then(|| TriggerWord { word: word.to_owned(), count })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trigger_words_come_from_the_author_and_then_by_frequency() {
        let frequencies = r#"{"10_a": {"1girl": 10, "ohwx": 30}, "5_b": {"1girl": 25, " solo ": 1}}"#;
        let entries = [("ss_tag_frequency", frequencies), ("modelspec.trigger_phrase", "ohwx, my style")];
        let words = Claims::new(entries.into_iter(), "").trigger_words();
        let texts: Vec<&str> = words.iter().map(|word| word.word.as_str()).collect();
        assert_eq!(texts, ["ohwx", "my style", "1girl", "solo"]);
        assert_eq!(words[2].count, Some(35));
    }

    #[test]
    fn broken_frequencies_give_no_words() {
        for text in ["", "[]", "{\"a\": 1}", "{\"a\": {\"b\": \"c\"}}", "{"] {
            assert_eq!(Claims::new([("ss_tag_frequency", text)].into_iter(), "").trigger_words(), []);
        }
    }

    #[test]
    fn the_expert_is_a_whole_word_of_the_name() {
        let noise = |name: &str| Claims::new(std::iter::empty(), name).noise();
        assert_eq!(noise("Wan22_A14B_HIGH_noise.safetensors"), Some("high"));
        assert_eq!(noise("style-LN.safetensors"), Some("low"));
        for name in ["slow_motion", "yellow", "lowvram", "highlight", "wan22"] {
            assert_eq!(noise(name), None, "{name}");
        }
    }
}
