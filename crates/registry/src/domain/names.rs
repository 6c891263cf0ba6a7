//! Names from outside become paths here or nowhere.
//!
//! A name is judged by the rules of POSIX and of Windows on every host, since folders are shared between both. Hostile
//! names are refused with a suggestion; harmless ones (spaces, commas, Unicode letters) stay as they are (decision 16).

use std::borrow::Borrow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::Invalid;

/// The longest file or folder name, in bytes (the limit of common file systems).
const MAX_NAME_BYTES: usize = 255;
/// The deepest folder below the models root.
const MAX_DEPTH: usize = 16;
/// The longest path below the models root, in bytes.
const MAX_PATH_BYTES: usize = 1024;
/// The extensions of model files.
const MODEL_EXTENSIONS: [&str; 10] =
    ["safetensors", "sft", "gguf", "ckpt", "pt", "pt2", "pth", "bin", "onnx", "pkl"];
/// Names that Windows keeps for devices, whatever follows the first dot.
const RESERVED: [&str; 26] = [
    "con", "prn", "aux", "nul", "com0", "com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8",
    "com9", "lpt0", "lpt1", "lpt2", "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9", "conin$",
    "conout$",
];

/// One file name that is safe on every host: no separator, no control character, no reserved or trailing form.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SafeName(Arc<str>);

/// A folder below the models root, such as `loras/WanVideo`; the root itself when empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ModelFolder(Arc<str>);

/// A file below the models root: folder and name. What makes an entry unique within its catalog.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelPath {
    /// The folder (the contract's `dest`).
    pub folder: ModelFolder,
    /// The file name.
    pub file: SafeName,
}

impl SafeName {
    /// Judges `name`; `field` is what the caller calls it.
    pub fn parse(field: &str, name: &str) -> Result<Self, Invalid> {
        match fault(name) {
            None => Ok(Self(name.into())),
            Some(fault) => Err(Invalid {
                code: "unsafe_name",
                field: field.to_owned(),
                message: format!("{field} {} {fault}", shown(name)),
                suggestion: suggestion(name),
            }),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether its extension is one that programs load models from.
    pub fn is_model(&self) -> bool {
        let extension = self.0.rsplit_once('.').map(|(_, extension)| extension);
        extension.is_some_and(|own| MODEL_EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(own)))
    }

    /// The name without its last extension.
    pub fn stem(&self) -> &str {
        self.0.rsplit_once('.').map_or(&self.0, |(stem, _)| stem)
    }
}

impl ModelFolder {
    /// Judges a folder with `/` between its parts; empty is the root.
    pub fn parse(field: &str, folder: &str) -> Result<Self, Invalid> {
        if folder.is_empty() {
            return Ok(Self::default());
        }
        let parts: Vec<&str> = folder.split('/').collect();
        let fault = if folder.len() > MAX_PATH_BYTES {
            Some(format!("is longer than {MAX_PATH_BYTES} bytes"))
        } else if parts.len() > MAX_DEPTH {
            Some(format!("is more than {MAX_DEPTH} folders deep"))
        } else {
            parts.iter().find_map(|part| fault(part))
        };
        let Some(fault) = fault else { return Ok(Self(folder.into())) };
        let kept: Vec<String> = parts.iter().take(MAX_DEPTH).filter_map(|part| suggestion(part)).collect();
        Err(Invalid {
            code: "unsafe_name",
            field: field.to_owned(),
            message: format!("{field} {} {fault}", shown(folder)),
            suggestion: (!kept.is_empty()).then(|| kept.join("/")),
        })
    }

    /// A folder in this one; only the new part is judged.
    pub fn child(&self, name: &str) -> Result<Self, Invalid> {
        let depth = if self.0.is_empty() { 0 } else { self.0.split('/').count() };
        let name = SafeName::parse("dest", name)?;
        let path = if self.0.is_empty() { name.0 } else { format!("{}/{name}", self.0).into() };
        if depth < MAX_DEPTH && path.len() <= MAX_PATH_BYTES {
            Ok(Self(path))
        } else {
            Self::parse("dest", &path)
        }
    }

    /// Whether it is that folder or one below it.
    pub fn is_in(&self, other: &Self) -> bool {
        other.holds(&self.0)
    }

    /// Whether a path below the models root lies in it, or is it.
    pub(crate) fn holds(&self, path: &str) -> bool {
        let rest = path.strip_prefix(&*self.0);
        self.0.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The folder as text, `/` between parts.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path below `root`.
    pub fn below(&self, root: &Path) -> PathBuf {
        if self.0.is_empty() { root.to_owned() } else { root.join(&*self.0) }
    }
}

impl Borrow<str> for ModelFolder {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl ModelPath {
    /// Judges both parts; the fields are called `dest` and `file` as in the contract.
    pub fn parse(folder: &str, file: &str) -> Result<Self, Invalid> {
        Ok(Self { folder: ModelFolder::parse("dest", folder)?, file: SafeName::parse("file", file)? })
    }

    /// Judges a path below the models root with `/` between its parts.
    pub fn parse_relative(field: &str, path: &str) -> Result<Self, Invalid> {
        let (folder, file) = match path.rsplit_once('/') {
            // An absolute path: its empty first part is refused below.
            Some(("", file)) => ("/", file),
            Some(parts) => parts,
            None => ("", path),
        };
        Ok(Self { folder: ModelFolder::parse(field, folder)?, file: SafeName::parse(field, file)? })
    }

    /// The path below `root`.
    pub fn below(&self, root: &Path) -> PathBuf {
        self.folder.below(root).join(&*self.file.0)
    }

    /// The path when its folder, or one above it, is called `to` and not `from`; `None` when it does not lie there.
    pub(crate) fn moved(&self, from: &ModelFolder, to: &ModelFolder) -> Option<Self> {
        if !self.folder.is_in(from) || from.0.is_empty() {
            return None;
        }
        let rest = &self.folder.0[from.0.len()..];
        let folder = format!("{}{rest}", to.0);
        let folder = folder.strip_prefix('/').unwrap_or(&folder);
        Some(Self { folder: ModelFolder(folder.into()), file: self.file.clone() })
    }

    /// The path below the models root as text, such as `loras/a.safetensors`.
    pub fn relative(&self) -> String {
        if self.folder.0.is_empty() {
            self.file.to_string()
        } else {
            format!("{}/{}", self.folder.0, self.file.0)
        }
    }
}

impl fmt::Display for SafeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ModelFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ModelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.relative())
    }
}

/// What is wrong with one name, if anything.
fn fault(name: &str) -> Option<String> {
    let text = |text: &str| Some(text.to_owned());
    if name.is_empty() {
        return text("is empty");
    }
    if name.len() > MAX_NAME_BYTES {
        return Some(format!("is longer than {MAX_NAME_BYTES} bytes"));
    }
    if name == "." || name == ".." {
        return text("is a way to another folder, not a name");
    }
    if let Some(character) = name.chars().find(|&character| is_forbidden(character)) {
        return Some(format!("holds {}, which is not safe in a file name", named(character)));
    }
    if name.starts_with(['.', ' ', '-', '~']) {
        return text("starts with a dot, a space, a dash or a tilde");
    }
    if name.ends_with(['.', ' ']) {
        return text("ends with a dot or a space, which Windows drops");
    }
    is_reserved(name).then(|| "is a device name on Windows".to_owned())
}

/// Separators and what Windows forbids, control characters, what changes the reading direction or cannot be seen, and
/// characters that another program's normalisation turns into separators or dots.
fn is_forbidden(character: char) -> bool {
    character.is_control()
        || matches!(character, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|')
        || matches!(
            character,
            '\u{2044}' | '\u{2215}' | '\u{29F8}' | '\u{29F9}' | '\u{FE68}' | '\u{FF0F}' | '\u{FF3C}'
        )
        || matches!(character, '\u{2024}'..='\u{2026}' | '\u{FE52}' | '\u{FF0E}' | '\u{FF1A}')
        || matches!(character, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}')
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{00AD}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFD}')
}

fn is_reserved(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).trim_end().to_lowercase();
    let stem = stem.replace('\u{b9}', "1").replace('\u{b2}', "2").replace('\u{b3}', "3");
    RESERVED.contains(&stem.as_str())
}

/// A safe name that is close to `name`, if one can be made.
fn suggestion(name: &str) -> Option<String> {
    let name = name.rsplit(['/', '\\']).find(|part| !part.trim_matches(['.', ' ']).is_empty())?;
    let clean: String =
        name.chars().map(|character| if is_forbidden(character) { '_' } else { character }).collect();
    let clean = clean.trim_start_matches(['.', ' ', '-', '~']).trim_end_matches(['.', ' ']);
    let clean = if is_reserved(clean) { format!("_{clean}") } else { clean.to_owned() };
    let clean = shortened(&clean);
    (fault(&clean).is_none()).then_some(clean)
}

/// Cuts the stem so that name and extension fit.
fn shortened(name: &str) -> String {
    if name.len() <= MAX_NAME_BYTES {
        return name.to_owned();
    }
    let (stem, extension) = match name.rsplit_once('.') {
        Some((stem, extension)) if extension.len() <= 16 => (stem, format!(".{extension}")),
        _ => (name, String::new()),
    };
    let mut end = (MAX_NAME_BYTES - extension.len()).min(stem.len());
    while !stem.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{extension}", stem[..end].trim_end_matches(['.', ' ']))
}

fn named(character: char) -> String {
    if character.is_control() || is_invisible(character) {
        format!("the character U+{:04X}", u32::from(character))
    } else {
        format!("`{character}`")
    }
}

fn is_invisible(character: char) -> bool {
    matches!(character, '\u{AD}' | '\u{200B}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFD}')
}

/// The name for a message: quoted, escaped and cut.
fn shown(name: &str) -> String {
    let cut: String = name.chars().take(80).flat_map(char::escape_default).collect();
    let tail = if name.chars().count() > 80 { "…" } else { "" };
    format!("`{cut}{tail}`")
}

#[cfg(test)]
mod tests {
    use std::path::Component;

    use super::*;

    #[test]
    fn harmless_names_stay_as_they_are() {
        for name in [
            "Watercolor Motion, soft wash v1.safetensors",
            "モデル.safetensors",
            "a.b.c.pt",
            "x'y (1) [b]&.ckpt",
            "é",
        ] {
            assert_eq!(SafeName::parse("file", name).expect("harmless").as_str(), name);
        }
    }

    #[test]
    fn hostile_names_are_refused() {
        let hostile = [
            "",
            ".",
            "..",
            "../x",
            "..\\x",
            "a/b",
            "/etc/x",
            "C:\\x",
            "C:x",
            "a:b",
            "~/x",
            "x\0y",
            "x\ny",
            "x\u{7f}",
            "．．／",
            "‥",
            "a\u{2215}b",
            "a\u{202e}b",
            "a\u{200b}",
            "\u{feff}a",
            "CON",
            "nul.safetensors",
            "con .pt",
            "COM¹",
            "CONIN$",
            "LPT9.pt",
            "x.",
            "x ",
            ".x",
            "-x",
            " x",
            "a*b",
            "a?b",
            "a|b",
            "<img onerror>",
            "a\"b",
        ];
        for name in hostile {
            assert!(SafeName::parse("file", name).is_err(), "{name:?} must be refused");
        }
        assert!(SafeName::parse("file", &"x".repeat(255)).is_ok());
        assert!(SafeName::parse("file", &"x".repeat(256)).is_err());
        assert!(SafeName::parse("file", &"é".repeat(128)).is_err());
    }

    #[test]
    fn a_refusal_offers_a_name_that_is_accepted() {
        for name in [
            "../x.safetensors",
            "C:\\models\\a.pt",
            "nul.safetensors",
            "a:b.ckpt",
            " x .pt ",
            &"y".repeat(400),
        ] {
            let refused = SafeName::parse("file", name).expect_err("hostile");
            let offer = refused.suggestion.expect("a suggestion");
            assert!(SafeName::parse("file", &offer).is_ok(), "{offer:?}");
        }
    }

    #[test]
    fn folders_are_judged_part_by_part() {
        assert!(ModelFolder::parse("dest", "diffusion_models/WanVideo/2_2").is_ok());
        assert!(ModelFolder::parse("dest", "").is_ok());
        for folder in ["../x", "a/../b", "/a", "a/", "a//b", "a\\b", ".lorakeep", "a/.lorakeep/b"] {
            assert!(ModelFolder::parse("dest", folder).is_err(), "{folder:?} must be refused");
        }
        assert!(ModelFolder::parse("dest", &["a"; 17].join("/")).is_err());
    }

    proptest::proptest! {
        #[test]
        fn an_accepted_name_is_one_part_on_every_host(name in ".{0,40}", folder in "[a-zA-Z./\\\\:~ -]{0,12}") {
            for name in [name, folder] {
                match SafeName::parse("file", &name) {
                    Ok(safe) => {
                        let path = Path::new(safe.as_str());
                        proptest::prop_assert_eq!(path.file_name().and_then(|own| own.to_str()), Some(name.as_str()));
                        proptest::prop_assert!(!name.contains(['/', '\\', ':', '\0']) && name.trim() == name);
                        let below = ModelPath::parse("", &name).unwrap().below(Path::new("/root"));
                        proptest::prop_assert_eq!(below.parent(), Some(Path::new("/root")));
                    }
                    Err(refused) => {
                        let offer = refused.suggestion.map(|offer| SafeName::parse("file", &offer).is_ok());
                        proptest::prop_assert!(offer.unwrap_or(true));
                    }
                }
            }
        }

        #[test]
        fn an_accepted_path_stays_below_the_root(path in "[a-c./\\\\]{0,16}") {
            if let Ok(path) = ModelPath::parse_relative("path", &path) {
                let below = path.below(Path::new("/root"));
                let is_plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
                proptest::prop_assert!(below.starts_with("/root") && below.components().all(is_plain));
                proptest::prop_assert_eq!(ModelPath::parse_relative("path", &path.relative()), Ok(path));
            }
        }
    }
}
