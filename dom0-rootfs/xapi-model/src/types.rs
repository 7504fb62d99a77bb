// SPDX-License-Identifier: MIT OR Apache-2.0
//! Types of fields, parameters and results.

use crate::value::{Ref, Value};

/// The type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// No value: the result of an action.
    Void,
    /// Text.
    String,
    /// 64-bit integer; a decimal string in XML-RPC.
    Int,
    /// Floating point.
    Float,
    /// True or false.
    Bool,
    /// A second in UTC.
    DateTime,
    /// One of a list of names.
    Enum(&'static EnumType),
    /// Reference to an object of the named class.
    Ref(&'static str),
    /// Set, as a list.
    Set(&'static Type),
    /// Map from key to value; keys are texts on the wire.
    Map(&'static Type, &'static Type),
    /// All fields of an object of the named class.
    Record(&'static str),
    /// What `event.from` answers.
    EventBatch,
}

impl Type {
    /// Text.
    pub const STRING: Type = Type::String;
    /// Set of texts.
    pub const STRINGS: Type = Type::Set(&Type::String);
    /// Map from text to text, the shape of every `other_config`.
    pub const STRING_MAP: Type = Type::Map(&Type::String, &Type::String);

    /// The value that a field of this type has when nothing was ever set.
    pub fn zero(&self) -> Value {
        match self {
            Type::Void => Value::Void,
            Type::String => Value::String(String::new()),
            Type::Int => Value::Int(0),
            Type::Float => Value::Float(0.0),
            Type::Bool => Value::Bool(false),
            Type::DateTime => Value::DateTime(crate::DateTime::EPOCH),
            Type::Enum(e) => Value::Enum(e.values.first().copied().unwrap_or_default()),
            Type::Ref(_) => Value::Ref(Ref::null()),
            Type::Set(_) => Value::Set(Vec::new()),
            Type::Map(..) | Type::Record(_) | Type::EventBatch => Value::Map(Default::default()),
        }
    }

    /// As the API reference writes it: `(string -> VM ref) map`.
    pub fn describe(&self) -> String {
        match self {
            Type::Void => "void".into(),
            Type::String => "string".into(),
            Type::Int => "int".into(),
            Type::Float => "float".into(),
            Type::Bool => "bool".into(),
            Type::DateTime => "datetime".into(),
            Type::Enum(e) => format!("enum {}", e.name),
            Type::Ref(class) => format!("{class} ref"),
            Type::Set(item) => format!("{} set", item.describe()),
            Type::Map(key, value) => format!("({} -> {}) map", key.describe(), value.describe()),
            Type::Record(class) => format!("{class} record"),
            Type::EventBatch => "an event batch".into(),
        }
    }
}

/// A list of names, one of which a value is.
#[derive(Debug, PartialEq, Eq)]
pub struct EnumType {
    /// `vm_power_state`.
    pub name: &'static str,
    /// The names as they go over the wire.
    pub values: &'static [&'static str],
}

impl EnumType {
    /// The stored name equal to `text`, whatever its letters' case.
    pub fn find(&self, text: &str) -> Option<&'static str> {
        self.values.iter().copied().find(|value| value.eq_ignore_ascii_case(text))
    }
}

/// A default, written in a table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Literal {
    /// Text, or the name of an enum's value.
    Str(&'static str),
    /// Integer.
    Int(i64),
    /// Floating point.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// A set of texts.
    Strings(&'static [&'static str]),
    /// The null reference, the empty set, the empty map, the epoch: whatever [`Type::zero`] gives.
    Zero,
}

impl Literal {
    /// The value of type `ty`. The tables are checked by a test: a literal always fits its type.
    pub fn value(&self, ty: &Type) -> Value {
        match (self, ty) {
            (Literal::Str(text), Type::Enum(e)) => Value::Enum(e.find(text).unwrap_or(text)),
            (Literal::Str(text), _) => Value::String((*text).into()),
            (Literal::Int(n), _) => Value::Int(*n),
            (Literal::Float(f), _) => Value::Float(*f),
            (Literal::Bool(b), _) => Value::Bool(*b),
            (Literal::Strings(texts), _) => {
                Value::Set(texts.iter().map(|text| Value::String((*text).into())).collect())
            }
            (Literal::Zero, ty) => ty.zero(),
        }
    }
}
