//! The zip that `torch.save` writes, walked so that every byte is accounted for.
//!
//! Zip readers disagree about archives that say two things at once: two end records, two entries of one
//! name, sizes that differ between the two headers. So the walk goes from both ends, and whatever is not
//! exactly one plain archive in the order of its directory is denied.
//!
//! Format: <https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT>.

mod directory;
mod members;

use std::collections::HashMap;
use std::io::BufRead;

use crate::denial::{Checked, deny};
use crate::limits::{Deadline, Limits};
use crate::pickle::{Input, NamedTensor, Persistence, Storage, run};
use crate::read::{ReadAt, Window};

use directory::Entry;
use members::Role;

/// Judges a whole file and answers the tensors that it holds.
pub(super) fn scan<F: ReadAt + ?Sized>(
    file: &F,
    size: u64,
    limits: Limits,
    deadline: Deadline,
) -> Checked<Vec<NamedTensor>> {
    let end = directory::end_record(file, size, limits.members)?;
    let entries = directory::entries(file, &end, deadline)?;
    let members = members::roles(&entries)?;
    let data = directory::follow(file, &entries, end.directory_start, deadline)?;
    let Some(pickle) = members.iter().position(|role| *role == Role::Pickle) else {
        return deny("zip_name", "it has no `data.pkl`: torch.save did not write it");
    };
    check_notes(file, &entries, &members, &data)?;
    let (from, to) = (data[pickle], data[pickle] + entries[pickle].size);
    let mut input = Input::new(file, from, to, limits, deadline);
    let outcome = run(&mut input, Persistence::Zip)?;
    if input.position() != to {
        return deny(
            "trailing",
            format!("its pickle goes on for {} bytes behind its end", to - input.position()),
        );
    }
    check_storages(&outcome.storages, &entries, &members)?;
    for (entry, start) in entries.iter().zip(&data) {
        check_sum(file, entry, *start)?;
    }
    Ok(outcome.tensors)
}

/// The small members say a version or a byte order, and nothing else.
fn check_notes<F: ReadAt + ?Sized>(
    file: &F,
    entries: &[Entry],
    members: &[Role],
    data: &[u64],
) -> Checked<()> {
    for ((entry, role), start) in entries.iter().zip(members).zip(data) {
        let Role::Note { byte_order } = role else { continue };
        if entry.size > members::NOTE_CAP {
            return deny("zip_note", format!("its member `{}` is too long", entry.name));
        }
        let mut note = vec![0; entry.size as usize];
        file.read_exact_at(&mut note, *start)?;
        let plain =
            note.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'\n' | b'.' | b'-'));
        if !plain || (*byte_order && note != b"little" && note != b"big") {
            return deny("zip_note", format!("its member `{}` says something unknown", entry.name));
        }
    }
    Ok(())
}

/// Every storage that the pickle names is there and long enough.
fn check_storages(storages: &[Storage], entries: &[Entry], members: &[Role]) -> Checked<()> {
    let held: HashMap<&str, u64> = entries
        .iter()
        .zip(members)
        .filter(|(_, role)| **role == Role::Storage)
        .filter_map(|(entry, _)| Some((entry.name.rsplit_once('/')?.1, entry.size)))
        .collect();
    for storage in storages {
        match (held.get(storage.key.as_str()), storage.bytes()) {
            (None, _) => {
                return deny("storage_missing", format!("storage `{}` is named but not there", storage.key));
            }
            (Some(there), Some(needed)) if needed <= *there => {}
            _ => return deny("storage_short", format!("storage `{}` is shorter than declared", storage.key)),
        }
    }
    Ok(())
}

fn check_sum<F: ReadAt + ?Sized>(file: &F, entry: &Entry, start: u64) -> Checked<()> {
    let mut window = Window::new(file, start, start + entry.size);
    let mut hasher = crc32fast::Hasher::new();
    loop {
        let chunk = window.fill_buf()?;
        if chunk.is_empty() {
            break;
        }
        hasher.update(chunk);
        let count = chunk.len();
        window.consume(count);
    }
    if hasher.finalize() == entry.crc {
        return Ok(());
    }
    deny("zip_crc", format!("its member `{}` does not have the check sum that it claims", entry.name))
}
