// SPDX-License-Identifier: MIT OR Apache-2.0
//! Fields of an object as JSON, as a database keeps them.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::class::Class;
use crate::coerce::coerce;
use crate::field::Field;
use crate::types::Type;
use crate::value::Value;

/// Writes fields with their names.
pub fn encode_fields<'a>(fields: impl IntoIterator<Item = (&'static str, &'a Value)>) -> String {
    let fields: BTreeMap<_, _> = fields.into_iter().collect();
    serde_json::to_string(&fields).expect("every key is a text")
}

/// Reads what [`encode_fields`] wrote of an object: fields by their position in the class, as they come. One
/// that the class does not have is left out. Each value gets its type as it is read: a daemon reads many at its
/// start.
///
/// # Errors
/// The text is no such JSON, or a value is not of its field's type.
pub fn decode_fields(
    class: &'static Class,
    text: &str,
) -> Result<Vec<(usize, Value)>, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let fields = reader.deserialize_map(Fields(class))?;
    reader.end()?;
    Ok(fields)
}

struct Fields(&'static Class);

impl<'de> Visitor<'de> for Fields {
    type Value = Vec<(usize, Value)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fields of the class {}", self.0.name)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::with_capacity(self.0.fields.len());
        while let Some(found) = map.next_key_seed(Name(self.0))? {
            match found {
                Some((index, field)) => {
                    let value = map.next_value_seed(Typed(&field.ty));
                    let value = value.map_err(|e| A::Error::custom(format!("{}: {e}", field.name)));
                    fields.push((index, value?));
                }
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(fields)
    }
}

/// The name of a field, which need not be copied to be found.
struct Name(&'static Class);

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Option<(usize, &'static Field)>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Option<(usize, &'static Field)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.field(name))
    }
}

/// A value of a type.
#[derive(Clone, Copy)]
struct Typed(&'static Type);

impl Typed {
    fn of<E: Error>(self, value: Value) -> Result<Value, E> {
        coerce(self.0, value).map_err(E::custom)
    }
}

impl<'de> DeserializeSeed<'de> for Typed {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Typed {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.describe())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        self.of(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        self.of(Value::Int(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        // The others are of floating point.
        self.of(i64::try_from(value).map_or(Value::Float(value as f64), Value::Int))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        self.of(Value::Float(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        self.of(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let Type::Set(item) = self.0 else { return self.of(Value::Set(Vec::new())) };
        let mut items = Vec::new();
        while let Some(value) = seq.next_element_seed(Typed(item))? {
            items.push(value);
        }
        Ok(Value::Set(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let Type::Map(key, item) = self.0 else { return self.of(Value::Map(BTreeMap::new())) };
        let mut entries = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            let name = Typed(key).of::<A::Error>(Value::String(name))?;
            entries.insert(name.text(), map.next_value_seed(Typed(item))?);
        }
        Ok(Value::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classes;

    #[test]
    fn what_was_written_comes_back_with_its_type() {
        for class in classes::ALL {
            let values: Vec<Value> = class.fields.iter().map(Field::initial).collect();
            let named = class.fields.iter().map(|field| field.name).zip(&values);
            let mut read = decode_fields(class, &encode_fields(named)).unwrap();
            read.sort_by_key(|(index, _)| *index);
            let read: Vec<Value> = read.into_iter().map(|(_, value)| value).collect();
            assert_eq!(read, values, "{}", class.name);
        }
    }

    #[test]
    fn values_are_of_their_fields_types() {
        let text = r#"{"VCPUs_max": 3, "gone": {"a": [1, {}]}, "is_a_template": true,
            "other_config": {"ä": "\"1\""}, "start_delay": "7", "tags": ["a", "b"]}"#;
        let read = decode_fields(&classes::VM, text).unwrap();
        let named = read.into_iter().map(|(index, value)| (classes::VM.fields[index].name, value));
        let map = Value::string_map([("ä", "\"1\"")]);
        let expected = [
            ("VCPUs_max", Value::Int(3)),
            ("is_a_template", Value::Bool(true)),
            ("other_config", map),
            ("start_delay", Value::Int(7)),
            ("tags", Value::strings(["a", "b"])),
        ];
        assert_eq!(named.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_is_no_object_of_the_class_says_why() {
        for (text, why) in [
            ("", "EOF"),
            ("[]", "fields of the class VM"),
            ("{} x", "trailing"),
            (r#"{"VCPUs_max": "many"}"#, "VCPUs_max: "),
            (r#"{"VCPUs_max": []}"#, "not of type int"),
            (r#"{"tags": {}}"#, "tags: "),
            (r#"{"tags": [1]}"#, "tags: "),
            (r#"{"other_config": ["a"]}"#, "other_config: "),
            (r#"{"power_state": "Flying"}"#, "power_state: "),
            (r#"{"start_delay": null}"#, "start_delay: "),
            (r#"{"start_delay": 18446744073709551615}"#, "start_delay: "),
        ] {
            let error = decode_fields(&classes::VM, text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
