//! What goes into a catalog file comes out of it, and what cannot be read is said.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::domain::EntryDocument;

const MODELS: &[u8] = include_bytes!("../../../tests/data/studio/models.json");
const LORAS: &[u8] = include_bytes!("../../../tests/data/studio/loras.json");

/// Reads a file and writes it again.
fn again(bytes: &[u8]) -> Vec<u8> {
    let file = read(bytes).unwrap();
    let groups: Vec<(Category, Vec<EntryDocument>)> = file
        .groups
        .into_iter()
        .map(|group| {
            let entries = group.entries.into_iter().map(|entry| judged(entry).unwrap().0).collect();
            (group.category.unwrap(), entries)
        })
        .collect();
    let categories: Vec<_> =
        groups.iter().map(|(category, entries)| (category, entries.iter().collect())).collect();
    write(&file.document, file.version.unwrap(), &file.date.unwrap(), &categories)
}

fn refusal(text: &str) -> String {
    let invalid = read(text.as_bytes()).expect_err("malformed");
    assert_eq!(invalid.code, "malformed_catalog");
    invalid.message
}

#[test]
fn real_catalogs_come_back_byte_for_byte() {
    for bytes in [MODELS, LORAS] {
        assert!(again(bytes) == bytes, "the bytes differ");
    }
}

#[test]
fn unknown_fields_stay_in_their_places_at_every_level() {
    let text = r#"{
  "note": "first",
  "version": 3,
  "categories": [
    {
      "models": [
        {
          "zeta": [],
          "file": "a.pt",
          "nested": {
            "empty": {},
            "number": 1e-05
          },
          "dest": "vae"
        }
      ],
      "colour": "blau – 青",
      "id": "vae",
      "name": "VAE"
    }
  ],
  "date": "2026-01-02 03:04",
  "last": null
}"#;
    assert_eq!(String::from_utf8(again(text.as_bytes())).unwrap(), text);
}

#[test]
fn a_malformed_text_names_line_column_and_field() {
    let cases = [
        (
            "{\n  \"categories\": [\n    {\"id\": }\n",
            "line 3, column 12, field `categories[0].id`: expected value",
        ),
        (
            "[{\"file\": \"a\"},\n {\"size_gb\": 1.2.3}]",
            "line 2, column 17, field `[1].size_gb`: expected `,` or `}`",
        ),
        (
            "{\"categories\": 5}",
            "line 1, column 16, field `categories`: invalid type: integer `5`, expected an array of categories",
        ),
        (
            "{\"categories\": [7]}",
            "field `categories[0]`: invalid type: integer `7`, expected a category: an object with `id`, `name` and `models`",
        ),
        (
            "{\"categories\": [{\"models\": {}}]}",
            "field `categories[0].models`: invalid type: map, expected an array of entries",
        ),
        (
            "\"text\"",
            ": invalid type: string \"text\", expected an object with `categories`, or an array of entries",
        ),
        ("", ": EOF while parsing a value"),
        ("[] []", "line 1, column 4: trailing characters"),
        ("{\"a\": 1e999}", "field `a`: number out of range"),
    ];
    for (text, expected) in cases {
        let message = refusal(text);
        assert!(message.contains(expected), "{text:?}: {message}");
    }
    let deep = format!("[{}", "[".repeat(10_000));
    assert!(refusal(&deep).contains("recursion limit"));
    let not_text = read(b"{\n \"a\": \"\xff\"}").expect_err("not UTF-8");
    assert!(not_text.message.contains("line 2, column 8"), "{}", not_text.message);
}

#[test]
fn empty_forms_are_read() {
    for text in ["{}", "[]", "{\"categories\": null}", "\u{feff}{\"categories\": []}"] {
        assert!(read(text.as_bytes()).unwrap().groups.iter().all(|group| group.entries.is_empty()), "{text}");
    }
    let file = read(br#"{"categories": [{"id": "vae"}, {"name": "no id", "models": [1]}]}"#).unwrap();
    assert_eq!(file.groups[0].category.as_ref().unwrap().name, "vae");
    assert_eq!(file.groups[1], Group { category: None, entries: vec![RawEntry::Other(json!(1))] });
}

#[test]
fn a_bad_entry_says_which_field_and_what_would_do() {
    let cases = [
        (json!(7), "", "an entry must be an object, not the number `7`"),
        (json!({}), "file", "file `` is empty"),
        (json!({"file": 5}), "file", "`file` must be a string"),
        (json!({"file": "a", "dest": "../x"}), "dest", "is a way to another folder, not a name; try `x`"),
        (json!({"file": "a/b.pt"}), "file", "holds `/`, which is not safe in a file name; try `b.pt`"),
        (json!({"file": "a", "tags": "x"}), "tags", "`tags` must be an array of texts, not a text"),
        (
            json!({"file": "a", "size_gb": -1}),
            "size_gb",
            "a number that is not negative, not the number `-1`",
        ),
        (json!({"file": "a", "name": ["x"]}), "name", "`name` must be a text, not an array"),
        (json!({"file": "a", "x": "y".repeat(300_000)}), "", "larger than 256 KiB"),
    ];
    for (value, field, message) in cases {
        let fault = judged(value.into()).expect_err("refused");
        assert_eq!(fault.field, field);
        assert!(fault.message.contains(message), "{}", fault.message);
    }
    let fine =
        json!({"file": "a b, c.pt", "tags": null, "civitai_version_id": "12", "dest": null, "size_gb": 0});
    assert_eq!(judged(fine.into()).unwrap().1.relative(), "a b, c.pt");
}

/// JSON as tools write it: any nesting, any text, integers of 64 bits, finite floats.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1_000_000_000_i64..1_000_000_000, 0_u32..6)
            .prop_map(|(digits, scale)| { Value::from(digits as f64 / 10_f64.powi(scale as i32)) }),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_catalog_comes_back_byte_for_byte(
        extra in prop::collection::vec(("x[a-z]{0,6}", any_json()), 0..4),
        fields in prop::collection::vec(prop::collection::vec(("x[a-z]{0,6}", any_json()), 0..5), 0..5),
    ) {
        let entries: Vec<Value> = fields
            .into_iter()
            .enumerate()
            .map(|(number, fields)| {
                let mut entry: Map<String, Value> = fields.into_iter().collect();
                entry.insert("file".to_owned(), format!("{number}.pt").into());
                entry.into()
            })
            .collect();
        let mut file = json!({"version": 1, "date": "d", "categories": [{"id": "c", "name": "C", "models": entries}]});
        for (field, value) in extra {
            file[field] = value;
        }
        // The first writing settles the form; from then on nothing may change.
        let settled = again(&serde_json::to_vec(&file).unwrap());
        prop_assert_eq!(&again(&settled), &settled);
        prop_assert_eq!(serde_json::from_slice::<Value>(&settled).unwrap(), file);
    }

    #[test]
    fn no_text_makes_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(read(&bytes));
    }
}
