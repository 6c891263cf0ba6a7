//! Writing a setting into `lorakeep.toml`, in front of what is there, so that nothing of it is touched.

use std::path::Path;

use super::given::FILE_NAME;
use super::known::ALL;
use crate::error::{Error, Result};
use crate::files::{io_error, replace_file};

/// Writes a setting that the file of that data folder does not hold yet; it counts from the next start.
///
/// `Invalid` when the name is no setting, `Conflict` (`setting_taken`) when the file cannot take it in front.
pub fn remember_setting(data_dir: &Path, name: &str, value: &str) -> Result<()> {
    if !ALL.iter().any(|known| known.name == name) {
        return Err(Error::invalid("bad_configuration", name, format!("`{name}` is not a setting")));
    }
    let path = data_dir.join(FILE_NAME);
    let old = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(io_error(&format!("`{}` cannot be read", path.display()), error)),
    };
    // A JSON text is a TOML text as well.
    let line = format!("{name} = {}\n", serde_json::Value::from(value));
    let text = format!("{line}{old}");
    // A table of the same name further down, or the setting itself, makes the whole unreadable.
    if text.parse::<toml::Table>().is_err() {
        let message =
            format!("`{}` cannot take `{}`; write it there yourself", path.display(), line.trim_end());
        return Err(Error::conflict("setting_taken", message));
    }
    replace_file(&path, text.as_bytes(), || true)
        .map(drop)
        .map_err(|error| io_error(&format!("`{}` cannot be written", path.display()), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_goes_in_front_of_what_is_there_and_never_twice() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        remember_setting(folder.path(), "comfyui.dir", "/a \"b\"\\c").unwrap();
        std::fs::write(&path, format!("{}[bin]\ndays = 3 # mine\n", std::fs::read_to_string(&path).unwrap()))
            .unwrap();
        remember_setting(folder.path(), "models_dir", "/models").unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with("models_dir = \"/models\"\ncomfyui.dir = ")
                && text.ends_with("days = 3 # mine\n"),
            "{text}"
        );
        let table: toml::Table = text.parse().unwrap();
        assert_eq!(table["comfyui"]["dir"].as_str(), Some("/a \"b\"\\c"));
        for name in ["models_dir", "bin.days"] {
            assert_eq!(
                remember_setting(folder.path(), name, "x").unwrap_err().code(),
                "setting_taken",
                "{name}"
            );
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "a refusal leaves the file as it was");
        assert_eq!(remember_setting(folder.path(), "unknown", "x").unwrap_err().code(), "bad_configuration");
    }
}
