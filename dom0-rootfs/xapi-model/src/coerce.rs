// SPDX-License-Identifier: MIT OR Apache-2.0
//! From what the wire carried to the type that the description asks for.

use std::collections::BTreeMap;

use crate::classes;
use crate::datetime::DateTime;
use crate::field::Qualifier;
use crate::types::Type;
use crate::value::{Ref, Value};

/// A value that is not of the type asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at} is not of type {expected}")]
pub struct Mismatch {
    /// Where in the value: empty at the top, else `.name_label` or `[key]`.
    pub at: String,
    /// The type as the API reference writes it.
    pub expected: String,
}

impl Mismatch {
    fn below(mut self, place: &str) -> Mismatch {
        self.at.insert_str(0, place);
        self
    }
}

/// Gives a decoded value its type. Integers come as numbers or decimal text, enums in any case,
/// records with keys that the class does not have (which are dropped).
pub fn coerce(ty: &Type, value: Value) -> Result<Value, Mismatch> {
    let wrong = || Mismatch { at: String::new(), expected: ty.describe() };
    Ok(match (ty, value) {
        (Type::Void, _) => Value::Void,
        (Type::String, Value::String(text)) => Value::String(text),
        (Type::String, value @ (Value::Enum(_) | Value::Ref(_) | Value::DateTime(_))) => {
            Value::String(value.text())
        }
        (Type::Int, value) => Value::Int(integer(&value).ok_or_else(wrong)?),
        (Type::Float, Value::Float(f)) if f.is_finite() => Value::Float(f),
        (Type::Float, Value::Int(n)) => Value::Float(n as f64),
        (Type::Float, Value::String(text)) => match text.trim().parse::<f64>() {
            Ok(f) if f.is_finite() => Value::Float(f),
            _ => return Err(wrong()),
        },
        (Type::Bool, Value::Bool(b)) => Value::Bool(b),
        (Type::DateTime, Value::DateTime(t)) => Value::DateTime(t),
        (Type::DateTime, Value::String(text)) => {
            Value::DateTime(DateTime::parse(&text).ok_or_else(wrong)?)
        }
        (Type::Enum(e), Value::String(text)) => Value::Enum(e.find(&text).ok_or_else(wrong)?),
        (Type::Enum(e), Value::Enum(text)) => Value::Enum(e.find(text).ok_or_else(wrong)?),
        (Type::Ref(_), Value::String(text)) => Value::Ref(Ref::new(&text)),
        (Type::Ref(_), Value::Ref(reference)) => Value::Ref(reference),
        (Type::Set(item), Value::Set(items)) => Value::Set(
            items
                .into_iter()
                .enumerate()
                .map(|(n, v)| coerce(item, v).map_err(|m| m.below(&format!("[{n}]"))))
                .collect::<Result<_, _>>()?,
        ),
        (Type::Map(key, item), Value::Map(entries)) => {
            let mut typed = BTreeMap::new();
            for (name, value) in entries {
                let place = format!("[{name}]");
                let name = coerce(key, Value::String(name)).map_err(|m| m.below(&place))?;
                typed.insert(name.text(), coerce(item, value).map_err(|m| m.below(&place))?);
            }
            Value::Map(typed)
        }
        (Type::Record(class), Value::Map(entries)) => {
            let class = classes::find(class).ok_or_else(wrong)?;
            let mut typed = BTreeMap::new();
            for (name, value) in entries {
                // What the toolstack decides is not taken from a client, whatever its type.
                let known = class.field(&name).filter(|(_, f)| f.qualifier != Qualifier::Runtime);
                if let Some((_, field)) = known {
                    let value = coerce(&field.ty, value);
                    typed.insert(name, value.map_err(|m| m.below(&format!(".{}", field.name)))?);
                }
            }
            Value::Map(typed)
        }
        _ => return Err(wrong()),
    })
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Int(n) => Some(*n),
        Value::String(text) => text.trim().parse().ok(),
        // 2^53: every integer up to there is exact.
        Value::Float(f) if f.fract() == 0.0 && f.abs() <= 9_007_199_254_740_992.0 => {
            Some(*f as i64)
        }
        _ => None,
    }
}
