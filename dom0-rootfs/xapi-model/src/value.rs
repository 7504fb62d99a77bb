// SPDX-License-Identifier: MIT OR Apache-2.0
//! Values, as fields hold them and as the wire carries them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::datetime::{DateTime, LocalTime};
use crate::error::ApiError;
use crate::record::Record;

/// An opaque reference to an object: `OpaqueRef:…`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ref(Arc<str>);

impl Ref {
    /// Text of the null reference.
    pub const NULL: &'static str = "OpaqueRef:NULL";

    /// The null reference.
    pub fn null() -> Ref {
        Ref(Self::NULL.into())
    }

    /// A reference with this text; the empty text is the null reference.
    pub fn new(text: &str) -> Ref {
        if text.is_empty() { Ref::null() } else { Ref(text.into()) }
    }

    /// Whether it refers to nothing.
    pub fn is_null(&self) -> bool {
        &*self.0 == Self::NULL
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Ref {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A value. Decoders give only what the wire distinguishes (so a reference arrives as
/// [`Value::String`]); [`crate::coerce`] then gives it the type that the description asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    Void,
    /// Text.
    String(String),
    /// Integer.
    Int(i64),
    /// Floating point.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// A second in UTC.
    DateTime(DateTime),
    /// A second by a clock in some zone. Decoders give [`Value::DateTime`] for it.
    LocalTime(LocalTime),
    /// Name of an enum's value.
    Enum(&'static str),
    /// Reference.
    Ref(Ref),
    /// Set, or any list.
    Set(Vec<Value>),
    /// Map, or a record that came over the wire.
    Map(BTreeMap<String, Value>),
    /// Record of an object; on the wire it is a map.
    Record(Record),
}

impl Value {
    /// The text of a string, enum or reference.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            Value::Enum(text) => Some(text),
            Value::Ref(reference) => Some(reference.as_str()),
            _ => None,
        }
    }

    /// The number of an integer.
    pub fn as_int(&self) -> Option<i64> {
        if let Value::Int(n) = self { Some(*n) } else { None }
    }

    /// The truth of a boolean.
    pub fn as_bool(&self) -> Option<bool> {
        if let Value::Bool(b) = self { Some(*b) } else { None }
    }

    /// The reference.
    pub fn as_ref(&self) -> Option<&Ref> {
        if let Value::Ref(reference) = self { Some(reference) } else { None }
    }

    /// The members of a set.
    pub fn as_set(&self) -> Option<&[Value]> {
        if let Value::Set(items) = self { Some(items) } else { None }
    }

    /// The members of a set, without copying them; none of anything else.
    pub fn into_set(self) -> Vec<Value> {
        if let Value::Set(items) = self { items } else { Vec::new() }
    }

    /// The entries of a map.
    pub fn as_map(&self) -> Option<&BTreeMap<String, Value>> {
        if let Value::Map(entries) = self { Some(entries) } else { None }
    }

    /// A map from text to text.
    pub fn string_map<K: Into<String>, V: Into<String>>(
        entries: impl IntoIterator<Item = (K, V)>,
    ) -> Value {
        Value::Map(entries.into_iter().map(|(k, v)| (k.into(), Value::String(v.into()))).collect())
    }

    /// A set of texts.
    pub fn strings<S: Into<String>>(items: impl IntoIterator<Item = S>) -> Value {
        Value::Set(items.into_iter().map(|item| Value::String(item.into())).collect())
    }

    /// Its text as XML-RPC carries a simple value; empty for sets, maps and records.
    pub fn text(&self) -> String {
        match self {
            Value::Void | Value::Set(_) | Value::Map(_) | Value::Record(_) => String::new(),
            Value::String(text) => text.clone(),
            Value::Int(n) => n.to_string(),
            Value::Float(f) => float_text(*f),
            Value::Bool(b) => b.to_string(),
            Value::DateTime(t) => t.to_string(),
            Value::LocalTime(t) => t.to_string(),
            Value::Enum(text) => (*text).into(),
            Value::Ref(reference) => reference.to_string(),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::String(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::String(text)
    }
}

impl From<i64> for Value {
    fn from(n: i64) -> Value {
        Value::Int(n)
    }
}

impl From<bool> for Value {
    fn from(b: bool) -> Value {
        Value::Bool(b)
    }
}

impl From<f64> for Value {
    fn from(f: f64) -> Value {
        Value::Float(f)
    }
}

impl From<DateTime> for Value {
    fn from(t: DateTime) -> Value {
        Value::DateTime(t)
    }
}

impl From<LocalTime> for Value {
    fn from(t: LocalTime) -> Value {
        Value::LocalTime(t)
    }
}

impl From<Record> for Value {
    fn from(record: Record) -> Value {
        Value::Record(record)
    }
}

impl From<Ref> for Value {
    fn from(reference: Ref) -> Value {
        Value::Ref(reference)
    }
}

impl From<&Ref> for Value {
    fn from(reference: &Ref) -> Value {
        Value::Ref(reference.clone())
    }
}

/// A floating-point number as `<double>` allows it: no exponent; what is not finite becomes 0.
pub(crate) fn float_text(f: f64) -> String {
    if !f.is_finite() {
        return "0.0".into();
    }
    let text = f.to_string();
    if text.contains('.') { text } else { text + ".0" }
}

/// A call as it came over the wire.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// `VM.start`, `Async.VM.start`.
    pub method: String,
    /// Parameters, the session first where there is one.
    pub params: Vec<Value>,
}

/// What a call answers.
pub type Reply = Result<Value, ApiError>;
