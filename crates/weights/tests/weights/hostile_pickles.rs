//! Pickles that run something, or may: all of them are denied, for the reason they are built for.

use lorakeep_weights::{Verdict, admit};

use crate::corpus::{self, Case, Expected, Hostile, opcodes, values, zipped};

/// Denied under every ending that loaders open with `torch.load`, by the rule that the case is about.
pub(crate) fn assert_denied(case: &Case) {
    for ending in case.endings {
        match admit(&case.bytes[..], case.bytes.len() as u64, &format!("model.{ending}")) {
            Verdict::Denied { rule: "scanner_panic", .. } => panic!("{}: the scanner broke off", case.name),
            Verdict::Denied { rule, reason } => {
                assert!(!reason.is_empty(), "{}: `{rule}` without a reason", case.name);
                if let Expected::Denied(Some(expected)) = case.expected {
                    assert_eq!(rule, expected, "{} as {ending}: {reason}", case.name);
                }
            }
            other => panic!("{} as {ending} is {other:?}", case.name),
        }
    }
}

/// In a zip, in a legacy file and bare.
fn assert_all_denied(pickles: &[Hostile]) {
    assert!(!pickles.is_empty());
    pickles.iter().flat_map(Hostile::cases).for_each(|case| assert_denied(&case));
}

#[test]
fn every_protocol_but_two_is_denied() {
    assert_all_denied(&opcodes::protocols());
}

#[test]
fn frames_are_denied_wherever_they_end() {
    assert_all_denied(&opcodes::frames());
}

#[test]
fn opcodes_that_torch_does_not_write_are_denied() {
    assert_all_denied(&opcodes::never_written());
}

#[test]
fn an_extension_registered_in_the_same_stream_is_denied() {
    assert_all_denied(&opcodes::extensions());
}

#[test]
fn what_runs_before_an_error_is_not_harmless() {
    assert_all_denied(&opcodes::effects_before_errors());
}

#[test]
fn what_follows_the_end_is_denied() {
    assert_all_denied(&opcodes::behind_the_end());
}

#[test]
fn a_pickle_in_a_pickle_is_denied() {
    assert_all_denied(&opcodes::nested());
}

#[test]
fn the_memo_keeps_what_things_are() {
    assert_all_denied(&opcodes::memo());
}

#[test]
fn the_stack_is_not_read_below_its_floor_or_a_mark() {
    assert_all_denied(&opcodes::stack());
}

#[test]
fn things_are_not_taken_for_other_things() {
    assert_all_denied(&values::confusions());
}

#[test]
fn known_functions_take_known_arguments_only() {
    assert_all_denied(&values::arguments());
}

#[test]
fn tensors_stay_inside_their_storage() {
    assert_all_denied(&values::bounds());
}

#[test]
fn persistent_ids_are_what_torch_writes() {
    assert_all_denied(&values::persistent_ids());
}

#[test]
fn what_costs_too_much_is_denied() {
    assert_all_denied(&values::costly());
}

#[test]
fn legacy_files_are_followed_to_their_last_byte() {
    corpus::legacy::hostile().iter().for_each(assert_denied);
}

#[test]
fn a_pickle_is_denied_under_every_name_and_in_every_wrapper() {
    let bare = opcodes::runs();
    for name in
        ["m.pt", "m.ckpt", "m.pth", "m.bin", "m.safetensors", "M.PT", "m.pt.safetensors", "m.onnx", "m"]
    {
        assert!(matches!(admit(&bare[..], bare.len() as u64, name), Verdict::Denied { .. }), "{name}");
        let zip = zipped(&bare);
        assert!(!admit(&zip[..], zip.len() as u64, name).is_clean(), "{name}");
    }
}
