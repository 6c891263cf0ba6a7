//! Which members a torch zip may have, by their names.

use std::collections::HashSet;

use super::directory::Entry;
use crate::denial::{Checked, deny};

/// The longest member that says a version or the like, in bytes.
pub(super) const NOTE_CAP: u64 = 256;
/// The longest name of the folder that all members share.
const PREFIX_CAP: usize = 240;

/// What a member is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// `data.pkl`.
    Pickle,
    /// `data/N`.
    Storage,
    /// A version, an alignment, an id, the byte order.
    Note { byte_order: bool },
}

/// The role of each entry; all names share one folder, and no two are equal on any file system.
pub(super) fn roles(entries: &[Entry]) -> Checked<Vec<Role>> {
    let prefix =
        entries.first().and_then(|entry| entry.name.split_once('/')).map_or("", |(prefix, _)| prefix);
    if !is_prefix(prefix) {
        return deny("zip_name", "its members do not lie in one folder as torch.save writes them");
    }
    let mut seen = HashSet::with_capacity(entries.len());
    let mut roles = Vec::with_capacity(entries.len());
    for entry in entries {
        if !seen.insert(entry.name.to_ascii_lowercase()) {
            return deny("zip_duplicate", format!("it has two members named `{}`", shown(&entry.name)));
        }
        let inner = entry.name.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/'));
        roles.push(role(inner.unwrap_or(""), &entry.name)?);
    }
    Ok(roles)
}

fn role(inner: &str, name: &str) -> Checked<Role> {
    match inner {
        "data.pkl" => Ok(Role::Pickle),
        "byteorder" => Ok(Role::Note { byte_order: true }),
        "version" | ".format_version" | ".storage_alignment" | ".data/serialization_id" => {
            Ok(Role::Note { byte_order: false })
        }
        _ if is_storage(inner) => Ok(Role::Storage),
        _ if is_program(inner) => deny(
            "torchscript",
            format!(
                "it holds `{}`, the code of a TorchScript model: save its state_dict instead",
                shown(name)
            ),
        ),
        _ => deny("zip_name", format!("it has a member `{}` that torch.save does not write", shown(name))),
    }
}

fn is_storage(inner: &str) -> bool {
    let Some(key) = inner.strip_prefix("data/") else { return false };
    !key.is_empty() && key.len() <= 20 && key.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_program(inner: &str) -> bool {
    let python = inner.rsplit_once('.').is_some_and(|(_, ending)| ending.eq_ignore_ascii_case("py"));
    inner.starts_with("code/") || inner.starts_with("constants") || python
}

/// One folder name of printable ASCII.
fn is_prefix(prefix: &str) -> bool {
    let printable = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'\\' | b':');
    !matches!(prefix, "" | "." | "..") && prefix.len() <= PREFIX_CAP && prefix.bytes().all(printable)
}

fn shown(name: &str) -> String {
    crate::safetensors::display_name(name)
}
