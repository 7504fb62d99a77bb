// SPDX-License-Identifier: MIT OR Apache-2.0
//! The objects of the toolstack, as its events tell them.

use std::collections::BTreeMap;

use xapi_model::Value;

/// Fields by name, as they came over the wire.
pub type Record = BTreeMap<String, Value>;

/// The classes that are looked at.
pub const CLASSES: &[&str] = &[
    "host",
    "host_metrics",
    "pool",
    "PIF",
    "PIF_metrics",
    "Bond",
    "VLAN",
    "SR",
    "PBD",
    "VM",
    "VM_metrics",
    "console",
    "message",
    "Certificate",
];

/// The objects, by their class in lower case, as events name it, and by reference.
#[derive(Debug, Clone, Default)]
pub struct Mirror(BTreeMap<String, BTreeMap<String, Record>>);

impl Mirror {
    /// Takes an answer of `event.from`; gives its token, or none if it is no such answer.
    pub fn take(&mut self, answer: Value) -> Option<String> {
        let Value::Map(mut answer) = answer else { return None };
        let token = answer.get("token")?.as_str()?.to_owned();
        let Value::Set(events) = answer.remove("events")? else { return None };
        for event in events {
            let Value::Map(mut event) = event else { return None };
            let field = |name| event.get(name).map(Value::text).unwrap_or_default();
            let (class, reference) = (field("class").to_lowercase(), field("ref"));
            let objects = self.0.entry(class).or_default();
            match event.remove("snapshot") {
                Some(Value::Map(record)) => objects.insert(reference, record),
                _ => objects.remove(&reference),
            };
        }
        Some(token)
    }

    /// Every object of a class, with its reference.
    pub fn all(&self, class: &str) -> impl Iterator<Item = (&str, &Record)> {
        let all = self.0.get(class).into_iter().flatten();
        all.map(|(reference, record)| (reference.as_str(), record))
    }

    /// One of them.
    pub fn get(&self, class: &str, reference: &str) -> Option<&Record> {
        self.0.get(class)?.get(reference)
    }
}
