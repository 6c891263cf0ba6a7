//! Other containers and other files under the names of models: what they hold is never looked for.

use super::archives;
use super::headers;
use super::opcodes::runs;
use super::{Case, Expected, Member, SAFETENSORS, TORCH, Zip};

/// The first bytes of containers that hide a program from every check.
const ARCHIVES: &[(&str, &[u8])] = &[
    ("7z", b"7z\xbc\xaf\x27\x1c\0\x04"),
    ("rar 4", b"Rar!\x1a\x07\0rest"),
    ("rar 5", b"Rar!\x1a\x07\x01\0"),
    ("gzip", b"\x1f\x8b\x08\0\0\0\0\0"),
    ("xz", b"\xfd7zXZ\0\0\x04"),
    ("zstd", b"\x28\xb5\x2f\xfd\x24\0\0\0"),
    ("bzip2", b"BZh91AY&SY"),
];

/// What a server answers in the place of a file.
const ANSWERS: &[(&str, &[u8])] = &[
    ("a web page", b"<!doctype html><title>Sign in</title>"),
    ("a message in JSON", b"{\"error\":\"Unauthorized\"}"),
    ("a message", b"Entry not found"),
    ("a pointer of Git LFS", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"),
    ("nothing", b""),
];

/// What is no torch file: each is kept away.
const STRANGERS: &[(&str, &[u8])] = &[
    ("a NumPy array", b"\x93NUMPY\x01\0v\0{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }"),
    (
        "a NumPy array of objects",
        b"\x93NUMPY\x01\0v\0{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
    ),
    ("a split zip", b"PK\x07\x08PK\x03\x04"),
    ("a Windows program", b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0"),
    ("a Linux program", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0"),
    ("an HDF5 file", b"\x89HDF\r\n\x1a\n\0\0\0\0"),
    ("an LZ4 frame", b"\x04\x22\x4d\x18\x64\x40\xa7\0"),
    ("a Lua table of torch 7", b"\x04\0\0\0\x01\0\0\0\x03\0\0\0V 1"),
    ("a GGUF file", b"GGUF\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
    ("zeros", &[0; 512]),
];

/// Every wrapper under the names of torch files, and everything that is no safetensors file under that name.
pub(crate) fn all() -> Vec<Case> {
    let mut all = Vec::new();
    for (what, bytes) in ARCHIVES.iter().chain(ANSWERS) {
        for endings in [TORCH, SAFETENSORS] {
            let (name, bytes) = (format!("wrappers: {what} as .{}", endings[0]), bytes.to_vec());
            all.push(Case { name, endings, bytes, expected: Expected::Malformed });
        }
    }
    for (what, bytes) in STRANGERS {
        all.push(Case::torch(format!("wrappers: {what}"), bytes.to_vec(), Expected::Denied(None)));
    }
    for (what, bytes, rule) in [
        ("a tar", tar(*b"ustar\x0000", "data.pkl"), "torch_tar"),
        ("torch's old tar", tar(*b"ustar\x0000", "sys_info"), "torch_tar"),
        ("a tar of GNU", tar(*b"ustar  \0", "pickle"), "torch_tar"),
        ("safetensors", headers::plain(), "safetensors_named_pickle"),
    ] {
        all.push(Case::denied(format!("wrappers: {what} as a torch file"), bytes, rule));
    }
    let numpy = Zip::new(vec![Member::new("arr_0.npy", STRANGERS[1].1)]).build();
    all.push(Case::denied("wrappers: arrays of NumPy in a zip", numpy, "zip_name"));
    all.extend(misnamed());
    all
}

/// Pickles and archives under the name of a safetensors file.
fn misnamed() -> Vec<Case> {
    let named = |what: &str, bytes: Vec<u8>, expected| Case {
        name: format!("wrappers: {what} named safetensors"),
        endings: SAFETENSORS,
        bytes,
        expected,
    };
    let pickle = Expected::Denied(Some("pickle_named_safetensors"));
    let text = b"cos\nsystem\n(S'id'\ntR.".to_vec();
    let first_archive = archives::two().swap_remove(0).bytes;
    vec![
        named("a pickle", runs(), pickle),
        named("a pickle of text", text, pickle),
        named("a torch file", super::zipped(&runs()), pickle),
        named("a clean torch file", super::zipped(&super::pickles::two_tensors()), pickle),
        named("two archives", first_archive, pickle),
        named("a legacy file", super::pickles::legacy(runs(), &[]), pickle),
        named("an array of NumPy", STRANGERS[1].1.to_vec(), pickle),
        named("a GGUF file", STRANGERS[8].1.to_vec(), Expected::Malformed),
        named("a Windows program", STRANGERS[3].1.to_vec(), Expected::Malformed),
        named("a tar", tar(*b"ustar\x0000", "sys_info"), Expected::Malformed),
    ]
}

/// The header of a tar with one member, padded to its block.
fn tar(magic: [u8; 8], name: &str) -> Vec<u8> {
    let mut block = vec![0; 1024];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[257..265].copy_from_slice(&magic);
    block
}
