// SPDX-License-Identifier: MIT OR Apache-2.0
//! JSON-RPC 1.0 and 2.0.

use serde::{Serialize, Serializer};
use serde_json::{Value as Json, json};

use crate::error::ApiError;
use crate::limits::{Budget, DecodeError};
use crate::value::{Call, Reply, Value};

/// Which dialect a call came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// `error` is the list of code and arguments; `result` and `error` are both there.
    V1,
    /// `error` is an object; only one of `result` and `error` is there.
    V2,
}

/// What an answer repeats of its call.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// The dialect.
    pub version: Version,
    /// The id as it came.
    pub id: Json,
}

/// Reads a call.
pub fn decode_call(text: &str) -> Result<(Call, Envelope), DecodeError> {
    let message: Json =
        serde_json::from_str(text).map_err(|e| DecodeError::Syntax(e.to_string()))?;
    let Json::Object(mut message) = message else {
        return Err(DecodeError::Shape("the call is no object".into()));
    };
    let version = match message.get("jsonrpc").and_then(Json::as_str) {
        Some("2.0") => Version::V2,
        _ => Version::V1,
    };
    let id = message.remove("id").unwrap_or(Json::Null);
    let Some(Json::String(method)) = message.remove("method") else {
        return Err(DecodeError::Shape("the call has no method".into()));
    };
    let mut budget = Budget::default();
    let params = match message.remove("params") {
        None | Some(Json::Null) => Vec::new(),
        Some(Json::Array(items)) => items
            .into_iter()
            .map(|item| from_json(item, 1, &mut budget))
            .collect::<Result<_, _>>()?,
        Some(_) => return Err(DecodeError::Shape("params is no array".into())),
    };
    Ok((Call { method, params }, Envelope { version, id }))
}

/// A call in version 2.0, as a client sends it.
pub fn encode_call(call: &Call, id: u64) -> String {
    json!({"jsonrpc": "2.0", "id": id, "method": call.method, "params": call.params}).to_string()
}

/// What is in an answer; the inner `None` is written as null.
#[derive(Serialize)]
struct Answer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Json>,
    id: &'a Json,
    #[serde(skip_serializing_if = "Option::is_none")]
    jsonrpc: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Option<&'a Value>>,
}

/// An answer.
pub fn encode_reply(envelope: &Envelope, reply: &Reply) -> String {
    let id = &envelope.id;
    let answer = match (envelope.version, reply) {
        (Version::V2, Ok(value)) => {
            Answer { error: None, id, jsonrpc: Some("2.0"), result: Some(Some(value)) }
        }
        (Version::V2, Err(error)) => {
            let error = json!({"code": 1, "message": error.code, "data": error.args});
            Answer { error: Some(error), id, jsonrpc: Some("2.0"), result: None }
        }
        (Version::V1, Ok(value)) => {
            Answer { error: Some(Json::Null), id, jsonrpc: None, result: Some(Some(value)) }
        }
        (Version::V1, Err(error)) => {
            let error = error.description().into();
            Answer { error: Some(error), id, jsonrpc: None, result: Some(None) }
        }
    };
    encode(&answer)
}

/// Writes what has only texts for keys, which does not fail.
fn encode(item: &impl Serialize) -> String {
    serde_json::to_string(item).expect("every key is a text")
}

/// The answer to what is no call at all.
pub fn encode_fault(text: &str) -> String {
    let error = json!({"code": -32700, "message": text, "data": []});
    json!({"jsonrpc": "2.0", "error": error, "id": null}).to_string()
}

/// Reads an answer of either dialect.
pub fn decode_reply(text: &str) -> Result<Reply, DecodeError> {
    let message: Json =
        serde_json::from_str(text).map_err(|e| DecodeError::Syntax(e.to_string()))?;
    let Json::Object(mut message) = message else {
        return Err(DecodeError::Shape("the answer is no object".into()));
    };
    let texts = |items: &[Json]| items.iter().map(json_text).collect::<Vec<_>>();
    match message.remove("error") {
        None | Some(Json::Null) => {}
        Some(Json::Array(items)) => {
            let mut items = texts(&items).into_iter();
            let code = items.next().unwrap_or_default();
            return Ok(Err(ApiError { code, args: items.collect() }));
        }
        Some(Json::Object(error)) => {
            let code = error.get("message").map(json_text).unwrap_or_default();
            let args = error.get("data").and_then(Json::as_array).map(|items| texts(items));
            return Ok(Err(ApiError { code, args: args.unwrap_or_default() }));
        }
        Some(_) => return Err(DecodeError::Shape("the error is no array or object".into())),
    }
    let result = message
        .remove("result")
        .ok_or_else(|| DecodeError::Shape("neither result nor error".into()))?;
    Ok(Ok(from_json(result, 0, &mut Budget::default())?))
}

fn json_text(json: &Json) -> String {
    json.as_str().map_or_else(|| json.to_string(), str::to_owned)
}

/// Reads a value out of JSON.
fn from_json(json: Json, depth: usize, budget: &mut Budget) -> Result<Value, DecodeError> {
    budget.spend(depth)?;
    Ok(match json {
        Json::Null => Value::Void,
        Json::Bool(b) => Value::Bool(b),
        Json::String(text) => Value::String(text),
        Json::Number(n) => match (n.as_i64(), n.as_f64()) {
            (Some(n), _) => Value::Int(n),
            (None, Some(f)) => Value::Float(f),
            (None, None) => return Err(DecodeError::Shape(format!("the number {n}"))),
        },
        Json::Array(items) => Value::Set(
            items.into_iter().map(|v| from_json(v, depth + 1, budget)).collect::<Result<_, _>>()?,
        ),
        Json::Object(entries) => Value::Map(
            entries
                .into_iter()
                .map(|(k, v)| Ok((k, from_json(v, depth + 1, budget)?)))
                .collect::<Result<_, DecodeError>>()?,
        ),
    })
}

/// Reads a value that [`encode_value`] wrote.
pub fn value_from_json(json: Json) -> Result<Value, DecodeError> {
    from_json(json, 0, &mut Budget::default())
}

/// Writes a value as JSON.
pub fn encode_value(value: &Value) -> String {
    encode(value)
}

/// As JSON-RPC carries it.
impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Void => serializer.serialize_str(""),
            Value::Int(n) => serializer.serialize_i64(*n),
            Value::Float(f) => serializer.serialize_f64(if f.is_finite() { *f } else { 0.0 }),
            Value::Bool(b) => serializer.serialize_bool(*b),
            Value::String(text) => serializer.serialize_str(text),
            Value::Enum(text) => serializer.serialize_str(text),
            Value::Ref(reference) => serializer.serialize_str(reference.as_str()),
            Value::DateTime(time) => serializer.collect_str(time),
            Value::LocalTime(time) => serializer.collect_str(time),
            Value::Set(items) => serializer.collect_seq(items),
            Value::Map(entries) => serializer.collect_map(entries),
            Value::Record(record) => serializer.collect_map(record.entries()),
        }
    }
}
