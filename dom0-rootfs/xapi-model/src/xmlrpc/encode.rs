// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing XML-RPC.

use crate::value::{Call, Reply, Value, float_text};

const HEAD: &str = "<?xml version=\"1.0\"?>\n";

/// A call, as a client sends it.
pub fn encode_call(call: &Call) -> String {
    let mut out = String::from(HEAD);
    out.push_str("<methodCall><methodName>");
    escape(&call.method, &mut out);
    out.push_str("</methodName><params>");
    for param in &call.params {
        out.push_str("<param>");
        value(param, &mut out);
        out.push_str("</param>");
    }
    out.push_str("</params></methodCall>");
    out
}

/// An answer: the struct of `Status` and `Value`, or of `Status` and `ErrorDescription`.
pub fn encode_reply(reply: &Reply) -> String {
    let mut out = String::from(HEAD);
    out.push_str("<methodResponse><params><param><value><struct>");
    match reply {
        Ok(result) => {
            member("Status", &Value::from("Success"), &mut out);
            member("Value", result, &mut out);
        }
        Err(error) => {
            member("Status", &Value::from("Failure"), &mut out);
            member("ErrorDescription", &Value::strings(error.description()), &mut out);
        }
    }
    out.push_str("</struct></value></param></params></methodResponse>");
    out
}

/// A fault: the answer to what is no call at all.
pub fn encode_fault(code: i32, text: &str) -> String {
    let mut out = String::from(HEAD);
    out.push_str("<methodResponse><fault><value><struct>");
    out.push_str("<member><name>faultCode</name><value><int>");
    out.push_str(&code.to_string());
    out.push_str("</int></value></member>");
    member("faultString", &Value::from(text), &mut out);
    out.push_str("</struct></value></fault></methodResponse>");
    out
}

/// One value as `<value>…</value>`, the form of `task.result`; nothing for no value.
pub fn encode_value(item: &Value) -> String {
    let mut out = String::new();
    if *item != Value::Void {
        value(item, &mut out);
    }
    out
}

fn member(name: &str, item: &Value, out: &mut String) {
    out.push_str("<member><name>");
    escape(name, out);
    out.push_str("</name>");
    value(item, out);
    out.push_str("</member>");
}

fn value(item: &Value, out: &mut String) {
    out.push_str("<value>");
    match item {
        Value::Void => {}
        Value::String(text) => escape(text, out),
        Value::Enum(text) => escape(text, out),
        Value::Ref(reference) => escape(reference.as_str(), out),
        Value::Int(n) => out.push_str(&n.to_string()),
        Value::Float(f) => {
            out.push_str("<double>");
            out.push_str(&float_text(*f));
            out.push_str("</double>");
        }
        Value::Bool(b) => {
            out.push_str(if *b { "<boolean>1</boolean>" } else { "<boolean>0</boolean>" });
        }
        Value::DateTime(_) | Value::LocalTime(_) => {
            out.push_str("<dateTime.iso8601>");
            out.push_str(&item.text());
            out.push_str("</dateTime.iso8601>");
        }
        Value::Set(items) => {
            out.push_str("<array><data>");
            for item in items {
                value(item, out);
            }
            out.push_str("</data></array>");
        }
        Value::Map(entries) => {
            out.push_str("<struct>");
            for (name, item) in entries {
                member(name, item, out);
            }
            out.push_str("</struct>");
        }
        Value::Record(record) => {
            out.push_str("<struct>");
            for (name, item) in record.entries() {
                member(name, item, out);
            }
            out.push_str("</struct>");
        }
    }
    out.push_str("</value>");
}

/// Writes text so that it survives an XML parser; characters that XML cannot carry at all become
/// U+FFFD.
fn escape(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.bytes().position(is_suspect) {
        let (plain, suspect) = rest.split_at(at);
        out.push_str(plain);
        let mut chars = suspect.chars();
        match chars.next() {
            Some('&') => out.push_str("&amp;"),
            Some('<') => out.push_str("&lt;"),
            Some('>') => out.push_str("&gt;"),
            Some('\r') => out.push_str("&#13;"),
            Some('\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            other => out.extend(other),
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
}

/// Whether a character may have to be written otherwise that begins with this byte; no character has
/// such a byte further behind.
fn is_suspect(byte: u8) -> bool {
    // U+FFFE and U+FFFF begin with EF.
    matches!(byte, b'&' | b'<' | b'>' | 0..=8 | 11..=31 | 0xef)
}
