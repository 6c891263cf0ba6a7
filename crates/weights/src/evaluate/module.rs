//! The tensors of one adapted module, and the change that they are.

use std::collections::BTreeMap;

use super::EvaluateError;
use super::decode::{self, Census};
use super::delta::Delta;
use super::matrix::Matrix;
use crate::read::ReadAt;
use crate::safetensors::Tensor;

/// The highest rank that is computed.
const RANK_CAP: u64 = 4096;
/// The most elements of one module that are held at once.
const ELEMENT_CAP: u64 = 1 << 25;

/// Ends of names and the short name of the role; the first that fits counts.
const ENDS: &[(&str, &str)] = &[
    (".lora_down.weight", "down"),
    (".lora_up.weight", "up"),
    (".lora_mid.weight", "mid"),
    (".lora_linear_layer.down.weight", "down"),
    (".lora_linear_layer.up.weight", "up"),
    (".lora.down.weight", "down"),
    (".lora.up.weight", "up"),
    ("_lora.down.weight", "down"),
    ("_lora.up.weight", "up"),
    (".lora_A.weight", "down"),
    (".lora_B.weight", "up"),
    (".lora_A.default.weight", "down"),
    (".lora_B.default.weight", "up"),
    (".lora_A", "down"),
    (".lora_B", "up"),
    (".lora_E", "adaptive"),
    (".alpha", "alpha"),
    (".dora_scale", "magnitude"),
    (".lora_magnitude_vector.weight", "magnitude"),
    (".lora_magnitude_vector", "magnitude"),
    (".hada_w1_a", "w1_a"),
    (".hada_w1_b", "w1_b"),
    (".hada_w2_a", "w2_a"),
    (".hada_w2_b", "w2_b"),
    (".hada_t1", "t1"),
    (".hada_t2", "t2"),
    (".lokr_w1", "kron1"),
    (".lokr_w1_a", "kron1_a"),
    (".lokr_w1_b", "kron1_b"),
    (".lokr_w2", "kron2"),
    (".lokr_w2_a", "kron2_a"),
    (".lokr_w2_b", "kron2_b"),
    (".lokr_t2", "kron2_t"),
    (".diff", "diff"),
    (".w_norm", "norm"),
];

/// The module's name and the role of a tensor; none for what this part does not compute.
pub(super) fn split(name: &str) -> Option<(&str, &'static str)> {
    ENDS.iter().find_map(|(end, role)| Some((name.strip_suffix(end)?, *role)))
}

/// The tensors of a module by role.
pub(super) type Parts<'a> = BTreeMap<&'static str, &'a Tensor>;

/// The algorithm by the tensors that are there.
pub(super) fn algorithm(parts: &Parts<'_>) -> &'static str {
    let has = |role: &str| parts.contains_key(role);
    let order = [
        (has("w1_a") || has("w1_b"), "loha"),
        (has("kron1") || has("kron1_a") || has("kron2") || has("kron2_a"), "lokr"),
        (has("adaptive"), "adalora"),
        (has("magnitude"), "dora"),
        (has("down") || has("up"), "lora"),
        (has("diff"), "full"),
        (has("norm"), "norm"),
    ];
    order.iter().find(|(holds, _)| *holds).map_or("unknown", |(_, name)| name)
}

/// The divisor of alpha: the rank of the factors; none when LoKr has no factors.
pub(super) fn rank(parts: &Parts<'_>) -> Option<u64> {
    let side = |role: &str| parts.get(role)?.shape.first().copied();
    side("down").or_else(|| side("w1_b")).or_else(|| side("kron2_b")).or_else(|| side("kron1_b"))
}

/// Why a module's numbers were not computed.
pub(super) enum Unmeasured {
    /// The module, not the file, is at fault.
    Because(String),
    /// The file cannot be read.
    Failed(EvaluateError),
}

impl From<EvaluateError> for Unmeasured {
    fn from(error: EvaluateError) -> Self {
        Self::Failed(error)
    }
}

type Measured<T> = Result<T, Unmeasured>;

/// Reads the tensors of one module.
pub(super) struct Reader<'a, F: ?Sized> {
    pub(super) file: &'a F,
    pub(super) data_start: u64,
    pub(super) parts: &'a Parts<'a>,
    pub(super) census: Census,
}

impl<F: ReadAt + ?Sized> Reader<'_, F> {
    /// The change that the tensors are, unscaled.
    pub(super) fn delta(&mut self) -> Measured<Delta> {
        self.check_size()?;
        match algorithm(self.parts) {
            "lora" | "dora" | "adalora" => self.product(),
            "loha" => self.hadamard(),
            "lokr" => {
                let first = self.block("kron1", "kron1_a", "kron1_b", "")?;
                let second = self.block("kron2", "kron2_a", "kron2_b", "kron2_t")?;
                Ok(Delta::Kronecker(Box::new(first), Box::new(second)))
            }
            "full" => Ok(Delta::Full(self.matrix("diff")?)),
            "norm" => Ok(Delta::Full(self.matrix("norm")?)),
            _ => because("its tensors are of no algorithm that is computed from factors"),
        }
    }

    fn check_size(&self) -> Measured<()> {
        let elements = self.parts.values().map(|tensor| tensor.elements()).fold(0, u64::saturating_add);
        if rank(self.parts).is_some_and(|rank| rank > RANK_CAP) {
            return because(&format!("its rank is above {RANK_CAP}"));
        }
        if elements > ELEMENT_CAP {
            return because(&format!("it has more than {ELEMENT_CAP} elements"));
        }
        Ok(())
    }

    fn product(&mut self) -> Measured<Delta> {
        let (left, mut right) = if self.parts.contains_key("mid") {
            let core = self.cube("mid")?;
            let down = self.matrix("down")?;
            (self.matrix("up")?, spread(&core, &down)?)
        } else {
            (self.matrix("up")?, self.matrix("down")?)
        };
        if let Some(tensor) = self.parts.get("adaptive").copied() {
            let weights = self.values(tensor)?;
            if weights.len() != right.rows {
                return because("`lora_E` and `lora_A` have different ranks");
            }
            for (line, weight) in right.values.chunks_exact_mut(right.columns).zip(weights) {
                for value in line {
                    *value *= weight;
                }
            }
        }
        joined(left, right).map(|(left, right)| Delta::Product(left, right))
    }

    fn hadamard(&mut self) -> Measured<Delta> {
        let first = self.half("w1_a", "w1_b", "t1")?;
        let second = self.half("w2_a", "w2_b", "t2")?;
        if (first.0.rows, first.1.columns) != (second.0.rows, second.1.columns) {
            return because("its two products have different sides");
        }
        Ok(Delta::Hadamard(first, second))
    }

    /// One of the two products of a LoHa; with a core its outer factor is stored turned.
    fn half(
        &mut self,
        out: &'static str,
        inner: &'static str,
        core: &'static str,
    ) -> Measured<(Matrix, Matrix)> {
        let (left, right) = (self.matrix(out)?, self.matrix(inner)?);
        if !self.parts.contains_key(core) {
            return joined(left, right);
        }
        let core = self.cube(core)?;
        joined(left.transposed(), spread(&core, &right)?)
    }

    fn block(
        &mut self,
        whole: &'static str,
        out: &'static str,
        inner: &'static str,
        core: &'static str,
    ) -> Measured<Delta> {
        if self.parts.contains_key(whole) {
            return self.matrix(whole).map(Delta::Full);
        }
        self.half(out, inner, core).map(|(left, right)| Delta::Product(left, right))
    }

    /// A tensor as a matrix: the first side by all others.
    fn matrix(&mut self, role: &'static str) -> Measured<Matrix> {
        let Some(tensor) = self.parts.get(role).copied() else {
            return because(&format!("its `{role}` half is missing"));
        };
        let rows = if tensor.shape.len() < 2 { 1 } else { tensor.shape[0] };
        let elements = tensor.elements();
        if elements == 0 {
            return because(&format!("its `{role}` tensor is empty"));
        }
        let values = self.values(tensor)?;
        Ok(Matrix::new(rows as usize, (elements / rows) as usize, values))
    }

    /// A core: two ranks and the kernel.
    fn cube(&mut self, role: &'static str) -> Measured<(usize, usize, Matrix)> {
        let shape = self.parts.get(role).map(|tensor| tensor.shape.clone()).unwrap_or_default();
        if shape.len() < 3 {
            return because(&format!("its `{role}` tensor is no core of a decomposition"));
        }
        Ok((shape[0] as usize, shape[1] as usize, self.matrix(role)?))
    }

    fn values(&mut self, tensor: &Tensor) -> Measured<Vec<f64>> {
        if !decode::is_numeric(tensor.dtype) {
            return because(&format!("elements of type `{}` cannot be decoded", tensor.dtype));
        }
        let (values, census) = decode::read(self.file, self.data_start, tensor)?;
        self.census.add(census);
        Ok(values)
    }
}

fn because<T>(reason: &str) -> Measured<T> {
    Err(Unmeasured::Because(reason.to_owned()))
}

fn joined(left: Matrix, right: Matrix) -> Measured<(Matrix, Matrix)> {
    if left.columns == right.rows {
        Ok((left, right))
    } else {
        because(&format!("its halves have ranks {} and {}", left.columns, right.rows))
    }
}

/// A core joined with its inner factor: (rank, in · kernel), columns by kernel position.
fn spread(core: &(usize, usize, Matrix), inner: &Matrix) -> Measured<Matrix> {
    let (rank, width, values) = core;
    if *width != inner.rows {
        return because("its core and its inner factor have different ranks");
    }
    let kernel = values.columns / width;
    if rank.saturating_mul(kernel).saturating_mul(inner.columns) > ELEMENT_CAP as usize {
        return because("its core spreads to too many elements");
    }
    let mut turned = Matrix::zero(rank * kernel, *width);
    for row in 0..rank * width * kernel {
        let (outer, rest) = (row / (width * kernel), row % (width * kernel));
        *turned.at_mut(outer * kernel + rest % kernel, rest / kernel) = values.values[row];
    }
    Ok(Matrix::new(*rank, kernel * inner.columns, turned.times(inner).values))
}
