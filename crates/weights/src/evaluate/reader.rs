//! Reads the tensors of one module and makes of them the change that they are.

use super::EvaluateError;
use super::decode::{self, Tally};
use super::delta::Delta;
use super::matrix::{Matrix, Stored};
use super::module::{Parts, algorithm, is_new_glora, product, rank};
use super::orthogonal::{self, BLOCK_CAP, Blocks, Storage, Turned};
use crate::read::ReadAt;
use crate::safetensors::Tensor;

/// The highest rank that is computed.
const RANK_CAP: u64 = 4096;
/// The most elements of one module that are held at once.
const ELEMENT_CAP: u64 = 1 << 25;

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
    pub(super) tally: Tally,
    /// Where the tensors begin that were read.
    seen: Vec<u64>,
}

impl<'a, F: ReadAt + ?Sized> Reader<'a, F> {
    pub(super) fn new(file: &'a F, data_start: u64, parts: &'a Parts<'a>) -> Self {
        Self { file, data_start, parts, tally: Tally::default(), seen: Vec::new() }
    }

    /// Looks at the elements of the tensors that no computation needed.
    pub(super) fn scan_rest(&mut self) -> Result<(), EvaluateError> {
        for tensor in self.parts.values() {
            if !self.seen.contains(&tensor.range.start) {
                let census = decode::stream(self.file, self.data_start, tensor, |_| {})?;
                self.tally.count(tensor.dtype, census);
            }
        }
        Ok(())
    }

    /// The change that the tensors are, unscaled; of a GLoRA the part that needs no base.
    pub(super) fn delta(&mut self) -> Measured<Delta> {
        match algorithm(self.parts) {
            "lora" | "dora" | "adalora" => self.product(),
            "loha" => self.hadamard(),
            "lokr" => {
                let first = self.block("kron1", "kron1_a", "kron1_b", "")?;
                let second = self.block("kron2", "kron2_a", "kron2_b", "kron2_t")?;
                Ok(Delta::Kronecker(Box::new(first), Box::new(second)))
            }
            "full" if self.parts.contains_key("replacement") => {
                because("it replaces the weight instead of changing it, so its change needs the base")
            }
            "full" => Ok(Delta::Full(self.matrix("diff")?)),
            "norm" => Ok(Delta::Full(self.matrix("norm")?)),
            "glora" => self.glora("glora_b1", "glora_b2"),
            algorithm => because(&unsupported(algorithm)),
        }
    }

    /// The part of a GLoRA that is multiplied with the base weight.
    pub(super) fn glora_factor(&mut self) -> Measured<Delta> {
        self.glora("glora_a1", "glora_a2")
    }

    fn glora(&mut self, one: &'static str, two: &'static str) -> Measured<Delta> {
        let (left, right) = if is_new_glora(self.parts) { (one, two) } else { (two, one) };
        let (left, right) = (self.matrix(left)?, self.matrix(right)?);
        joined(left, right).map(|(left, right)| Delta::Product(left, right))
    }

    /// How far the blocks of an OFT or BOFT turn, and the most that its rows are stretched by.
    pub(super) fn turned(&mut self) -> Measured<(Turned, f64)> {
        let blocks = self.blocks()?;
        let stretch = match self.parts.get("rescale").copied() {
            Some(rescale) => {
                self.values(rescale)?.iter().fold(0.0_f64, |most, value| most.max((value - 1.0).abs()))
            }
            None => 0.0,
        };
        if !self.tally.census.is_finite() {
            return because("it has numbers that are not finite");
        }
        Ok((orthogonal::measure(&blocks), stretch))
    }

    /// The blocks of an OFT or BOFT.
    pub(super) fn blocks(&mut self) -> Measured<Blocks> {
        let (role, storage) = if self.parts.contains_key("boft") {
            ("boft", Storage::HalfDifference)
        } else if self.parts.contains_key("oft_triangle") {
            ("oft_triangle", Storage::Triangle)
        } else {
            ("oft", Storage::Difference)
        };
        let Some(tensor) = self.parts.get(role).copied() else { return because("its blocks are missing") };
        let side = rank(self.parts).filter(|side| (1..=BLOCK_CAP).contains(side));
        let Some(side) = side else {
            return because(&format!("its blocks have a side that is not between 1 and {BLOCK_CAP}"));
        };
        let is_square = tensor.shape.len() >= 2 && tensor.shape[tensor.shape.len() - 2] == side;
        if tensor.elements() == 0 || (storage != Storage::Triangle && !is_square) {
            return because("its blocks are not square");
        }
        let is_butterfly = tensor.shape.len() == 4;
        let factors = if is_butterfly { tensor.shape[0] as usize } else { 1 };
        Ok(Blocks { values: self.values(tensor)?, side: side as usize, factors, storage, is_butterfly })
    }

    /// The most that an IA3 changes a weight by, relative to it. LyCORIS stores the difference to 1.
    pub(super) fn multiplier(&mut self) -> Measured<f64> {
        let (role, neutral) = if self.parts.contains_key("ia3") { ("ia3", 0.0) } else { ("ia3_factor", 1.0) };
        let values = self.matrix(role)?.values;
        if !self.tally.census.is_finite() {
            return because("it has numbers that are not finite");
        }
        Ok(values.iter().fold(0.0_f64, |most, value| most.max((value - neutral).abs())))
    }

    /// Refuses what would take too much memory.
    pub(super) fn check_size(&self) -> Measured<()> {
        let elements = self.parts.values().map(|tensor| tensor.elements()).fold(0, u64::saturating_add);
        if rank(self.parts).is_some_and(|rank| rank > RANK_CAP) {
            return because(&format!("its rank is above {RANK_CAP}"));
        }
        if elements > ELEMENT_CAP {
            return because(&format!("it has more than {ELEMENT_CAP} elements"));
        }
        Ok(())
    }

    /// The Gram matrices of both factors of a plain product, which are then never decoded whole; none when it
    /// is no such product or its rank is above a side.
    pub(super) fn grams(&mut self) -> Measured<Option<(Matrix, Matrix)>> {
        let has = |role: &str| self.parts.contains_key(role);
        if !matches!(algorithm(self.parts), "lora" | "dora") || has("mid") {
            return Ok(None);
        }
        let (Some(up), Some(down)) = (self.parts.get("up").copied(), self.parts.get("down").copied()) else {
            return Ok(None);
        };
        let plain = |tensor: &Tensor| {
            tensor.shape.len() >= 2 && tensor.elements() > 0 && decode::is_numeric(tensor.dtype)
        };
        if !plain(up) || !plain(down) || product(&up.shape[1..]) != down.shape[0] {
            return Ok(None);
        }
        if down.shape[0] > up.shape[0].min(product(&down.shape[1..])) {
            return Ok(None);
        }
        Ok(Some((self.stored(up)?.gram_of_columns(), self.stored(down)?.gram_of_rows())))
    }

    fn stored(&mut self, tensor: &Tensor) -> Measured<Stored> {
        let bytes = decode::read_bytes(self.file, self.data_start, tensor)?;
        self.tally.count(tensor.dtype, decode::count_bits(tensor.dtype, &bytes));
        self.seen.push(tensor.range.start);
        let (rows, elements) = (tensor.shape[0] as usize, tensor.elements() as usize);
        Ok(Stored { rows, columns: elements / rows, dtype: tensor.dtype, bytes })
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
        self.tally.count(tensor.dtype, census);
        self.seen.push(tensor.range.start);
        Ok(values)
    }
}

/// Why an algorithm that is recognised has no numbers.
fn unsupported(algorithm: &str) -> String {
    match algorithm {
        "tlora" => "the base of a T-LoRA is not in the file, so its change cannot be computed".to_owned(),
        "vera" => "VeRA is recognised but not computed".to_owned(),
        "fourierft" => {
            "FourierFT stores coefficients without their places, which come from a seed".to_owned()
        }
        "hra" => "HRA multiplies the base weight by reflections and is not computed".to_owned(),
        "bias" => "it changes a bias alone".to_owned(),
        _ => "its tensors are of no algorithm that is computed".to_owned(),
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
