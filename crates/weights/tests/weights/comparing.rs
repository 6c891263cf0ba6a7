//! What two adapters have to do with each other: the same change in other clothes, and different ones.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use lorakeep_weights::evaluate::compare::{CompareOptions, compare, series};
use lorakeep_weights::evaluate::report::{Comparison, Relation};
use lorakeep_weights::evaluate::{Control, EvaluateError};

use crate::adapters::{Builder, header, kept, numbers, subject, times};

const OUT: u64 = 24;
const RANK: u64 = 4;
const IN: u64 = 20;
const NAME: &str = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q";

fn compared(one: &Vec<u8>, other: &Vec<u8>) -> Comparison {
    let headers = [header(one), header(other)];
    let options = CompareOptions { modules: true, ..CompareOptions::default() };
    let (a, b) = (subject("a", one, &headers[0]), subject("b", other, &headers[1]));
    compare(a, b, &options, &Control::unwatched()).unwrap()
}

fn adapter(name: &str, seed: u64, alpha: f64) -> Builder {
    let (up, down) = (numbers(OUT * RANK, seed), numbers(RANK * IN, seed + 1));
    Builder::default().lora(name, [OUT, RANK, IN], &up, &down, alpha)
}

fn near(found: Option<f64>, wanted: f64, by: f64) {
    assert!((found.unwrap() - wanted).abs() < by, "{found:?} {wanted}");
}

#[test]
fn other_factors_of_the_same_change_are_the_same() {
    let (up, down) = (numbers(OUT * RANK, 1), numbers(RANK * IN, 2));
    let one = Builder::default().lora(NAME, [OUT, RANK, IN], &up, &down, 2.0).build();
    // Twice the first direction, half of it on the other side, and two directions exchanged.
    let gauge = [2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 4.0];
    let inverse = [0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.25];
    let (up, down) = (times(&up, &gauge, 24, 4, 4), times(&inverse, &down, 4, 4, 20));
    let diffusers = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q";
    let other = Builder::default().lora(diffusers, [OUT, RANK, IN], &up, &down, 2.0).build();
    let answer = compared(&one, &other);
    assert_eq!((answer.relation, answer.shared_modules), (Relation::Same, 1));
    near(answer.cosine, 1.0, 1e-12);
    near(answer.norm_ratio, 1.0, 1e-12);
    near(answer.left_overlap.map(|overlap| overlap.value), 1.0, 1e-9);
    near(answer.right_overlap.map(|overlap| overlap.value), 1.0, 1e-9);
    assert!((answer.merge.as_ref().unwrap().interference - 1.0).abs() < 1e-12);
    near(answer.merge.as_ref().unwrap().retained_at_max_rank, 1.0, 1e-9);
    near(answer.merge.unwrap().equal_energy_scale, 0.5, 1e-12);
}

#[test]
fn another_alpha_is_the_same_change_at_another_strength() {
    let answer = compared(&adapter(NAME, 1, 2.0).build(), &adapter(NAME, 1, 6.0).build());
    assert_eq!(answer.relation, Relation::Rescaled);
    near(answer.norm_ratio, 3.0, 1e-12);
}

#[test]
fn a_copy_in_a_narrower_type_is_the_same() {
    let (up, down) = (numbers(OUT * RANK, 1), numbers(RANK * IN, 2));
    let narrow = Builder::default()
        .bf16(&format!("{NAME}.lora_up.weight"), &[OUT, RANK], &up)
        .bf16(&format!("{NAME}.lora_down.weight"), &[RANK, IN], &down)
        .f32(&format!("{NAME}.alpha"), &[], &[2.0])
        .build();
    let answer = compared(&adapter(NAME, 1, 2.0).build(), &narrow);
    assert_eq!(answer.relation, Relation::Same);
    assert!(answer.cosine.unwrap() < 1.0, "rounding shows");
}

#[test]
fn independent_changes_have_nothing_in_common() {
    let (mut one, mut other) = (Builder::default(), Builder::default());
    for place in 0..12 {
        let name = format!("lora_unet_input_blocks_{place}_1_x");
        for (builder, seed) in [(&mut one, 100), (&mut other, 900)] {
            let (up, down) =
                (numbers(OUT * RANK, seed + 7 * place), numbers(RANK * IN, seed + 7 * place + 3));
            *builder = builder.clone().lora(&name, [OUT, RANK, IN], &up, &down, 4.0);
        }
    }
    let answer = compared(&one.build(), &other.build());
    assert_eq!(answer.relation, Relation::Unrelated);
    assert!(answer.cosine.unwrap().abs() < 8.0 * answer.chance_cosine.unwrap());
    let overlap = answer.left_overlap.unwrap();
    assert!((overlap.value - overlap.chance).abs() < 0.15, "{overlap:?}");
    assert!(answer.merge.unwrap().retained_at_max_rank.unwrap() < 0.9);
}

#[test]
fn the_split_projections_of_flux_meet_the_fused_one() {
    let (up, down) = (numbers(3 * OUT * RANK, 5), numbers(RANK * OUT, 6));
    let fused = Builder::default()
        .lora("lora_unet_double_blocks_0_img_attn_qkv", [3 * OUT, RANK, OUT], &up, &down, 4.0)
        .build();
    let third = (OUT * RANK) as usize;
    let mut split = Builder::default();
    for (place, letter) in ["q", "k", "v"].iter().enumerate() {
        let rows = &up[place * third..(place + 1) * third];
        let name = format!("transformer.transformer_blocks.0.attn.to_{letter}");
        split = split.lora(&name, [OUT, RANK, OUT], rows, &down, 4.0);
    }
    let answer = compared(&fused, &split.build());
    assert_eq!((answer.relation, answer.shared_modules, answer.only_a), (Relation::Same, 3, 0));
    near(answer.cosine, 1.0, 1e-12);
    near(answer.norm_ratio, 1.0, 1e-12);
    let answer = compared(&split.build(), &fused);
    near(answer.cosine, 1.0, 1e-12);
}

#[test]
fn every_algorithm_is_the_same_as_itself() {
    for name in ["lycoris_all_algos.safetensors", "peft_loha.safetensors", "peft_lokr_full.safetensors"] {
        let bytes = kept(name);
        let answer = compared(&bytes, &bytes);
        assert_eq!(answer.relation, Relation::Same, "{name}");
        assert!(
            answer
                .modules
                .iter()
                .all(|module| module.cosine.is_none_or(|cosine| (cosine - 1.0).abs() < 1e-9))
        );
    }
}

#[test]
fn different_algorithms_of_one_shape_are_compared_through_their_changes() {
    let change = times(&numbers(OUT * RANK, 1), &numbers(RANK * IN, 2), 24, 4, 20);
    let full = Builder::default().f32(&format!("{NAME}.diff"), &[OUT, IN], &change).build();
    let answer = compared(&adapter(NAME, 1, 4.0).build(), &full);
    assert_eq!(answer.relation, Relation::Same);
    near(answer.cosine, 1.0, 1e-9);
}

#[test]
fn a_module_that_only_one_file_has_lowers_the_cosine_of_the_whole() {
    let one = adapter(NAME, 1, 4.0);
    let (up, down) = (numbers(OUT * RANK, 1), numbers(RANK * IN, 2));
    let two = one.clone().lora("lora_unet_mid_block_attentions_0_proj_in", [OUT, RANK, IN], &up, &down, 4.0);
    let answer = compared(&one.build(), &two.build());
    assert_eq!((answer.only_b, answer.shared_modules), (1, 1));
    near(answer.shared_cosine, 1.0, 1e-12);
    near(answer.cosine, 0.5_f64.sqrt(), 1e-12);
}

#[test]
fn a_series_tells_growth_and_what_is_new() {
    let files =
        [adapter(NAME, 1, 2.0).build(), adapter(NAME, 1, 4.0).build(), adapter(NAME, 50, 4.0).build()];
    let headers = [header(&files[0]), header(&files[1]), header(&files[2])];
    let names = ["e1", "e2", "e3"];
    let subjects: Vec<_> =
        (0..3).map(|place| subject(names[place], &files[place], &headers[place])).collect();
    let answer = series(&subjects, &Control::unwatched()).unwrap();
    assert_eq!(answer.order, names);
    near(answer.steps[0].norm_growth, 2.0, 1e-12);
    near(answer.steps[0].relative_distance, 0.5, 1e-12);
    near(answer.steps[0].new_energy, 0.0, 1e-12);
    near(answer.step_cosine[0], 1.0, 1e-12);
    assert!(answer.steps[1].new_energy.unwrap() > 0.5);
    assert_eq!(answer.frobenius_total.len(), 3);
}

#[test]
fn a_comparison_stops_when_it_is_told_to() {
    let bytes = adapter(NAME, 1, 2.0).build();
    let header = header(&bytes);
    let control = Control { cancelled: &|| true, ..Control::unwatched() };
    let both = subject("a", &bytes, &header);
    let answer = compare(both, both, &CompareOptions::default(), &control);
    assert!(matches!(answer, Err(EvaluateError::Cancelled)));
}
