//! Pickles that break a rule of the machine: protocol, opcode, memo, stack, end.

use super::pickles::{payload, two_tensors};
use super::{Hostile, Pickle, by_rule};

/// `os.system("id")` in the plainest form, whole.
pub(crate) fn runs() -> Vec<u8> {
    payload(Pickle::new()).stop()
}

/// An import that every reader sees, and no call.
fn harmless() -> Pickle {
    Pickle::new().global("collections", "OrderedDict")
}

/// Protocols that `torch.save` does not write, and none.
pub(crate) fn protocols() -> Vec<Hostile> {
    let mut all: Vec<Hostile> = [0, 1, 3, 4, 5, 6, 255]
        .into_iter()
        .map(|number| {
            let pickle = payload(Pickle::empty().raw(&[0x80, number]));
            Hostile::new(format!("protocol {number}"), pickle, "protocol")
        })
        .collect();
    all.extend(by_rule(
        "protocol",
        vec![
            ("no protocol at all", payload(Pickle::empty())),
            ("a pickle of text", Pickle::empty().raw(b"cos\nsystem\n(S'id'\ntR")),
            ("INST in text", Pickle::empty().raw(b"(S'id'\nios\nsystem\n")),
            ("a second protocol", Pickle::new().raw(b"\x80\x02N")),
            ("a later protocol", payload(Pickle::new().raw(b"\x80\x04"))),
            ("a protocol behind a value", Pickle::empty().raw(b"N0\x80\x02N")),
        ],
    ));
    all
}

/// Frames, whose ends readers have taken for different places: some then see no import at all.
pub(crate) fn frames() -> Vec<Hostile> {
    let framed =
        |length: u64, body: &[u8]| Pickle::empty().raw(b"\x80\x04\x95").raw(&length.to_le_bytes()).raw(body);
    let hidden = payload(Pickle::empty()).cut();
    // A text that begins in one frame and goes on in the next: who reads by frames takes other bytes for it.
    let straddling =
        [&b"X\x20\0\0\0aaaa"[..], &b"\x95\x18\0\0\0\0\0\0\0"[..], &hidden[..], &[b'a'; 19]].concat();
    let mut all = by_rule(
        "protocol",
        vec![
            ("a text across two frames", framed(9, &straddling)),
            ("a frame that is too short", framed(1, &hidden)),
            ("a frame that is too long", framed(1 << 40, &hidden)),
            ("a frame of nothing", framed(0, &hidden)),
            ("a frame in a frame", framed(30, &[&b"\x95\x01\0\0\0\0\0\0\0"[..], &hidden].concat())),
            ("a name across two frames", framed(3, b"cos\n\x95\x10\0\0\0\0\0\0\0system\n")),
        ],
    );
    all.extend(by_rule(
        "opcode",
        vec![
            ("FRAME in protocol 2", Pickle::new().raw(b"\x95\x01\0\0\0\0\0\0\0N")),
            ("FRAME to the end of the world", Pickle::new().raw(b"\x95\xff\xff\xff\xff\xff\xff\xff\xff")),
            ("FRAME behind a value", Pickle::new().raw(b"N\x95\0\0\0\0\0\0\0\0")),
        ],
    ));
    all
}

/// Opcodes that `torch.save` never writes.
pub(crate) fn never_written() -> Vec<Hostile> {
    let rows = vec![
        ("INST", Pickle::new().raw(b"(X\x02\0\0\0idios\nsystem\n")),
        ("OBJ", Pickle::new().raw(b"(").global("collections", "OrderedDict").raw(b"o")),
        ("OBJ and POP", harmless().raw(b"(No0N")),
        ("NEWOBJ", harmless().raw(b")\x81")),
        ("NEWOBJ_EX", harmless().raw(b")}\x92")),
        ("EXT1", Pickle::new().raw(b"\x82\x01")),
        ("EXT2", Pickle::new().raw(b"\x83\x01\0")),
        ("EXT4", Pickle::new().raw(b"\x84\x01\0\0\0")),
        ("PERSID", Pickle::new().raw(b"P0\n")),
        ("STACK_GLOBAL", Pickle::new().text("os").text("system").raw(b"\x93")),
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
        ("STRING with an escape", Pickle::new().raw(b"S'\\x69d'\n")),
        ("STRING without its end", Pickle::new().raw(b"S'id\n")),
        ("INST of a harmless name", Pickle::new().raw(b"(icollections\nOrderedDict\n")),
        ("POP of a call", Pickle::new().ordered_dict().raw(b"0N")),
        ("PERSID of a name", Pickle::new().raw(b"Pos.system\n")),
        ("READONLY_BUFFER", Pickle::new().raw(b"N\x98")),
        ("EMPTY_SET and ADDITEMS of names", harmless().raw(b"\x8f(N\x90")),
        ("GET of a text number", Pickle::new().raw(b"Nq\x00g00000000\n")),
        ("PUT of two million digits", Pickle::new().raw(b"Np").raw(&vec![b'0'; 2_000_000]).raw(b"\n")),
        ("no opcode", Pickle::new().raw(b"\xff")),
        ("NUL", Pickle::new().raw(b"\0")),
    ];
    by_rule("opcode", rows)
}

/// The registry of extensions, filled in the same stream and used by a number.
pub(crate) fn extensions() -> Vec<Hostile> {
    let filled = |module: &str| {
        Pickle::new().global(module, "add_extension").text("os").text("system").int(1).raw(b"\x87R0")
    };
    let used = |pickle: Pickle, code: &[u8]| pickle.raw(code).text("id").raw(b"\x85R");
    let registry = |name: &str| {
        let pair = Pickle::new().global("copyreg", name).text("os").text("system").raw(b"\x86");
        pair.int(1).raw(b"s").raw(b"\x82\x01")
    };
    by_rule(
        "global",
        vec![
            ("an extension of one byte", used(filled("copyreg"), b"\x82\x01")),
            ("an extension of two bytes", used(filled("copyreg"), b"\x83\x01\0")),
            ("an extension of four bytes", used(filled("copyreg"), b"\x84\x01\0\0\0")),
            ("an extension by Python 2's name", used(filled("copy_reg"), b"\x82\x01")),
            ("an extension by SETITEM", registry("_extension_registry")),
            ("an extension by SETITEM of the inverted registry", registry("_inverted_registry")),
            ("an extension by SETITEM of the cache", registry("_extension_cache")),
        ],
    )
}

/// What ran before an error ran: a broken pickle is not a harmless one.
pub(crate) fn effects_before_errors() -> Vec<Hostile> {
    let start = || payload(Pickle::new());
    let rows = vec![
        ("cut after a call", start().cut()),
        ("a bad opcode behind a call", start().raw(b"\xff").stop()),
        ("a missing memo slot behind a call", start().get(9).stop()),
        ("an empty stack behind a call", start().raw(b"000").stop()),
        ("a cut text behind a call", start().raw(b"X\xff\0\0\0a").cut()),
        ("a text that is no UTF-8 behind a call", start().raw(b"X\x02\0\0\0\xff\xfe").stop()),
    ];
    let mut all: Vec<Hostile> =
        rows.into_iter().map(|(what, pickle)| Hostile::of_bytes(what, pickle, "global")).collect();
    let cut = vec![
        ("cut after a name", harmless().cut()),
        ("cut in a name", Pickle::new().raw(b"ccollections").cut()),
        ("cut in a text", Pickle::new().raw(b"X\xff\0\0\0a").cut()),
        ("cut in a number", Pickle::new().raw(b"J\0").cut()),
        ("nothing behind the protocol", Pickle::new().cut()),
    ];
    all.extend(cut.into_iter().map(|(what, pickle)| Hostile::of_bytes(what, pickle, "truncated")));
    all
}

/// Something behind the end, which a second `load` would read.
pub(crate) fn behind_the_end() -> Vec<Hostile> {
    let tail = runs;
    let sixth = [two_tensors(), two_tensors(), two_tensors(), two_tensors(), two_tensors(), tail()].concat();
    let rows = vec![
        ("a second pickle", [two_tensors(), tail()].concat()),
        ("a sixth pickle", sixth),
        ("a second pickle behind zeros", [two_tensors(), vec![0; 64], tail()].concat()),
        ("one byte behind the end", [two_tensors(), vec![0]].concat()),
        ("a line behind the end", [two_tensors(), b"\n".to_vec()].concat()),
    ];
    rows.into_iter().map(|(what, pickle)| Hostile::of_bytes(what, pickle, "trailing")).collect()
}

/// A pickle in a pickle, read by a function that a name leads to.
pub(crate) fn nested() -> Vec<Hostile> {
    let inner = runs();
    let text: String = inner.iter().map(|byte| char::from(*byte)).collect();
    let of = |module: &str, name: &str| {
        let encoded =
            Pickle::new().global(module, name).global("_codecs", "encode").text(&text).text("latin1");
        encoded.raw(b"\x86R\x85R")
    };
    by_rule(
        "global",
        vec![
            ("a pickle for pickle.loads", of("pickle", "loads")),
            ("a pickle for _pickle.loads", of("_pickle", "loads")),
            ("a pickle for Python 2's cPickle", of("cPickle", "loads")),
            ("a pickle for marshal", of("marshal", "loads")),
            ("a pickle for torch's storages", of("torch.storage", "_load_from_bytes")),
            ("a pickle for torch.load", of("torch.serialization", "_legacy_load")),
            ("a pickle for numpy", of("numpy.core.multiarray", "fromstring")),
            ("a pickle for joblib", of("joblib.numpy_pickle", "load")),
            ("a pickle for shelve", of("shelve", "open")),
        ],
    )
}

/// Memo slots that are empty, written twice, far away, or hold something else than they seem to.
pub(crate) fn memo() -> Vec<Hostile> {
    let call = |pickle: Pickle| pickle.text("id").raw(b"\x85R");
    let parked = Pickle::new().global("torch", "FloatStorage").put().raw(b"}").get(0);
    let long = Pickle::new().global("torch", "FloatStorage").raw(b"r\x10\0\0\0").raw(b"j\x10\0\0\0");
    let swapped =
        Pickle::new().global("collections", "OrderedDict").raw(b"q\0").global("torch", "Tensor").raw(b"q\0");
    let rows = vec![
        ("a class from the memo called", call(parked), "call"),
        ("a class from a long slot called", call(long), "call"),
        ("a slot written twice", call(swapped), "memo_overwrite"),
        ("a text where a list was", Pickle::new().raw(b"]q\0").text("a").raw(b"q\0"), "memo_overwrite"),
        ("an empty slot", Pickle::new().get(0), "memo_missing"),
        ("a slot before it is written", Pickle::new().raw(b"h\x01Nq\x01"), "memo_missing"),
        ("a slot far away", Pickle::new().raw(b"j\xff\xff\xff\xff"), "limit_memo"),
        ("a slot that takes memory", Pickle::new().raw(b"Nr\xff\xff\xff\xff"), "limit_memo"),
        ("nothing to remember", Pickle::new().raw(b"q\0"), "stack"),
        ("nothing above the mark to remember", Pickle::new().raw(b"N(q\0"), "stack"),
    ];
    rows.into_iter().map(|(what, pickle, rule)| Hostile::new(what, pickle, rule)).collect()
}

/// Reading below the floor of the stack or across a mark.
pub(crate) fn stack() -> Vec<Hostile> {
    let bodies: Vec<(&str, &[u8])> = vec![
        ("an empty pickle", b""),
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
    ];
    bodies.into_iter().map(|(what, body)| Hostile::new(what, Pickle::new().raw(body), "stack")).collect()
}
