//! Every algorithm against an independent computation of its whole change: numpy in float64, run once over
//! files of random shapes. `scripts/test` brings numpy; without it this is skipped with a loud line.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests are tests")]

use std::fs;
use std::path::Path;
use std::process::Command;

use lorakeep_weights::evaluate::compare::{CompareOptions, compare};
use lorakeep_weights::evaluate::report::{FileReport, ModuleReport};
use lorakeep_weights::evaluate::resize::{ResizeTarget, resize};
use lorakeep_weights::evaluate::{Control, Detail, Options, evaluate};
use serde_json::Value;

use crate::adapters::{Builder, header, numbers, subject};

/// Sides that differ from seed to seed.
pub(crate) struct Sides(pub(crate) u64);

impl Sides {
    pub(crate) fn between(&mut self, least: u64, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        least + (self.0 >> 33) % (most - least + 1)
    }
}

/// One module of each algorithm; `shape` decides the sides, `content` the numbers.
struct Maker {
    sides: Sides,
    content: u64,
    file: Builder,
}

impl Maker {
    fn tensor(&mut self, name: &str, shape: &[u64]) {
        self.content += 1;
        let values = numbers(shape.iter().product(), self.content);
        self.file = std::mem::take(&mut self.file).f32(&format!("lora_unet_{name}"), shape, &values);
    }

    fn alpha(&mut self, module: &str) {
        let alpha = 0.5 + self.sides.between(0, 60) as f64 / 8.0;
        self.file = std::mem::take(&mut self.file).f32(&format!("lora_unet_{module}.alpha"), &[], &[alpha]);
    }

    fn products(&mut self) {
        let (out, inner) = (self.sides.between(9, 60), self.sides.between(9, 60));
        let rank = self.sides.between(1, 8);
        self.tensor("linear.lora_up.weight", &[out, rank]);
        self.tensor("linear.lora_down.weight", &[rank, inner]);
        self.alpha("linear");
        self.tensor("dora.lora_up.weight", &[out, rank]);
        self.tensor("dora.lora_down.weight", &[rank, inner]);
        self.tensor("dora.dora_scale", &[out, 1]);
        self.alpha("dora");
        self.tensor("conv.lora_up.weight", &[out, rank, 1, 1]);
        self.tensor("conv.lora_down.weight", &[rank, inner, 3, 3]);
        self.alpha("conv");
        self.tensor("tucker.lora_up.weight", &[out, rank, 1, 1]);
        self.tensor("tucker.lora_mid.weight", &[rank, rank, 3, 3]);
        self.tensor("tucker.lora_down.weight", &[rank, inner, 1, 1]);
        self.alpha("tucker");
        self.tensor("adaptive.lora_B", &[out, rank]);
        self.tensor("adaptive.lora_E", &[rank, 1]);
        self.tensor("adaptive.lora_A", &[rank, inner]);
        // A rank above both sides, and one column.
        self.tensor("fat.lora_up.weight", &[5, 11]);
        self.tensor("fat.lora_down.weight", &[11, 7]);
        self.tensor("thin.lora_up.weight", &[out, 1]);
        self.tensor("thin.lora_down.weight", &[1, 1]);
    }

    fn hadamard(&mut self) {
        let (out, inner) = (self.sides.between(9, 40), self.sides.between(9, 40));
        let rank = self.sides.between(1, 6);
        for (name, kernel) in [("loha", 1), ("loha_conv", 9)] {
            for number in ["1", "2"] {
                self.tensor(&format!("{name}.hada_w{number}_a"), &[out, rank]);
                self.tensor(&format!("{name}.hada_w{number}_b"), &[rank, inner * kernel]);
            }
            self.alpha(name);
        }
        for number in ["1", "2"] {
            self.tensor(&format!("loha_core.hada_w{number}_a"), &[rank, out]);
            self.tensor(&format!("loha_core.hada_w{number}_b"), &[rank, inner]);
            self.tensor(&format!("loha_core.hada_t{number}"), &[rank, rank, 3, 3]);
        }
        self.alpha("loha_core");
    }

    fn kronecker(&mut self) {
        let [a, b, c, d] = [2, 3, 5, 7].map(|least| self.sides.between(least, least + 4));
        let rank = self.sides.between(1, 4);
        self.tensor("lokr_whole.lokr_w1", &[a, b]);
        self.tensor("lokr_whole.lokr_w2", &[c, d]);
        self.alpha("lokr_whole");
        self.tensor("lokr_second.lokr_w1", &[a, b]);
        self.tensor("lokr_second.lokr_w2_a", &[c, rank]);
        self.tensor("lokr_second.lokr_w2_b", &[rank, d]);
        self.alpha("lokr_second");
        self.tensor("lokr_first.lokr_w1_a", &[a, rank]);
        self.tensor("lokr_first.lokr_w1_b", &[rank, b]);
        self.tensor("lokr_first.lokr_w2", &[c, d]);
        self.alpha("lokr_first");
        self.tensor("lokr_both.lokr_w1_a", &[a, rank]);
        self.tensor("lokr_both.lokr_w1_b", &[rank, b]);
        self.tensor("lokr_both.lokr_w2_a", &[c, rank]);
        self.tensor("lokr_both.lokr_w2_b", &[rank, d]);
        self.alpha("lokr_both");
        self.tensor("lokr_conv.lokr_w1", &[a, b]);
        self.tensor("lokr_conv.lokr_w2", &[c, d, 3, 3]);
        self.alpha("lokr_conv");
        self.tensor("lokr_core.lokr_w1", &[a, b]);
        self.tensor("lokr_core.lokr_w2_a", &[rank, c]);
        self.tensor("lokr_core.lokr_w2_b", &[rank, d]);
        self.tensor("lokr_core.lokr_t2", &[rank, rank, 3, 3]);
        self.alpha("lokr_core");
    }

    fn others(&mut self) {
        let (out, inner) = (self.sides.between(9, 40), self.sides.between(9, 40));
        let rank = self.sides.between(1, 6);
        self.tensor("glora.a1.weight", &[inner, rank]);
        self.tensor("glora.a2.weight", &[rank, inner]);
        self.tensor("glora.b1.weight", &[out, rank]);
        self.tensor("glora.b2.weight", &[rank, inner]);
        self.alpha("glora");
        let side = 2 * self.sides.between(1, 6);
        let count = self.sides.between(1, 5);
        self.tensor("oft.oft_blocks", &[count, side, side]);
        self.tensor("boft.oft_blocks", &[2, 2 * count, side, side]);
        self.tensor("peft_oft.oft_R.weight", &[count, side * (side - 1) / 2]);
        self.tensor("peft_boft.boft_R", &[2, 2 * count, side, side]);
        self.tensor("peft_boft.boft_s", &[out, 1]);
        self.tensor("full.diff", &[out, inner, 3, 3]);
        self.tensor("norm.w_norm", &[out]);
        self.tensor("norm.b_norm", &[out]);
    }
}

fn adapter(shape: u64, content: u64) -> Vec<u8> {
    let mut maker = Maker { sides: Sides(shape), content: content * 1000, file: Builder::default() };
    maker.products();
    maker.hadamard();
    maker.kronecker();
    maker.others();
    maker.file.build()
}

fn evaluated(bytes: &[u8]) -> FileReport {
    let options = Options { detail: Detail::Modules, top_singular_values: usize::MAX, ..Options::default() };
    evaluate(bytes, bytes.len() as u64, &options, &Control::unwatched()).unwrap()
}

#[test]
fn every_number_is_that_of_the_whole_change() {
    let Some(script) = by_numpy("full_changes.py") else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut files: Vec<(String, Vec<u8>)> =
        (0..24).map(|seed| (format!("{seed}.safetensors"), adapter(seed, seed))).collect();
    files.push(("one.safetensors".to_owned(), adapter(100, 100)));
    files.push(("other.safetensors".to_owned(), adapter(100, 200)));
    for (name, bytes) in &files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    let wanted = script(folder.path());
    let mut compared = 0;
    for (name, bytes) in &files {
        for report in evaluated(bytes).modules {
            let numbers = &wanted["files"][name][&report.name];
            compare_module(&format!("{name} {}", report.name), &report, numbers);
            compared += 1;
        }
    }
    assert_eq!(compared, files.len() * 23);
    compare_pair(&files[files.len() - 2].1, &files[files.len() - 1].1, &wanted["pair"]);
}

/// A script beside this file that answers of a folder of files; none, with a line, without a Python that has numpy.
pub(crate) fn by_numpy(script: &str) -> Option<impl Fn(&Path) -> Value> {
    let Ok(python) = std::env::var("TEST_PYTHON") else {
        eprintln!("SKIPPED against numpy: TEST_PYTHON is not set, `scripts/test` sets it");
        return None;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/weights").join(script);
    Some(move |folder: &Path| {
        let output = Command::new(&python).arg("-B").arg(&script).arg(folder).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    })
}

pub(crate) fn close(what: &str, found: f64, wanted: f64, by: f64) {
    assert!((found - wanted).abs() <= by, "{what}: {found:e} is not {wanted:e}");
}

fn compare_module(name: &str, report: &ModuleReport, numbers: &Value) {
    let wanted = |key: &str| numbers[key].as_f64().unwrap_or_else(|| panic!("{name} has no {key}"));
    if let Some(rotation) = report.rotation {
        close(name, rotation.angle_max, wanted("angle_max"), 1e-7);
        close(name, rotation.angle_mean, wanted("angle_mean"), 1e-7);
        close(name, rotation.distance, wanted("distance"), 1e-10 * wanted("distance"));
        return;
    }
    assert!(report.valid, "{name}: {:?}", report.issues);
    close(name, report.scale, wanted("scale"), 1e-12 * wanted("scale"));
    close(name, report.frobenius.expect(name), wanted("frobenius"), 1e-10 * wanted("frobenius"));
    let values: Vec<f64> =
        numbers["values"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect();
    for (place, value) in values.iter().enumerate() {
        let found = report.top_singular_values.get(place).copied().unwrap_or(0.0);
        close(&format!("{name} value {place}"), found, *value, 1e-7 * values[0]);
    }
    assert!(
        report.top_singular_values.iter().skip(values.len()).all(|value| *value <= 1e-7 * values[0]),
        "{name}"
    );
    close(name, report.nuclear.unwrap(), wanted("nuclear"), 1e-5 * wanted("nuclear"));
    close(name, report.stable_rank.unwrap(), wanted("stable_rank"), 1e-7 * wanted("stable_rank"));
    close(name, report.effective_rank.unwrap(), wanted("effective_rank"), 1e-7 * wanted("effective_rank"));
    close(
        name,
        report.effective_rank_l1.unwrap(),
        wanted("effective_rank_l1"),
        1e-4 * wanted("effective_rank_l1"),
    );
}

/// Comparing and resizing against the same computed whole.
fn compare_pair(one: &Vec<u8>, other: &Vec<u8>, wanted: &Value) {
    let wanted = |key: &str| wanted[key].as_f64().unwrap();
    let headers = [header(one), header(other)];
    let options = CompareOptions { modules: true, ..CompareOptions::default() };
    let both = (subject("one", one, &headers[0]), subject("other", other, &headers[1]));
    let answer = compare(both.0, both.1, &options, &Control::unwatched()).unwrap();
    close("cosine", answer.cosine.unwrap(), wanted("cosine"), 1e-10);
    close("norm ratio", answer.norm_ratio.unwrap(), wanted("norm_ratio"), 1e-10);
    let linear = answer.modules.iter().find(|module| module.name == "lora_unet_linear").unwrap();
    close("left overlap", linear.left_overlap.unwrap(), wanted("left"), 1e-9);
    close("right overlap", linear.right_overlap.unwrap(), wanted("right"), 1e-9);
    let mut alone = Builder::default();
    let tensors = headers[0].tensors.iter().filter(|tensor| tensor.name.starts_with("lora_unet_linear."));
    for tensor in tensors {
        let start = headers[0].data_start() as usize;
        let bytes = one[start + tensor.range.start as usize..start + tensor.range.end as usize].to_vec();
        alone = alone.bytes(&tensor.name, "F32", &tensor.shape, bytes);
    }
    let (alone, mut output) = (alone.build(), Vec::new());
    let header = header(&alone);
    let resized =
        resize(subject("linear", &alone, &header), ResizeTarget::Rank(2), &mut output, &Control::unwatched());
    let resized = resized.unwrap();
    close("predicted energy", resized.predicted_energy, wanted("kept"), 1e-10);
    close("measured energy", resized.measured_energy, wanted("kept"), 1e-6);
}
