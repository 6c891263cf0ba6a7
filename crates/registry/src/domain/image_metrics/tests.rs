//! Metrics against an independent computation of the same definitions, and curves of which all is known.

use super::*;

const WIDTH: usize = 24;
const HEIGHT: usize = 20;

fn picture(variant: usize) -> Picture {
    let mut pixels = Vec::new();
    for y in 0..HEIGHT {
        for x in 0..WIDTH {
            pixels.push((x * 10 + y * 3 + variant * 17) as u8);
            pixels.push((x * 5 + y * 11 + variant * 7 * ((x + y) % 3)) as u8);
            pixels.push((200 + x * y + variant * x) as u8);
        }
    }
    Picture::new(WIDTH, HEIGHT, pixels).unwrap()
}

fn close(found: f64, wanted: f64) {
    assert!((found - wanted).abs() <= 1e-9 * wanted.abs().max(1.0), "{found} is not {wanted}");
}

#[test]
fn a_picture_has_the_numbers_of_an_independent_computation() {
    let metrics = picture(0).metrics();
    close(metrics.colourfulness, 145.747_905_744_882_73);
    close(metrics.saturation_mean, 0.698_017_642_990_838);
    close(metrics.clip_low, 0.03125);
    close(metrics.clip_high, 0.03125);
    close(metrics.laplacian_variance, 3_714.385_471_366_596_4);
    close(metrics.gradient_mean, 16.135_113_545_004_618);
    close(metrics.edge_density, 0.083_333_333_333_333_33);
    close(metrics.entropy, 7.351_404_803_645_979);
    close(metrics.blockiness, -0.046_884_474_561_246);
    assert_eq!(metrics.dhash, 0xffff_ffdf_bebe_f0e4);
    assert!(!metrics.is_flat && !metrics.is_black);
}

#[test]
fn a_change_has_the_numbers_of_an_independent_computation() {
    let (one, other) = (picture(0), picture(1));
    let distance = one.distance(&one.metrics(), &other, &other.metrics()).unwrap();
    close(distance.ssim, 0.798_215_462_174_509_1);
    close(distance.delta_lab, 20.370_971_003_598_54);
    close(distance.histogram, 3.184_722_222_222_222);
    close(distance.colourfulness, 143.804_570_745_379_46 / 145.747_905_744_882_73 - 1.0);
    close(distance.sharpness, 8_184.342_042_814_409 / 3_714.385_471_366_596_4 - 1.0);
    assert!(
        (distance.dhash - f64::from((0xffff_ffdf_bebe_f0e4_u64 ^ 0xfffe_fefe_befc_f029).count_ones())).abs()
            < 0.1
    );
}

#[test]
fn a_picture_is_at_no_distance_from_itself_and_has_none_from_another_size() {
    let one = picture(0);
    let metrics = one.metrics();
    let none = one.distance(&metrics, &one, &metrics).unwrap();
    close(none.ssim, 1.0);
    assert!(none.dhash == 0.0 && none.delta_lab == 0.0 && none.histogram == 0.0 && none.clip_high == 0.0);
    let small = Picture::new(3, 2, vec![9; 18]).unwrap();
    assert_eq!(one.distance(&metrics, &small, &small.metrics()), None);
    assert!(small.metrics().is_flat && !small.metrics().is_black);
    assert!(Picture::new(1, 1, vec![0; 3]).unwrap().metrics().is_black);
    assert_eq!((Picture::new(0, 0, vec![]), Picture::new(2, 2, vec![0; 3])), (None, None));
}

/// A cell whose change is `change` in every measure.
fn cell(prompt: usize, kind: PromptKind, seed: u64, strength: f64, change: f64) -> Cell {
    let distance = PictureDistance {
        dhash: change * 20.0,
        ssim: 1.0 - change / 2.0,
        delta_lab: change * 30.0,
        histogram: change * 10.0,
        colourfulness: change * 0.3,
        clip_high: if strength > 1.0 { 0.4 } else { 0.0 },
        clip_low: 0.0,
        sharpness: 0.0,
    };
    let distance = (strength != 0.0).then_some(distance);
    Cell { prompt, kind, seed, strength, metrics: picture(seed as usize).metrics(), distance }
}

fn grid() -> Vec<Cell> {
    let mut cells = Vec::new();
    for seed in [1, 2] {
        for strength in [0.0, 0.5, 1.0, 1.5] {
            cells.push(cell(0, PromptKind::Trigger, seed, strength, strength));
            cells.push(cell(1, PromptKind::Neutral, seed, strength, strength / 10.0));
        }
    }
    cells
}

#[test]
fn the_curve_says_where_it_begins_where_it_burns_and_what_leaks() {
    let noise = PictureDistance {
        dhash: 15.0,
        ssim: 0.2,
        delta_lab: 100.0,
        histogram: 100.0,
        ..cell(0, PromptKind::Trigger, 1, 1.0, 0.0).distance.unwrap()
    };
    let found = response(&grid(), &[noise]);
    let strengths: Vec<f64> = found.dose_response.iter().map(|point| point.strength).collect();
    assert_eq!(strengths, [0.5, 1.0, 1.5]);
    assert_eq!(found.dose_response[1].n, 2);
    close(found.dose_response[1].delta_lab, 30.0);
    assert_eq!((found.onset_strength, found.onset_measure.as_deref()), (Some(1.0), Some("dhash")));
    assert_eq!((found.burns_at_strength, found.max_usable_strength), (Some(1.5), Some(1.0)));
    close(found.linearity.unwrap(), 1.0);
    let leak = found.leak_neutral.unwrap();
    assert_eq!((leak.strength, leak.n), (1.0, 2));
    close(leak.delta_lab, 3.0);
    close(found.trigger_effect.unwrap().delta_lab, 27.0);
    assert!(found.dose_response[0].diversity_dhash.unwrap() > 0.0);
}

#[test]
fn what_cannot_be_known_is_missing() {
    let cells = [cell(0, PromptKind::Trigger, 1, 0.0, 0.0), cell(0, PromptKind::Trigger, 1, 1.0, 0.5)];
    let found = response(&cells, &[]);
    assert_eq!(found.noise_floor, None, "one seed says nothing of noise");
    assert_eq!((found.onset_strength, found.leak_neutral, found.linearity), (None, None, None));
    assert_eq!((found.burns_at_strength, found.max_usable_strength), (None, Some(1.0)));
    assert_eq!(response(&[], &[]).dose_response, []);
}
