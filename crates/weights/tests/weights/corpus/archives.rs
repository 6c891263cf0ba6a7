//! Archives that say two things at once, hold what torch never writes, or hide what they hold.

use super::opcodes::runs;
use super::pickles::two_tensors;
use super::{Case, Member, Zip};

fn right() -> Zip {
    Zip::torch(two_tensors(), &[("0", 24), ("1", 4)])
}

/// The right archive with one change.
fn with(change: impl FnOnce(&mut Zip)) -> Vec<u8> {
    let mut zip = right();
    change(&mut zip);
    zip.build()
}

/// The right archive with one change of its pickle's member.
fn with_pickle(change: impl FnOnce(&mut Member)) -> Vec<u8> {
    with(|zip| change(zip.member("archive/data.pkl")))
}

/// The right archive with one change of its first storage.
fn with_storage(change: impl FnOnce(&mut Member)) -> Vec<u8> {
    with(|zip| change(zip.member("archive/data/0")))
}

/// The right archive with bytes put over those of one of its records.
fn patched(signature: &[u8], offset: usize, bytes: &[u8]) -> Vec<u8> {
    let mut file = right().build();
    let at = file.windows(signature.len()).rposition(|window| window == signature);
    let at = at.expect("torch writes every record") + offset;
    file[at..at + bytes.len()].copy_from_slice(bytes);
    file
}

fn hostile() -> Vec<u8> {
    Zip::torch(runs(), &[]).build()
}

fn rows(family: &str, rows: Vec<(&str, Vec<u8>, &'static str)>) -> Vec<Case> {
    rows.into_iter()
        .map(|(what, bytes, rule)| Case::denied(format!("{family}: {what}"), bytes, rule))
        .collect()
}

/// Every hostile archive.
pub(crate) fn all() -> Vec<Case> {
    let families = [outside(), two(), ends(), flags(), headers(), members(), kinds(), crowds()];
    families.into_iter().flatten().collect()
}

/// Bytes before, between and behind the parts of an archive.
pub(crate) fn outside() -> Vec<Case> {
    let behind = |bytes: &[u8]| with(|zip| zip.suffix = bytes.to_vec());
    let before = |bytes: &[u8]| with(|zip| zip.prefix = bytes.to_vec());
    rows(
        "outside",
        vec![
            ("a byte behind", behind(&[0]), "zip_end"),
            ("a pickle behind", behind(&runs()), "zip_end"),
            ("a comment", with(|zip| zip.comment = b"hello".to_vec()), "zip_end"),
            ("a comment that is an end record", with(|zip| zip.comment = EMPTY_END.to_vec()), "zip_end"),
            ("bytes before the directory", with(|zip| zip.before_directory = vec![0; 10]), "zip_gap"),
            (
                "a member that the directory hides",
                with(|zip| zip.before_directory = hidden_member()),
                "zip_gap",
            ),
            ("bytes behind the directory", with(|zip| zip.after_directory = vec![0; 10]), "zip_end"),
            ("bytes between members", with_storage(|member| member.gap = vec![7; 3]), "zip_gap"),
            ("a program between members", with_storage(|member| member.gap = runs()), "zip_gap"),
            ("bytes in front", before(b"PK\x03\x04 but not really"), "zip_gap"),
            ("a script in front", before(b"#!/bin/sh\n"), "unrecognised"),
            ("a Windows program in front", before(b"MZ\x90\0\x03\0\0\0"), "unrecognised"),
            ("a Linux program in front", before(b"\x7fELF\x02\x01\x01\0"), "unrecognised"),
            ("a picture in front", before(b"\x89PNG\r\n\x1a\n\0\0\0\x0d"), "unrecognised"),
            ("a pickle in front", before(&runs()), "bare_pickle"),
        ],
    )
}

/// The end record of an archive without members.
const EMPTY_END: &[u8] = b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// A local header and its data, without an entry in the directory.
fn hidden_member() -> Vec<u8> {
    let whole = Zip::new(vec![Member::new("archive/data.pkl", runs()).plain()]).build();
    let end = whole.windows(4).position(|window| window == b"PK\x01\x02").expect("a directory");
    whole[..end].to_vec()
}

/// Two archives in one file: readers choose the first or the last.
pub(crate) fn two() -> Vec<Case> {
    rows(
        "two archives",
        vec![
            ("a hostile archive behind", [right().build(), hostile()].concat(), "zip_end"),
            ("a hostile archive in front", [hostile(), right().build()].concat(), "zip_end"),
            ("the same archive twice", [right().build(), right().build()].concat(), "zip_end"),
            ("a second end record that is empty", [&right().build()[..], EMPTY_END].concat(), "zip_end"),
            ("an empty archive", EMPTY_END.to_vec(), "zip_members"),
        ],
    )
}

/// End records that differ from the directory or from each other.
pub(crate) fn ends() -> Vec<Case> {
    let short = |entries| {
        with(|zip| {
            zip.zip64 = false;
            zip.end_entries = Some(entries);
        })
    };
    let (end, end64, locator) = (b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07");
    rows(
        "ends",
        vec![
            ("a second disk", with(|zip| zip.end_disk = 1), "zip_end"),
            ("fewer entries in the short record", with(|zip| zip.end_entries = Some(1)), "zip_end"),
            ("fewer entries than there are", short(1), "zip_directory"),
            ("more entries than there are", short(99), "zip_directory"),
            ("no entries", short(0), "zip_members"),
            ("another start in the short record", patched(end, 16, &[1]), "zip_end"),
            ("another length in the short record", patched(end, 12, &[1]), "zip_end"),
            ("another count on this disk", patched(end, 8, &[1]), "zip_end"),
            ("a long record that is longer", patched(end64, 4, &[60]), "zip_end"),
            ("a long record on another disk", patched(end64, 16, &[1]), "zip_end"),
            ("a long record with another count", patched(end64, 32, &[1]), "zip_end"),
            ("a long record with a count that wraps", patched(end64, 24, &[0xff; 16]), "zip_end"),
            ("a long record with a start that wraps", patched(end64, 48, &[0xff; 8]), "zip_end"),
            ("a locator that points elsewhere", patched(locator, 8, &[1]), "zip_end"),
            ("a locator of two disks", patched(locator, 16, &[2]), "zip_end"),
            ("a locator without its record", patched(end64, 0, b"PK\x06\x05"), "zip_end"),
        ],
    )
}

/// Flags that mean encryption, patches, masking, or that the two headers do not share.
pub(crate) fn flags() -> Vec<Case> {
    let mut all = Vec::new();
    for flag in [0x0001, 0x0002, 0x0004, 0x0010, 0x0020, 0x0040, 0x2000, 0x8000_u16] {
        let local = with_pickle(|member| member.local_flags |= flag);
        let central = with_pickle(|member| member.central_flags |= flag);
        let both = with_pickle(|member| {
            member.local_flags |= flag;
            member.central_flags |= flag;
        });
        all.push(Case::denied(format!("flags: 0x{flag:04x} locally"), local, "zip_local"));
        all.push(Case::denied(format!("flags: 0x{flag:04x} in the directory"), central, "zip_flags"));
        all.push(Case::denied(format!("flags: 0x{flag:04x} in both"), both, "zip_flags"));
    }
    let gone = with_pickle(|member| member.local_flags = 0x0008);
    all.push(Case::denied("flags: 0x0800 gone locally", gone, "zip_local"));
    let gone = with_pickle(|member| member.central_flags = 0x0800);
    all.push(Case::denied("flags: 0x0008 gone in the directory", gone, "zip_local"));
    all
}

/// Methods, names, check sums, sizes and fields on which two headers disagree.
pub(crate) fn headers() -> Vec<Case> {
    let called = |name: &str| with_pickle(|member| member.local_name = Some(name.into()));
    let method = |local: u16, central: u16| {
        with_pickle(|member| {
            member.local_method = local;
            member.central_method = central;
        })
    };
    let extra = |bytes: &[u8]| with_storage(|member| member.extra = bytes.to_vec());
    rows(
        "two headers",
        vec![
            ("deflate locally", method(8, 0), "zip_local"),
            ("deflate in the directory", method(0, 8), "zip_method"),
            ("deflate", method(8, 8), "zip_method"),
            ("bzip2", method(12, 12), "zip_method"),
            ("LZMA", method(14, 14), "zip_method"),
            ("Zstandard", method(93, 93), "zip_method"),
            ("encryption", method(99, 99), "zip_method"),
            ("a bomb of 1 to 1000", bomb(), "zip_method"),
            ("another local name", called("archive/data.pkk"), "zip_local"),
            ("a local name in capitals", called("archive/DATA.pkl"), "zip_local"),
            ("a shorter local name", called("archive/x"), "zip_local"),
            ("a wrong check sum of a storage", with_storage(|member| member.crc = Some(1)), "zip_crc"),
            ("a wrong check sum of the pickle", with_pickle(|member| member.crc = Some(1)), "zip_crc"),
            ("no check sum", with_storage(|member| member.crc = Some(0)), "zip_crc"),
            ("a smaller size", with_storage(|member| member.central_size = Some(20)), "zip_descriptor"),
            ("no size", with_storage(|member| member.central_size = Some(0)), "zip_descriptor"),
            ("a larger size", with_storage(|member| member.central_size = Some(1 << 30)), "zip_gap"),
            ("the largest size", with_storage(|member| member.central_size = Some(u32::MAX)), "zip_extra"),
            ("an overlap", with_storage(|member| member.offset = Some(0)), "zip_gap"),
            ("a position behind the end", with_storage(|member| member.offset = Some(1 << 30)), "zip_gap"),
            (
                "a position in another file",
                with_storage(|member| member.offset = Some(u32::MAX)),
                "zip_extra",
            ),
            ("no descriptor", with_storage(|member| member.descriptor = false), "zip_descriptor"),
            ("a field of times", extra(b"up\x01\0x"), "zip_extra"),
            ("a Unicode name in a field", extra(b"up\x0c\0\x01\0\0\0\0data.pkk"), "zip_extra"),
            ("a field that is longer than all", extra(b"up\xff\xff"), "zip_extra"),
            ("another size in zip64", extra(b"\x01\0\x08\0\x01\0\0\0\0\0\0\0"), "zip_extra"),
            ("encryption in a field", extra(b"\x01\x99\x07\0\x02\0AE\x03\0\0"), "zip_extra"),
        ],
    )
}

/// A storage that is told to be a thousand times what is there.
fn bomb() -> Vec<u8> {
    with_storage(|member| {
        member.local_method = 8;
        member.central_method = 8;
        member.central_size = Some(24_000);
    })
}

/// Names of members that torch does not write.
pub(crate) fn members() -> Vec<Case> {
    let added = |name: &str| with(|zip| zip.members.push(Member::new(name, "x")));
    let mut all = Vec::new();
    let families: [(&[&str], &str); 3] = [
        (&STRANGE_NAMES, "zip_name"),
        (
            &[
                "archive/code/__torch__.py",
                "archive/code/__torch__/module.py",
                "archive/constants.pkl",
                "archive/run.py",
                "archive/code/x.debug_pkl",
            ],
            "torchscript",
        ),
        (
            &[
                "archive/data.pkl",
                "archive/DATA.PKL",
                "archive/Data.pkl",
                "archive/data/0",
                "archive/Version",
            ],
            "zip_duplicate",
        ),
    ];
    for (names, rule) in families {
        let cases = names.iter().map(|name| Case::denied(format!("members: {name:?}"), added(name), rule));
        all.extend(cases);
    }
    for prefix in ["..", ".", "a:b", "/archive", ""] {
        let mut zip = right();
        for member in &mut zip.members {
            member.name = member.name.replacen("archive", prefix, 1);
        }
        all.push(Case::denied(format!("members: all below {prefix:?}"), zip.build(), "zip_name"));
    }
    all
}

/// Ways out of the archive, other programs' files, a second pickle.
const STRANGE_NAMES: [&str; 29] = [
    "archive/../../evil.pkl",
    "archive/data/../data.pkl",
    "/archive/data.pkl",
    "/etc/passwd",
    "archive//data.pkl",
    "archive\\x",
    "..\\..\\x",
    "archive/data/0/1",
    "archive/data/x",
    "archive/data/",
    "archive/data/-1",
    "archive/data/0 ",
    "archive/data/123456789012345678901",
    "archive/data2.pkl",
    "archive/data.pkl/",
    "archive/data.pickle",
    "archive/sub/data.pkl",
    "other/data.pkl",
    "archive/extra.pkl",
    "archive/readme.txt",
    "MAR-INF/MANIFEST.json",
    "archive",
    "archive/",
    "C:/x",
    "archive/version/",
    "archive/d\u{0}ata.pkl",
    "archive/dat\u{e4}",
    "archive/a\nb",
    "",
];

/// Members that are no plain files, notes that say something else, a missing pickle.
pub(crate) fn kinds() -> Vec<Case> {
    let mode = |attributes: u32| with_storage(|member| member.attributes = attributes);
    let note = |name: &'static str, text: &[u8]| with(|zip| zip.member(name).data = text.to_vec());
    let without = |name: &'static str| with(|zip| zip.members.retain(|member| member.name != name));
    rows(
        "kinds",
        vec![
            ("a symlink", mode(0o120_777 << 16), "zip_attributes"),
            ("a folder", mode(0o040_755 << 16), "zip_attributes"),
            ("a device", mode(0o020_666 << 16), "zip_attributes"),
            ("a pipe", mode(0o010_666 << 16), "zip_attributes"),
            ("a DOS folder", mode(0x10), "zip_attributes"),
            ("a comment of a member", with_storage(|member| member.comment = b"x".to_vec()), "zip_directory"),
            ("a member on another disk", with_storage(|member| member.disk = 1), "zip_directory"),
            ("a long version", note("archive/version", &[b'1'; 300]), "zip_note"),
            ("a pickle as the version", note("archive/version", b"cos\nsystem\n("), "zip_note"),
            ("a strange byte order", note("archive/byteorder", b"middle"), "zip_note"),
            ("a pickle as the serialization id", note("archive/.data/serialization_id", &runs()), "zip_note"),
            ("no pickle", without("archive/data.pkl"), "zip_name"),
            ("a storage too few", without("archive/data/1"), "storage_missing"),
            ("a storage that is too short", with_storage(|member| member.data.truncate(23)), "storage_short"),
        ],
    )
}

/// More members than anybody has, and members that lie over each other.
pub(crate) fn crowds() -> Vec<Case> {
    let many = |count: u32| {
        Zip::new((0..count).map(|number| Member::new(&format!("a/data/{number}"), "")).collect()).build()
    };
    let mut overlapping = right();
    for number in 2..500 {
        let mut member = Member::new(&format!("archive/data/{number}"), vec![0; 16]);
        member.offset = Some(0);
        overlapping.members.push(member);
    }
    rows(
        "crowds",
        vec![
            ("70,000 members without a pickle", many(70_000), "zip_name"),
            ("200,001 members", many(200_001), "zip_members"),
            ("500 members over each other", overlapping.build(), "zip_gap"),
        ],
    )
}
