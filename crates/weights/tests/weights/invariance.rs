//! What must not change a number, and what must change it by exactly so much.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use lorakeep_weights::evaluate::report::ModuleReport;
use lorakeep_weights::evaluate::{Control, Detail, Options, evaluate};
use proptest::prelude::*;

use crate::adapters::{Builder, numbers, report, times};

const NAME: &str = "transformer.blocks.0.attn1.to_q";

/// A PEFT pair in F64, so that only the computation rounds.
fn pair(up: &[f64], down: &[f64], [out, rank, inner]: [u64; 3]) -> Builder {
    let bytes = |values: &[f64]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    Builder::default().bytes(&format!("{NAME}.lora_B.weight"), "F64", &[out, rank], bytes(up)).bytes(
        &format!("{NAME}.lora_A.weight"),
        "F64",
        &[rank, inner],
        bytes(down),
    )
}

fn module(file: &Builder) -> ModuleReport {
    report(&file.build()).modules[0].clone()
}

fn near(found: Option<f64>, wanted: Option<f64>, relative: f64) -> Result<(), TestCaseError> {
    let (found, wanted) = (found.unwrap(), wanted.unwrap());
    prop_assert!((found - wanted).abs() <= relative * wanted.abs(), "{found} {wanted}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn other_factors_of_the_same_change_have_the_same_numbers(
        (out, rank, inner) in (8_u64..40, 1_u64..6, 8_u64..40),
        seed in 0_u64..1000,
    ) {
        let (up, down) = (numbers(out * rank, seed), numbers(rank * inner, seed + 1));
        // A shear and its inverse: the first direction takes half of every other one.
        let size = rank as usize;
        let mut gauge: Vec<f64> = (0..size * size).map(|place| f64::from(u8::from(place % (size + 1) == 0))).collect();
        let mut inverse = gauge.clone();
        for column in 1..size {
            gauge[column] = 0.5;
            inverse[column] = -0.5;
        }
        let sides = [out, rank, inner];
        let one = module(&pair(&up, &down, sides));
        let turned = times(&up, &gauge, out as usize, size, size);
        let back = times(&inverse, &down, size, size, inner as usize);
        let other = module(&pair(&turned, &back, sides));
        near(other.frobenius, one.frobenius, 1e-12)?;
        near(other.spectral, one.spectral, 1e-10)?;
        near(other.stable_rank, one.stable_rank, 1e-10)?;
        near(other.effective_rank, one.effective_rank, 1e-7)?;
    }

    #[test]
    fn a_factor_in_front_scales_norms_and_leaves_ranks(
        (out, rank, inner) in (8_u64..40, 1_u64..6, 8_u64..40),
        (seed, factor) in (0_u64..1000, 0.01_f64..50.0),
    ) {
        let (up, down) = (numbers(out * rank, seed), numbers(rank * inner, seed + 1));
        let scaled: Vec<f64> = up.iter().map(|value| value * factor).collect();
        let one = module(&pair(&up, &down, [out, rank, inner]));
        let other = module(&pair(&scaled, &down, [out, rank, inner]));
        near(other.frobenius, one.frobenius.map(|norm| norm * factor), 1e-12)?;
        near(other.nuclear, one.nuclear.map(|norm| norm * factor), 1e-7)?;
        near(other.effective_rank, one.effective_rank, 1e-9)?;
        prop_assert_eq!(&other.energy_rank, &one.energy_rank);
        let strong = Options { detail: Detail::Modules, strength: -factor, ..Options::default() };
        let bytes = pair(&up, &down, [out, rank, inner]).build();
        let strong = evaluate(&bytes, bytes.len() as u64, &strong, &Control::unwatched()).unwrap();
        near(strong.modules[0].frobenius, other.frobenius, 1e-12)?;
        near(strong.modules[0].spectral, other.spectral, 1e-9)?;
    }
}

/// A file whose only scale is elsewhere.
fn unscaled() -> Builder {
    pair(&numbers(8 * 4, 1), &numbers(4 * 8, 2), [8, 4, 8])
}

fn with_config(file: &Builder, config: &str) -> ModuleReport {
    let bytes = file.build();
    let options = Options { detail: Detail::Modules, adapter_config: Some(config), ..Options::default() };
    evaluate(&bytes, bytes.len() as u64, &options, &Control::unwatched()).unwrap().modules[0].clone()
}

#[test]
fn the_configuration_beside_a_file_gives_the_scale_that_only_peft_reads() {
    let found = with_config(&unscaled(), r#"{"r": 4, "lora_alpha": 8}"#);
    assert_eq!(
        (found.scale, found.alpha, &*found.scale_source),
        (2.0, Some(8.0), "file:adapter_config.json")
    );
    assert_eq!((found.scale_by_runtime["peft"], found.scale_by_runtime["comfyui"]), (2.0, 1.0));
    let found = with_config(&unscaled(), r#"{"lora_alpha": 8, "use_rslora": true}"#);
    assert!((found.scale - 4.0).abs() < 1e-12, "alpha over the root of the rank");
    let found =
        with_config(&unscaled(), r#"{"lora_alpha": 8, "alpha_pattern": {"attn1.to_q": 2, "to_k": 3}}"#);
    assert!((found.scale - 0.5).abs() < 1e-12);
    assert_eq!(with_config(&unscaled(), "no JSON").scale_source, "assumed");
}

#[test]
fn what_a_trainer_remembers_is_told_but_no_program_reads_it() {
    let file = unscaled().metadata("ss_network_dim", "4").metadata("ss_network_alpha", "1.0");
    let found = module(&file);
    assert_eq!((found.scale, &*found.scale_source), (0.25, "header:ss_network_alpha"));
    assert!(found.scale_by_runtime.values().all(|scale| (scale - 1.0).abs() < 1e-12));
    let other_rank = unscaled().metadata("ss_network_dim", "16").metadata("ss_network_alpha", "1.0");
    assert_eq!(module(&other_rank).scale_source, "assumed", "the metadata is of another rank");
}

#[test]
fn an_adapters_own_name_in_the_keys_is_no_matter() {
    let (up, down) = (numbers(32, 1), numbers(32, 2));
    let named = Builder::default()
        .f32(&format!("{NAME}.lora_B.style.weight"), &[8, 4], &up)
        .f32(&format!("{NAME}.lora_A.style.weight"), &[4, 8], &down)
        .build();
    let found = &report(&named).modules[0];
    assert_eq!((&*found.name, &*found.algo, found.rank), (NAME, "lora", Some(4)));
}
