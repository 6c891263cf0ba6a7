//! Archives that say two things at once, or hold what torch never writes: all of them are denied.

use lorakeep_weights::{Verdict, admit};

use crate::pickles::{Pickle, payload, two_tensors};
use crate::zips::{Member, Zip};

fn right() -> Zip {
    Zip::torch(two_tensors(), &[("0", 24), ("1", 4)])
}

fn assert_rule(bytes: &[u8], expected: &str, what: &str) {
    match admit(bytes, bytes.len() as u64, "model.pt") {
        Verdict::Denied { rule, .. } => assert_eq!(rule, expected, "{what}"),
        other => panic!("{what} is {other:?}"),
    }
}

/// Builds the right archive with one change.
fn with(change: impl FnOnce(&mut Zip)) -> Vec<u8> {
    let mut zip = right();
    change(&mut zip);
    zip.build()
}

fn hostile() -> Vec<u8> {
    Zip::torch(payload(Pickle::new()).stop(), &[]).build()
}

#[test]
fn bytes_outside_the_one_archive_are_denied() {
    assert_rule(&with(|zip| zip.suffix = vec![0]), "zip_end", "a byte behind");
    assert_rule(&with(|zip| zip.comment = b"hello".to_vec()), "zip_end", "a comment");
    assert_rule(&with(|zip| zip.end_disk = 1), "zip_end", "a second disk");
    assert_rule(&with(|zip| zip.before_directory = vec![0; 10]), "zip_gap", "bytes before the directory");
    assert_rule(&with(|zip| zip.after_directory = vec![0; 10]), "zip_end", "bytes behind the directory");
    assert_rule(
        &with(|zip| zip.member("archive/data/0").gap = vec![7; 3]),
        "zip_gap",
        "bytes between members",
    );
    let polyglot = with(|zip| zip.prefix = b"PK\x03\x04 but not really".to_vec());
    assert_rule(&polyglot, "zip_gap", "bytes in front");
    let script = with(|zip| zip.prefix = b"#!/bin/sh\n".to_vec());
    assert_rule(&script, "unrecognised", "a script in front");
}

#[test]
fn two_archives_in_one_file_are_denied() {
    assert_rule(&[right().build(), hostile()].concat(), "zip_end", "a hostile archive behind");
    assert_rule(&[hostile(), right().build()].concat(), "zip_end", "a hostile archive in front");
    let empty_end = b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    assert_rule(&[&right().build()[..], empty_end].concat(), "zip_end", "a second end record that is empty");
    assert_rule(empty_end, "zip_members", "an empty archive");
}

#[test]
fn end_records_that_differ_from_the_directory_are_denied() {
    assert_rule(&with(|zip| zip.end_entries = Some(1)), "zip_end", "fewer entries in the short record");
    let fewer = with(|zip| {
        zip.zip64 = false;
        zip.end_entries = Some(1);
    });
    assert_rule(&fewer, "zip_directory", "fewer entries than there are");
    let more = with(|zip| {
        zip.zip64 = false;
        zip.end_entries = Some(99);
    });
    assert_rule(&more, "zip_directory", "more entries than there are");
    let many = with(|zip| {
        zip.zip64 = false;
        zip.end_entries = Some(0);
    });
    assert_rule(&many, "zip_members", "no entries");
}

#[test]
fn headers_that_disagree_are_denied() {
    for flag in [0x0001, 0x0020, 0x0040, 0x2000, 0x0002, 0x0004] {
        assert_rule(
            &with(|zip| zip.member("archive/data.pkl").local_flags |= flag),
            "zip_local",
            "local flag",
        );
        assert_rule(
            &with(|zip| zip.member("archive/data.pkl").central_flags |= flag),
            "zip_flags",
            "central flag",
        );
    }
    assert_rule(
        &with(|zip| zip.member("archive/data.pkl").local_flags = 0x0008),
        "zip_local",
        "flag 0x800 gone",
    );
    assert_rule(&with(|zip| zip.member("archive/data.pkl").local_method = 8), "zip_local", "a local method");
    assert_rule(&with(|zip| zip.member("archive/data.pkl").central_method = 8), "zip_method", "deflate");
    assert_rule(&with(|zip| zip.member("archive/data.pkl").central_method = 99), "zip_method", "encryption");
    assert_rule(
        &with(|zip| zip.member("archive/data.pkl").local_name = Some("archive/data.pkk".into())),
        "zip_local",
        "another local name",
    );
    assert_rule(
        &with(|zip| zip.member("archive/data.pkl").local_name = Some("archive/x".into())),
        "zip_local",
        "a shorter local name",
    );
    assert_rule(&with(|zip| zip.member("archive/data/0").crc = Some(1)), "zip_crc", "a wrong check sum");
    assert_rule(&with(|zip| zip.member("archive/data.pkl").crc = Some(1)), "zip_crc", "of the pickle");
    assert_rule(
        &with(|zip| zip.member("archive/data/0").central_size = Some(20)),
        "zip_descriptor",
        "a smaller size",
    );
    assert_rule(
        &with(|zip| zip.member("archive/data/0").central_size = Some(1 << 30)),
        "zip_gap",
        "a larger size",
    );
    assert_rule(&with(|zip| zip.member("archive/data/0").offset = Some(0)), "zip_gap", "an overlap");
    assert_rule(
        &with(|zip| zip.member("archive/data/0").descriptor = false),
        "zip_descriptor",
        "no descriptor",
    );
    assert_rule(
        &with(|zip| zip.member("archive/data/0").extra = b"up\x01\0x".to_vec()),
        "zip_extra",
        "a field",
    );
    assert_rule(
        &with(|zip| zip.member("archive/data/0").extra = b"up\xff\xff".to_vec()),
        "zip_extra",
        "a long field",
    );
    assert_rule(
        &with(|zip| zip.member("archive/data/0").extra = b"\x01\0\x08\0\x01\0\0\0\0\0\0\0".to_vec()),
        "zip_extra",
        "another size in zip64",
    );
}

#[test]
fn members_that_torch_does_not_write_are_denied() {
    let added = |name: &str| with(|zip| zip.members.push(Member::new(name, "x")));
    for name in [
        "archive/../../evil.pkl",
        "archive/data/../data.pkl",
        "/archive/data.pkl",
        "archive//data.pkl",
        "archive\\x",
        "archive/data/0/1",
        "archive/data/x",
        "archive/data/",
        "archive/data/123456789012345678901",
        "other/data.pkl",
        "archive/extra.pkl",
        "archive/readme.txt",
        "archive",
        "archive/",
        "C:/x",
        "archive/version/",
    ] {
        assert_rule(&added(name), "zip_name", name);
    }
    for name in ["archive/d\u{0}ata.pkl", "archive/dat\u{e4}", "archive/a\nb", ""] {
        assert_rule(&added(name), "zip_name", &name.escape_debug().to_string());
    }
    for name in
        ["archive/code/__torch__.py", "archive/constants.pkl", "archive/run.py", "archive/code/x.debug_pkl"]
    {
        assert_rule(&added(name), "torchscript", name);
    }
    for name in ["archive/data.pkl", "archive/DATA.PKL", "archive/data/0", "archive/Version"] {
        assert_rule(&added(name), "zip_duplicate", name);
    }
    for prefix in ["..", ".", "a:b"] {
        let mut zip = right();
        for member in &mut zip.members {
            member.name = member.name.replacen("archive", prefix, 1);
        }
        assert_rule(&zip.build(), "zip_name", prefix);
    }
}

#[test]
fn members_that_are_no_plain_files_are_denied() {
    for (what, attributes) in
        [("a symlink", 0o120_777 << 16), ("a folder", 0o040_755 << 16), ("a DOS folder", 0x10)]
    {
        assert_rule(
            &with(|zip| zip.member("archive/data/0").attributes = attributes),
            "zip_attributes",
            what,
        );
    }
    assert_rule(
        &with(|zip| zip.member("archive/data/0").comment = b"x".to_vec()),
        "zip_directory",
        "a comment",
    );
    assert_rule(&with(|zip| zip.member("archive/data/0").disk = 1), "zip_directory", "another disk");
    assert_rule(
        &with(|zip| zip.member("archive/version").data = vec![b'1'; 300]),
        "zip_note",
        "a long version",
    );
    assert_rule(
        &with(|zip| zip.member("archive/version").data = b"cos\nsystem\n(".to_vec()),
        "zip_note",
        "a pickle",
    );
    assert_rule(
        &with(|zip| zip.member("archive/byteorder").data = b"middle".to_vec()),
        "zip_note",
        "a byte order",
    );
    assert_rule(
        &with(|zip| zip.members.retain(|member| member.name != "archive/data.pkl")),
        "zip_name",
        "no pickle",
    );
}

#[test]
fn very_many_members_are_denied_or_read_quickly() {
    let mut zip = Zip::new((0..70_000).map(|number| Member::new(&format!("a/data/{number}"), "")).collect());
    assert_rule(&zip.build(), "zip_name", "70,000 members without a pickle");
    zip.members = (0..200_001).map(|number| Member::new(&format!("a/data/{number}"), "")).collect();
    assert_rule(&zip.build(), "zip_members", "200,001 members");
}

#[test]
fn wrappers_and_other_containers_are_never_clean() {
    let mut tar = vec![0_u8; 1024];
    tar[257..262].copy_from_slice(b"ustar");
    let mut old_tar = vec![0_u8; 1024];
    old_tar[..8].copy_from_slice(b"sys_info");
    old_tar[257..262].copy_from_slice(b"ustar");
    let cases: [(&str, &[u8]); 9] = [
        ("tar", &tar),
        ("torch's old tar", &old_tar),
        ("7z", b"7z\xbc\xaf\x27\x1c\0\x04"),
        ("rar", b"Rar!\x1a\x07\x01\0"),
        ("gzip", b"\x1f\x8b\x08\0\0\0\0\0"),
        ("xz", b"\xfd7zXZ\0\0\x04"),
        ("npy", b"\x93NUMPY\x01\0v\0{'descr': '|O'"),
        ("split zip", b"PK\x07\x08PK\x03\x04"),
        ("zeros", &[0; 512]),
    ];
    for (what, bytes) in cases {
        for name in ["m.pt", "m.ckpt", "m.bin", "m.safetensors", "m"] {
            assert!(!admit(bytes, bytes.len() as u64, name).is_clean(), "{what} as {name}");
        }
    }
}
