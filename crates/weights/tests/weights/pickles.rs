//! Writes pickles opcode by opcode, as Python's own pickler lays them out and as it never would.

/// A pickle in the making.
#[derive(Clone, Default)]
pub(crate) struct Pickle {
    bytes: Vec<u8>,
    memo: u32,
}

impl Pickle {
    /// Begins with protocol 2.
    pub(crate) fn new() -> Self {
        Self { bytes: vec![0x80, 2], memo: 0 }
    }

    /// Begins with nothing.
    pub(crate) fn empty() -> Self {
        Self::default()
    }

    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Puts the top of the stack into the next memo slot, as the pickler does after each object.
    pub(crate) fn put(mut self) -> Self {
        let slot = self.memo;
        self.memo += 1;
        if slot < 256 {
            return self.raw(&[b'q', slot as u8]);
        }
        self.raw(b"r").raw(&slot.to_le_bytes())
    }

    pub(crate) fn get(self, slot: u8) -> Self {
        self.raw(&[b'h', slot])
    }

    pub(crate) fn global(self, module: &str, name: &str) -> Self {
        self.raw(format!("c{module}\n{name}\n").as_bytes())
    }

    pub(crate) fn text(self, text: &str) -> Self {
        self.raw(b"X").raw(&(text.len() as u32).to_le_bytes()).raw(text.as_bytes())
    }

    pub(crate) fn short_text(self, text: &str) -> Self {
        self.raw(&[b'U', text.len() as u8]).raw(text.as_bytes())
    }

    pub(crate) fn int(self, value: i64) -> Self {
        match value {
            0..=255 => self.raw(&[b'K', value as u8]),
            256..=65535 => self.raw(b"M").raw(&(value as u16).to_le_bytes()),
            _ if i32::try_from(value).is_ok() => self.raw(b"J").raw(&(value as i32).to_le_bytes()),
            _ => self.raw(&[0x8a, 8]).raw(&value.to_le_bytes()),
        }
    }

    pub(crate) fn ints(self, values: &[i64]) -> Self {
        let marked = if values.len() > 3 { self.raw(b"(") } else { self };
        let filled = values.iter().fold(marked, |pickle, value| pickle.int(*value));
        filled.raw(match values.len() {
            0 => b")",
            1 => b"\x85",
            2 => b"\x86",
            3 => b"\x87",
            _ => b"t",
        })
    }

    /// `("storage", torch.<class>, key, "cpu", count)` as a persistent id.
    pub(crate) fn storage(self, class: &str, key: &str, count: i64) -> Self {
        self.raw(b"(")
            .text("storage")
            .put()
            .global("torch", class)
            .put()
            .text(key)
            .put()
            .text("cpu")
            .put()
            .int(count)
            .raw(b"t")
            .put()
            .raw(b"Q")
    }

    /// The same with the empty view that files before torch 1.6 have behind it.
    pub(crate) fn legacy_storage(self, class: &str, key: &str, count: i64) -> Self {
        self.raw(b"(")
            .short_text("storage")
            .put()
            .global("torch", class)
            .put()
            .short_text(key)
            .put()
            .short_text("cpu")
            .put()
            .int(count)
            .raw(b"Nt")
            .put()
            .raw(b"Q")
    }

    /// `_rebuild_tensor_v2` around a storage that `storage` writes.
    pub(crate) fn tensor_of(
        self,
        storage: impl FnOnce(Self) -> Self,
        offset: i64,
        size: &[i64],
        stride: &[i64],
    ) -> Self {
        storage(self.global("torch._utils", "_rebuild_tensor_v2").put().raw(b"("))
            .int(offset)
            .ints(size)
            .put()
            .ints(stride)
            .put()
            .raw(b"\x89")
            .ordered_dict()
            .raw(b"t")
            .put()
            .raw(b"R")
            .put()
    }

    pub(crate) fn tensor(self, class: &str, key: &str, size: &[i64]) -> Self {
        let count = size.iter().product();
        self.tensor_of(|pickle| pickle.storage(class, key, count), 0, size, &strides(size))
    }

    pub(crate) fn ordered_dict(self) -> Self {
        self.global("collections", "OrderedDict").put().raw(b")R").put()
    }

    pub(crate) fn stop(self) -> Vec<u8> {
        self.raw(b".").bytes
    }

    /// The bytes so far, without an end.
    pub(crate) fn cut(self) -> Vec<u8> {
        self.bytes
    }
}

/// The strides of a tensor whose elements lie one after the other.
pub(crate) fn strides(size: &[i64]) -> Vec<i64> {
    let mut strides = vec![1; size.len()];
    for at in (0..size.len().saturating_sub(1)).rev() {
        strides[at] = strides[at + 1] * size[at + 1].max(1);
    }
    strides
}

/// `os.system("id")` in the plainest form, without its protocol.
pub(crate) fn payload(pickle: Pickle) -> Pickle {
    pickle.global("os", "system").text("id").raw(b"\x85R")
}

/// A plain dict of two tensors, as `torch.save({"weight": …, "bias": …})` writes it.
pub(crate) fn two_tensors() -> Vec<u8> {
    Pickle::new()
        .raw(b"}")
        .put()
        .raw(b"(")
        .text("weight")
        .put()
        .tensor("FloatStorage", "0", &[2, 3])
        .text("bias")
        .put()
        .tensor("HalfStorage", "1", &[2])
        .raw(b"u")
        .stop()
}

/// The five parts of a file from before torch 1.6, and its storages.
pub(crate) fn legacy(object: Vec<u8>, storages: &[(&str, u64, usize)]) -> Vec<u8> {
    let mut bytes =
        b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e\x80\x02M\xe9\x03.".to_vec();
    bytes.extend(
        Pickle::new()
            .raw(b"}")
            .put()
            .raw(b"(")
            .short_text("protocol_version")
            .put()
            .int(1001)
            .short_text("little_endian")
            .put()
            .raw(b"\x88")
            .short_text("type_sizes")
            .put()
            .raw(b"}")
            .put()
            .raw(b"(")
            .short_text("short")
            .put()
            .int(2)
            .short_text("int")
            .put()
            .int(4)
            .short_text("long")
            .put()
            .int(4)
            .raw(b"uu")
            .stop(),
    );
    bytes.extend(object);
    let keys = storages
        .iter()
        .fold(Pickle::new().raw(b"]").put().raw(b"("), |keys, (key, _, _)| keys.short_text(key).put());
    bytes.extend(keys.raw(b"e").stop());
    for (_, count, size) in storages {
        bytes.extend(count.to_le_bytes());
        bytes.resize(bytes.len() + size, 7);
    }
    bytes
}

/// Two tensors as torch 0.4 wrote them under Python 2.
pub(crate) fn legacy_object() -> Vec<u8> {
    let first = |pickle: Pickle| pickle.legacy_storage("FloatStorage", "94213", 6);
    Pickle::new()
        .global("collections", "OrderedDict")
        .put()
        .raw(b"]")
        .put()
        .raw(b"(]")
        .put()
        .raw(b"(")
        .short_text("weight")
        .put()
        .tensor_of(first, 0, &[2, 3], &[3, 1])
        .raw(b"e]")
        .put()
        .raw(b"(")
        .short_text("old")
        .put()
        .global("torch._utils", "_rebuild_tensor")
        .put()
        .raw(b"(")
        .legacy_storage("HalfStorage", "94214", 2)
        .int(0)
        .ints(&[2])
        .put()
        .ints(&[1])
        .put()
        .raw(b"t")
        .put()
        .raw(b"R")
        .put()
        .raw(b"ee\x85")
        .put()
        .raw(b"R")
        .put()
        .stop()
}
