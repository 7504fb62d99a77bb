// SPDX-License-Identifier: MIT OR Apache-2.0
//! Records: all fields of an object.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::class::Class;
use crate::value::Value;

/// All fields of an object. It is shared with the object until that changes, so that thousands of them
/// are answered without copying one.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    class: &'static Class,
    values: Arc<[Value]>,
}

impl Record {
    /// Of an object of this class; `values` in the order of its fields.
    pub fn new(class: &'static Class, values: Arc<[Value]>) -> Record {
        Record { class, values }
    }

    /// Fields with their names.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = (&'static str, &Value)> {
        self.class.fields.iter().map(|field| field.name).zip(self.values.iter())
    }

    /// A map to change.
    pub fn to_map(&self) -> BTreeMap<String, Value> {
        self.entries().map(|(name, value)| (name.to_owned(), value.clone())).collect()
    }
}
