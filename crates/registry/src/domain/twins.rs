//! Names that are one file on some file systems and two on others: they differ only by case or by the form of their
//! Unicode characters.
//!
//! Both stay as they are where they exist already. Nothing new is made beside its twin, so that a library can be copied to
//! a file system that folds them.

use unicode_normalization::UnicodeNormalization;

use super::{ModelFolder, ModelPath};

impl ModelPath {
    /// Whether that is this path, or one that a file system may take for it.
    pub(crate) fn is_twin_of(&self, other: &Self) -> bool {
        is_twin(self.file.as_str(), other.file.as_str()) && self.folder.is_twin_of(&other.folder)
    }
}

impl ModelFolder {
    fn is_twin_of(&self, other: &Self) -> bool {
        is_twin(self.as_str(), other.as_str())
    }
}

fn is_twin(one: &str, other: &str) -> bool {
    if one.is_ascii() && other.is_ascii() {
        return one.eq_ignore_ascii_case(other);
    }
    one == other || folded(one) == folded(other)
}

/// Without case and in one Unicode form. By the upper case first: `ß` and `ſ` have no other way to `ss` and `s`.
fn folded(text: &str) -> String {
    text.nfd().collect::<String>().to_uppercase().to_lowercase().nfc().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> ModelPath {
        ModelPath::parse_relative("path", text).unwrap()
    }

    #[test]
    fn names_that_fold_to_one_are_twins() {
        for (one, other) in [
            ("loras/a.safetensors", "loras/A.safetensors"),
            ("loras/a.safetensors", "LoRAs/a.SAFETENSORS"),
            ("loras/\u{e9}.pt", "loras/e\u{301}.pt"),
            ("loras/\u{c9}.pt", "loras/e\u{301}.pt"),
            ("loras/stra\u{df}e.pt", "loras/STRASSE.pt"),
            ("loras/\u{3c3}.pt", "loras/\u{3c2}.pt"),
            ("loras/\u{1100}\u{1161}.pt", "loras/\u{ac00}.pt"),
            ("loras/a.pt", "loras/a.pt"),
        ] {
            assert!(path(one).is_twin_of(&path(other)), "{one} {other}");
            assert!(path(other).is_twin_of(&path(one)), "{other} {one}");
        }
    }

    #[test]
    fn names_that_no_file_system_folds_are_none() {
        for (one, other) in [
            ("loras/a.pt", "loras/b.pt"),
            ("loras/a.pt", "vae/a.pt"),
            ("loras/a.pt", "a.pt"),
            ("loras/\u{e9}.pt", "loras/e.pt"),
            ("loras/\u{fb01}x.pt", "loras/f1x.pt"),
            ("loras/\u{131}.pt", "loras/i\u{307}.pt"),
        ] {
            assert!(!path(one).is_twin_of(&path(other)), "{one} {other}");
        }
    }
}
