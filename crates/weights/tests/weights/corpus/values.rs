//! Pickles whose opcodes are all right and whose values are not: things taken for other things, arguments, bounds,
//! persistent ids, cost.

use super::{Hostile, Pickle, by_rule};

/// Items of what has none, calls of what is no function.
pub(crate) fn confusions() -> Vec<Hostile> {
    let tensor = || Pickle::new().tensor("FloatStorage", "0", &[2, 3]);
    let rows = vec![
        ("an item of a tensor", tensor().text("a").raw(b"Ns"), "setitem"),
        ("items of a tensor", tensor().raw(b"(").text("a").raw(b"Nu"), "setitem"),
        ("an item of a list", Pickle::new().raw(b"]K\0Ns"), "setitem"),
        ("an item of a name", Pickle::new().global("collections", "OrderedDict").raw(b"K\0Ns"), "setitem"),
        ("a list as a key", Pickle::new().raw(b"}]Ns"), "setitem"),
        ("appending to a dict", Pickle::new().raw(b"}Na"), "append"),
        ("appending to a tensor", tensor().raw(b"(NNe"), "append"),
        ("building a dict", Pickle::new().raw(b"}}b"), "build"),
        ("building a name", Pickle::new().global("torch", "Tensor").raw(b"}b"), "build"),
        ("building a list", Pickle::new().raw(b"]}b"), "build"),
        ("building a tensor by a dict", tensor().raw(b"}b"), "build"),
        ("building an OrderedDict by a tuple", Pickle::new().ordered_dict().raw(b"N}\x86b"), "build"),
        ("calling a text", Pickle::new().text("os").raw(b")R"), "call"),
        ("calling None", Pickle::new().raw(b"N)R"), "call"),
        ("calling a class that is only a name", Pickle::new().global("torch", "Tensor").raw(b")R"), "call"),
        ("calling a storage class", Pickle::new().global("torch", "FloatStorage").raw(b")R"), "call"),
        ("calling the result of a call", Pickle::new().ordered_dict().raw(b")R"), "call"),
        ("calling with a list", Pickle::new().global("collections", "OrderedDict").raw(b"]R"), "call"),
        ("calling with None", Pickle::new().global("collections", "OrderedDict").raw(b"NR"), "call"),
    ];
    rows.into_iter().map(|(what, pickle, rule)| Hostile::new(what, pickle, rule)).collect()
}

/// Allowed functions with arguments that torch never gives them.
pub(crate) fn arguments() -> Vec<Hostile> {
    let rebuild = |name: &str| Pickle::new().global("torch._utils", name);
    let rows = vec![
        ("encode to a bomb", Pickle::new().global("_codecs", "encode").text("a").text("bz2").raw(b"\x86R")),
        (
            "bytearray of a length",
            Pickle::new().global("__builtin__", "bytearray").raw(b"J\xff\xff\xff\x7f\x85R"),
        ),
        ("set of a dict", Pickle::new().global("__builtin__", "set").raw(b"}\x85R")),
        ("a device by a path", Pickle::new().global("torch", "device").text("../../etc").raw(b"\x85R")),
        ("a size of texts", Pickle::new().global("torch", "Size").text("a").raw(b"\x85\x85R")),
        ("a size below zero", Pickle::new().global("torch", "Size").ints(&[-1]).raw(b"\x85R")),
        ("a tensor of nothing", rebuild("_rebuild_tensor_v2").raw(b")R")),
        ("a tensor of texts", rebuild("_rebuild_tensor").raw(b"(").text("a").int(0).raw(b"))tR")),
        ("a parameter of a dict", rebuild("_rebuild_parameter").raw(b"}\x89").ordered_dict().raw(b"\x87R")),
        ("a tensor with hooks", {
            let start = rebuild("_rebuild_tensor_v2").raw(b"(").storage("FloatStorage", "0", 6).int(0);
            start.ints(&[6]).ints(&[1]).raw(b"\x89").global("torch", "Tensor").raw(b"tR")
        }),
        ("a tensor on a list", rebuild("_rebuild_tensor").raw(b"(]").int(0).ints(&[1]).ints(&[1]).raw(b"tR")),
    ];
    by_rule("call_arguments", rows)
}

/// Tensors that reach out of their storage, and storages that are not there.
pub(crate) fn bounds() -> Vec<Hostile> {
    let on = |count: i64, offset: i64, size: &[i64], stride: &[i64]| {
        Pickle::new().tensor_of(|pickle| pickle.storage("FloatStorage", "0", count), offset, size, stride)
    };
    let mut all = by_rule(
        "tensor_bounds",
        vec![
            ("a tensor that is too long", on(6, 0, &[7], &[1])),
            ("a tensor that is too far", on(6, 1, &[6], &[1])),
            ("a tensor of too wide steps", on(6, 0, &[2, 2], &[5, 1])),
            ("a tensor of a negative offset", on(6, -1, &[2], &[1])),
            ("a tensor of a negative size", on(6, 0, &[-2], &[1])),
            ("a tensor of a negative step", on(6, 5, &[2], &[-1])),
            ("sizes and steps of different length", on(6, 0, &[2], &[1, 1])),
            ("a product that wraps", on(6, 0, &[1 << 62, 1 << 62], &[0, 0])),
            ("a sum that wraps", on(6, i64::MAX, &[i64::MAX], &[i64::MAX])),
            ("an empty tensor far away", on(6, 7, &[0], &[1])),
            (
                "a meta tensor of endless length",
                Pickle::new()
                    .global("torch._utils", "_rebuild_meta_tensor_no_storage")
                    .raw(b"(")
                    .global("torch", "float32")
                    .ints(&[1 << 40, 1 << 40])
                    .ints(&[1 << 40, 1])
                    .raw(b"\x89tR"),
            ),
        ],
    );
    all.extend(by_rule(
        "storage_short",
        vec![
            ("a storage shorter than declared", on(7, 0, &[7], &[1])),
            ("a storage of endless length", on(i64::MAX, 0, &[1], &[1])),
        ],
    ));
    let missing = Pickle::new().tensor("FloatStorage", "9", &[1]);
    all.push(Hostile::new("a storage that is not there", missing, "storage_missing"));
    all
}

/// Persistent ids that torch does not write.
pub(crate) fn persistent_ids() -> Vec<Hostile> {
    let id = |fields: Pickle| fields.raw(b"tQ");
    let start = || Pickle::new().raw(b"(");
    let mut all = by_rule(
        "persistent_id",
        vec![
            ("an id of a text", Pickle::new().text("os").raw(b"Q")),
            ("an id of an empty tuple", Pickle::new().raw(b")Q")),
            (
                "an id of a module",
                id(start().text("module").global("torch", "FloatStorage").text("a.py").text("code")),
            ),
            (
                "an id of another word",
                id(start().text("file").global("torch", "FloatStorage").text("0").text("cpu").int(1)),
            ),
            (
                "an id of no class",
                id(start().text("storage").text("FloatStorage").text("0").text("cpu").int(1)),
            ),
            (
                "an id of a class that is none",
                id(start().text("storage").global("torch", "Tensor").text("0").text("cpu").int(1)),
            ),
            (
                "an id of a path",
                id(start().text("storage").global("torch", "FloatStorage").text("../0").text("cpu").int(1)),
            ),
            (
                "an id of an empty key",
                id(start().text("storage").global("torch", "FloatStorage").text("").text("cpu").int(1)),
            ),
            (
                "an id of a negative count",
                id(start().text("storage").global("torch", "FloatStorage").text("0").text("cpu").int(-1)),
            ),
            (
                "an id of a long key",
                id(start()
                    .text("storage")
                    .global("torch", "FloatStorage")
                    .text(&"0".repeat(300))
                    .text("cpu")
                    .int(1)),
            ),
            ("an id of a legacy view", Pickle::new().legacy_storage("FloatStorage", "0", 1)),
        ],
    );
    let twice = Pickle::new().storage("FloatStorage", "0", 1).storage("DoubleStorage", "0", 1).raw(b"\x86");
    let grows = Pickle::new().storage("FloatStorage", "0", 1).storage("FloatStorage", "0", 6).raw(b"\x86");
    all.push(Hostile::new("one key of two types", twice, "storage_twice"));
    all.push(Hostile::new("one key of two lengths", grows, "storage_twice"));
    all
}

/// What costs a careless reader its memory, its stack or an hour.
pub(crate) fn costly() -> Vec<Hostile> {
    let many = |opcode: &[u8], count: usize| Pickle::new().raw(&opcode.repeat(count));
    let rows = vec![
        ("two million marks", many(b"(", 2_000_000), "limit_stack"),
        ("two million values", many(b"N", 2_000_000), "limit_stack"),
        ("two million nested tuples", Pickle::new().raw(b")").raw(&b"\x85".repeat(2_000_000)), "limit_depth"),
        ("five million copies", Pickle::new().raw(b"N").raw(&b"2".repeat(5_000_000)), "opcode"),
        ("21 million opcodes", Pickle::new().raw(b"}").raw(&b"NNs".repeat(7_000_000)), "limit_opcodes"),
        ("a heap of lists", Pickle::new().raw(b"K\0q\0").raw(&b"]h\0a".repeat(300_000)), "stack"),
        ("a million lists", Pickle::new().raw(&b"]".repeat(1_200_000)), "limit_stack"),
        ("a name without end", Pickle::new().raw(b"c").raw(&vec![b'a'; 1_000_000]), "text"),
        ("a text of 4 GB", Pickle::new().raw(b"X\xff\xff\xff\xff"), "limit_text"),
    ];
    rows.into_iter().map(|(what, pickle, rule)| Hostile::new(what, pickle, rule)).collect()
}
