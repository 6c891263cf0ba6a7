//! Files as torch and its friends write them: what no check may ever keep away.

use super::pickles::{legacy, legacy_object, two_tensors};
use super::{Case, Expected, Member, Pickle, Zip};

/// Every benign torch file.
pub(crate) fn all() -> Vec<Case> {
    let mut all = vec![
        ("a dict of tensors", torch_zip(two_tensors(), &[("0", 24), ("1", 4)])),
        ("a state_dict of a module", state_dict()),
        ("a training checkpoint", checkpoint()),
        ("tensors that share a storage", shared_storages()),
        ("float8 on an untyped storage", untyped_storage()),
        ("one tensor alone", torch_zip(Pickle::new().tensor("FloatStorage", "0", &[6]).stop(), &[("0", 24)])),
        ("an empty dict", torch_zip(Pickle::new().raw(b"}").put().stop(), &[])),
    ];
    all.extend(layouts());
    all.extend(before_torch_1_6());
    all.extend(element_types());
    let case = |(what, bytes)| Case::torch(format!("benign: {what}"), bytes, Expected::Clean);
    all.into_iter().map(case).collect()
}

fn torch_zip(pickle: Vec<u8>, storages: &[(&str, usize)]) -> Vec<u8> {
    Zip::torch(pickle, storages).build()
}

/// The layouts that writers of zips choose.
pub(crate) fn layouts() -> Vec<(&'static str, Vec<u8>)> {
    let right = || Zip::torch(two_tensors(), &[("0", 24), ("1", 4)]);
    let mut short = right();
    short.zip64 = false;
    let mut plain = right();
    plain.members = plain.members.into_iter().map(Member::plain).collect();
    let mut long = right();
    long.members.iter_mut().for_each(|member| member.long_descriptor = true);
    let mut old = right();
    // Before torch 1.13 there was no byte order, before 2.1 no id.
    old.members.retain(|member| !member.name.contains("byteorder") && !member.name.contains("/."));
    let mut renamed = right();
    for member in &mut renamed.members {
        member.name = member.name.replacen("archive", "my model (v2)", 1);
    }
    let mut mixed = right();
    mixed.members.push(Member::new("archive/data/2", []));
    mixed.member("archive/data/0").attributes = 0o100_644 << 16;
    // Behind 4 GiB torch repeats the size in the local header, and leaves the packed size 0.
    let zip64 = [&b"\x01\0\x10\0"[..], &24_u64.to_le_bytes(), &0_u64.to_le_bytes()].concat();
    mixed.member("archive/data/0").extra = zip64;
    vec![
        ("without zip64", short.build()),
        ("with sizes in the local headers", plain.build()),
        ("with 64-bit descriptors", long.build()),
        ("of an older torch", old.build()),
        ("below the name of its file", renamed.build()),
        ("with an empty storage and a file mode", mixed.build()),
    ]
}

/// An OrderedDict of parameters whose `_metadata` is set by BUILD, as `module.state_dict()` has it.
pub(crate) fn state_dict() -> Vec<u8> {
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
    torch_zip(pickle, &[("0", 144)])
}

/// Everything that a training checkpoint nests.
pub(crate) fn checkpoint() -> Vec<u8> {
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
    torch_zip(pickle, &[("0", 4), ("1", 0)])
}

/// Views of one storage.
pub(crate) fn shared_storages() -> Vec<u8> {
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
    torch_zip(pickle, &[("0", 40)])
}

/// The newest element types have no storage class of their own.
pub(crate) fn untyped_storage() -> Vec<u8> {
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
    torch_zip(pickle, &[("0", 6)])
}

/// One tensor of each element type that old storages have.
fn element_types() -> Vec<(&'static str, Vec<u8>)> {
    let sizes = [
        ("DoubleStorage", 8),
        ("FloatStorage", 4),
        ("HalfStorage", 2),
        ("BFloat16Storage", 2),
        ("LongStorage", 8),
        ("IntStorage", 4),
        ("ShortStorage", 2),
        ("CharStorage", 1),
        ("ByteStorage", 1),
        ("BoolStorage", 1),
    ];
    let of = |(class, size): (&'static str, usize)| {
        let pickle = Pickle::new().raw(b"}").put().text("x").put().tensor(class, "0", &[3]).raw(b"s");
        (class, torch_zip(pickle.stop(), &[("0", 3 * size)]))
    };
    sizes.into_iter().map(of).collect()
}

/// As torch 0.4 wrote them, also under Python 2.
pub(crate) fn before_torch_1_6() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("a legacy file", legacy(legacy_object(), &[("94214", 2, 4), ("94213", 6, 24)])),
        ("a legacy file without tensors", legacy(Pickle::new().raw(b"}").put().stop(), &[])),
    ]
}

/// Twenty thousand tensors.
pub(crate) fn large() -> Vec<u8> {
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
    torch_zip(pickle.raw(b"u").stop(), &storages)
}
