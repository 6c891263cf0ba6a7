//! What adapters make of the weights of a base against an independent computation of the whole weights: numpy in
//! float64. `scripts/test` brings numpy; without it this is skipped with a loud line.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::fs;

use lorakeep_weights::evaluate::report::{FileReport, ModuleReport};
use lorakeep_weights::evaluate::{
    Base, Control, Detail, EvaluateError, Options, WeightMemory, WeightNorms, evaluate,
};

use crate::adapters::{Builder, header, numbers};
use crate::full_changes::{Sides, by_numpy, close};

/// An adapter and the base that it is for, module by module.
struct Pair {
    sides: Sides,
    content: u64,
    adapter: Builder,
    base: Builder,
}

impl Pair {
    fn tensor(&mut self, name: &str, shape: &[u64]) {
        self.tensor_around(name, shape, 0.0);
    }

    fn tensor_around(&mut self, name: &str, shape: &[u64], middle: f64) {
        self.content += 1;
        let values: Vec<f64> =
            numbers(shape.iter().product(), self.content).iter().map(|value| value + middle).collect();
        self.adapter = std::mem::take(&mut self.adapter).f32(&format!("lora_unet_{name}"), shape, &values);
    }

    fn alpha(&mut self, module: &str, alpha: f64) {
        let name = format!("lora_unet_{module}.alpha");
        self.adapter = std::mem::take(&mut self.adapter).f32(&name, &[], &[alpha]);
    }

    fn weight(&mut self, module: &str, shape: &[u64]) {
        self.content += 1;
        let values = numbers(shape.iter().product(), self.content);
        self.base = std::mem::take(&mut self.base).f32(&format!("{module}.weight"), shape, &values);
    }

    fn products(&mut self) {
        let (out, inner) = (self.sides.between(9, 60), self.sides.between(9, 60));
        let rank = self.sides.between(1, 8);
        for (module, kernel, magnitudes) in [
            ("plain", &[][..], None),
            ("dora_out", &[], Some(vec![out, 1])),
            ("dora_in", &[], Some(vec![1, inner])),
            ("dora_conv_out", &[3, 3], Some(vec![out, 1, 1, 1])),
            ("dora_conv_in", &[3, 3], Some(vec![1, inner, 1, 1])),
        ] {
            let ones = vec![1; kernel.len()];
            self.tensor(&format!("{module}.lora_up.weight"), &[&[out, rank], &ones[..]].concat());
            self.tensor(&format!("{module}.lora_down.weight"), &[&[rank, inner], kernel].concat());
            self.alpha(module, 1.5);
            if let Some(shape) = magnitudes {
                self.tensor_around(&format!("{module}.dora_scale"), &shape, 2.0);
            }
            self.weight(module, &[&[out, inner], kernel].concat());
        }
        self.tensor("full.diff", &[out, inner, 3, 3]);
        self.weight("full", &[out, inner, 3, 3]);
    }

    fn multipliers(&mut self) {
        let (out, inner) = (self.sides.between(9, 60), self.sides.between(9, 60));
        for (module, shape, on_input) in
            [("ia3_in", vec![inner], 1), ("ia3_out", vec![out], 0), ("ia3_conv", vec![1, inner, 1, 1], 1)]
        {
            self.tensor(&format!("{module}.weight"), &shape);
            let flag = i64::to_le_bytes(on_input).to_vec();
            let name = format!("lora_unet_{module}.on_input");
            self.adapter = std::mem::take(&mut self.adapter).bytes(&name, "I64", &[], flag);
            let kernel = if shape.len() > 1 { &[3, 3][..] } else { &[] };
            self.weight(module, &[&[out, inner], kernel].concat());
        }
        self.tensor_around("peft_ia3_out.ia3_l", &[out, 1], 1.0);
        self.weight("peft_ia3_out", &[out, inner]);
        self.tensor_around("peft_ia3_in.ia3_l", &[1, inner], 1.0);
        self.weight("peft_ia3_in", &[out, inner]);
    }

    fn rotations(&mut self) {
        let (side, count) = (2 * self.sides.between(1, 4), self.sides.between(2, 5));
        let (turned, other) = (side * count, self.sides.between(9, 60));
        for (module, kernel) in
            [("oft", &[][..]), ("oft_stretched", &[]), ("oft_capped", &[]), ("oft_conv", &[3, 3])]
        {
            self.tensor(&format!("{module}.oft_blocks"), &[count, side, side]);
            self.alpha(module, if module == "oft_capped" { 0.005 } else { 0.0 });
            if module == "oft_stretched" {
                self.tensor_around(&format!("{module}.rescale"), &[turned, 1], 1.0);
            }
            self.weight(module, &[&[turned, other], kernel].concat());
        }
        let triangle = side * (side - 1) / 2;
        self.tensor("peft_oft.oft_R.weight", &[count, triangle]);
        self.weight("peft_oft", &[other, turned]);
        self.tensor("peft_oft_shared.oft_R.weight", &[1, triangle]);
        self.weight("peft_oft_shared", &[other, turned]);
        self.tensor("peft_oft_conv.oft_R.weight", &[count, triangle]);
        self.weight("peft_oft_conv", &[other, count, side, 1]);
        self.tensor("peft_boft.boft_R", &[1, count, side, side]);
        self.tensor_around("peft_boft.boft_s", &[other, 1], 1.0);
        self.weight("peft_boft", &[other, turned]);
        // Factors of a butterfly join groups that double.
        let turned = side * 4 * count;
        for (module, kernel) in [("boft", &[][..]), ("boft_conv", &[3, 3])] {
            self.tensor(&format!("{module}.oft_blocks"), &[3, 4 * count, side, side]);
            self.alpha(module, 0.0);
            self.weight(module, &[&[turned, 7], kernel].concat());
        }
        self.tensor_around("boft.rescale", &[turned, 1], 1.0);
        self.tensor("peft_boft_deep.boft_R", &[3, 4 * count, side, side]);
        self.tensor_around("peft_boft_deep.boft_s", &[other, 1], 1.0);
        self.weight("peft_boft_deep", &[other, turned]);
    }

    fn mixers(&mut self) {
        let (out, inner) = (self.sides.between(9, 40), self.sides.between(9, 40));
        let rank = self.sides.between(1, 6);
        for (module, kernel) in [("glora", &[][..]), ("glora_conv", &[3, 3])] {
            let ones = vec![1; kernel.len()];
            self.tensor(&format!("{module}.a1.weight"), &[&[inner, rank], &ones[..]].concat());
            self.tensor(&format!("{module}.a2.weight"), &[&[rank, inner], &ones[..]].concat());
            self.tensor(&format!("{module}.b1.weight"), &[&[out, rank], &ones[..]].concat());
            self.tensor(&format!("{module}.b2.weight"), &[&[rank, inner], kernel].concat());
            self.alpha(module, 0.75);
            self.weight(module, &[&[out, inner], kernel].concat());
        }
        // The order of old files: inner factors first. A square weight would allow both.
        for (module, out) in [("glora_old", out), ("glora_old_square", inner)] {
            self.tensor(&format!("{module}.a1.weight"), &[rank, inner]);
            self.tensor(&format!("{module}.a2.weight"), &[inner, rank]);
            self.tensor(&format!("{module}.b1.weight"), &[rank, inner]);
            self.tensor(&format!("{module}.b2.weight"), &[out, rank]);
            self.alpha(module, 0.75);
            self.weight(module, &[out, inner]);
        }
    }
}

fn pair(seed: u64) -> (Vec<u8>, Vec<u8>) {
    let (adapter, base) = (Builder::default(), Builder::default());
    let mut pair = Pair { sides: Sides(seed), content: seed * 1000, adapter, base };
    pair.products();
    pair.multipliers();
    pair.rotations();
    pair.mixers();
    (pair.adapter.build(), pair.base.build())
}

fn on_base(adapter: &[u8], base: &[u8], memory: Option<&dyn WeightMemory>, strength: f64) -> FileReport {
    let header = header(base);
    let base = Some(Base { name: "base", header: &header, file: Some(&base), memory });
    let options = Options { detail: Detail::Modules, base, strength, ..Options::default() };
    evaluate(adapter, adapter.len() as u64, &options, &Control::unwatched()).unwrap()
}

#[test]
fn every_change_on_a_base_is_that_of_the_whole_weight() {
    let Some(script) = by_numpy("base_changes.py") else { return };
    for seed in 0..12 {
        let (adapter, base) = pair(seed);
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("adapter.safetensors"), &adapter).unwrap();
        fs::write(folder.path().join("base.safetensors"), &base).unwrap();
        let wanted = script(folder.path());
        let report = on_base(&adapter, &base, None, 1.0);
        assert_eq!((report.modules.len(), report.skipped.len()), (26, 0), "{:?}", report.skipped);
        for module in &report.modules {
            let name = format!("{seed} {}", module.name);
            let wanted = |key: &str| wanted[&module.name][key].as_f64().expect(&name);
            let norm = |key: &str, found: Option<f64>, by: f64| {
                close(&format!("{name} {key}"), found.expect(&name), wanted(key), by * wanted(key));
            };
            norm("base_frobenius", module.base_frobenius, 1e-10);
            norm("change_frobenius", module.change_frobenius, 1e-10);
            norm("base_spectral", module.base_spectral, 1e-7);
            norm("change_spectral", module.change_spectral, 1e-7);
            let relative = wanted("change_spectral") / wanted("base_spectral");
            close(&name, module.relative_spectral.expect(&name), relative, 2e-7 * relative);
        }
    }
}

fn module<'a>(report: &'a FileReport, name: &str) -> &'a ModuleReport {
    report.modules.iter().find(|module| module.name == format!("lora_unet_{name}")).expect(name)
}

#[test]
fn changes_on_a_base_follow_the_strength() {
    let (adapter, base) = pair(3);
    let (whole, half) = (on_base(&adapter, &base, None, 1.0), on_base(&adapter, &base, None, -0.5));
    for name in ["plain", "dora_in", "oft_stretched", "glora"] {
        let (whole, half) = (module(&whole, name), module(&half, name));
        let close =
            |one: Option<f64>, other: Option<f64>| (one.unwrap() * 0.5 - other.unwrap()).abs() < 1e-12;
        assert!(close(whole.relative_frobenius, half.relative_frobenius), "{name}");
        assert!(close(whole.change_spectral, half.change_spectral), "{name}");
        assert_eq!(whole.base_spectral, half.base_spectral);
    }
}

/// Remembers a wrong number for one weight and counts what is kept.
#[derive(Default)]
struct Memory(std::sync::Mutex<Vec<String>>);

impl WeightMemory for Memory {
    fn recall(&self, weight: &str) -> Option<WeightNorms> {
        weight.starts_with("plain.weight").then_some(WeightNorms { frobenius: 7.0, spectral: Some(3.0) })
    }

    fn remember(&self, weight: &str, _: WeightNorms) {
        self.0.lock().unwrap().push(weight.to_owned());
    }
}

#[test]
fn what_is_remembered_of_a_base_is_not_computed_again() {
    let (adapter, base) = pair(1);
    let memory = Memory::default();
    let report = on_base(&adapter, &base, Some(&memory), 1.0);
    assert_eq!(module(&report, "plain").base_spectral, Some(3.0));
    let kept = memory.0.lock().unwrap();
    assert_eq!(kept.len(), 25);
    assert!(kept.iter().any(|name| name.starts_with("full.weight[0..")), "{kept:?}");
}

#[test]
fn reading_a_base_stops_within_a_weight() {
    let (adapter, base) = pair(2);
    let header = header(&base);
    let file = Some(&base as _);
    let asked = std::sync::atomic::AtomicUsize::new(0);
    // The modules of the file come first, then the base is read, some rows at a time.
    let cancelled = || asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) > 60;
    let control = Control { threads: 1, cancelled: &cancelled, progress: &|_, _| {} };
    let options = Options {
        base: Some(Base { name: "base", header: &header, file, memory: None }),
        ..Options::default()
    };
    let stopped = evaluate(&adapter, adapter.len() as u64, &options, &control);
    assert!(matches!(stopped, Err(EvaluateError::Cancelled)));
    assert!(asked.into_inner() < 70, "it is asked within weights, and ends at once");
}

#[test]
fn rotations_that_do_not_fit_the_base_have_no_number_and_say_so() {
    let adapter = Builder::default()
        .f32("lora_unet_one.oft_blocks", &[3, 4, 4], &numbers(48, 1))
        .f32("lora_unet_two.oft_R.weight", &[2, 6], &numbers(12, 2))
        .f32("lora_unet_three.ia3_l", &[5, 1], &numbers(5, 3));
    let base = ["one", "two", "three"].iter().fold(Builder::default(), |base, name| {
        base.f32(&format!("{name}.weight"), &[10, 10], &numbers(100, 4))
    });
    let report = on_base(&adapter.build(), &base.build(), None, 1.0);
    for found in &report.modules {
        assert_eq!((found.relative_frobenius, found.change_spectral), (None, None), "{}", found.name);
        assert!(found.base_spectral.is_some());
    }
    let gaps: Vec<&str> = report.skipped.iter().map(|gap| &*gap.check).collect();
    assert_eq!(gaps, ["base.relative_frobenius", "base.relative_spectral"]);
    assert!(report.skipped[0].reason.starts_with("3 of 3 modules"), "{}", report.skipped[0].reason);
}
