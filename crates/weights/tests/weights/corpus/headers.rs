//! Safetensors headers that two readers understand differently, that lie about the file, or that cost too much; and
//! harmless ones that look odd.

use super::{Case, Expected, SAFETENSORS};

/// One tensor of one byte.
const ONE: &str = r#"{"dtype":"U8","shape":[1],"data_offsets":[0,1]}"#;

/// A file of that header and so many bytes of data.
fn file(header: impl AsRef<[u8]>, data: usize) -> Vec<u8> {
    let header = header.as_ref();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.resize(bytes.len() + data, b'x');
    bytes
}

/// A file that claims another length of its header.
fn claiming(length: u64, header: &str, data: usize) -> Vec<u8> {
    let mut bytes = file(header, data);
    bytes[..8].copy_from_slice(&length.to_le_bytes());
    bytes
}

/// A file that everybody reads.
pub(crate) fn plain() -> Vec<u8> {
    file(format!(r#"{{"a":{ONE}}}"#), 1)
}

/// Every header.
pub(crate) fn all() -> Vec<Case> {
    let families = [lengths(), twice(), not_json(), wrong_types(), layouts(), costly()];
    let named = |(what, bytes): (String, Vec<u8>), expected| Case {
        name: format!("headers: {what}"),
        endings: SAFETENSORS,
        bytes,
        expected,
    };
    let malformed = families.into_iter().flatten().map(|row| named(row, Expected::Malformed));
    malformed.chain(odd().into_iter().map(|row| named(row, Expected::Clean))).collect()
}

type Row = (String, Vec<u8>);

fn rows(rows: Vec<(&str, Vec<u8>)>) -> Vec<Row> {
    rows.into_iter().map(|(what, bytes)| (what.to_owned(), bytes)).collect()
}

/// What the first eight bytes say is not so.
fn lengths() -> Vec<Row> {
    let whole = plain();
    rows(vec![
        ("seven bytes", vec![0; 7]),
        ("a header of nothing", vec![0; 8]),
        ("a header of 100 MB in 108 bytes", claiming(100_000_000, &"{".repeat(100), 0)),
        ("a header over 100 MB", claiming(100_000_001, "{}", 0)),
        ("a header that ends behind the file", claiming(whole.len() as u64, "{}", 0)),
        ("a header that wraps", claiming(u64::MAX, "{}", 0)),
        ("a header that wraps with the eight bytes", claiming(u64::MAX - 7, "{}", 0)),
        ("a header that is one byte short", claiming(1, "{}", 0)),
        ("a file cut in its header", whole[..20].to_vec()),
        ("a file cut in its data", whole[..whole.len() - 1].to_vec()),
        ("a byte behind", [whole, vec![0]].concat()),
    ])
}

/// Keys that stand there twice, also in other spellings: readers take the first or the last.
fn twice() -> Vec<Row> {
    let tensor = |fields: &str| file(format!(r#"{{"a":{{{fields}}}}}"#), 1);
    rows(vec![
        ("a tensor twice", file(format!(r#"{{"a":{ONE},"a":{ONE}}}"#), 1)),
        ("a tensor twice by an escape", file(format!(r#"{{"a":{ONE},"\u0061":{ONE}}}"#), 1)),
        ("a tensor twice behind another", file(format!(r#"{{"a":{ONE},"b":{ONE},"a":{ONE}}}"#), 1)),
        ("a metadata key twice", file(format!(r#"{{"__metadata__":{{"k":"1","k":"2"}},"a":{ONE}}}"#), 1)),
        (
            "a metadata key twice by an escape",
            file(format!(r#"{{"__metadata__":{{"k":"1","\u006b":"2"}},"a":{ONE}}}"#), 1),
        ),
        ("metadata twice", file(format!(r#"{{"__metadata__":{{}},"__metadata__":{{}},"a":{ONE}}}"#), 1)),
        ("a type twice", tensor(r#""dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]"#)),
        ("a shape twice", tensor(r#""dtype":"U8","shape":[1],"shape":[9],"data_offsets":[0,1]"#)),
        ("a range twice", tensor(r#""dtype":"U8","shape":[1],"data_offsets":[0,1],"data_offsets":[0,9]"#)),
        ("an unknown field twice", tensor(r#""dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1,"x":2"#)),
    ])
}

/// Text that is no JSON, or not this one.
fn not_json() -> Vec<Row> {
    let deep = format!(r#"{{"a":{{"x":{}{}}}}}"#, "[".repeat(200), "]".repeat(200));
    let endless = format!(r#"{{"a":{}"#, r#"{"a":"#.repeat(100_000));
    rows(vec![
        ("a space in front", file(format!(r#" {{"a":{ONE}}}"#), 1)),
        ("a line in front", file("\n{}", 0)),
        ("a byte order mark in front", file("\u{feff}{}", 0)),
        ("a list", file("[]", 0)),
        ("no end", file("{", 0)),
        ("text behind", file("{}x", 0)),
        ("NUL behind", file("{}\0", 0)),
        ("a second object behind", file("{}{}", 0)),
        ("single quotes", file("{'a':1}", 0)),
        ("a comma too many", file(format!(r#"{{"a":{ONE},}}"#), 1)),
        ("a comment", file(format!(r#"{{/**/"a":{ONE}}}"#), 1)),
        ("bytes that are no UTF-8", file(b"{\"__metadata__\":{\"k\":\"\xff\"}}", 0)),
        ("half a character", file(r#"{"__metadata__":{"k":"\ud800"}}"#, 0)),
        ("a control character", file("{\"__metadata__\":{\"k\":\"\u{1}\"}}", 0)),
        ("a depth of 200", file(deep, 0)),
        ("a depth of 100,000", file(endless, 0)),
        ("NaN", file(r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":NaN}}"#, 1)),
    ])
}

/// Values of another type than the format's.
fn wrong_types() -> Vec<Row> {
    let tensor = |dtype: &str, shape: &str, range: &str| {
        file(format!(r#"{{"a":{{"dtype":{dtype},"shape":{shape},"data_offsets":{range}}}}}"#), 1)
    };
    let u8 = r#""U8""#;
    rows(vec![
        ("a tensor that is a number", file(r#"{"a":1}"#, 0)),
        ("a tensor that is nothing", file(r#"{"a":null}"#, 0)),
        ("a tensor without fields", file(r#"{"a":{}}"#, 0)),
        ("metadata that is nothing", file(r#"{"__metadata__":null}"#, 0)),
        ("metadata that is a list", file(r#"{"__metadata__":[]}"#, 0)),
        ("metadata of numbers", file(r#"{"__metadata__":{"k":1}}"#, 0)),
        ("metadata of objects", file(r#"{"__metadata__":{"k":{}}}"#, 0)),
        ("an unknown type", tensor(r#""U9""#, "[1]", "[0,1]")),
        ("a type in small letters", tensor(r#""u8""#, "[1]", "[0,1]")),
        ("a type that is a number", tensor("8", "[1]", "[0,1]")),
        ("a shape that is a text", tensor(u8, r#""1""#, "[0,1]")),
        ("a shape that is a number", tensor(u8, "1", "[0,1]")),
        ("a fraction in a shape", tensor(u8, "[1.0]", "[0,1]")),
        ("a negative side", tensor(u8, "[-1]", "[0,1]")),
        ("a side over 64 bits", tensor(u8, "[18446744073709551616]", "[0,1]")),
        ("a side with an exponent", tensor(u8, "[1e0]", "[0,1]")),
        ("a range of one", tensor(u8, "[1]", "[0]")),
        ("a range of three", tensor(u8, "[1]", "[0,1,2]")),
        ("a range of texts", tensor(u8, "[1]", r#"["0","1"]"#)),
        ("a negative range", tensor(u8, "[1]", "[-1,0]")),
        ("no type", file(r#"{"a":{"shape":[1],"data_offsets":[0,1]}}"#, 1)),
        ("no shape", file(r#"{"a":{"dtype":"U8","data_offsets":[0,1]}}"#, 1)),
        ("no range", file(r#"{"a":{"dtype":"U8","shape":[1]}}"#, 1)),
    ])
}

/// Ranges that do not fit shapes, each other or the file.
fn layouts() -> Vec<Row> {
    let tensor = |name: &str, dtype: &str, shape: &str, range: &str| {
        format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{range}}}"#)
    };
    let one = |shape: &str, range: &str, data: usize| {
        file(format!("{{{}}}", tensor("a", "F32", shape, range)), data)
    };
    let two = |first: &str, second: &str, data: usize| {
        file(format!("{{{},{}}}", tensor("a", "U8", "[4]", first), tensor("b", "U8", "[4]", second)), data)
    };
    let wraps =
        r#"{"a":{"dtype":"U8","shape":[18446744073709551600],"data_offsets":[0,18446744073709551600]}}"#;
    rows(vec![
        ("a range longer than its shape", one("[1]", "[0,8]", 8)),
        ("a range shorter than its shape", one("[4]", "[0,4]", 4)),
        ("a range that ends before it begins", one("[1]", "[4,0]", 4)),
        ("a gap in front", one("[1]", "[4,8]", 8)),
        ("a gap", two("[0,4]", "[8,12]", 12)),
        ("an overlap", two("[0,4]", "[2,6]", 6)),
        ("one range twice", two("[0,4]", "[0,4]", 4)),
        ("bytes behind", one("[1]", "[0,4]", 5)),
        ("a cut file", one("[2]", "[0,8]", 5)),
        ("a range behind the end of the world", one("[1]", "[18446744073709551608,18446744073709551612]", 4)),
        ("a shape whose product wraps", one("[9223372036854775807,4]", "[0,4]", 4)),
        ("a length in bits that wraps", one("[4611686018427387903]", "[0,18446744073709551612]", 4)),
        ("sums that wrap", file(wraps, 8)),
        ("half a byte", file(format!("{{{}}}", tensor("a", "F4", "[3]", "[0,2]")), 2)),
        ("an empty tensor outside", file(format!("{{{}}}", tensor("a", "U8", "[0]", "[9,9]")), 0)),
    ])
}

/// What takes a careless reader's memory.
fn costly() -> Vec<Row> {
    let empty = r#"{"dtype":"U8","shape":[0],"data_offsets":[0,0]}"#;
    let many: Vec<String> = (0..200_001).map(|number| format!(r#""{number}":{empty}"#)).collect();
    let rank = |rank: usize| {
        file(
            format!(
                r#"{{"a":{{"dtype":"U8","shape":[{}],"data_offsets":[0,1]}}}}"#,
                vec!["1"; rank].join(",")
            ),
            1,
        )
    };
    let keys: Vec<String> = (0..70_000).map(|number| format!(r#""{number}":"""#)).collect();
    rows(vec![
        ("200,001 tensors", file(format!("{{{}}}", many.join(",")), 0)),
        ("a rank of 65", rank(65)),
        ("a rank of a million", rank(1_000_000)),
        ("70,000 metadata entries", file(format!(r#"{{"__metadata__":{{{}}}}}"#, keys.join(",")), 0)),
        ("a name of a megabyte", file(format!(r#"{{"{}":{ONE}}}"#, "n".repeat(1 << 20)), 1)),
    ])
}

/// Odd and harmless.
fn odd() -> Vec<Row> {
    let hostile_text = r#"{"__metadata__":{"<img src=x onerror=alert(1)>":"../../etc/passwd\u0000\u202e"},"#;
    let empty = r#"{"dtype":"F16","shape":[0,7],"data_offsets":[1,1]}"#;
    rows(vec![
        ("no tensor at all", file("{}", 0)),
        ("spaces behind", file(format!("{{\"a\":{ONE}}}    "), 1)),
        ("spaces inside", file(format!("{{ \n \"a\" : {ONE} \t}}"), 1)),
        ("hostile texts", file(format!(r#"{hostile_text}"<script>":{ONE}}}"#), 1)),
        ("an empty tensor", file(format!(r#"{{"a":{ONE},"e":{empty}}}"#), 1)),
        ("tensors in another order than their bytes", file(OTHER_ORDER, 3)),
        ("a scalar", file(r#"{"a":{"dtype":"F64","shape":[],"data_offsets":[0,8]}}"#, 8)),
        ("metadata alone", file(r#"{"__metadata__":{"format":"pt"}}"#, 0)),
    ])
}

const OTHER_ORDER: &str = concat!(
    r#"{"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]},"#,
    r#""a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#
);
