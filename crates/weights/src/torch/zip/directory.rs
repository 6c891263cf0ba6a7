//! The end record, the central directory and the local headers, which have to say the same.

use std::io::Read;

use crate::denial::{Checked, deny};
use crate::limits::Deadline;
use crate::read::{ReadAt, Window};

/// Sizes and positions that do not fit 32 bits are written as this, and in full elsewhere.
const IN_ZIP64: u64 = 0xffff_ffff;
/// Bit 3: sizes follow behind the data. Bit 11: the name is UTF-8.
const ALLOWED_FLAGS: u16 = 0x0808;
const DESCRIPTOR_FLAG: u16 = 0x0008;
/// The longest member name, in bytes.
const NAME_CAP: usize = 512;

/// Where the directory is and how many entries it has.
pub(super) struct EndRecord {
    pub(super) directory_start: u64,
    directory_end: u64,
    entries: u64,
}

/// One member as the directory tells it.
pub(super) struct Entry {
    pub(super) name: String,
    flags: u16,
    pub(super) crc: u32,
    pub(super) size: u64,
    offset: u64,
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// Reads the end record, which has to be the last 22 bytes, and zip64's directly before it.
pub(super) fn end_record<F: ReadAt + ?Sized>(file: &F, size: u64, cap: u64) -> Checked<EndRecord> {
    if size < 22 {
        return deny("zip_end", "it is too short for a zip archive");
    }
    let mut end = [0; 22];
    file.read_exact_at(&mut end, size - 22)?;
    // Signature, disk 0 twice, no comment.
    if !end.starts_with(b"PK\x05\x06\0\0\0\0") || u16_at(&end, 20) != 0 {
        return deny("zip_end", "it does not end with the end record of one plain zip archive");
    }
    let told = Told {
        here: u16_at(&end, 8).into(),
        entries: u16_at(&end, 10).into(),
        length: u32_at(&end, 12).into(),
        start: u32_at(&end, 16).into(),
    };
    let record = match zip64_record(file, size)? {
        Some(record) => record.agrees_with(&told)?,
        None => told.plain(size - 22)?,
    };
    if record.entries == 0 || record.entries > cap {
        return deny("zip_members", format!("it has {} members", record.entries));
    }
    Ok(record)
}

/// What the short end record says.
struct Told {
    here: u64,
    entries: u64,
    length: u64,
    start: u64,
}

impl Told {
    fn plain(&self, directory_end: u64) -> Checked<EndRecord> {
        if self.here != self.entries || self.start + self.length != directory_end {
            return deny("zip_end", "its end record does not fit its directory");
        }
        Ok(EndRecord { directory_start: self.start, directory_end, entries: self.entries })
    }
}

impl EndRecord {
    /// Each short field repeats the long one as far as it can.
    fn agrees_with(self, told: &Told) -> Checked<Self> {
        let length = self.directory_end - self.directory_start;
        let agrees = told.here == self.entries.min(0xffff)
            && told.entries == self.entries.min(0xffff)
            && told.length == length.min(IN_ZIP64)
            && told.start == self.directory_start.min(IN_ZIP64);
        if agrees { Ok(self) } else { deny("zip_end", "its two end records differ") }
    }
}

/// The zip64 end record and its locator, when they are there.
fn zip64_record<F: ReadAt + ?Sized>(file: &F, size: u64) -> Checked<Option<EndRecord>> {
    let Some(at) = size.checked_sub(22 + 20 + 56) else { return Ok(None) };
    let mut bytes = [0; 76];
    file.read_exact_at(&mut bytes, at)?;
    let (record, locator) = bytes.split_at(56);
    if !locator.starts_with(b"PK\x06\x07") {
        return Ok(None);
    }
    let (length, start) = (u64_at(record, 40), u64_at(record, 48));
    let right = record.starts_with(b"PK\x06\x06")
        && u64_at(record, 4) == 44
        && u64_at(record, 16) == 0
        && u64_at(record, 24) == u64_at(record, 32)
        && u32_at(locator, 4) == 0
        && u64_at(locator, 8) == at
        && u32_at(locator, 16) == 1
        && start.checked_add(length) == Some(at);
    if !right {
        return deny("zip_end", "its zip64 end record does not fit its directory");
    }
    Ok(Some(EndRecord { directory_start: start, directory_end: at, entries: u64_at(record, 24) }))
}

/// The directory: exactly the told number of entries, in the order of the file, filling it to its end.
pub(super) fn entries<F: ReadAt + ?Sized>(
    file: &F,
    end: &EndRecord,
    deadline: Deadline,
) -> Checked<Vec<Entry>> {
    let mut window = Window::new(file, end.directory_start, end.directory_end);
    let mut left = end.directory_end - end.directory_start;
    let mut entries = Vec::new();
    for number in 0..end.entries {
        if number.is_multiple_of(1024) {
            deadline.check()?;
        }
        let (entry, length) = central_header(&mut window, left)?;
        left -= length;
        entries.push(entry);
    }
    if left > 0 {
        return deny("zip_directory", "its directory has more in it than its entries");
    }
    Ok(entries)
}

/// Reads one central header and answers how long it was.
fn central_header(input: &mut impl Read, left: u64) -> Checked<(Entry, u64)> {
    let mut head = [0; 46];
    if left < 46 {
        return deny("zip_directory", "its directory is cut off");
    }
    input.read_exact(&mut head)?;
    let (name_length, extra_length, comment) = (u16_at(&head, 28), u16_at(&head, 30), u16_at(&head, 32));
    let length = 46 + u64::from(name_length) + u64::from(extra_length);
    if !head.starts_with(b"PK\x01\x02") || comment != 0 || u16_at(&head, 34) != 0 || length > left {
        return deny("zip_directory", "its directory is not one of a plain archive");
    }
    let name = member_name(input, name_length)?;
    let mut extra = vec![0; usize::from(extra_length)];
    input.read_exact(&mut extra)?;
    check_attributes(u32_at(&head, 38), &name)?;
    check_method(u16_at(&head, 8), u16_at(&head, 10), &name)?;
    let (packed, size, offset) = central_sizes(&head, &extra, &name)?;
    if packed != size {
        return deny("zip_method", format!("its member `{name}` is said to be compressed"));
    }
    Ok((Entry { name, flags: u16_at(&head, 8), crc: u32_at(&head, 16), size, offset }, length))
}

fn member_name(input: &mut impl Read, length: u16) -> Checked<String> {
    let mut name = vec![0; usize::from(length)];
    input.read_exact(&mut name)?;
    let printable = name.iter().all(|byte| matches!(byte, b' '..=b'~'));
    match String::from_utf8(name) {
        Ok(name) if printable && !name.is_empty() && name.len() <= NAME_CAP => Ok(name),
        _ => deny("zip_name", "it has a member whose name is not printable ASCII"),
    }
}

/// A regular file, or an archive that says nothing about it.
fn check_attributes(attributes: u32, name: &str) -> Checked<()> {
    let kind = (attributes >> 16) & 0o170_000;
    if (kind != 0 && kind != 0o100_000) || attributes & 0x10 != 0 {
        return deny("zip_attributes", format!("its member `{name}` is not a regular file"));
    }
    Ok(())
}

fn check_method(flags: u16, method: u16, name: &str) -> Checked<()> {
    if flags & !ALLOWED_FLAGS != 0 {
        return deny("zip_flags", format!("its member `{name}` has flags 0x{flags:04x}"));
    }
    if method != 0 {
        return deny(
            "zip_method",
            format!("its member `{name}` is compressed or encrypted (method {method})"),
        );
    }
    Ok(())
}

/// Packed size, size and position; those that do not fit are in the zip64 field, in this order.
fn central_sizes(head: &[u8], extra: &[u8], name: &str) -> Checked<(u64, u64, u64)> {
    let mut long = match extra_fields(extra, name)?.as_slice() {
        [] => &[][..],
        [(1, data)] => data,
        _ => return deny("zip_extra", format!("its member `{name}` has fields that torch does not write")),
    };
    let mut take = |short: u32| -> Checked<u64> {
        if u64::from(short) != IN_ZIP64 {
            return Ok(short.into());
        }
        let Some((value, rest)) = long.split_first_chunk::<8>() else {
            return deny("zip_extra", format!("its member `{name}` has no size"));
        };
        long = rest;
        Ok(u64::from_le_bytes(*value))
    };
    let size = take(u32_at(head, 24))?;
    let packed = take(u32_at(head, 20))?;
    let offset = take(u32_at(head, 42))?;
    if !long.is_empty() {
        return deny("zip_extra", format!("its member `{name}` tells its size twice"));
    }
    Ok((packed, size, offset))
}

/// Splits extra data into fields `(id, data)` without a byte left over.
fn extra_fields<'a>(mut extra: &'a [u8], name: &str) -> Checked<Vec<(u16, &'a [u8])>> {
    let mut fields = Vec::new();
    while !extra.is_empty() {
        let length = if extra.len() < 4 { usize::MAX } else { usize::from(u16_at(extra, 2)) };
        let Some(data) = extra.get(4..).and_then(|rest| rest.get(..length)) else {
            return deny("zip_extra", format!("its member `{name}` has a broken extra field"));
        };
        fields.push((u16_at(extra, 0), data));
        extra = &extra[4 + length..];
    }
    Ok(fields)
}

/// Walks the local headers from byte 0 and answers where the data of each entry begins.
pub(super) fn follow<F: ReadAt + ?Sized>(
    file: &F,
    entries: &[Entry],
    directory_start: u64,
    deadline: Deadline,
) -> Checked<Vec<u64>> {
    let mut at = 0;
    let mut starts = Vec::with_capacity(entries.len());
    for (number, entry) in entries.iter().enumerate() {
        if number.is_multiple_of(1024) {
            deadline.check()?;
        }
        if entry.offset != at {
            return deny(
                "zip_gap",
                format!("its member `{}` does not begin where the last one ends", entry.name),
            );
        }
        let start = local_header(file, entry, directory_start)?;
        starts.push(start);
        let end = start.checked_add(entry.size).filter(|end| *end <= directory_start);
        let Some(end) = end else {
            return deny("zip_gap", format!("its member `{}` reaches into the directory", entry.name));
        };
        at = end + descriptor(file, entry, end, directory_start)?;
    }
    if at == directory_start { Ok(starts) } else { deny("zip_gap", "it has bytes before its directory") }
}

/// Checks one local header against its entry and answers where the data begins.
fn local_header<F: ReadAt + ?Sized>(file: &F, entry: &Entry, directory_start: u64) -> Checked<u64> {
    let differs = |what: &str| {
        deny("zip_local", format!("its member `{}` has two headers with different {what}", entry.name))
    };
    let mut head = [0; 30];
    file.read_exact_at(&mut head, entry.offset)?;
    if !head.starts_with(b"PK\x03\x04") || u16_at(&head, 8) != 0 {
        return differs("methods");
    }
    if u16_at(&head, 6) != entry.flags {
        return differs("flags");
    }
    let (name_length, extra_length) = (usize::from(u16_at(&head, 26)), usize::from(u16_at(&head, 28)));
    let start = entry.offset + 30 + (name_length + extra_length) as u64;
    if name_length != entry.name.len() || start > directory_start {
        return differs("names");
    }
    let mut tail = vec![0; name_length + extra_length];
    file.read_exact_at(&mut tail, entry.offset + 30)?;
    let (name, extra) = tail.split_at(name_length);
    if name != entry.name.as_bytes() {
        return differs("names");
    }
    check_local_extra(extra, entry)?;
    let (crc, packed, size) = (u32_at(&head, 14), u32_at(&head, 18), u32_at(&head, 22));
    let behind = entry.flags & DESCRIPTOR_FLAG != 0;
    if crc != entry.crc && !(behind && crc == 0) {
        return differs("check sums");
    }
    let fits = |short: u32| u64::from(short) == entry.size.min(IN_ZIP64) || (behind && short == 0);
    if fits(packed) && fits(size) { Ok(start) } else { differs("sizes") }
}

/// zip64 sizes that repeat the directory, and torch's padding, which is one byte over and over.
fn check_local_extra(extra: &[u8], entry: &Entry) -> Checked<()> {
    for (id, data) in extra_fields(extra, &entry.name)? {
        let right = match id {
            0x0001 => {
                // Torch leaves the packed size 0 here when the sizes follow behind the data.
                let behind = entry.flags & DESCRIPTOR_FLAG != 0;
                let known =
                    |value: u64| value == entry.size || value == entry.offset || (behind && value == 0);
                data.len() <= 24 && data.chunks(8).all(|value| value.len() == 8 && known(u64_at(value, 0)))
            }
            0x4246 => data.windows(2).all(|pair| pair[0] == pair[1]),
            _ => false,
        };
        if !right {
            return deny(
                "zip_extra",
                format!("its member `{}` has fields that torch does not write", entry.name),
            );
        }
    }
    Ok(())
}

/// The length of the data descriptor behind a member, which has to repeat the directory.
fn descriptor<F: ReadAt + ?Sized>(file: &F, entry: &Entry, at: u64, limit: u64) -> Checked<u64> {
    if entry.flags & DESCRIPTOR_FLAG == 0 {
        return Ok(0);
    }
    let mut bytes = [0; 24];
    let there = (limit - at).min(24) as usize;
    file.read_exact_at(&mut bytes[..there], at)?;
    let start = bytes.starts_with(b"PK\x07\x08") && u32_at(&bytes, 4) == entry.crc;
    let long = there == 24 && u64_at(&bytes, 8) == entry.size && u64_at(&bytes, 16) == entry.size;
    let short = there >= 16 && [8, 12].iter().all(|field| u64::from(u32_at(&bytes, *field)) == entry.size);
    match (start, short, long) {
        // A size of 0 fits both; what follows the short form is a signature and never zeros.
        (true, true, true) if bytes[16..24] != [0; 8] => Ok(16),
        (true, _, true) => Ok(24),
        (true, true, false) => Ok(16),
        _ => deny("zip_descriptor", format!("its member `{}` is not followed by its own sizes", entry.name)),
    }
}
