//! The header's JSON, read in one go into tensors and metadata; nothing else is built.
//!
//! serde_json does the text, the visitors here refuse what the format does not allow: it would let the
//! last of two equal keys win, and so would not see the file that another reader sees.

use std::collections::HashSet;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{
    DEPTH_CAP, Dtype, Header, METADATA_ENTRY_CAP, METADATA_TOTAL_KEPT, METADATA_VALUE_KEPT, Malformed,
    MetadataEntry, NAME_CAP, RANK_CAP, TENSOR_CAP, Tensor, display_name,
};
use crate::read::{ReadAt, Window};

/// Headers up to this size are read in one piece, which is several times as fast as a stream.
const WHOLE: u64 = 4 * 1024 * 1024;

/// Reads the `length` bytes of JSON that begin at byte 8 of `file`.
pub(super) fn parse<F: ReadAt + ?Sized>(file: &F, length: u64) -> Result<Header, Malformed> {
    if length <= WHOLE {
        let mut bytes = vec![0; length as usize];
        file.read_exact_at(&mut bytes, 8)?;
        return document(&mut serde_json::Deserializer::from_slice(&bytes));
    }
    document(&mut serde_json::Deserializer::from_reader(Window::new(file, 8, 8 + length)))
}

fn document<'de, R: serde_json::de::Read<'de>>(
    json: &mut serde_json::Deserializer<R>,
) -> Result<Header, Malformed> {
    let header = json.deserialize_map(HeaderVisitor).and_then(|header| json.end().map(|()| header));
    let mut header = header.map_err(malformed)?;
    refuse_duplicates(&header.tensors)?;
    header.tensors.shrink_to_fit();
    Ok(header)
}

fn malformed(error: serde_json::Error) -> Malformed {
    if error.is_io() { Malformed::Read(error.into()) } else { Malformed::Json(error.to_string()) }
}

/// Sorting positions costs no copy of the names, which may be most of a 100 MB header.
fn refuse_duplicates(tensors: &[Tensor]) -> Result<(), Malformed> {
    let mut order: Vec<&str> = tensors.iter().map(|tensor| &*tensor.name).collect();
    order.sort_unstable();
    match order.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => {
            Err(Malformed::Layout(format!("tensor `{}` is in the header twice", display_name(pair[0]))))
        }
        None => Ok(()),
    }
}

fn twice<E: de::Error>(key: &str) -> E {
    E::custom(format_args!("key `{}` is there twice", display_name(key)))
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
        let mut header = Header::default();
        let mut metadata_seen = false;
        while let Some(name) = map.next_key_seed(Name)? {
            if &*name == "__metadata__" {
                if std::mem::replace(&mut metadata_seen, true) {
                    return Err(twice(&name));
                }
                header.metadata = map.next_value_seed(MetadataSeed)?;
                continue;
            }
            if header.tensors.len() == TENSOR_CAP {
                return Err(de::Error::custom(format_args!("there are more than {TENSOR_CAP} tensors")));
            }
            header.tensors.push(map.next_value_seed(TensorSeed(name))?);
        }
        Ok(header)
    }
}

/// A key: owned, and not longer than [`NAME_CAP`].
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Box<str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Box<str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Box<str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a name")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Box<str>, E> {
        if name.len() > NAME_CAP {
            return Err(E::custom(format_args!("a name is longer than {NAME_CAP} bytes")));
        }
        Ok(name.into())
    }
}

/// A field of a tensor; the three that every tensor has are not copied.
enum Field {
    Dtype,
    Shape,
    Range,
    Other(Box<str>),
}

impl Field {
    fn name(&self) -> &str {
        match self {
            Self::Dtype => "dtype",
            Self::Shape => "shape",
            Self::Range => "data_offsets",
            Self::Other(name) => name,
        }
    }
}

struct FieldSeed;

impl<'de> DeserializeSeed<'de> for FieldSeed {
    type Value = Field;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Field, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for FieldSeed {
    type Value = Field;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the name of a field")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Field, E> {
        match name {
            "dtype" => Ok(Field::Dtype),
            "shape" => Ok(Field::Shape),
            "data_offsets" => Ok(Field::Range),
            other => Name.visit_str(other).map(Field::Other),
        }
    }
}

struct MetadataSeed;

impl<'de> DeserializeSeed<'de> for MetadataSeed {
    type Value = Vec<MetadataEntry>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for MetadataSeed {
    type Value = Vec<MetadataEntry>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object of texts as metadata")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        let mut keys = HashSet::new();
        let mut kept = 0;
        while let Some(key) = map.next_key_seed(Name)? {
            if entries.len() == METADATA_ENTRY_CAP {
                let text = format_args!("there are more than {METADATA_ENTRY_CAP} metadata entries");
                return Err(de::Error::custom(text));
            }
            let room = METADATA_VALUE_KEPT.min(METADATA_TOTAL_KEPT - kept);
            let (value, truncated) = map.next_value_seed(Text { room })?;
            kept += value.len();
            entries.push(MetadataEntry { key: key.to_string(), value, truncated });
            if let Some(key) = keys.replace(key) {
                return Err(twice(&key));
            }
        }
        Ok(entries)
    }
}

/// A text of which at most `room` bytes are kept.
struct Text {
    room: usize,
}

impl<'de> DeserializeSeed<'de> for Text {
    type Value = (String, bool);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Text {
    type Value = (String, bool);

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a text as metadata value")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        let end = text.floor_char_boundary(self.room);
        Ok((text[..end].to_owned(), end < text.len()))
    }
}

struct TensorSeed(Box<str>);

impl<'de> DeserializeSeed<'de> for TensorSeed {
    type Value = Tensor;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tensor, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl TensorSeed {
    fn missing<E: de::Error>(&self, field: &str) -> E {
        E::custom(format_args!("tensor `{}` has no `{field}`", display_name(&self.0)))
    }
}

impl<'de> Visitor<'de> for TensorSeed {
    type Value = Tensor;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "tensor `{}` as an object", display_name(&self.0))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tensor, A::Error> {
        let (mut dtype, mut shape, mut range) = (None, None, None);
        let mut others: Option<HashSet<Box<str>>> = None;
        while let Some(field) = map.next_key_seed(FieldSeed)? {
            let again = match &field {
                Field::Dtype => dtype.replace(map.next_value_seed(DtypeSeed)?).is_some(),
                Field::Shape => shape.replace(map.next_value_seed(ShapeSeed)?).is_some(),
                Field::Range => range.replace(map.next_value::<[u64; 2]>()?).is_some(),
                Field::Other(name) => {
                    map.next_value_seed(Bounded { depth: 3 })?;
                    !others.get_or_insert_default().insert(name.clone())
                }
            };
            if again {
                return Err(twice(field.name()));
            }
        }
        let dtype = dtype.ok_or_else(|| self.missing("dtype"))?;
        let shape = shape.ok_or_else(|| self.missing("shape"))?;
        let [start, end] = range.ok_or_else(|| self.missing("data_offsets"))?;
        Ok(Tensor { name: self.0, dtype, shape, range: start..end })
    }
}

struct DtypeSeed;

impl<'de> DeserializeSeed<'de> for DtypeSeed {
    type Value = Dtype;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Dtype, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for DtypeSeed {
    type Value = Dtype;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the name of an element type")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Dtype, E> {
        Dtype::from_name(name)
            .ok_or_else(|| E::custom(format_args!("`{}` is no element type", display_name(name))))
    }
}

struct ShapeSeed;

impl<'de> DeserializeSeed<'de> for ShapeSeed {
    type Value = Box<[u64]>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ShapeSeed {
    type Value = Box<[u64]>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a shape")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let mut shape = Vec::with_capacity(4);
        while let Some(side) = sequence.next_element()? {
            if shape.len() == RANK_CAP {
                return Err(de::Error::custom(format_args!("a shape has a rank above {RANK_CAP}")));
            }
            shape.push(side);
        }
        Ok(shape.into_boxed_slice())
    }
}

/// A value that the format does not know: read over, but held to the same rules.
struct Bounded {
    depth: usize,
}

impl Bounded {
    fn deeper<E: de::Error>(&self) -> Result<Self, E> {
        if self.depth > DEPTH_CAP {
            return Err(E::custom(format_args!("the header nests deeper than {DEPTH_CAP} levels")));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Bounded {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        let deeper = self.deeper()?;
        while sequence.next_element_seed(Bounded { ..deeper })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let deeper = self.deeper()?;
        let mut keys = HashSet::new();
        while let Some(key) = map.next_key_seed(Name)? {
            if keys.len() == METADATA_ENTRY_CAP {
                return Err(de::Error::custom(format_args!(
                    "an object has more than {METADATA_ENTRY_CAP} keys"
                )));
            }
            map.next_value_seed(Bounded { ..deeper })?;
            if let Some(key) = keys.replace(key) {
                return Err(twice(&key));
            }
        }
        Ok(())
    }
}
