//! What a known function may be called with, and where a tensor may lie in its storage.

use super::globals::{self, Call, Global, StorageType};
use super::machine::{Machine, Persistence};
use super::value::{DictKind, Storage, TensorFact, Tuple, Value};
use crate::denial::{Checked, Denial, deny};
use crate::read::ReadAt;

/// The most tensors or storages of one pickle.
const TENSOR_CAP: usize = 1_000_000;
/// The highest rank of a tensor.
const RANK_CAP: u32 = 64;
/// The most characters of a storage's key, a device or an encoding.
const WORD_CAP: usize = 64;

fn arguments<T>(call: Call) -> Checked<T> {
    deny("call_arguments", format!("it calls {} with other arguments than torch.save writes", name(call)))
}

fn name(call: Call) -> &'static str {
    match call {
        Call::Tensor => "_rebuild_tensor",
        Call::TensorV2 => "_rebuild_tensor_v2",
        Call::TensorV3 => "_rebuild_tensor_v3",
        Call::Parameter => "_rebuild_parameter",
        Call::ParameterWithState => "_rebuild_parameter_with_state",
        Call::QuantizedTensor => "_rebuild_qtensor",
        Call::MetaTensor => "_rebuild_meta_tensor_no_storage",
        Call::OrderedDict => "OrderedDict",
        Call::Counter => "Counter",
        Call::Set => "set",
        Call::Complex => "complex",
        Call::Bytearray => "bytearray",
        Call::Encode => "_codecs.encode",
        Call::Size => "torch.Size",
        Call::Device => "torch.device",
        Call::Layout => "_get_layout",
    }
}

/// Backward hooks are functions; a file of weights has none, only the empty container for them.
fn no_hooks(value: Value) -> bool {
    matches!(value, Value::None | Value::Dict(DictKind::Ordered))
}

fn is_number(value: Value) -> bool {
    matches!(value, Value::Int(_) | Value::Float)
}

impl<F: ReadAt + ?Sized> Machine<'_, '_, F> {
    /// Judges one call and answers what it gives.
    pub(super) fn call(&mut self, call: Call, tuple: Tuple) -> Checked<Value> {
        let given: Vec<Value> = self.members(tuple).iter().take(9).copied().collect();
        match call {
            Call::Tensor | Call::TensorV2 | Call::TensorV3 | Call::QuantizedTensor => {
                self.rebuild_tensor(call, &given)
            }
            Call::MetaTensor => self.rebuild_meta_tensor(&given),
            Call::Parameter | Call::ParameterWithState => rebuild_parameter(call, &given),
            Call::OrderedDict => match given[..] {
                [] | [Value::List(_)] => Ok(Value::Dict(DictKind::Ordered)),
                _ => arguments(call),
            },
            Call::Counter => match given[..] {
                [] | [Value::Dict(_)] => Ok(Value::Dict(DictKind::Counter)),
                _ => arguments(call),
            },
            Call::Set => match given[..] {
                [Value::List(_)] => Ok(Value::Set),
                _ => arguments(call),
            },
            Call::Complex => match given[..] {
                [real, imaginary] if is_number(real) && is_number(imaginary) => Ok(Value::Inert),
                _ => arguments(call),
            },
            Call::Size => self.size(&given),
            Call::Encode | Call::Bytearray => self.bytes(call, &given),
            Call::Device | Call::Layout => self.named_value(call, &given),
        }
    }

    fn size(&self, given: &[Value]) -> Checked<Value> {
        match given {
            [Value::Tuple(sides)] if self.sides(*sides).is_some() => Ok(Value::Inert),
            _ => arguments(Call::Size),
        }
    }

    /// Other encodings than Latin 1 may unpack a bomb; other arguments of `bytearray` reserve memory.
    fn bytes(&self, call: Call, given: &[Value]) -> Checked<Value> {
        let latin = |value: Value| matches!(self.text_of(value), Some("latin1" | "latin-1"));
        match (call, given) {
            (_, [Value::Text(_), encoding]) if latin(*encoding) => Ok(Value::Bytes),
            (Call::Bytearray, [] | [Value::Bytes]) => Ok(Value::Bytes),
            _ => arguments(call),
        }
    }

    fn named_value(&self, call: Call, given: &[Value]) -> Checked<Value> {
        let word = |value: Value| self.text_of(value).is_some_and(|text| is_word(text, ":._"));
        match (call, given) {
            (_, [name]) if word(*name) => Ok(Value::Inert),
            (Call::Device, [name, Value::Int(0..=1024)]) if word(*name) => Ok(Value::Inert),
            _ => arguments(call),
        }
    }

    fn rebuild_tensor(&mut self, call: Call, given: &[Value]) -> Checked<Value> {
        let [storage, offset, size, stride, rest @ ..] = given else { return arguments(call) };
        let dtype = match (call, rest) {
            (Call::Tensor, []) => None,
            (Call::TensorV2, [Value::Bool, hooks]) if no_hooks(*hooks) => None,
            (Call::TensorV2, [Value::Bool, hooks, metadata])
                if no_hooks(*hooks) && is_metadata(*metadata) =>
            {
                None
            }
            (Call::TensorV3, [Value::Bool, hooks, dtype, metadata @ ..]) if no_hooks(*hooks) => {
                dtype_of_v3(*dtype, metadata)?
            }
            (Call::QuantizedTensor, [Value::Tuple(parameters), Value::Bool, hooks])
                if no_hooks(*hooks) && self.is_quantizer(*parameters) =>
            {
                None
            }
            _ => return arguments(call),
        };
        self.place_tensor([*storage, *offset, *size, *stride], dtype)
    }

    /// `(scheme, scale, zero point)` or `(scheme, scales, zero points, axis)`.
    fn is_quantizer(&self, parameters: Tuple) -> bool {
        let tensor = |value: Value| matches!(value, Value::Tensor(_) | Value::Tuple(_));
        match self.members(parameters) {
            [Value::Global(Global::Name), Value::Float, Value::Int(_)] => true,
            [Value::Global(Global::Name), scales, points, Value::Int(_)] => {
                tensor(*scales) && tensor(*points)
            }
            _ => false,
        }
    }

    /// `torch.Tensor.set_` by its old pickled state.
    pub(super) fn check_set_storage(&mut self, state: Tuple) -> Checked<()> {
        match *self.members(state) {
            [storage, offset, size, stride] => {
                self.place_tensor([storage, offset, size, stride], None).map(drop)
            }
            _ => deny("build", "it changes the inside of a tensor"),
        }
    }

    /// A tensor on a storage: every element has to lie inside.
    fn place_tensor(&mut self, place: [Value; 4], dtype: Option<StorageType>) -> Checked<Value> {
        let [Value::Storage(storage), Value::Int(offset), Value::Tuple(size), Value::Tuple(stride)] = place
        else {
            return deny(
                "call_arguments",
                "it makes a tensor of something that is no storage, offset and shape",
            );
        };
        let held = &self.storages[storage as usize];
        let count = match dtype {
            Some(kind) => held.bytes().map(|bytes| bytes / kind.bytes),
            None => held.count.checked_mul(held.kind.packed),
        };
        let name = dtype.unwrap_or(held.kind).dtype;
        let (sides, steps) = (self.sides(size), self.sides(stride));
        let end = sides.zip(steps).and_then(|(sides, steps)| furthest(offset, &sides, &steps));
        match (end, count) {
            (Some(end), Some(count)) if end <= count => self.tensor(TensorFact { dtype: name, shape: size }),
            _ => deny("tensor_bounds", "it makes a tensor that reaches outside its storage"),
        }
    }

    fn tensor(&mut self, fact: TensorFact) -> Checked<Value> {
        if self.tensors.len() == TENSOR_CAP {
            return deny("limit_memory", format!("it makes more than {TENSOR_CAP} tensors"));
        }
        self.tensors.push(fact);
        Ok(Value::Tensor(self.tensors.len() as u32 - 1))
    }

    /// A tensor without data: `(dtype, size, stride, requires_grad)`.
    fn rebuild_meta_tensor(&mut self, given: &[Value]) -> Checked<Value> {
        let [Value::Global(Global::Dtype(row)), Value::Tuple(size), Value::Tuple(stride), Value::Bool] =
            *given
        else {
            return arguments(Call::MetaTensor);
        };
        let kind = globals::dtype(row);
        let end =
            self.sides(size).zip(self.sides(stride)).and_then(|(sides, steps)| furthest(0, &sides, &steps));
        match end.and_then(|end| end.checked_mul(kind.bytes)) {
            Some(bytes) if i64::try_from(bytes).is_ok() => {
                self.tensor(TensorFact { dtype: kind.dtype, shape: size })
            }
            _ => deny("tensor_bounds", "it makes a tensor that is larger than any memory"),
        }
    }

    /// A tuple of numbers that are not negative.
    fn sides(&self, tuple: Tuple) -> Option<Vec<u64>> {
        if tuple.length > RANK_CAP {
            return None;
        }
        let side =
            |value: &Value| if let Value::Int(side) = value { u64::try_from(*side).ok() } else { None };
        self.members(tuple).iter().map(side).collect()
    }

    /// A persistent id: `("storage", type, key, location, count)`, and a view behind it in old files.
    pub(super) fn storage(&mut self, id: Value) -> Checked<Value> {
        let wrong = || Denial::new("persistent_id", "it has a persistent id that torch.save does not write");
        let Value::Tuple(id) = id else { return Err(wrong()) };
        let given: Vec<Value> = self.members(id).iter().take(7).copied().collect();
        let (fields, view) = match (self.persistence, &given[..]) {
            (Persistence::Zip, fields) => (fields, Value::None),
            (Persistence::Legacy, [fields @ .., view]) => (fields, *view),
            _ => return Err(wrong()),
        };
        let [word, Value::Global(Global::Storage(row)), key, location, Value::Int(count)] = *fields else {
            return Err(wrong());
        };
        let key = self.text_of(key).filter(|key| is_word(key, "")).ok_or_else(wrong)?.to_owned();
        let located = self.text_of(location).is_some_and(|location| is_word(location, ":_"));
        if self.text_of(word) != Some("storage") || !located {
            return Err(wrong());
        }
        let count = u64::try_from(count).map_err(|_| wrong())?;
        self.check_view(view, count)?;
        self.remember_storage(Storage { key, kind: globals::storage_type(row), count }).map(Value::Storage)
    }

    /// A view `(key, offset, count)` on a storage. Only one that is the whole storage passes: torch has not
    /// written others since 0.2, and then a tensor's place is judged once and by one length.
    fn check_view(&self, view: Value, count: u64) -> Checked<()> {
        let wrong = || deny("persistent_id", "it has a view that reaches outside its storage");
        let fields = match view {
            Value::None => return Ok(()),
            Value::Tuple(fields) => self.members(fields),
            _ => return wrong(),
        };
        match *fields {
            [key, Value::Int(0), Value::Int(length)] if self.text_of(key).is_some() => {
                if u64::try_from(length) == Ok(count) { Ok(()) } else { wrong() }
            }
            _ => wrong(),
        }
    }

    /// One key is one storage: a second mention that says otherwise would be read as the first.
    fn remember_storage(&mut self, storage: Storage) -> Checked<u32> {
        if let Some(index) = self.storage_index.get(&storage.key) {
            let same = self.storages[*index as usize] == storage;
            let text = format!("it names storage `{}` twice with different types or lengths", storage.key);
            return if same { Ok(*index) } else { deny("storage_twice", text) };
        }
        if self.storages.len() == TENSOR_CAP {
            return deny("limit_memory", format!("it names more than {TENSOR_CAP} storages"));
        }
        let index = self.storages.len() as u32;
        self.storage_index.insert(storage.key.clone(), index);
        self.storages.push(storage);
        Ok(index)
    }
}

fn dtype_of_v3(dtype: Value, metadata: &[Value]) -> Checked<Option<StorageType>> {
    let Value::Global(Global::Dtype(row)) = dtype else { return arguments(Call::TensorV3) };
    let kind = globals::dtype(row);
    match metadata {
        [] => Ok(Some(kind)),
        [metadata] if is_metadata(*metadata) => Ok(Some(kind)),
        _ => arguments(Call::TensorV3),
    }
}

fn is_metadata(value: Value) -> bool {
    matches!(value, Value::None | Value::Dict(_))
}

fn rebuild_parameter(call: Call, given: &[Value]) -> Checked<Value> {
    match (call, given) {
        (Call::Parameter, [Value::Tensor(data), Value::Bool, hooks]) if no_hooks(*hooks) => {
            Ok(Value::Parameter(*data))
        }
        (
            Call::ParameterWithState,
            [Value::Tensor(data), Value::Bool, hooks, Value::Dict(_) | Value::None],
        ) if no_hooks(*hooks) => Ok(Value::Parameter(*data)),
        _ => arguments(call),
    }
}

/// Letters, digits and what `more` lists; not empty and not long.
fn is_word(text: &str, more: &str) -> bool {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || more.contains(letter);
    !text.is_empty() && text.len() <= WORD_CAP && text.chars().all(allowed)
}

/// How many elements a storage must have for this tensor, if the sum is a number.
fn furthest(offset: i64, sides: &[u64], steps: &[u64]) -> Option<u64> {
    let offset = u64::try_from(offset).ok()?;
    if sides.len() != steps.len() {
        return None;
    }
    // Torch multiplies the sides too, also of a tensor without elements.
    sides.iter().try_fold(1_u64, |product, side| product.checked_mul((*side).max(1)))?;
    if sides.contains(&0) {
        return Some(offset);
    }
    let reach = sides
        .iter()
        .zip(steps)
        .try_fold(0_u64, |sum, (side, step)| sum.checked_add((side - 1).checked_mul(*step)?))?;
    offset.checked_add(reach)?.checked_add(1)
}
