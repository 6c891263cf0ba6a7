//! Adapters made for tests: tensors of any values under any names, and the files that are kept.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::path::Path;

use lorakeep_weights::Header;
use lorakeep_weights::evaluate::report::FileReport;
use lorakeep_weights::evaluate::{Control, Detail, Options, Subject, evaluate};
use serde_json::{Value, json};

/// A file that grows tensor by tensor.
#[derive(Clone, Default)]
pub(crate) struct Builder {
    tensors: Vec<(String, &'static str, Vec<u64>, Vec<u8>)>,
    metadata: serde_json::Map<String, Value>,
}

impl Builder {
    pub(crate) fn f32(mut self, name: &str, shape: &[u64], values: &[f64]) -> Self {
        let bytes = values.iter().flat_map(|value| (*value as f32).to_le_bytes()).collect();
        self.tensors.push((name.to_owned(), "F32", shape.to_vec(), bytes));
        self
    }

    pub(crate) fn bytes(mut self, name: &str, dtype: &'static str, shape: &[u64], bytes: Vec<u8>) -> Self {
        self.tensors.push((name.to_owned(), dtype, shape.to_vec(), bytes));
        self
    }

    /// BF16 by cutting the bits of an F32 off.
    pub(crate) fn bf16(self, name: &str, shape: &[u64], values: &[f64]) -> Self {
        let bytes = values.iter().flat_map(|value| (*value as f32).to_le_bytes()[2..].to_vec()).collect();
        self.bytes(name, "BF16", shape, bytes)
    }

    pub(crate) fn metadata(mut self, key: &str, value: &str) -> Self {
        self.metadata.insert(key.to_owned(), json!(value));
        self
    }

    pub(crate) fn build(&self) -> Vec<u8> {
        let (mut entries, mut data) = (serde_json::Map::new(), Vec::new());
        if !self.metadata.is_empty() {
            entries.insert("__metadata__".to_owned(), Value::Object(self.metadata.clone()));
        }
        for (name, dtype, shape, bytes) in &self.tensors {
            let start = data.len();
            data.extend_from_slice(bytes);
            let entry = json!({"dtype": dtype, "shape": shape, "data_offsets": [start, data.len()]});
            entries.insert(name.clone(), entry);
        }
        let header = Value::Object(entries).to_string();
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    /// A LoRA module of these factors, `up` of (out, rank) and `down` of (rank, in).
    pub(crate) fn lora(
        self,
        name: &str,
        [out, rank, inner]: [u64; 3],
        up: &[f64],
        down: &[f64],
        alpha: f64,
    ) -> Self {
        self.f32(&format!("{name}.lora_up.weight"), &[out, rank], up)
            .f32(&format!("{name}.lora_down.weight"), &[rank, inner], down)
            .f32(&format!("{name}.alpha"), &[], &[alpha])
    }
}

/// Numbers between -0.5 and 0.5 that are the same in every run.
pub(crate) fn numbers(count: u64, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from((state >> 33) as f32 / (1_u32 << 31) as f32 - 0.5)
    };
    (0..count).map(|_| next()).collect()
}

/// `left` of (rows, inner) times `right` of (inner, columns).
pub(crate) fn times(left: &[f64], right: &[f64], rows: usize, inner: usize, columns: usize) -> Vec<f64> {
    let at = |row: usize, column: usize| {
        (0..inner).map(|place| left[row * inner + place] * right[place * columns + column]).sum()
    };
    (0..rows)
        .flat_map(|row| (0..columns).map(move |column| (row, column)))
        .map(|(row, column)| at(row, column))
        .collect()
}

pub(crate) fn kept(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/evaluation").join(name)).unwrap()
}

pub(crate) fn report(bytes: &[u8]) -> FileReport {
    let options = Options { detail: Detail::Modules, ..Options::default() };
    evaluate(bytes, bytes.len() as u64, &options, &Control::unwatched()).unwrap()
}

pub(crate) fn header(bytes: &[u8]) -> Header {
    Header::read(bytes, bytes.len() as u64).unwrap()
}

pub(crate) fn subject<'a>(name: &'a str, bytes: &'a Vec<u8>, header: &'a Header) -> Subject<'a> {
    Subject { name, file: bytes, header, adapter_config: None }
}
