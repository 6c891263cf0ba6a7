//! The exact names that a pickle of weights may import, and what may be done with each.
//!
//! The measure is what `torch.load(weights_only=True)` takes, minus what calls its argument or needs
//! NumPy. Never a prefix: a module has more names than anyone has read.

/// A callable that is known, and whose arguments are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Tensor,
    TensorV2,
    TensorV3,
    Parameter,
    ParameterWithState,
    QuantizedTensor,
    MetaTensor,
    OrderedDict,
    Counter,
    Set,
    Complex,
    Bytearray,
    Encode,
    Size,
    Device,
    Layout,
}

/// The type of a storage: what one of its elements takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StorageType {
    /// The element type in the words of safetensors where it has one.
    pub(crate) dtype: &'static str,
    /// Bytes of one element.
    pub(crate) bytes: u64,
    /// Tensor elements that one storage element holds.
    pub(crate) packed: u64,
}

/// What an imported name is. Types are row numbers of their table, which keeps values on the stack small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Global {
    /// May be called.
    Call(Call),
    /// A storage class, good for a persistent id.
    Storage(u8),
    /// An element type.
    Dtype(u8),
    /// May be named and nothing else.
    Name,
}

/// The element type of a storage class.
pub(super) fn storage_type(row: u8) -> StorageType {
    STORAGES[usize::from(row)].2
}

/// The element type of a dtype.
pub(super) fn dtype(row: u8) -> StorageType {
    DTYPES[usize::from(row)].1
}

const fn of(dtype: &'static str, bytes: u64) -> StorageType {
    StorageType { dtype, bytes, packed: 1 }
}

const fn packed(dtype: &'static str, packed: u64) -> StorageType {
    StorageType { dtype, bytes: 1, packed }
}

const CALLS: &[(&str, &str, Call)] = &[
    ("torch._utils", "_rebuild_tensor", Call::Tensor),
    ("torch._utils", "_rebuild_tensor_v2", Call::TensorV2),
    ("torch._utils", "_rebuild_tensor_v3", Call::TensorV3),
    ("torch._utils", "_rebuild_parameter", Call::Parameter),
    ("torch._utils", "_rebuild_parameter_with_state", Call::ParameterWithState),
    ("torch._utils", "_rebuild_qtensor", Call::QuantizedTensor),
    ("torch._utils", "_rebuild_meta_tensor_no_storage", Call::MetaTensor),
    ("collections", "OrderedDict", Call::OrderedDict),
    ("collections", "Counter", Call::Counter),
    ("builtins", "set", Call::Set),
    ("builtins", "complex", Call::Complex),
    ("builtins", "bytearray", Call::Bytearray),
    ("_codecs", "encode", Call::Encode),
    ("torch", "Size", Call::Size),
    ("torch", "device", Call::Device),
    ("torch.serialization", "_get_layout", Call::Layout),
];

const STORAGES: &[(&str, &str, StorageType)] = &[
    ("torch", "FloatStorage", of("F32", 4)),
    ("torch", "HalfStorage", of("F16", 2)),
    ("torch", "BFloat16Storage", of("BF16", 2)),
    ("torch", "DoubleStorage", of("F64", 8)),
    ("torch", "LongStorage", of("I64", 8)),
    ("torch", "IntStorage", of("I32", 4)),
    ("torch", "ShortStorage", of("I16", 2)),
    ("torch", "CharStorage", of("I8", 1)),
    ("torch", "ByteStorage", of("U8", 1)),
    ("torch", "BoolStorage", of("BOOL", 1)),
    ("torch", "ComplexFloatStorage", of("C64", 8)),
    ("torch", "ComplexDoubleStorage", of("C128", 16)),
    ("torch", "QInt8Storage", of("QI8", 1)),
    ("torch", "QUInt8Storage", of("QU8", 1)),
    ("torch", "QInt32Storage", of("QI32", 4)),
    ("torch", "QUInt4x2Storage", packed("QU4", 2)),
    ("torch", "QUInt2x4Storage", packed("QU2", 4)),
    ("torch.storage", "UntypedStorage", of("U8", 1)),
    ("torch", "UntypedStorage", of("U8", 1)),
];

/// Names in module `torch`.
const DTYPES: &[(&str, StorageType)] = &[
    ("float32", of("F32", 4)),
    ("float", of("F32", 4)),
    ("float64", of("F64", 8)),
    ("double", of("F64", 8)),
    ("float16", of("F16", 2)),
    ("half", of("F16", 2)),
    ("bfloat16", of("BF16", 2)),
    ("int64", of("I64", 8)),
    ("long", of("I64", 8)),
    ("int32", of("I32", 4)),
    ("int", of("I32", 4)),
    ("int16", of("I16", 2)),
    ("short", of("I16", 2)),
    ("int8", of("I8", 1)),
    ("uint8", of("U8", 1)),
    ("uint16", of("U16", 2)),
    ("uint32", of("U32", 4)),
    ("uint64", of("U64", 8)),
    ("bool", of("BOOL", 1)),
    ("complex32", of("C32", 4)),
    ("complex64", of("C64", 8)),
    ("complex128", of("C128", 16)),
    ("float8_e4m3fn", of("F8_E4M3", 1)),
    ("float8_e5m2", of("F8_E5M2", 1)),
    ("float8_e4m3fnuz", of("F8_E4M3FNUZ", 1)),
    ("float8_e5m2fnuz", of("F8_E5M2FNUZ", 1)),
    ("float8_e8m0fnu", of("F8_E8M0", 1)),
    ("float4_e2m1fn_x2", of("F4", 1)),
    ("qint8", of("QI8", 1)),
    ("quint8", of("QU8", 1)),
    ("qint32", of("QI32", 4)),
    ("quint4x2", packed("QU4", 2)),
    ("quint2x4", packed("QU2", 4)),
];

const NAMES: &[(&str, &str)] = &[
    ("torch", "Tensor"),
    ("torch.nn.parameter", "Parameter"),
    ("torch", "per_tensor_affine"),
    ("torch", "per_tensor_symmetric"),
    ("torch", "per_channel_affine"),
    ("torch", "per_channel_symmetric"),
    ("torch", "per_channel_affine_float_qparams"),
];

/// What a name is, if it may be imported at all. Python 2 names are read as Python 3 reads them.
pub(super) fn find(module: &str, name: &str) -> Option<Global> {
    let module = if module == "__builtin__" { "builtins" } else { module };
    let is = |entry: (&str, &str)| entry == (module, name);
    if let Some((_, _, call)) = CALLS.iter().find(|(module, name, _)| is((module, name))) {
        return Some(Global::Call(*call));
    }
    if let Some(row) = STORAGES.iter().position(|(module, name, _)| is((module, name))) {
        return Some(Global::Storage(row as u8));
    }
    if let Some(row) = DTYPES.iter().position(|(name, _)| is(("torch", name))) {
        return Some(Global::Dtype(row as u8));
    }
    NAMES.iter().any(|entry| is(*entry)).then_some(Global::Name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_pair_of_module_and_name_is_known() {
        assert_eq!(find("torch._utils", "_rebuild_tensor_v2"), Some(Global::Call(Call::TensorV2)));
        assert_eq!(find("__builtin__", "set"), Some(Global::Call(Call::Set)));
        assert!(matches!(find("torch", "FloatStorage"), Some(Global::Storage(_))));
        assert!(matches!(find("torch", "bfloat16"), Some(Global::Dtype(_))));
        for (module, name) in [
            ("torch", "_rebuild_tensor_v2"),
            ("torch._utils ", "_rebuild_tensor_v2"),
            ("Torch", "FloatStorage"),
            ("torch.storage", "_load_from_bytes"),
            ("torch._tensor", "_rebuild_from_type_v2"),
            ("torch._utils", "_rebuild_device_tensor_from_numpy"),
            ("numpy.core.multiarray", "_reconstruct"),
            ("builtins", "getattr"),
            ("builtins", "eval"),
            ("os", "system"),
            ("", ""),
        ] {
            assert_eq!(find(module, name), None, "{module}.{name}");
        }
    }

    #[test]
    fn there_are_the_storages_that_torch_has() {
        let names: std::collections::HashSet<_> = STORAGES.iter().map(|(_, name, _)| name).collect();
        assert_eq!(names.len(), 18);
    }
}
