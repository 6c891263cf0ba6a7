//! Files as torch writes them: all of them are clean.

use lorakeep_weights::{Limits, Verdict, admit, examine};

use crate::pickles::{Pickle, two_tensors};
use crate::zips::{Member, Zip};

fn assert_clean(bytes: &[u8], what: &str) {
    for name in ["model.pt", "model.ckpt", "model.pth", "model.bin"] {
        assert_eq!(admit(bytes, bytes.len() as u64, name), Verdict::Clean, "{what} as {name}");
    }
}

fn torch_zip(pickle: Vec<u8>, storages: &[(&str, usize)]) -> Vec<u8> {
    Zip::torch(pickle, storages).build()
}

#[test]
fn a_dict_of_tensors_is_clean() {
    assert_clean(&torch_zip(two_tensors(), &[("0", 24), ("1", 4)]), "a dict of tensors");
}

#[test]
fn every_layout_that_zip_writers_choose_is_clean() {
    let mut zip = Zip::torch(two_tensors(), &[("0", 24), ("1", 4)]);
    zip.zip64 = false;
    assert_clean(&zip.build(), "without zip64");
    zip.zip64 = true;
    for member in &mut zip.members {
        *member = member.clone().plain();
    }
    assert_clean(&zip.build(), "with sizes in the local headers");
    let mut zip = Zip::torch(two_tensors(), &[("0", 24), ("1", 4)]);
    for member in &mut zip.members {
        member.long_descriptor = true;
    }
    assert_clean(&zip.build(), "with 64-bit descriptors");
    let mut zip = Zip::torch(two_tensors(), &[("0", 24), ("1", 4)]);
    zip.members.push(Member::new("archive/data/2", []));
    zip.member("archive/data/0").attributes = 0o100_644 << 16;
    // Behind 4 GiB torch repeats the size in the local header, and leaves the packed size 0.
    let zip64 = [&b"\x01\0\x10\0"[..], &24_u64.to_le_bytes(), &0_u64.to_le_bytes()].concat();
    zip.member("archive/data/0").extra = zip64;
    assert_clean(&zip.build(), "with an empty storage and a file mode");
}

#[test]
fn a_module_of_parameters_with_metadata_is_clean() {
    // An OrderedDict of parameters whose `_metadata` is set by BUILD, as `module.state_dict()` has it.
    let pickle = Pickle::new()
        .ordered_dict()
        .raw(b"(")
        .text("conv.weight")
        .put()
        .global("torch._utils", "_rebuild_parameter")
        .put()
        .raw(b"(")
        .tensor("BFloat16Storage", "0", &[4, 2, 3, 3])
        .raw(b"\x88")
        .ordered_dict()
        .raw(b"t")
        .put()
        .raw(b"R")
        .put()
        .raw(b"u}")
        .put()
        .text("_metadata")
        .put()
        .ordered_dict()
        .raw(b"(")
        .text("")
        .put()
        .raw(b"}")
        .put()
        .text("version")
        .put()
        .int(1)
        .raw(b"su")
        .raw(b"sb")
        .stop();
    assert_clean(&torch_zip(pickle, &[("0", 144)]), "a state_dict");
}

#[test]
fn a_checkpoint_of_nested_containers_is_clean() {
    let pickle = Pickle::new()
        .raw(b"}")
        .put()
        .raw(b"(")
        .text("state_dict")
        .put()
        .raw(b"}")
        .put()
        .raw(b"(")
        .text("a")
        .put()
        .tensor("FloatStorage", "0", &[])
        .text("b")
        .put()
        .tensor("LongStorage", "1", &[0, 5])
        .raw(b"u")
        .text("epoch")
        .put()
        .int(-3)
        .text("global_step")
        .put()
        .int(1 << 40)
        .text("lr")
        .put()
        .raw(b"G\x3f\xf0\0\0\0\0\0\0")
        .text("done")
        .put()
        .raw(b"\x88")
        .text("name")
        .put()
        .raw(b"N")
        .text("betas")
        .put()
        .raw(b"G\x3f\xf0\0\0\0\0\0\0G\x3f\xf0\0\0\0\0\0\0\x86")
        .put()
        .text("params")
        .put()
        .raw(b"]")
        .put()
        .raw(b"(")
        .int(0)
        .int(1)
        .raw(b"e")
        .text("size")
        .put()
        .global("torch", "Size")
        .put()
        .ints(&[1, 2, 3, 4])
        .put()
        .raw(b"\x85R")
        .put()
        .text("device")
        .put()
        .global("torch", "device")
        .put()
        .text("cuda")
        .put()
        .int(0)
        .raw(b"\x86R")
        .put()
        .text("dtype")
        .put()
        .global("torch", "bfloat16")
        .put()
        .text("bytes")
        .put()
        .global("_codecs", "encode")
        .put()
        .text("\u{ff}")
        .put()
        .text("latin1")
        .put()
        .raw(b"\x86R")
        .put()
        .text("set")
        .put()
        .global("__builtin__", "set")
        .put()
        .raw(b"]")
        .put()
        .raw(b"(K\x01e\x85R")
        .put()
        .text("complex")
        .put()
        .global("__builtin__", "complex")
        .put()
        .raw(b"G\x3f\xf0\0\0\0\0\0\0G\x3f\xf0\0\0\0\0\0\0\x86R")
        .put()
        .text("count")
        .put()
        .global("collections", "Counter")
        .put()
        .raw(b"}")
        .put()
        .raw(b"\x85R")
        .put()
        .raw(b"u")
        .stop();
    assert_clean(&torch_zip(pickle, &[("0", 4), ("1", 0)]), "a training checkpoint");
}

#[test]
fn tensors_that_share_a_storage_are_clean() {
    let pickle = Pickle::new()
        .raw(b"}")
        .put()
        .raw(b"(")
        .text("whole")
        .put()
        .tensor("FloatStorage", "0", &[10])
        .text("part")
        .put()
        .tensor_of(|pickle| pickle.storage("FloatStorage", "0", 10), 4, &[2, 3], &[3, 1])
        .text("transposed")
        .put()
        .tensor_of(|pickle| pickle.storage("FloatStorage", "0", 10), 0, &[2, 5], &[1, 2])
        .text("expanded")
        .put()
        .tensor_of(|pickle| pickle.storage("FloatStorage", "0", 10), 9, &[1000], &[0])
        .raw(b"u")
        .stop();
    assert_clean(&torch_zip(pickle, &[("0", 40)]), "shared storages");
}

#[test]
fn new_element_types_lie_on_untyped_storages() {
    let pickle = Pickle::new()
        .global("torch._utils", "_rebuild_tensor_v3")
        .put()
        .raw(b"((")
        .text("storage")
        .put()
        .global("torch.storage", "UntypedStorage")
        .put()
        .text("0")
        .put()
        .text("cpu")
        .put()
        .int(6)
        .raw(b"t")
        .put()
        .raw(b"Q")
        .int(0)
        .ints(&[2, 3])
        .put()
        .ints(&[3, 1])
        .put()
        .raw(b"\x89")
        .ordered_dict()
        .global("torch", "float8_e4m3fn")
        .put()
        .raw(b"t")
        .put()
        .raw(b"R")
        .put()
        .stop();
    assert_clean(&torch_zip(pickle, &[("0", 6)]), "float8");
}

#[test]
fn large_archives_are_clean_and_quick() {
    let count = 20_000;
    let mut pickle = Pickle::new().raw(b"}").put().raw(b"(");
    for number in 0..count {
        pickle = pickle.text(&format!("layer.{number}.weight")).put().tensor(
            "ByteStorage",
            &number.to_string(),
            &[3],
        );
    }
    let keys: Vec<String> = (0..count).map(|number: i32| number.to_string()).collect();
    let storages: Vec<(&str, usize)> = keys.iter().map(|key| (key.as_str(), 3)).collect();
    let bytes = torch_zip(pickle.raw(b"u").stop(), &storages);
    assert_eq!(admit(&bytes, bytes.len() as u64, "model.pt"), Verdict::Clean);
}

/// The five parts of a file from before torch 1.6, and its storages.
pub(crate) fn legacy(object: Vec<u8>, storages: &[(&str, u64, usize)]) -> Vec<u8> {
    let mut bytes =
        b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e\x80\x02M\xe9\x03.".to_vec();
    bytes.extend(
        Pickle::new()
            .raw(b"}")
            .put()
            .raw(b"(")
            .short_text("protocol_version")
            .put()
            .int(1001)
            .short_text("little_endian")
            .put()
            .raw(b"\x88")
            .short_text("type_sizes")
            .put()
            .raw(b"}")
            .put()
            .raw(b"(")
            .short_text("short")
            .put()
            .int(2)
            .short_text("int")
            .put()
            .int(4)
            .short_text("long")
            .put()
            .int(4)
            .raw(b"uu")
            .stop(),
    );
    bytes.extend(object);
    let keys = storages
        .iter()
        .fold(Pickle::new().raw(b"]").put().raw(b"("), |keys, (key, _, _)| keys.short_text(key).put());
    bytes.extend(keys.raw(b"e").stop());
    for (_, count, size) in storages {
        bytes.extend(count.to_le_bytes());
        bytes.resize(bytes.len() + size, 7);
    }
    bytes
}

/// Two tensors as torch 0.4 wrote them under Python 2.
pub(crate) fn legacy_object() -> Vec<u8> {
    let first = |pickle: Pickle| pickle.legacy_storage("FloatStorage", "94213", 6);
    Pickle::new()
        .global("collections", "OrderedDict")
        .put()
        .raw(b"]")
        .put()
        .raw(b"(]")
        .put()
        .raw(b"(")
        .short_text("weight")
        .put()
        .tensor_of(first, 0, &[2, 3], &[3, 1])
        .raw(b"e]")
        .put()
        .raw(b"(")
        .short_text("old")
        .put()
        .global("torch._utils", "_rebuild_tensor")
        .put()
        .raw(b"(")
        .legacy_storage("HalfStorage", "94214", 2)
        .int(0)
        .ints(&[2])
        .put()
        .ints(&[1])
        .put()
        .raw(b"t")
        .put()
        .raw(b"R")
        .put()
        .raw(b"ee\x85")
        .put()
        .raw(b"R")
        .put()
        .stop()
}

#[test]
fn files_from_before_torch_1_6_are_clean() {
    let bytes = legacy(legacy_object(), &[("94214", 2, 4), ("94213", 6, 24)]);
    assert_clean(&bytes, "a legacy file");
    let bytes = legacy(Pickle::new().raw(b"}").put().stop(), &[]);
    assert_clean(&bytes, "a legacy file without tensors");
}

#[test]
fn the_tensors_of_a_torch_file_are_known_by_name() {
    let bytes = torch_zip(two_tensors(), &[("0", 24), ("1", 4)]);
    let found = examine(&bytes, bytes.len() as u64, "model.pt", Limits::default());
    let contents = found.contents.expect("a clean file was read");
    let names: Vec<&str> = contents.tensors.iter().map(|tensor| &*tensor.name).collect();
    assert_eq!(names, ["weight", "bias"]);
    assert_eq!((*contents.tensors[0].shape).to_vec(), [2, 3]);
    assert_eq!(contents.tensors[1].dtype.name(), "F16");
}
