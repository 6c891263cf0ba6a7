//! Norms and spectra of every algorithm against numbers computed in float64 from the full change.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use lorakeep_weights::evaluate::report::ModuleReport;
use lorakeep_weights::evaluate::{Control, EvaluateError, Options, evaluate};
use serde_json::Value;

use crate::adapters::{Builder, kept, report};

fn evaluated(name: &str) -> Vec<ModuleReport> {
    report(&kept(name)).modules
}

#[test]
fn every_factored_algorithm_has_the_numbers_of_its_full_change() {
    let expected: Value = serde_json::from_slice(&kept("expected_metrics.json")).unwrap();
    let mut compared = 0;
    for (file, modules) in expected.as_object().unwrap() {
        let reports = evaluated(file);
        for (name, numbers) in modules.as_object().unwrap() {
            let Some(fro) = numbers["fro"].as_f64() else { continue };
            let report = reports.iter().find(|report| report.name == *name).expect(name);
            compare(report, numbers, fro);
            compared += 1;
        }
    }
    assert_eq!(compared, 32 + 18 + 12);
}

fn compare(report: &ModuleReport, numbers: &Value, fro: f64) {
    let close = |found: f64, wanted: f64, relative: f64| {
        assert!((found - wanted).abs() <= relative * wanted.abs(), "{}: {found} {wanted}", report.name);
    };
    close(report.frobenius.expect(&report.name), fro, 1e-10);
    let wanted = |key: &str| numbers[key].as_f64().unwrap();
    close(report.spectral.expect(&report.name), wanted("spec"), 1e-7);
    close(report.nuclear.unwrap(), wanted("nuc"), 1e-7);
    close(report.stable_rank.unwrap(), wanted("stable"), 1e-7);
    close(report.effective_rank.unwrap(), wanted("eff"), 1e-7);
    close(report.effective_rank_l1.unwrap(), wanted("eff_nuc"), 1e-7);
    for (key, share) in [("k90", "0.90"), ("k95", "0.95"), ("k99", "0.99")] {
        assert_eq!(report.energy_rank[share], numbers[key].as_u64().unwrap(), "{}", report.name);
    }
}

fn file(tensors: &[(&str, &[u64], &[f64])]) -> Vec<u8> {
    let add =
        |builder: Builder, (name, shape, values): &(&str, &[u64], &[f64])| builder.f32(name, shape, values);
    tensors.iter().fold(Builder::default(), add).build()
}

fn reason(tensors: &[(&str, &[u64], &[f64])]) -> String {
    report(&file(tensors)).modules[0].reason.clone().expect("a module that cannot be measured says why")
}

#[test]
fn damaged_modules_say_why_they_have_no_numbers() {
    let up: (&str, &[u64], &[f64]) = ("a.lora_up.weight", &[2, 1], &[1.0, 2.0]);
    assert!(reason(&[up]).contains("missing"));
    assert!(reason(&[up, ("a.lora_down.weight", &[2, 1], &[1.0, 2.0])]).contains("ranks"));
    assert!(reason(&[up, ("a.lora_down.weight", &[1, 0], &[])]).contains("empty"));
    assert!(reason(&[up, ("a.lora_down.weight", &[1, 2], &[1.0, f64::NAN])]).contains("finite"));
    let many = vec![0.0; 5000];
    assert!(reason(&[("a.lora_down.weight", &[5000, 1], &many)]).contains("4096"));
}

#[test]
fn a_scale_that_only_the_header_has_is_used_and_named() {
    for report in evaluated("diffusers_unet.safetensors") {
        assert!((report.scale - 0.5).abs() < 1e-15);
        assert!((report.scale_by_runtime["comfyui"] - 1.0).abs() < 1e-15);
        assert!((report.scale_by_runtime["diffusers"] - 0.5).abs() < 1e-15);
        assert_eq!(report.scale_source, "header:lora_adapter_metadata");
    }
    let reports = evaluated("lycoris_all_algos.safetensors");
    let alone = reports.iter().find(|report| report.name == "lora_unet_lokr_lin_full").unwrap();
    assert_eq!(alone.scale_source, "assumed", "two whole blocks have no rank to divide by");
}

#[test]
fn products_of_a_loha_with_different_sides_are_no_panic() {
    let ones = [1.0; 6];
    let reason = reason(&[
        ("a.hada_w1_a", &[2, 1], &ones[..2]),
        ("a.hada_w1_b", &[1, 3], &ones[..3]),
        ("a.hada_w2_a", &[1, 1], &ones[..1]),
        ("a.hada_w2_b", &[1, 3], &ones[..3]),
    ]);
    assert!(reason.contains("different sides"));
}

#[test]
fn an_evaluation_stops_when_it_is_told_to() {
    let bytes = file(&[("a.lora_up.weight", &[1, 1], &[1.0]), ("a.lora_down.weight", &[1, 1], &[1.0])]);
    let control = Control { cancelled: &|| true, ..Control::unwatched() };
    let result = evaluate(&bytes, bytes.len() as u64, &Options::default(), &control);
    assert!(matches!(result, Err(EvaluateError::Cancelled)));
}

#[test]
fn orthogonal_algorithms_have_their_angles_and_a_bound() {
    let expected: Value = serde_json::from_slice(&kept("expected_metrics.json")).unwrap();
    let reports = evaluated("lycoris_all_algos.safetensors");
    let mut compared = 0;
    for (name, numbers) in expected["lycoris_all_algos.safetensors"].as_object().unwrap() {
        let Some(angle) = numbers["angle_max_rad"].as_f64() else { continue };
        let report = reports.iter().find(|report| report.name == *name).expect(name);
        let rotation = report.rotation.expect(name);
        assert!((rotation.angle_max - angle).abs() < 1e-7, "{name}: {} {angle}", rotation.angle_max);
        let mean = numbers["angle_mean_rad"].as_f64().unwrap();
        assert!((rotation.angle_mean - mean).abs() < 1e-7, "{name}: {} {mean}", rotation.angle_mean);
        let wanted = numbers["rel_change_bound"].as_f64().unwrap();
        assert!(report.relative_bound.unwrap() >= wanted - 1e-7, "{name}");
        compared += 1;
    }
    assert_eq!(compared, 6);
}
