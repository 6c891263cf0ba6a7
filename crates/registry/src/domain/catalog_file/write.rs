//! Writing a catalog file as Python's `json.dump(…, indent=2, ensure_ascii=False)` does, so that a file that was
//! written by it comes back byte for byte.

use std::io;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};
use serde_json::{Map, Value};

use crate::domain::{Category, EntryDocument};

/// The bytes of the file: the object `head` with this version and date, and these categories.
pub(crate) fn write(
    head: &Map<String, Value>,
    version: i64,
    date: &str,
    categories: &[(&Category, Vec<&EntryDocument>)],
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, PythonFormatter::default());
    let file = File { head, version, date, categories };
    file.serialize(&mut serializer).expect("a vector takes every byte and every key is a text");
    bytes
}

struct File<'a> {
    head: &'a Map<String, Value>,
    version: i64,
    date: &'a str,
    categories: &'a [(&'a Category, Vec<&'a EntryDocument>)],
}

impl Serialize for File<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        for (field, value) in self.head {
            if !self.own_field(field, &mut object)? {
                object.serialize_entry(field, value)?;
            }
        }
        for field in ["version", "date", "categories"] {
            if !self.head.contains_key(field) {
                self.own_field(field, &mut object)?;
            }
        }
        object.end()
    }
}

impl File<'_> {
    /// Writes a field whose value is ours; answers whether it is one.
    fn own_field<O: SerializeMap>(&self, field: &str, object: &mut O) -> Result<bool, O::Error> {
        match field {
            "version" => object.serialize_entry(field, &self.version)?,
            "date" => object.serialize_entry(field, self.date)?,
            "categories" => object.serialize_entry(field, &Categories(self.categories))?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

struct Categories<'a>(&'a [(&'a Category, Vec<&'a EntryDocument>)]);

impl Serialize for Categories<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|(category, entries)| OneCategory(category, entries)))
    }
}

struct OneCategory<'a>(&'a Category, &'a [&'a EntryDocument]);

impl Serialize for OneCategory<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        let document = &self.0.document;
        for (field, value) in document {
            if field == "models" {
                object.serialize_entry(field, &Models(self.1))?;
            } else {
                object.serialize_entry(field, value)?;
            }
        }
        if !document.contains_key("models") {
            object.serialize_entry("models", &Models(self.1))?;
        }
        object.end()
    }
}

struct Models<'a>(&'a [&'a EntryDocument]);

impl Serialize for Models<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0)
    }
}

/// Indents as usual, and writes floats as Python does.
struct PythonFormatter(PrettyFormatter<'static>);

impl Default for PythonFormatter {
    fn default() -> Self {
        Self(PrettyFormatter::with_indent(b"  "))
    }
}

impl Formatter for PythonFormatter {
    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(python_float(value).as_bytes())
    }

    fn write_u64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: u64) -> io::Result<()> {
        CompactFormatter.write_u64(writer, value)
    }

    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

/// The shortest digits that give the number back; an exponent below 1e-4 and from 1e16 on, with two digits at least.
fn python_float(value: f64) -> String {
    let scientific = format!("{value:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..16).contains(&exponent) {
        let plain = format!("{value}");
        return if plain.contains('.') { plain } else { format!("{plain}.0") };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::python_float;

    #[test]
    fn floats_are_written_as_python_writes_them() {
        let cases = [
            (4.0, "4.0"),
            (0.067, "0.067"),
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.25e100, "1.25e+100"),
            (0.1 + 0.2, "0.30000000000000004"),
            (13.3, "13.3"),
        ];
        for (value, text) in cases {
            assert_eq!(python_float(value), text);
        }
    }
}
