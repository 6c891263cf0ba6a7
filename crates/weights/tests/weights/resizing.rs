//! Smaller adapters: what is promised is what the written file holds.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use lorakeep_weights::evaluate::compare::{CompareOptions, compare};
use lorakeep_weights::evaluate::report::{Relation, ResizeMode};
use lorakeep_weights::evaluate::resize::{ResizeError, ResizeTarget, Resized, resize};
use lorakeep_weights::evaluate::{Control, EvaluateError};
use serde_json::Value;

use crate::adapters::{Builder, header, kept, numbers, report, subject};

fn resized(bytes: &Vec<u8>, target: ResizeTarget) -> (Resized, Vec<u8>) {
    let header = header(bytes);
    let mut output = Vec::new();
    let answer = resize(subject("old", bytes, &header), target, &mut output, &Control::unwatched()).unwrap();
    (answer, output)
}

/// Factors whose energies fall quickly, so that few directions hold most.
fn adapter() -> Builder {
    let mut file = Builder::default().metadata("ss_network_dim", "8").metadata("kept", "as it is");
    for place in 0..3_u64 {
        let (mut up, down) = (numbers(40 * 8, place + 1), numbers(8 * 30, place + 50));
        for (index, value) in up.iter_mut().enumerate() {
            *value *= 0.5_f64.powi((index % 8) as i32);
        }
        file = file.lora(&format!("lora_unet_input_blocks_{place}_1_proj_in"), [40, 8, 30], &up, &down, 4.0);
    }
    file
}

#[test]
fn a_smaller_file_holds_the_energy_that_was_promised() {
    let bytes = adapter().metadata("sshs_model_hash", "00").build();
    let (answer, output) = resized(&bytes, ResizeTarget::Energy(0.95));
    assert!(answer.rank_after < answer.rank_before && answer.changed_modules == 3);
    assert!(answer.predicted_energy >= 0.95);
    assert!((answer.measured_energy - answer.predicted_energy).abs() < 1e-6, "{answer:?}");
    assert!((answer.cosine - answer.predicted_energy.sqrt()).abs() < 1e-6);
    assert_eq!(answer.size_after, output.len() as u64);
    let after = report(&output);
    assert_eq!(after.adapter.as_ref().unwrap().scale.mode, Some(0.5), "the scale stays");
    assert!(after.modules.iter().all(|module| module.valid));
    let header = header(&output);
    assert_eq!(header.metadata_value("kept"), Some("as it is"));
    assert_eq!(header.metadata_value("sshs_model_hash"), None, "it would be wrong now");
    let note: Value = serde_json::from_str(header.metadata_value("lorakeep_resize").unwrap()).unwrap();
    assert_eq!(note["energy"], 0.95);
}

#[test]
fn the_advice_is_exact_to_the_byte() {
    let bytes = adapter().build();
    for option in report(&bytes).spectrum.unwrap().resize {
        let target = match option.mode {
            ResizeMode::Dynamic => ResizeTarget::Energy(option.energy),
            ResizeMode::Fixed => ResizeTarget::FixedEnergy(option.energy),
        };
        let (answer, output) = resized(&bytes, target);
        assert_eq!(option.size_bytes, output.len() as u64, "{option:?}");
        assert!((option.retained_energy - answer.predicted_energy).abs() < 1e-12);
        assert!(option.retained_energy >= option.energy);
        assert_eq!(option.max_rank, answer.rank_after);
    }
}

#[test]
fn a_smaller_file_is_known_as_one() {
    let bytes = adapter().build();
    let (_, output) = resized(&bytes, ResizeTarget::Energy(0.9));
    let headers = [header(&bytes), header(&output)];
    let (a, b) = (subject("a", &bytes, &headers[0]), subject("b", &output, &headers[1]));
    let answer = compare(a, b, &CompareOptions::default(), &Control::unwatched()).unwrap();
    assert_eq!(answer.relation, Relation::Resized);
    let answer = compare(b, a, &CompareOptions::default(), &Control::unwatched()).unwrap();
    assert_eq!(answer.relation, Relation::Resized);
}

#[test]
fn a_scale_that_only_the_header_knew_is_in_the_tensors_afterwards() {
    let bytes = kept("diffusers_unet.safetensors");
    let (answer, output) = resized(&bytes, ResizeTarget::Rank(2));
    assert_eq!((answer.rank_after, answer.changed_modules), (2, 32));
    assert!((answer.measured_energy - answer.predicted_energy).abs() < 1e-6);
    assert_eq!(answer.notes.len(), 1);
    let scale = report(&output).adapter.unwrap().scale;
    assert_eq!((scale.mode, scale.differing_modules), (Some(1.0), 0));
    assert_eq!(header(&output).metadata_value("lora_adapter_metadata"), None);
}

#[test]
fn convolutions_keep_their_kernels_and_other_algorithms_are_copied() {
    let bytes = kept("lycoris_all_algos.safetensors");
    let (answer, output) = resized(&bytes, ResizeTarget::Rank(2));
    assert!(answer.changed_modules > 0 && answer.copied_modules > 0);
    let (before, after) = (report(&bytes), report(&output));
    assert_eq!(before.modules.len(), after.modules.len());
    for (one, other) in before.modules.iter().zip(&after.modules) {
        assert_eq!((&one.name, one.shape, one.scale), (&other.name, other.shape, other.scale));
        if !matches!(&*one.algo, "lora" | "dora") {
            assert_eq!(one.frobenius, other.frobenius, "{}", one.name);
        }
    }
    let header = header(&output);
    let down = header.tensors.iter().find(|tensor| &*tensor.name == "lora_unet_locon_conv.lora_down.weight");
    assert_eq!(&*down.unwrap().shape, [2, 12, 3, 3]);
}

#[test]
fn a_type_of_sixteen_bits_stays_and_its_alpha_too() {
    let values = numbers(40 * 8, 3);
    let half = 0x3800_u16.to_le_bytes().to_vec();
    let bytes = Builder::default()
        .bf16("a.lora_up.weight", &[40, 8], &values)
        .bf16("a.lora_down.weight", &[8, 40], &numbers(320, 4))
        .bytes("a.alpha", "F16", &[], half)
        .build();
    let (answer, output) = resized(&bytes, ResizeTarget::Rank(3));
    assert!((answer.measured_energy - answer.predicted_energy).abs() < 1e-3);
    let module = &report(&output).modules[0];
    assert!((module.scale - 0.5 / 8.0).abs() < 1e-4, "{}", module.scale);
    assert_eq!(module.rank, Some(3));
    assert!(
        header(&output)
            .tensors
            .iter()
            .all(|tensor| tensor.name.contains("alpha") || tensor.dtype.name() == "BF16")
    );
}

#[test]
fn what_is_small_enough_is_copied_as_it_is() {
    let bytes = adapter().build();
    let (answer, output) = resized(&bytes, ResizeTarget::Rank(8));
    assert_eq!((answer.changed_modules, answer.copied_modules), (0, 3));
    assert!((answer.cosine - 1.0).abs() < 1e-12 && report(&output).file.valid);
}

#[test]
fn what_cannot_be_made_smaller_is_refused() {
    let refused = |bytes: &Vec<u8>, target: ResizeTarget| {
        let header = header(bytes);
        resize(subject("old", bytes, &header), target, &mut Vec::new(), &Control::unwatched()).unwrap_err()
    };
    let lokr = kept("peft_lokr_full.safetensors");
    assert!(matches!(refused(&lokr, ResizeTarget::Energy(0.9)), ResizeError::NothingToResize));
    let bytes = adapter().build();
    for energy in [0.0, -1.0, 1.5, f64::NAN] {
        assert!(matches!(refused(&bytes, ResizeTarget::Energy(energy)), ResizeError::Energy(_)));
    }
    assert!(matches!(refused(&bytes, ResizeTarget::Rank(0)), ResizeError::Rank));
}

#[test]
fn resizing_stops_when_it_is_told_to() {
    let bytes = adapter().build();
    let header = header(&bytes);
    let control = Control { cancelled: &|| true, ..Control::unwatched() };
    let error = resize(subject("old", &bytes, &header), ResizeTarget::Rank(1), &mut Vec::new(), &control);
    assert!(matches!(error, Err(ResizeError::Evaluate(EvaluateError::Cancelled))));
}

#[test]
fn progress_grows_to_the_end_over_all_phases() {
    let bytes = adapter().build();
    let header = header(&bytes);
    let heard = std::sync::Mutex::new(Vec::new());
    let progress = |done: usize, of: usize| heard.lock().unwrap().push((done, of));
    let control = Control { threads: 1, progress: &progress, ..Control::unwatched() };
    resize(subject("old", &bytes, &header), ResizeTarget::Rank(1), &mut Vec::new(), &control).unwrap();
    let heard = heard.into_inner().unwrap();
    assert!(heard.is_sorted() && heard.iter().all(|(_, of)| *of == 100), "{heard:?}");
    assert_eq!(heard.last(), Some(&(100, 100)));
}
