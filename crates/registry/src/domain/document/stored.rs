//! Reading a stored document straight into its packed form, without a general JSON tree in between.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};

use super::{EntryDocument, Field, FieldValue, Packed, name_of};

/// A document that we wrote: no field stands twice.
pub(super) struct Stored(pub(super) EntryDocument);

impl<'de> Deserialize<'de> for Stored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Vec<Field>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Vec<Field>, A::Error> {
                let mut fields = Vec::with_capacity(16);
                while let Some(Name(name)) = object.next_key()? {
                    fields.push(Field { name, value: object.next_value()? });
                }
                fields.shrink_to_fit();
                Ok(fields)
            }
        }

        deserializer.deserialize_map(Fields).map(|fields| Self(EntryDocument { fields }))
    }
}

struct Name(Cow<'static, str>);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field name")
            }

            fn visit_str<E>(self, name: &str) -> Result<Name, E> {
                Ok(Name(name_of(name)))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

impl<'de> Deserialize<'de> for Packed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyPacked)
    }
}

struct AnyPacked;

impl<'de> Visitor<'de> for AnyPacked {
    type Value = Packed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Packed, E> {
        Ok(Packed::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Packed, E> {
        Ok(Packed::Flag(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Packed, E> {
        Ok(Packed::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Packed, E> {
        Ok(Packed::Number(number.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Packed, E> {
        Number::from_f64(number).map(Packed::Number).ok_or_else(|| E::custom("a number that is not finite"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Packed, E> {
        Ok(Packed::Text(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Packed, A::Error> {
        let mut items: Vec<Packed> = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        if items.iter().all(|item| matches!(item, Packed::Text(_))) {
            let texts = items.into_iter().filter_map(|item| match item {
                Packed::Text(text) => Some(text),
                _ => None,
            });
            return Ok(Packed::Texts(texts.collect()));
        }
        Ok(Packed::Other(Box::new(items.iter().map(|item| FieldValue(item).to_value()).collect())))
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Packed, A::Error> {
        let value = Value::deserialize(MapAccessDeserializer::new(object)).map_err(A::Error::custom)?;
        Ok(Packed::Other(Box::new(value)))
    }
}
