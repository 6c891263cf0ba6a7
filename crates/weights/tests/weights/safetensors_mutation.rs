//! Whatever happens to a safetensors file, it is malformed or its tensors are consistent.

use lorakeep_weights::{Header, Verdict, admit};
use proptest::prelude::*;

fn plain_file() -> Vec<u8> {
    let header = concat!(
        r#"{"__metadata__":{"format":"pt","ss_tag_frequency":"{\"a\": {\"b\": 1}}"},"#,
        r#""down.weight":{"dtype":"F16","shape":[4,8],"data_offsets":[0,64]},"#,
        r#""up.weight":{"dtype":"F32","shape":[8,4],"data_offsets":[64,192]},"#,
        r#""alpha":{"dtype":"F32","shape":[],"data_offsets":[192,196]}}"#
    );
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend((0..196).map(|number| number as u8));
    bytes
}

fn assert_consistent(bytes: &[u8]) {
    let Ok(header) = Header::read(bytes, bytes.len() as u64) else { return };
    let data = bytes.len() as u64 - header.data_start();
    let mut ranges: Vec<_> = header.tensors.iter().map(|tensor| tensor.range.clone()).collect();
    ranges.sort_by_key(|range| (range.start, range.end));
    let end = ranges.iter().fold(0, |end, range| {
        assert_eq!(range.start, end);
        range.end
    });
    assert_eq!(end, data);
    for tensor in &header.tensors {
        assert_eq!(tensor.elements() * tensor.dtype.bits(), (tensor.range.end - tensor.range.start) * 8);
    }
    let names: std::collections::HashSet<_> = header.tensors.iter().map(|tensor| &tensor.name).collect();
    assert_eq!(names.len(), header.tensors.len());
}

#[test]
fn the_unchanged_file_is_clean() {
    let bytes = plain_file();
    assert_consistent(&bytes);
    assert_eq!(admit(&bytes, bytes.len() as u64, "style.safetensors"), Verdict::Clean);
}

proptest! {
    #[test]
    fn changed_bytes_are_malformed_or_consistent(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)
    ) {
        let mut bytes = plain_file();
        for (index, byte) in changes {
            let position = index.index(bytes.len());
            bytes[position] = byte;
        }
        assert_consistent(&bytes);
    }

    #[test]
    fn digits_put_elsewhere_are_malformed_or_consistent(
        changes in prop::collection::vec((any::<prop::sample::Index>(), b'0'..=b'9'), 1..4)
    ) {
        let mut bytes = plain_file();
        let digits: Vec<usize> = (8..bytes.len() - 196).filter(|at| bytes[*at].is_ascii_digit()).collect();
        for (index, digit) in changes {
            bytes[digits[index.index(digits.len())]] = digit;
        }
        assert_consistent(&bytes);
    }

    #[test]
    fn a_file_cut_anywhere_is_not_clean(length in any::<prop::sample::Index>()) {
        let bytes = plain_file();
        let cut = &bytes[..length.index(bytes.len())];
        prop_assert!(!admit(cut, cut.len() as u64, "style.safetensors").is_clean());
    }

    #[test]
    fn any_bytes_under_any_name_get_a_verdict(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        name in prop::sample::select(vec!["a.safetensors", "a.pt", "a.gguf", "a.onnx", "a.json", "a.txt", "a"])
    ) {
        admit(&bytes, bytes.len() as u64, name);
    }

    #[test]
    fn any_json_after_a_right_length_is_malformed_or_consistent(text in "[\\[\\]{}\":,a-c0-9 \\\\]{0,80}") {
        let text = format!("{{{text}");
        let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
        bytes.extend(text.as_bytes());
        assert_consistent(&bytes);
    }
}
