//! Symbolic values: what a pickle would build, as far as the rules need to know it.

use super::globals::{Global, StorageType};

/// A text. Short ones are kept, of long ones only that they are texts is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Text {
    Kept { start: u32, length: u16 },
    Long,
}

/// The members of a tuple, as a range of the machine's members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tuple {
    pub(super) start: u32,
    pub(super) length: u32,
    /// How deep tuples lie in it.
    pub(super) depth: u16,
}

/// What kind of mapping a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DictKind {
    Plain,
    Ordered,
    Counter,
}

/// One value on the stack or in the memo. Copying it copies a reference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value {
    None,
    Bool,
    Int(i64),
    /// A whole number that does not fit into 64 bits.
    BigInt,
    Float,
    Text(Text),
    Bytes,
    /// The number of the list in order of creation.
    List(u32),
    Dict(DictKind),
    Set,
    Tuple(Tuple),
    Global(Global),
    /// An index into the pickle's storages.
    Storage(u32),
    /// An index into the pickle's tensors.
    Tensor(u32),
    /// A parameter around a tensor.
    Parameter(u32),
    /// Something made by a known call that is of no further use: a size, device, layout, number.
    Inert,
}

impl Value {
    /// What it is called in a reason.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Bool => "a truth value",
            Self::Int(_) | Self::BigInt => "an integer",
            Self::Float => "a float",
            Self::Text(_) => "a text",
            Self::Bytes => "bytes",
            Self::List(_) => "a list",
            Self::Dict(_) => "a dict",
            Self::Set => "a set",
            Self::Tuple(_) => "a tuple",
            Self::Global(_) => "an imported name",
            Self::Storage(_) => "a storage",
            Self::Tensor(_) => "a tensor",
            Self::Parameter(_) => "a parameter",
            Self::Inert => "a value object",
        }
    }
}

/// A block of bytes that the container has to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Storage {
    /// Its key in the container.
    pub(crate) key: String,
    /// The type of its elements.
    pub(crate) kind: StorageType,
    /// The number of its elements.
    pub(crate) count: u64,
}

impl Storage {
    /// The number of its bytes, if that is a number.
    pub(crate) fn bytes(&self) -> Option<u64> {
        self.count.checked_mul(self.kind.bytes)
    }
}

/// A tensor that the pickle makes.
#[derive(Clone, Copy, Debug)]
pub(super) struct TensorFact {
    pub(super) dtype: &'static str,
    pub(super) shape: Tuple,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_small_since_there_may_be_millions() {
        assert!(size_of::<Option<Value>>() <= 16);
    }
}
