//! Pickles that run something, or may: all of them are denied, for the reason they are built for.

use lorakeep_weights::{Verdict, admit};

use crate::benign::{legacy, legacy_object};
use crate::pickles::{Pickle, payload, two_tensors};
use crate::zips::Zip;

/// The rule by which a file is denied as each kind of torch file.
pub(crate) fn rule_of(bytes: &[u8], what: &str) -> &'static str {
    let verdict = admit(bytes, bytes.len() as u64, "model.pt");
    match verdict {
        Verdict::Denied { rule, .. } => rule,
        other => panic!("{what} is {other:?}"),
    }
}

fn zipped(pickle: &[u8]) -> Vec<u8> {
    Zip::torch(pickle.to_vec(), &[("0", 24), ("1", 4)]).build()
}

/// Tries a pickle inside a zip, as the object of a legacy file, and bare.
pub(crate) fn assert_denied(pickle: &[u8], rule: &str, what: &str) {
    assert_eq!(rule_of(&zipped(pickle), what), rule, "{what} in a zip");
    let old = legacy(pickle.to_vec(), &[("0", 6, 24)]);
    rule_of(&old, what);
    rule_of(pickle, what);
}

#[test]
fn every_protocol_but_two_is_denied() {
    for protocol in [0, 1, 3, 4, 5, 6, 255] {
        let pickle = payload(Pickle::empty().raw(&[0x80, protocol])).stop();
        assert_eq!(rule_of(&zipped(&pickle), "protocol"), "protocol");
        rule_of(&pickle, "a bare pickle");
    }
    assert_denied(&payload(Pickle::empty()).stop(), "protocol", "no protocol at all");
    assert_denied(b"cos\nsystem\n(S'id'\ntR.", "protocol", "a pickle of text");
    assert_denied(&Pickle::new().raw(b"\x80\x02N").stop(), "protocol", "a second protocol");
    assert_denied(&payload(Pickle::new().raw(b"\x80\x04")).stop(), "protocol", "a later protocol");
}

#[test]
fn opcodes_that_torch_does_not_write_are_denied() {
    let name = || Pickle::new().global("collections", "OrderedDict");
    let cases: Vec<(&str, Pickle)> = vec![
        ("INST", Pickle::new().raw(b"(X\x02\0\0\0idios\nsystem\n")),
        ("OBJ", Pickle::new().raw(b"(").global("collections", "OrderedDict").raw(b"o")),
        ("OBJ and POP", name().raw(b"(No0N")),
        ("NEWOBJ", name().raw(b")\x81")),
        ("NEWOBJ_EX", name().raw(b")}\x92")),
        ("EXT1", Pickle::new().raw(b"\x82\x01")),
        ("EXT2", Pickle::new().raw(b"\x83\x01\0")),
        ("EXT4", Pickle::new().raw(b"\x84\x01\0\0\0")),
        ("PERSID", Pickle::new().raw(b"P0\n")),
        ("STACK_GLOBAL", Pickle::new().text("os").text("system").raw(b"\x93")),
        ("FRAME", Pickle::new().raw(b"\x95\x01\0\0\0\0\0\0\0N")),
        ("MEMOIZE", Pickle::new().raw(b"N\x94")),
        ("POP", Pickle::new().raw(b"NN0")),
        ("POP_MARK", Pickle::new().raw(b"N(N1")),
        ("DUP", Pickle::new().raw(b"N2\x86")),
        ("NEXT_BUFFER", Pickle::new().raw(b"\x97")),
        ("STRING", Pickle::new().raw(b"S'id'\n")),
        ("BINSTRING", Pickle::new().raw(b"T\x02\0\0\0id")),
        ("UNICODE", Pickle::new().raw(b"V\\u0069d\n")),
        ("SHORT_BINUNICODE", Pickle::new().raw(b"\x8c\x02id")),
        ("BINUNICODE8", Pickle::new().raw(b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff")),
        ("BINBYTES", Pickle::new().raw(b"B\x02\0\0\0id")),
        ("SHORT_BINBYTES", Pickle::new().raw(b"C\x02id")),
        ("BINBYTES8", Pickle::new().raw(b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f")),
        ("BYTEARRAY8", Pickle::new().raw(b"\x96\xff\xff\xff\xff\xff\xff\xff\x7f")),
        ("INT", Pickle::new().raw(b"I1\n")),
        ("LONG", Pickle::new().raw(b"L1L\n")),
        ("LONG of two million digits", Pickle::new().raw(b"L").raw(&vec![b'9'; 2_000_000]).raw(b"L\n")),
        ("LONG4", Pickle::new().raw(b"\x8b\xff\xff\xff\x7f")),
        ("FLOAT", Pickle::new().raw(b"F1.5\n")),
        ("DICT", Pickle::new().raw(b"(d")),
        ("LIST", Pickle::new().raw(b"(l")),
        ("ADDITEMS", Pickle::new().raw(b"\x8f(N\x90")),
        ("FROZENSET", Pickle::new().raw(b"(\x91")),
        ("PUT", Pickle::new().raw(b"Np0\n")),
        ("GET", Pickle::new().raw(b"Nq\x00g0\n")),
        ("no opcode", Pickle::new().raw(b"\xff")),
        ("NUL", Pickle::new().raw(b"\0")),
    ];
    for (what, pickle) in cases {
        assert_denied(&pickle.stop(), "opcode", what);
    }
}

#[test]
fn an_extension_registered_in_the_same_stream_is_denied() {
    let pickle =
        Pickle::new().global("copyreg", "add_extension").text("os").text("system").int(1).raw(b"\x87R0");
    assert_denied(
        &pickle.raw(b"\x82\x01").text("id").raw(b"\x85R").stop(),
        "global",
        "a registry of extensions",
    );
}

#[test]
fn what_runs_before_an_error_is_not_harmless() {
    let start = || payload(Pickle::new());
    for (what, pickle) in [
        ("cut", start().cut()),
        ("a bad opcode", start().raw(b"\xff").stop()),
        ("a missing memo slot", start().get(9).stop()),
        ("an empty stack", start().raw(b"000").stop()),
        ("a cut text", start().raw(b"X\xff\0\0\0a").cut()),
    ] {
        assert_denied(&pickle, "global", what);
    }
    let name = || Pickle::new().global("collections", "OrderedDict");
    assert_denied(&name().cut(), "truncated", "cut after a name");
    assert_denied(&Pickle::new().raw(b"ccollections").cut(), "truncated", "cut in a name");
    assert_denied(&Pickle::new().raw(b"X\xff\0\0\0a").cut(), "truncated", "cut in a text");
    assert_denied(&Pickle::new().raw(b"J\0").cut(), "truncated", "cut in a number");
}

#[test]
fn what_follows_the_end_is_denied() {
    let tail = payload(Pickle::new()).stop();
    let twice = [two_tensors(), tail].concat();
    assert_eq!(rule_of(&zipped(&twice), "a second pickle"), "trailing");
    let sixth = [
        two_tensors(),
        two_tensors(),
        two_tensors(),
        two_tensors(),
        two_tensors(),
        payload(Pickle::new()).stop(),
    ];
    assert_eq!(rule_of(&zipped(&sixth.concat()), "a sixth pickle"), "trailing");
    assert_eq!(rule_of(&zipped(&[two_tensors(), vec![0]].concat()), "one byte"), "trailing");
}

#[test]
fn the_memo_keeps_what_things_are() {
    let call = |pickle: Pickle| pickle.text("id").raw(b"\x85R").stop();
    let parked = Pickle::new().global("torch", "FloatStorage").put().raw(b"}").get(0);
    assert_denied(&call(parked), "call", "a class from the memo called");
    let swapped =
        Pickle::new().global("collections", "OrderedDict").raw(b"q\0").global("torch", "Tensor").raw(b"q\0");
    assert_denied(&call(swapped), "memo_overwrite", "a slot written twice");
    assert_denied(&Pickle::new().get(0).stop(), "memo_missing", "an empty slot");
    assert_denied(&Pickle::new().raw(b"j\xff\xff\xff\xff").stop(), "limit_memo", "a slot far away");
    assert_denied(&Pickle::new().raw(b"Nr\xff\xff\xff\xff").stop(), "limit_memo", "a slot that takes memory");
    assert_denied(&Pickle::new().raw(b"q\0").stop(), "stack", "nothing to remember");
    assert_denied(&Pickle::new().raw(b"N(q\0").stop(), "stack", "nothing above the mark to remember");
}

#[test]
fn the_stack_is_not_read_below_its_floor_or_a_mark() {
    for (what, body) in [
        ("an empty pickle", &b""[..]),
        ("a tuple of nothing", b"\x85"),
        ("a tuple across a mark", b"N(\x85"),
        ("a tuple without a mark", b"Nt"),
        ("a call of nothing", b"R"),
        ("a call across a mark", b"N()R"),
        ("items without a dict", b"(u"),
        ("an item without a dict", b"NNs"),
        ("an odd number of items", b"}(Nu"),
        ("appending to nothing", b"Na"),
        ("appending without a list", b"(Ne"),
        ("building nothing", b"b"),
        ("an id of nothing", b"Q"),
        ("two values left", b"NN"),
        ("a mark left", b"N("),
        ("a mark below", b"(N"),
    ] {
        assert_denied(&Pickle::new().raw(body).stop(), "stack", what);
    }
}

#[test]
fn things_are_not_taken_for_other_things() {
    let tensor = || Pickle::new().tensor("FloatStorage", "0", &[2, 3]);
    let cases = [
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
    for (what, pickle, rule) in cases {
        assert_denied(&pickle.stop(), rule, what);
    }
}

#[test]
fn known_functions_take_known_arguments_only() {
    let rebuild = |name: &str| Pickle::new().global("torch._utils", name);
    let cases = [
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
        ("a tensor of texts", rebuild("_rebuild_tensor").text("a").int(0).raw(b")t").raw(b"R")),
        ("a parameter of a dict", rebuild("_rebuild_parameter").raw(b"}\x89").ordered_dict().raw(b"\x87R")),
        ("a tensor with hooks", {
            let start = rebuild("_rebuild_tensor_v2").raw(b"(").storage("FloatStorage", "0", 6).int(0);
            start.ints(&[6]).ints(&[1]).raw(b"\x89").global("torch", "Tensor").raw(b"tR")
        }),
        ("a tensor on a list", rebuild("_rebuild_tensor").raw(b"(]").int(0).ints(&[1]).ints(&[1]).raw(b"tR")),
    ];
    for (what, pickle) in cases {
        let rule = rule_of(&zipped(&pickle.stop()), what);
        assert!(matches!(rule, "call_arguments" | "stack"), "{what}: {rule}");
    }
}

#[test]
fn tensors_stay_inside_their_storage() {
    let on = |count: i64, offset: i64, size: &[i64], stride: &[i64]| {
        Pickle::new()
            .tensor_of(|pickle| pickle.storage("FloatStorage", "0", count), offset, size, stride)
            .stop()
    };
    for (what, pickle) in [
        ("too long", on(6, 0, &[7], &[1])),
        ("too far", on(6, 1, &[6], &[1])),
        ("too wide steps", on(6, 0, &[2, 2], &[5, 1])),
        ("a negative offset", on(6, -1, &[2], &[1])),
        ("a negative size", on(6, 0, &[-2], &[1])),
        ("a negative step", on(6, 5, &[2], &[-1])),
        ("sizes and steps of different length", on(6, 0, &[2], &[1, 1])),
        ("a product that wraps", on(6, 0, &[1 << 62, 1 << 62], &[0, 0])),
        ("a sum that wraps", on(6, i64::MAX, &[i64::MAX], &[i64::MAX])),
        ("an empty tensor far away", on(6, 7, &[0], &[1])),
    ] {
        assert_eq!(rule_of(&zipped(&pickle), what), "tensor_bounds", "{what}");
    }
    let short = on(7, 0, &[7], &[1]);
    assert_eq!(rule_of(&zipped(&short), "a storage shorter than declared"), "storage_short");
    let missing = Pickle::new().tensor("FloatStorage", "9", &[1]).stop();
    assert_eq!(rule_of(&zipped(&missing), "a storage that is not there"), "storage_missing");
    let huge = on(i64::MAX, 0, &[1], &[1]);
    assert_eq!(rule_of(&zipped(&huge), "a storage of endless length"), "storage_short");
    let meta = Pickle::new()
        .global("torch._utils", "_rebuild_meta_tensor_no_storage")
        .raw(b"(")
        .global("torch", "float32")
        .ints(&[1 << 40, 1 << 40])
        .ints(&[1 << 40, 1])
        .raw(b"\x89tR")
        .stop();
    assert_eq!(rule_of(&zipped(&meta), "a meta tensor"), "tensor_bounds");
}

#[test]
fn persistent_ids_are_what_torch_writes() {
    let id = |fields: Pickle| fields.raw(b"tQ").stop();
    let start = || Pickle::new().raw(b"(");
    for (what, pickle) in [
        ("a text", Pickle::new().text("os").raw(b"Q").stop()),
        ("an empty tuple", Pickle::new().raw(b")Q").stop()),
        ("a module", id(start().text("module").global("torch", "FloatStorage").text("a.py").text("code"))),
        (
            "another word",
            id(start().text("file").global("torch", "FloatStorage").text("0").text("cpu").int(1)),
        ),
        ("no class", id(start().text("storage").text("FloatStorage").text("0").text("cpu").int(1))),
        (
            "a class that is none",
            id(start().text("storage").global("torch", "Tensor").text("0").text("cpu").int(1)),
        ),
        (
            "a path",
            id(start().text("storage").global("torch", "FloatStorage").text("../0").text("cpu").int(1)),
        ),
        (
            "an empty key",
            id(start().text("storage").global("torch", "FloatStorage").text("").text("cpu").int(1)),
        ),
        (
            "a negative count",
            id(start().text("storage").global("torch", "FloatStorage").text("0").text("cpu").int(-1)),
        ),
        (
            "a long key",
            id(start()
                .text("storage")
                .global("torch", "FloatStorage")
                .text(&"0".repeat(300))
                .text("cpu")
                .int(1)),
        ),
        ("a legacy view", Pickle::new().legacy_storage("FloatStorage", "0", 1).stop()),
    ] {
        assert_eq!(rule_of(&zipped(&pickle), what), "persistent_id", "{what}");
    }
    let twice =
        Pickle::new().storage("FloatStorage", "0", 1).storage("DoubleStorage", "0", 1).raw(b"\x86").stop();
    assert_eq!(rule_of(&zipped(&twice), "one key of two types"), "storage_twice");
    let grows =
        Pickle::new().storage("FloatStorage", "0", 1).storage("FloatStorage", "0", 6).raw(b"\x86").stop();
    assert_eq!(rule_of(&zipped(&grows), "one key of two lengths"), "storage_twice");
}

#[test]
fn what_costs_too_much_is_denied() {
    let many = |opcode: &[u8], count: usize| Pickle::new().raw(&opcode.repeat(count)).stop();
    for (what, pickle, rule) in [
        ("two million marks", many(b"(", 2_000_000), "limit_stack"),
        ("two million values", many(b"N", 2_000_000), "limit_stack"),
        (
            "two million nested tuples",
            Pickle::new().raw(b")").raw(&b"\x85".repeat(2_000_000)).stop(),
            "limit_depth",
        ),
        ("five million copies", Pickle::new().raw(b"N").raw(&b"2".repeat(5_000_000)).stop(), "opcode"),
        ("21 million opcodes", many(b"\x8f(1", 1), "opcode"),
        ("a name without end", Pickle::new().raw(b"c").raw(&vec![b'a'; 1_000_000]).stop(), "text"),
        ("a text of 4 GB", Pickle::new().raw(b"X\xff\xff\xff\xff").stop(), "limit_text"),
    ] {
        assert_eq!(rule_of(&zipped(&pickle), what), rule, "{what}");
    }
    let spin = Pickle::new().raw(&b"K\0q\x00"[..]).raw(&b"]h\0a".repeat(300_000)).stop();
    assert!(matches!(rule_of(&zipped(&spin), "a heap of lists"), "stack" | "limit_stack"));
}

#[test]
fn a_pickle_is_denied_under_every_name_and_in_every_wrapper() {
    let bare = payload(Pickle::new()).stop();
    for name in
        ["m.pt", "m.ckpt", "m.pth", "m.bin", "m.safetensors", "M.PT", "m.pt.safetensors", "m.onnx", "m"]
    {
        assert!(matches!(admit(&bare, bare.len() as u64, name), Verdict::Denied { .. }), "{name}");
        let zip = zipped(&bare);
        assert!(!admit(&zip, zip.len() as u64, name).is_clean(), "{name}");
    }
}

#[test]
fn legacy_files_are_followed_to_their_last_byte() {
    let right = || legacy(legacy_object(), &[("94214", 2, 4), ("94213", 6, 24)]);
    let mut cases = vec![
        ("a byte behind", [right(), vec![0]].concat(), "trailing"),
        ("a pickle behind", [right(), payload(Pickle::new()).stop()].concat(), "trailing"),
        ("a storage too few", legacy(legacy_object(), &[("94214", 2, 4)]), "storage_missing"),
        (
            "a storage too many",
            legacy(legacy_object(), &[("94214", 2, 4), ("94213", 6, 24), ("7", 1, 4)]),
            "legacy_keys",
        ),
        ("a storage twice", legacy(legacy_object(), &[("94214", 2, 4), ("94214", 2, 4)]), "legacy_keys"),
        ("another count", legacy(legacy_object(), &[("94214", 3, 4), ("94213", 6, 24)]), "storage_short"),
        ("a hostile object", legacy(payload(Pickle::new()).stop(), &[]), "global"),
    ];
    let mut cut = right();
    cut.pop();
    cases.push(("a byte less", cut, "trailing"));
    let mut version = right();
    version[18] = 0xea;
    cases.push(("another protocol number", version, "legacy_magic"));
    for (what, bytes, rule) in cases {
        assert_eq!(rule_of(&bytes, what), rule, "{what}");
    }
    // The magic number as the result of an opcode that runs something.
    let made =
        [payload(Pickle::new()).raw(b"0\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19").stop(), right()]
            .concat();
    assert_eq!(rule_of(&made, "a magic number that is made"), "bare_pickle");
    let keys = [&right()[..21], &payload(Pickle::new()).stop()].concat();
    assert_eq!(rule_of(&keys, "hostile facts about the machine"), "global");
}
