//! Damaged and hostile adapters: a report that says what is wrong, within bounds, and never a panic.

use lorakeep_weights::evaluate::compare::{CompareOptions, compare};
use lorakeep_weights::evaluate::report::{Code, FileReport, Severity};
use lorakeep_weights::evaluate::resize::{ResizeTarget, resize};
use lorakeep_weights::evaluate::{Control, Options, evaluate};
use proptest::prelude::*;

use crate::adapters::{Builder, header, kept, numbers, report, subject};

fn codes(report: &FileReport) -> Vec<Code> {
    report.findings.iter().map(|finding| finding.code).collect()
}

/// One sound module beside a damaged one.
fn beside(damaged: Builder) -> FileReport {
    report(&damaged.lora("sound", [4, 2, 4], &numbers(8, 1), &numbers(8, 2), 2.0).build())
}

#[test]
fn a_damaged_header_is_a_report_and_no_error() {
    let sound = Builder::default().lora("a", [4, 2, 4], &numbers(8, 1), &numbers(8, 2), 2.0).build();
    let mut overlapping = Builder::default().f32("a", &[2], &[1.0, 2.0]).f32("b", &[2], &[1.0, 2.0]).build();
    let at = overlapping.windows(6).position(|text| text == b"[8,16]").unwrap();
    overlapping[at..at + 6].copy_from_slice(b"[4,12]");
    for bytes in [&sound[..sound.len() - 1], &sound[..20], b"", b"<html>", &overlapping] {
        let report = report(bytes);
        assert!(!report.file.valid && report.file.errors.len() == 1);
        assert_eq!(codes(&report), [Code::FileInvalid]);
        assert_eq!(report.findings[0].severity, Severity::Error);
    }
}

#[test]
fn numbers_that_are_not_finite_are_counted_and_found() {
    for (value, is_nan) in [(f64::NAN, true), (f64::INFINITY, false)] {
        let mut up = numbers(8, 1);
        up[7] = value;
        let report = beside(Builder::default().lora("a", [4, 2, 4], &up, &numbers(8, 2), 2.0));
        assert_eq!((report.file.nan, report.file.inf), (u64::from(is_nan), u64::from(!is_nan)));
        assert!(codes(&report).contains(&Code::NonFinite) && !report.file.valid);
        assert_eq!(report.weights.unwrap().measured_modules, 1, "the sound module is measured");
    }
}

#[test]
fn a_missing_half_and_ranks_that_differ_make_a_module_invalid() {
    let missing = Builder::default().f32("a.lora_up.weight", &[4, 2], &numbers(8, 1));
    let differing = missing.clone().f32("a.lora_down.weight", &[3, 4], &numbers(12, 1));
    let empty = missing.clone().f32("a.lora_down.weight", &[2, 0], &[]);
    for file in [missing, differing, empty] {
        let report = beside(file);
        assert!(codes(&report).contains(&Code::ModuleInvalid), "{:?}", report.findings);
        let module = report.modules.iter().find(|module| module.name == "a").unwrap();
        assert!(!module.valid && !module.issues.is_empty());
    }
}

#[test]
fn alphas_of_every_wrong_kind_are_told() {
    let file = |dtype: &'static str, shape: &[u64], bytes: Vec<u8>| {
        let file = Builder::default().f32("a.lora_up.weight", &[4, 2], &numbers(8, 1));
        let file =
            file.f32("a.lora_down.weight", &[2, 4], &numbers(8, 2)).bytes("a.alpha", dtype, shape, bytes);
        report(&file.build()).modules[0].clone()
    };
    let float = |value: f32| value.to_le_bytes().to_vec();
    assert_eq!(file("F32", &[], float(0.0)).frobenius, Some(0.0));
    assert!(file("F32", &[], float(-1.0)).issues[0].contains("-1"));
    assert!(!file("F32", &[], float(f32::NAN)).valid);
    assert!(file("F32", &[2], [float(1.0), float(2.0)].concat()).issues[0].contains("no number"));
    assert!((file("I64", &[], 4_i64.to_le_bytes().to_vec()).scale - 2.0).abs() < 1e-12);
    assert!(file("F32", &[0], Vec::new()).issues[0].contains("no number"));
}

#[test]
fn types_of_eight_bits_are_measured_and_unreadable_ones_told() {
    let ones = vec![0x38_u8; 8];
    let file = Builder::default().bytes("a.lora_up.weight", "F8_E4M3", &[4, 2], ones.clone());
    let read = report(&file.bytes("a.lora_down.weight", "F8_E4M3", &[2, 4], ones.clone()).build());
    assert!((read.modules[0].frobenius.unwrap() - 8.0).abs() < 1e-12);
    let file = Builder::default().bytes("a.lora_up.weight", "F4", &[4, 4], ones.clone());
    let unread = report(&file.bytes("a.lora_down.weight", "F4", &[4, 4], ones).build());
    assert!(unread.modules[0].reason.as_ref().unwrap().contains("F4"));
}

#[test]
fn a_rank_above_the_sides_is_measured_as_what_it_is_and_a_huge_one_refused() {
    let (up, down) = (numbers(3 * 500, 1), numbers(500 * 2, 2));
    let found = report(&Builder::default().lora("a", [3, 500, 2], &up, &down, 500.0).build());
    assert!(codes(&found).contains(&Code::RankExceedsShape));
    let change = crate::adapters::times(&up, &down, 3, 500, 2);
    let norm = change.iter().map(|value| value * value).sum::<f64>().sqrt();
    assert!((found.modules[0].frobenius.unwrap() - norm).abs() < 1e-6 * norm);
    let zeros = vec![0.0; 100_000];
    let huge = Builder::default().f32("a.lora_up.weight", &[1, 100_000], &zeros);
    let huge = report(&huge.f32("a.lora_down.weight", &[100_000, 1], &zeros).build());
    assert!(huge.modules[0].reason.as_ref().unwrap().contains("4096"));
}

#[test]
fn tensors_of_no_module_are_named() {
    let report = beside(Builder::default().f32("model.extra.weight", &[2], &[1.0, 2.0]));
    assert!(codes(&report).contains(&Code::OrphanTensors));
    assert_eq!(report.adapter.unwrap().orphan_tensors, ["model.extra.weight"]);
}

#[test]
fn a_file_that_does_nothing_is_found() {
    let report = report(&Builder::default().lora("a", [4, 2, 4], &[0.0; 8], &numbers(8, 1), 2.0).build());
    let finding = report.findings.iter().find(|finding| finding.code == Code::ZeroModules).unwrap();
    assert_eq!(finding.severity, Severity::Error);
    assert!(report.modules[0].dead);
}

#[test]
fn a_wrong_hash_of_the_tensors_is_found() {
    let file = Builder::default().lora("a", [4, 2, 4], &numbers(8, 1), &numbers(8, 2), 2.0);
    assert_eq!(report(&file.build()).file.payload_hash_matches_metadata, None);
    let wrong = report(&file.metadata("sshs_model_hash", "0".repeat(64).as_str()).build());
    assert_eq!(wrong.file.payload_hash_matches_metadata, Some(false));
    assert!(codes(&wrong).contains(&Code::PayloadHashDiffers));
}

#[test]
fn what_is_no_adapter_has_no_weights_to_speak_of() {
    let report = report(&Builder::default().f32("conv.weight", &[2, 2], &[1.0; 4]).build());
    assert!(report.file.valid && report.adapter.is_none() && report.weights.is_none());
    assert_eq!(report.skipped.len(), 1);
}

/// Every algorithm's file with some bytes of its header's shapes and names, or of its tensors, changed.
fn mutated(name: &str, changes: &[(usize, u8)]) -> Vec<u8> {
    let mut bytes = kept(name);
    for (place, value) in changes {
        let place = 8 + place % (bytes.len() - 8);
        bytes[place] = *value;
    }
    bytes
}

const FILES: &[&str] = &[
    "lycoris_all_algos.safetensors",
    "diffusers_unet.safetensors",
    "peft_adalora.safetensors",
    "peft_boft.safetensors",
    "peft_oft.safetensors",
    "peft_ia3.safetensors",
    "peft_lokr.safetensors",
    "peft_vera.safetensors",
    "peft_hra.safetensors",
    "peft_fourierft.safetensors",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_change_of_bytes_is_a_panic(
        file in 0..FILES.len(),
        changes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..6),
    ) {
        let bytes = mutated(FILES[file], &changes);
        let control = Control::unwatched();
        let report = evaluate(&bytes, bytes.len() as u64, &Options::default(), &control).unwrap();
        if report.file.errors.is_empty() {
            let header = header(&bytes);
            let own = subject("mutated", &bytes, &header);
            compare(own, own, &CompareOptions::default(), &control).unwrap();
            let _refused = resize(own, ResizeTarget::Energy(0.9), &mut Vec::new(), &control);
        }
    }

    #[test]
    fn any_shapes_of_the_tensors_of_a_module_are_no_panic(
        shapes in prop::collection::vec((0..ENDS.len(), prop::collection::vec(0_u64..5, 0..5)), 1..6),
    ) {
        let mut builder = Builder::default();
        let mut names = std::collections::HashSet::new();
        for (end, shape) in &shapes {
            if names.insert(end) {
                let count = shape.iter().product();
                builder = builder.f32(&format!("lora_unet_a{}", ENDS[*end]), shape, &numbers(count, count));
            }
        }
        let bytes = builder.build();
        let control = Control::unwatched();
        let found = report(&bytes);
        prop_assert!(serde_json::to_string(&found).is_ok());
        let header = header(&bytes);
        let own = subject("shaped", &bytes, &header);
        compare(own, own, &CompareOptions::default(), &control).unwrap();
        let _refused = resize(own, ResizeTarget::Rank(1), &mut Vec::new(), &control);
    }
}

const ENDS: &[&str] = &[
    ".lora_up.weight",
    ".lora_down.weight",
    ".lora_mid.weight",
    ".alpha",
    ".dora_scale",
    ".lora_E",
    ".hada_w1_a",
    ".hada_w1_b",
    ".hada_w2_a",
    ".hada_w2_b",
    ".hada_t1",
    ".hada_t2",
    ".lokr_w1",
    ".lokr_w1_a",
    ".lokr_w1_b",
    ".lokr_w2",
    ".lokr_w2_a",
    ".lokr_w2_b",
    ".lokr_t2",
    ".oft_blocks",
    ".oft_R.weight",
    ".boft_R",
    ".rescale",
    ".on_input",
    ".weight",
    ".ia3_l",
    ".a1.weight",
    ".a2.weight",
    ".b1.weight",
    ".b2.weight",
    ".diff",
    ".w_norm",
];
