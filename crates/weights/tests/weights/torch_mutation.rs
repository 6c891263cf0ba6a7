//! Whatever happens to a torch file, there is a verdict, and it does not cost much.

use std::time::Duration;

use lorakeep_weights::{Limits, Verdict, admit, examine};
use proptest::prelude::*;

use crate::pickles::{Pickle, legacy, legacy_object, two_tensors};
use crate::zips::Zip;

fn zip_file() -> Vec<u8> {
    Zip::torch(two_tensors(), &[("0", 24), ("1", 4)]).build()
}

fn legacy_file() -> Vec<u8> {
    legacy(legacy_object(), &[("94214", 2, 4), ("94213", 6, 24)])
}

/// Not the rule of a panic, which would hide a mistake of ours behind a right verdict.
fn judge(bytes: &[u8]) -> Verdict {
    let verdict = admit(bytes, bytes.len() as u64, "model.pt");
    assert!(!matches!(verdict, Verdict::Denied { rule: "scanner_panic", .. }), "{verdict:?}");
    verdict
}

#[test]
fn any_one_byte_of_a_zip_outside_the_padding_may_change_the_verdict_but_not_break_it() {
    let bytes = zip_file();
    for at in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[at] ^= flip;
            judge(&changed);
        }
    }
}

#[test]
fn no_change_of_the_pickle_or_a_storage_stays_unseen() {
    let bytes = zip_file();
    let pickle = two_tensors();
    let at = bytes.windows(pickle.len()).position(|window| window == pickle).unwrap();
    for position in at..at + pickle.len() {
        let mut changed = bytes.clone();
        changed[position] ^= 0x20;
        assert!(!judge(&changed).is_clean(), "byte {position}");
    }
}

#[test]
fn a_file_cut_anywhere_is_not_clean() {
    for bytes in [zip_file(), legacy_file()] {
        for length in 0..bytes.len() {
            assert!(!judge(&bytes[..length]).is_clean(), "cut to {length}");
        }
    }
}

#[test]
fn no_time_left_is_a_denial() {
    let bytes = zip_file();
    let limits = Limits { time: Duration::ZERO, ..Limits::default() };
    let verdict = examine(&bytes, bytes.len() as u64, "model.pt", limits).verdict;
    assert!(matches!(verdict, Verdict::Denied { rule: "limit_time", .. }), "{verdict:?}");
}

#[test]
fn each_limit_denies_by_its_own_rule() {
    let bytes = zip_file();
    let usual = Limits::default();
    for (limits, expected) in [
        (Limits { opcodes: 10, ..usual }, "limit_opcodes"),
        (Limits { pickle_bytes: 40, ..usual }, "limit_bytes"),
        (Limits { text_bytes: 3, ..usual }, "limit_text"),
        (Limits { stack: 3, ..usual }, "limit_stack"),
        (Limits { memo: 3, ..usual }, "limit_memo"),
        (Limits { remembered: 10, ..usual }, "limit_memory"),
        (Limits { members: 3, ..usual }, "zip_members"),
    ] {
        let verdict = examine(&bytes, bytes.len() as u64, "model.pt", limits).verdict;
        assert!(
            matches!(verdict, Verdict::Denied { rule, .. } if rule == expected),
            "{expected}: {verdict:?}"
        );
    }
}

fn opcode() -> impl Strategy<Value = Vec<u8>> {
    let single =
        prop::sample::select(b"().}]NR\x85\x86\x87bstuaeQ\x88\x89\x8f0".to_vec()).prop_map(|byte| vec![byte]);
    let names = prop::sample::select(vec![
        ("torch._utils", "_rebuild_tensor_v2"),
        ("torch._utils", "_rebuild_parameter"),
        ("torch", "FloatStorage"),
        ("torch", "float32"),
        ("collections", "OrderedDict"),
        ("os", "system"),
    ]);
    let name = names.prop_map(|(module, name)| Pickle::empty().global(module, name).cut());
    let text = prop::sample::select(vec!["storage", "0", "cpu", "a"])
        .prop_map(|text| Pickle::empty().text(text).cut());
    let memo = (prop::sample::select(b"qh".to_vec()), 0_u8..6).prop_map(|(code, slot)| vec![code, slot]);
    let number = any::<i32>().prop_map(|number| Pickle::empty().int(number.into()).cut());
    let storage = (0_i64..8).prop_map(|count| Pickle::empty().storage("FloatStorage", "0", count).cut());
    prop_oneof![4 => single, 1 => name, 1 => text, 2 => memo, 1 => number, 1 => storage]
}

proptest! {
    #[test]
    fn changed_zips_get_a_verdict(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)
    ) {
        let mut bytes = zip_file();
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        judge(&bytes);
    }

    #[test]
    fn changed_legacy_files_get_a_verdict(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)
    ) {
        let mut bytes = legacy_file();
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        judge(&bytes);
    }

    #[test]
    fn any_row_of_opcodes_gets_a_verdict(opcodes in prop::collection::vec(opcode(), 0..60)) {
        let body: Vec<u8> = opcodes.concat();
        judge(&Zip::torch(Pickle::new().raw(&body).stop(), &[("0", 28)]).build());
    }

    #[test]
    fn a_clean_row_of_opcodes_names_nothing_unknown(opcodes in prop::collection::vec(opcode(), 0..30)) {
        let body: Vec<u8> = opcodes.concat();
        let file = Zip::torch(Pickle::new().raw(&body).stop(), &[("0", 28)]).build();
        let names_system = body.windows(9).any(|window| window == b"os\nsystem");
        prop_assert!(!(judge(&file).is_clean() && names_system));
    }

    #[test]
    fn any_bytes_as_a_pickle_get_a_verdict(body in prop::collection::vec(any::<u8>(), 0..300)) {
        judge(&Zip::torch(Pickle::new().raw(&body).stop(), &[]).build());
        judge(&legacy(Pickle::new().raw(&body).stop(), &[]));
    }
}
