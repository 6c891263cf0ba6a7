//! Torch files from 0.1.10 to 1.5: five pickles in a row, then every storage as a count and its bytes.
//!
//! magic, protocol 1001, facts about the machine, the object, the keys of the storages in the order in
//! which they follow; each storage begins with its number of elements. The file ends with the last one.

use std::collections::HashMap;

use crate::denial::{Checked, deny};
use crate::format::TORCH_LEGACY_MAGIC;
use crate::limits::{Deadline, Limits};
use crate::pickle::{Input, NamedTensor, Outcome, Persistence, Storage, run};
use crate::read::ReadAt;

/// The pickle of 1001, the only protocol number that was ever written.
const PROTOCOL: [u8; 6] = [0x80, 0x02, b'M', 0xe9, 0x03, b'.'];

/// Judges a whole file and answers the tensors that it holds.
pub(super) fn scan<F: ReadAt + ?Sized>(
    file: &F,
    size: u64,
    limits: Limits,
    deadline: Deadline,
) -> Checked<Vec<NamedTensor>> {
    let mut start = [0; TORCH_LEGACY_MAGIC.len() + PROTOCOL.len()];
    file.read_exact_at(&mut start, 0)?;
    if !start.starts_with(&TORCH_LEGACY_MAGIC) || !start.ends_with(&PROTOCOL) {
        return deny(
            "legacy_magic",
            "it does not begin with the literal magic number of torch and protocol 1001",
        );
    }
    let pickle = |at: u64, persistence: Persistence| -> Checked<(Outcome, u64)> {
        let mut input = Input::new(file, at, size, limits, deadline);
        let outcome = run(&mut input, persistence)?;
        Ok((outcome, input.position()))
    };
    let (_, object_at) = pickle(start.len() as u64, Persistence::None)?;
    let (object, keys_at) = pickle(object_at, Persistence::Legacy)?;
    let (keys, data_at) = pickle(keys_at, Persistence::None)?;
    let Some(keys) = keys.texts else {
        return deny("legacy_keys", "its list of storages is not a list of texts");
    };
    let end = follow_storages(file, data_at, &keys, &object.storages)?;
    if end != size {
        return deny(
            "trailing",
            format!("it goes on for {} bytes behind its last storage", size.abs_diff(end)),
        );
    }
    Ok(object.tensors)
}

/// Walks over the storages and answers where the last one ends.
fn follow_storages<F: ReadAt + ?Sized>(
    file: &F,
    start: u64,
    keys: &[String],
    storages: &[Storage],
) -> Checked<u64> {
    let mut open: HashMap<&str, &Storage> =
        storages.iter().map(|storage| (storage.key.as_str(), storage)).collect();
    let mut at = start;
    for key in keys {
        let Some(storage) = open.remove(key.as_str()) else {
            let shown = crate::safetensors::display_name(key);
            return deny("legacy_keys", format!("it lists storage `{shown}` twice or without using it"));
        };
        let mut count = [0; 8];
        file.read_exact_at(&mut count, at)?;
        if u64::from_le_bytes(count) != storage.count {
            return deny(
                "storage_short",
                format!("storage `{key}` has another length than its tensors need"),
            );
        }
        match storage.bytes().and_then(|bytes| at.checked_add(8)?.checked_add(bytes)) {
            Some(end) => at = end,
            None => return deny("storage_short", format!("storage `{key}` is larger than any file")),
        }
    }
    match open.into_keys().next() {
        Some(key) => deny("storage_missing", format!("storage `{key}` is named but not there")),
        None => Ok(at),
    }
}
