// SPDX-License-Identifier: MIT OR Apache-2.0
//! JSON-RPC 1.0 and 2.0.

use serde_json::{Map, Number, Value as Json, json};

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
    let params: Vec<Json> = call.params.iter().map(to_json).collect();
    json!({"jsonrpc": "2.0", "id": id, "method": call.method, "params": params}).to_string()
}

/// An answer.
pub fn encode_reply(envelope: &Envelope, reply: &Reply) -> String {
    let mut out = Map::new();
    match (envelope.version, reply) {
        (Version::V2, Ok(value)) => {
            out.insert("jsonrpc".into(), "2.0".into());
            out.insert("result".into(), to_json(value));
        }
        (Version::V2, Err(error)) => {
            out.insert("jsonrpc".into(), "2.0".into());
            let error = json!({"code": 1, "message": error.code, "data": error.args});
            out.insert("error".into(), error);
        }
        (Version::V1, Ok(value)) => {
            out.insert("result".into(), to_json(value));
            out.insert("error".into(), Json::Null);
        }
        (Version::V1, Err(error)) => {
            out.insert("result".into(), Json::Null);
            out.insert("error".into(), error.description().into());
        }
    }
    out.insert("id".into(), envelope.id.clone());
    Json::Object(out).to_string()
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

/// Reads a value that [`to_json`] wrote.
pub fn value_from_json(json: Json) -> Result<Value, DecodeError> {
    from_json(json, 0, &mut Budget::default())
}

/// Writes a value as JSON.
pub fn to_json(value: &Value) -> Json {
    match value {
        Value::Void => Json::String(String::new()),
        Value::Int(n) => Json::Number((*n).into()),
        Value::Float(f) => Number::from_f64(*f).map_or_else(|| json!(0.0), Json::Number),
        Value::Bool(b) => Json::Bool(*b),
        Value::String(_) | Value::Enum(_) | Value::Ref(_) | Value::DateTime(_) => {
            Json::String(value.text())
        }
        Value::Set(items) => Json::Array(items.iter().map(to_json).collect()),
        Value::Map(entries) => {
            Json::Object(entries.iter().map(|(k, v)| (k.clone(), to_json(v))).collect())
        }
    }
}
