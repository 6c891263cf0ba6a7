//! Where an adapter can be used: in programs, and on a base model.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use lorakeep_weights::evaluate::report::{BaseFit, Code, FileReport, RuntimeFit, Severity};
use lorakeep_weights::evaluate::{Base, Control, Detail, Options, evaluate};

use crate::adapters::{Builder, header, kept, numbers, times};

fn evaluated(bytes: &[u8], runtimes: &[&str], base: Option<Base<'_>>) -> FileReport {
    let options = Options { detail: Detail::Modules, runtimes, base, ..Options::default() };
    evaluate(bytes, bytes.len() as u64, &options, &Control::unwatched()).unwrap()
}

fn in_runtime(bytes: &[u8], runtime: &str) -> (RuntimeFit, FileReport) {
    let report = evaluated(bytes, &[runtime], None);
    (report.compatibility.clone().unwrap().runtimes[0].clone(), report)
}

fn codes(report: &FileReport) -> Vec<Code> {
    report.findings.iter().map(|finding| finding.code).collect()
}

#[test]
fn the_present_names_of_diffusers_do_nothing_in_comfyui() {
    let bytes = kept("diffusers_unet.safetensors");
    let (fit, report) = in_runtime(&bytes, "comfyui");
    assert_eq!((fit.loaded_modules, fit.ignored_modules), (0, 32));
    assert_eq!(fit.ignored_reasons["key_not_mapped"], 32);
    assert_eq!(fit.applied_energy, Some(0.0));
    let finding = report.findings.iter().find(|finding| finding.code == Code::KeysNotMapped).unwrap();
    assert_eq!((finding.severity, &*finding.place), (Severity::Error, "comfyui"));
    assert!(codes(&report).contains(&Code::ScaleDiffersByRuntime));
    let (fit, _) = in_runtime(&bytes, "diffusers");
    assert_eq!((fit.loaded_modules, fit.ignored_modules), (32, 0));
}

#[test]
fn algorithms_that_a_program_does_not_know_are_ignored_there() {
    let bytes = kept("lycoris_all_algos.safetensors");
    let (comfyui, report) = in_runtime(&bytes, "comfyui");
    assert_eq!(comfyui.ignored_reasons["algorithm_unsupported"], 5, "four IA3 and a T-LoRA");
    let mut deviations: Vec<&str> = comfyui.deviations.iter().map(|deviation| &*deviation.code).collect();
    deviations.sort_unstable();
    assert_eq!(deviations, ["dora_output_axis", "lokr_convolution_core", "oft_constraint", "oft_rescale"]);
    assert!(codes(&report).contains(&Code::RuntimeDeviation));
    let (diffusers, _) = in_runtime(&bytes, "diffusers");
    assert_eq!(diffusers.loaded_modules, 0, "one LoHa and the file is refused");
    let (a1111, _) = in_runtime(&kept("lycoris_all_algos.safetensors"), "a1111");
    assert_eq!(a1111.ignored_reasons.get("algorithm_unsupported"), Some(&1), "it knows IA3");
}

#[test]
fn a_program_without_rules_is_named() {
    let report = evaluated(&kept("peft_lora.safetensors"), &["invokeai"], None);
    assert!(report.skipped.iter().any(|skipped| skipped.reason.contains("invokeai")));
    assert_eq!(report.compatibility.unwrap().runtimes, []);
}

const QUERY: &str = "input_blocks.4.1.transformer_blocks.0.attn1.to_q";

/// An adapter in diffusers' names and a base in the original ones.
fn pair(inner: u64) -> (Vec<u8>, Vec<u8>) {
    let module = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q";
    let missing = "unet.mid_block.attentions.0.proj_in";
    let adapter = Builder::default()
        .lora(module, [8, 2, inner], &numbers(16, 1), &numbers(2 * inner, 2), 2.0)
        .lora(missing, [8, 2, 6], &numbers(16, 3), &numbers(12, 4), 2.0)
        .lora(
            "text_encoder.text_model.encoder.layers.0.mlp.fc1",
            [8, 2, 6],
            &numbers(16, 5),
            &numbers(12, 6),
            2.0,
        );
    let weight = vec![2.0; 48];
    let base = Builder::default()
        .f32(&format!("model.diffusion_model.{QUERY}.weight"), &[8, 6], &weight)
        .f32("model.diffusion_model.input_blocks.1.0.in_layers.2.weight", &[4, 4, 3, 3], &numbers(144, 7));
    (adapter.build(), base.build())
}

fn on_base(adapter: &[u8], base: &[u8], reads: bool) -> (BaseFit, FileReport) {
    let header = header(base);
    let base = Base { name: "base", header: &header, file: reads.then_some(&base as _), memory: None };
    let report = evaluated(adapter, &[], Some(base));
    (report.compatibility.clone().unwrap().base.unwrap(), report)
}

#[test]
fn modules_are_laid_beside_the_base_in_any_spelling() {
    let (adapter, base) = pair(6);
    let (fit, report) = on_base(&adapter, &base, false);
    assert_eq!((fit.mapped, fit.unmapped, fit.shape_mismatch), (1, 1, 0));
    assert_eq!(fit.unmapped_examples.len(), 1);
    assert_eq!(fit.absent_components.values().sum::<u64>(), 1, "the base has no text encoder");
    assert!((fit.coverage - 0.5).abs() < 1e-12);
    assert!(codes(&report).contains(&Code::BaseMismatch));
    assert_eq!(fit.relative_frobenius, None);
}

#[test]
fn another_shape_is_told_with_both_shapes() {
    let (adapter, base) = pair(5);
    let (fit, _) = on_base(&adapter, &base, false);
    assert_eq!((fit.mapped, fit.shape_mismatch), (0, 1));
    assert!(fit.mismatch_examples[0].contains("[8, 5]") && fit.mismatch_examples[0].contains("[8, 6]"));
}

#[test]
fn norms_are_relative_to_the_weights_of_the_base() {
    let (adapter, base) = pair(6);
    let (fit, report) = on_base(&adapter, &base, true);
    let module = report.modules.iter().find(|module| module.relative_frobenius.is_some()).unwrap();
    let wanted = module.frobenius.unwrap() / (48.0_f64 * 4.0).sqrt();
    assert!((module.relative_frobenius.unwrap() - wanted).abs() < 1e-12);
    assert_eq!(fit.relative_frobenius.unwrap().count, 1);
    // A weight of equal numbers has one singular value.
    let wanted = module.spectral.unwrap() / (48.0_f64 * 4.0).sqrt();
    assert!((module.relative_spectral.unwrap() - wanted).abs() < 1e-12);
    assert_eq!(fit.relative_spectral.unwrap().count, 1);
    assert_eq!(report.skipped, []);
}

#[test]
fn the_split_projections_of_flux_find_their_rows() {
    let fused: Vec<f64> = (0..24).flat_map(|row| vec![f64::from(row / 8 + 1); 8]).collect();
    let base = Builder::default()
        .f32("double_blocks.0.img_attn.qkv.weight", &[24, 8], &fused)
        .f32("single_blocks.0.linear1.weight", &[56, 8], &numbers(448, 1))
        .build();
    let mut adapter = Builder::default();
    for letter in ["q", "k", "v"] {
        let name = format!("transformer.transformer_blocks.0.attn.to_{letter}");
        adapter = adapter.lora(&name, [8, 2, 8], &numbers(16, 1), &numbers(16, 2), 2.0);
    }
    let mlp = "transformer.single_transformer_blocks.0.proj_mlp";
    adapter = adapter.lora(mlp, [32, 2, 8], &numbers(64, 1), &numbers(16, 2), 2.0);
    let (fit, report) = on_base(&adapter.build(), &base, true);
    assert_eq!((fit.mapped, fit.unmapped, fit.shape_mismatch), (4, 0, 0));
    let relative = |letter: &str| {
        let module = report.modules.iter().find(|module| module.name.ends_with(letter)).unwrap();
        module.frobenius.unwrap() / module.relative_frobenius.unwrap()
    };
    for (letter, row) in [("q", 1.0), ("k", 2.0), ("v", 3.0)] {
        assert!((relative(&format!("to_{letter}")) - 8.0 * row).abs() < 1e-9, "{letter}");
    }
}

#[test]
fn the_fused_projection_of_open_clip_has_three() {
    let base = Builder::default()
        .f32(
            "conditioner.embedders.1.model.transformer.resblocks.0.attn.in_proj_weight",
            &[24, 8],
            &[1.0; 192],
        )
        .f32("conditioner.embedders.1.model.transformer.resblocks.0.mlp.c_fc.weight", &[32, 8], &[1.0; 256])
        .build();
    let layer = "lora_te2_text_model_encoder_layers_0";
    let adapter = Builder::default()
        .lora(&format!("{layer}_self_attn_v_proj"), [8, 2, 8], &numbers(16, 1), &numbers(16, 2), 2.0)
        .lora(&format!("{layer}_mlp_fc1"), [32, 2, 8], &numbers(64, 1), &numbers(16, 2), 2.0);
    let (fit, _) = on_base(&adapter.build(), &base, false);
    assert_eq!((fit.mapped, fit.unmapped, fit.shape_mismatch), (2, 0, 0));
}

/// The norm of a change of a weight over that of the weight, both spread out.
fn relative(weight: &[f64], changed: &[f64]) -> f64 {
    let energy = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
    let change = energy(&mut weight.iter().zip(changed).map(|(before, after)| after - before));
    (change / energy(&mut weight.iter().copied())).sqrt()
}

fn found_relative(adapter: &Builder, weight: &[f64]) -> f64 {
    let base = Builder::default().f32("blocks.0.attn1.to_q.weight", &[6, 5], weight).build();
    let (_, report) = on_base(&adapter.build(), &base, true);
    report.modules[0].relative_frobenius.unwrap()
}

#[test]
fn the_true_change_of_a_dora_is_measured_on_either_axis() {
    let (up, down, weight) = (numbers(12, 1), numbers(10, 2), numbers(30, 3));
    let change = times(&up, &down, 6, 2, 5);
    let sum: Vec<f64> = weight.iter().zip(&change).map(|(before, change)| before + 0.5 * change).collect();
    let length =
        |places: Vec<usize>| places.iter().map(|place| sum[*place] * sum[*place]).sum::<f64>().sqrt();
    for on_output in [true, false] {
        let lengths = if on_output { 6 } else { 5 };
        let magnitudes: Vec<f64> = numbers(lengths, 4).iter().map(|value| value + 1.0).collect();
        let line = |place: usize| if on_output { place / 5 } else { place % 5 };
        let changed: Vec<f64> = (0..30)
            .map(|place| {
                let same = (0..30).filter(|other| line(*other) == line(place)).collect();
                sum[place] / length(same) * magnitudes[line(place)]
            })
            .collect();
        let shape = if on_output { [6, 1] } else { [1, 5] };
        let name = "diffusion_model.blocks.0.attn1.to_q";
        let adapter = Builder::default().lora(name, [6, 2, 5], &up, &down, 1.0);
        let adapter = adapter.f32(&format!("{name}.dora_scale"), &shape, &magnitudes);
        let (found, wanted) = (found_relative(&adapter, &weight), relative(&weight, &changed));
        // The adapter's numbers are F32, those of the comparison are not.
        assert!((found - wanted).abs() < 1e-6 * wanted, "{on_output}: {found} {wanted}");
    }
}

#[test]
fn the_true_change_of_an_ia3_is_measured_on_either_axis() {
    let weight = numbers(30, 3);
    for (shape, on_input) in [([6, 1], false), ([1, 5], true)] {
        let factors = numbers(if on_input { 5 } else { 6 }, 7);
        let line = |place: usize| if on_input { place % 5 } else { place / 5 };
        let changed: Vec<f64> =
            weight.iter().enumerate().map(|(place, value)| value * factors[line(place)]).collect();
        let adapter = Builder::default().f32("diffusion_model.blocks.0.attn1.to_q.ia3_l", &shape, &factors);
        let (found, wanted) = (found_relative(&adapter, &weight), relative(&weight, &changed));
        assert!((found - wanted).abs() < 1e-6 * wanted, "{on_input}: {found} {wanted}");
    }
}
