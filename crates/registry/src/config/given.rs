//! What was given for each setting, and by whom: flags, then environment, then `lorakeep.toml`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::Value;
use url::Url;

use super::known::{ALL, DATA_DIR, Known, Secrecy};
use super::{ConfigFlags, ValueOrigin};
use crate::error::{Error, Result};

/// The name of the file in the data folder.
pub(super) const FILE_NAME: &str = "lorakeep.toml";

/// One given value, not yet understood.
#[derive(Clone)]
pub(super) struct Given {
    pub(super) known: Known,
    pub(super) text: String,
    pub(super) origin: ValueOrigin,
}

/// Everything that was given, by the setting's name.
pub(super) struct AllGiven {
    values: BTreeMap<&'static str, Given>,
    /// Absolute path of the data folder; relative paths in the file are below it.
    pub(super) data_dir: PathBuf,
}

impl AllGiven {
    /// Collects all sources; the data folder is needed first, since the file lies in it.
    pub(super) fn collect(flags: &ConfigFlags, env: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        let mut values = BTreeMap::new();
        for &known in ALL {
            let flag = flags.text_of(known.name).map(|text| (text, ValueOrigin::Flag));
            let given =
                flag.or_else(|| known.environment.and_then(env).map(|text| (text, ValueOrigin::Environment)));
            if let Some((text, origin)) = given {
                keep(&mut values, Given { known, text, origin })?;
            }
        }
        let data_dir =
            values.get(DATA_DIR.name).map_or(DATA_DIR.default.unwrap_or_default(), |given| &given.text);
        let data_dir = absolute(Path::new(data_dir))?;
        for (known, text) in read_file(&data_dir.join(FILE_NAME))? {
            if !values.contains_key(known.name) {
                keep(&mut values, Given { known, text, origin: ValueOrigin::File })?;
            }
        }
        Ok(Self { values, data_dir })
    }

    /// What was given, or the default; `None` when there is neither.
    pub(super) fn get(&self, known: Known) -> Option<Given> {
        let default =
            known.default.map(|text| Given { known, text: text.to_owned(), origin: ValueOrigin::Default });
        self.values.get(known.name).cloned().or(default)
    }
}

impl Given {
    /// The error for a value that cannot be used; secret values are not repeated.
    pub(super) fn wrong(&self, what: impl fmt::Display) -> Error {
        let value =
            if self.known.secrecy == Secrecy::Open { format!(" `{}`", self.text) } else { String::new() };
        Error::invalid("bad_configuration", self.known.name, format!("{}{value} {what}", self.source()))
    }

    /// Who said it, for people.
    fn source(&self) -> String {
        let Known { name, environment, flag, .. } = self.known;
        match self.origin {
            ValueOrigin::Flag => format!("the flag `{}`", flag.unwrap_or(name)),
            ValueOrigin::Environment => format!("the environment variable `{}`", environment.unwrap_or(name)),
            ValueOrigin::File => format!("`{name}` in `{FILE_NAME}`"),
            ValueOrigin::Default => format!("the default of `{name}`"),
        }
    }

    /// The value for people: secrets and passwords are masked.
    pub(super) fn shown(&self) -> String {
        match self.known.secrecy {
            Secrecy::Open => self.text.clone(),
            Secrecy::Token | Secrecy::Key => "********".to_owned(),
            Secrecy::Address => without_password(&self.text),
        }
    }
}

/// Judges a value's form and keeps it; an empty one counts as unset unless it would let everybody in.
fn keep(values: &mut BTreeMap<&'static str, Given>, given: Given) -> Result<()> {
    if given.text.chars().any(char::is_control) {
        return Err(given.wrong_without_value("holds a control character (a line break, perhaps); remove it"));
    }
    if given.text.trim().is_empty() {
        if given.known.secrecy == Secrecy::Key {
            return Err(given.wrong_without_value("is empty; give it a value or leave it out"));
        }
        return Ok(());
    }
    values.insert(given.known.name, given);
    Ok(())
}

impl Given {
    fn wrong_without_value(&self, what: &str) -> Error {
        Error::invalid("bad_configuration", self.known.name, format!("{} {what}", self.source()))
    }
}

/// The settings of the file as texts; no file gives none.
fn read_file(path: &Path) -> Result<Vec<(Known, String)>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(wrong_file(path, &error.to_string())),
    };
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        wrong_file(path, &format!("line {line}: {}", error.message()))
    })?;
    let mut settings = Vec::new();
    flatten(path, "", &table, &mut settings)?;
    Ok(settings)
}

fn flatten(
    path: &Path,
    section: &str,
    table: &toml::Table,
    settings: &mut Vec<(Known, String)>,
) -> Result<()> {
    for (key, value) in table {
        let name = if section.is_empty() { key.clone() } else { format!("{section}.{key}") };
        if let Value::Table(inner) = value {
            flatten(path, &name, inner, settings)?;
            continue;
        }
        let known = ALL.iter().copied().find(|known| known.name == name && known.name != DATA_DIR.name);
        let known = known.ok_or_else(|| wrong_file(path, &unknown(&name)))?;
        let text = written(value).ok_or_else(|| {
            wrong_file(path, &format!("`{name}` must be a text, a number, true or false, or a list of texts"))
        })?;
        settings.push((known, text));
    }
    Ok(())
}

/// Says what an unknown name may have meant: the setting that ends like it, or all names.
fn unknown(name: &str) -> String {
    let last = name.rsplit('.').next().unwrap_or(name);
    let close =
        ALL.iter().find(|known| known.name != DATA_DIR.name && known.name.rsplit('.').next() == Some(last));
    match close {
        Some(known) => format!("`{name}` is not a setting; did you mean `{}`?", known.name),
        None => format!("`{name}` is not a setting; `lorakeep config show` lists all of them"),
    }
}

/// A TOML value as it would be written on the command line.
fn written(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Boolean(flag) => Some(flag.to_string()),
        Value::Array(items) => {
            let texts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
            texts.map(|texts| texts.join(","))
        }
        _ => None,
    }
}

fn wrong_file(path: &Path, what: &str) -> Error {
    Error::invalid("bad_configuration", FILE_NAME, format!("`{}` cannot be used: {what}", path.display()))
}

/// The path without `.` and relative to nothing; it need not exist.
pub(super) fn absolute(path: &Path) -> Result<PathBuf> {
    let path = std::path::absolute(path).map_err(|error| {
        Error::invalid("bad_configuration", "path", format!("`{}`: {error}", path.display()))
    })?;
    Ok(path.components().collect())
}

/// An address with its password masked; a text that is no address is masked whole.
fn without_password(text: &str) -> String {
    let Ok(mut url) = Url::parse(text) else { return "********".to_owned() };
    if url.password().is_some() && url.set_password(Some("********")).is_err() {
        return "********".to_owned();
    }
    let is_secret = |name: &str| matches!(name, "password" | "token" | "sslpassword");
    if url.query_pairs().any(|(name, _)| is_secret(&name)) {
        url.set_query(Some("********"));
    }
    url.to_string()
}
