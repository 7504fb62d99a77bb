// SPDX-License-Identifier: MIT OR Apache-2.0
//! The JSON schema of a TOML file, derived from the structures that read it. Editors check files by
//! it, and the reader takes from it which keys there are.

use std::sync::LazyLock;

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::{Value, json};

use super::raw::RawAnswers;

/// The schema as a document, draft 2020-12.
pub fn schema() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
        let mut settings = SchemaSettings::draft2020_12();
        settings.inline_subschemas = true;
        let settings = settings.with_transform(RecursiveTransform(without_null));
        settings.into_generator().into_root_schema_for::<RawAnswers>().to_value()
    });
    &SCHEMA
}

/// TOML has no null: a key that is optional is left out.
fn without_null(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    if object.get("default").is_some_and(Value::is_null) {
        object.remove("default");
    }
    if let Some(Value::Array(words)) = object.get_mut("enum") {
        words.retain(|word| !word.is_null());
    }
    if let Some(kind @ Value::Array(_)) = object.get_mut("type") {
        let kinds = kind.as_array_mut().into_iter().flat_map(std::mem::take);
        let kinds: Vec<Value> = kinds.filter(|kind| kind != "null").collect();
        *kind = match kinds.as_slice() {
            [only] => only.clone(),
            _ => Value::Array(kinds),
        };
    }
    let Some(Value::Array(choices)) = object.get_mut("anyOf") else { return };
    choices.retain(|choice| choice["type"] != "null");
    if let [Value::Object(only)] = choices.as_slice() {
        let only = only.clone();
        object.remove("anyOf");
        // The words at the key say more than those at its type.
        for (name, value) in only {
            object.entry(name).or_insert(value);
        }
    }
}

/// The words of a table, for `enum`.
pub(super) fn words<T>(table: &[(&str, T)]) -> Value {
    table.iter().map(|(word, _)| *word).collect()
}

/// Exactly one of these keys, for `oneOf`.
pub(super) fn one_of(keys: &[&str]) -> Value {
    keys.iter().map(|key| json!({ "required": [key] })).collect()
}

/// The first key alone, or any of the others, for `oneOf`.
pub(super) fn alone_or_any(alone: &str, others: &[&str]) -> Value {
    json!([{ "required": [alone] }, { "anyOf": one_of(others) }])
}

/// [`alone_or_any`] with consent to wipe; or, with consent to keep, the same or nothing.
pub(super) fn wiped_or_kept(alone: &str, others: &[&str]) -> Value {
    let both = json!({ "allOf": [{ "required": [alone] }, { "anyOf": one_of(others) }] });
    json!([
        {
            "required": ["wipe"],
            "properties": { "keep-storage": false },
            "oneOf": alone_or_any(alone, others)
        },
        {
            "required": ["keep-storage"],
            "properties": { "wipe": false, "mirror": false },
            "not": both
        }
    ])
}

/// A file that keeps what is there and has this table all the same, for `not`.
pub(super) fn kept_without(table: &str) -> Value {
    json!({
        "required": ["disk", table],
        "properties": { "disk": { "required": ["keep-storage"] } }
    })
}

/// The keys that a table may have; none if it may have any.
pub(super) fn keys(table: &Value) -> Option<Vec<&str>> {
    let closed = table.get("additionalProperties") == Some(&Value::Bool(false));
    let properties = table.get("properties").filter(|_| closed)?.as_object()?;
    Some(properties.keys().map(String::as_str).collect())
}
