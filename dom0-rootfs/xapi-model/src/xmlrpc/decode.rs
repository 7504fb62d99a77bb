// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading XML-RPC.

use std::collections::BTreeMap;

use quick_xml::Reader;
use quick_xml::events::Event;

use crate::datetime::DateTime;
use crate::error::ApiError;
use crate::limits::{Budget, DecodeError};
use crate::value::{Call, Reply, Value};

/// Reads a call.
pub fn decode_call(text: &str) -> Result<Call, DecodeError> {
    let mut parser = Parser::new(text);
    parser.open("methodCall")?;
    parser.open("methodName")?;
    let method = parser.text_until("methodName")?.trim().to_owned();
    let mut params = Vec::new();
    match parser.next_tag()? {
        Tag::Open(name) if name == "params" => {
            while parser.open_or_close("param", "params")? {
                parser.open("value")?;
                params.push(parser.value(1)?);
                parser.close("param")?;
            }
            parser.close("methodCall")?;
        }
        Tag::Close(name) if name == "methodCall" => {}
        tag => return Err(tag.unexpected("params")),
    }
    parser.end()?;
    Ok(Call { method, params })
}

/// Reads an answer. A fault becomes the error `FAULT` with its code and text.
pub fn decode_reply(text: &str) -> Result<Reply, DecodeError> {
    let mut parser = Parser::new(text);
    parser.open("methodResponse")?;
    let reply = match parser.next_tag()? {
        Tag::Open(name) if name == "params" => {
            parser.open("param")?;
            parser.open("value")?;
            let answer = parser.value(0)?;
            parser.close("param")?;
            parser.close("params")?;
            status(answer)?
        }
        Tag::Open(name) if name == "fault" => {
            parser.open("value")?;
            let fault = parser.value(0)?;
            parser.close("fault")?;
            let part = |name| fault.as_map().and_then(|m| m.get(name)).map(Value::text);
            let args = ["faultCode", "faultString"].into_iter().filter_map(part).collect();
            Err(ApiError { code: "FAULT".into(), args })
        }
        tag => return Err(tag.unexpected("params or fault")),
    };
    parser.close("methodResponse")?;
    parser.end()?;
    Ok(reply)
}

/// Reads one value, the form of `task.result` and of the description in an exported VM.
pub fn decode_value(text: &str) -> Result<Value, DecodeError> {
    let mut parser = Parser::new(text);
    parser.open("value")?;
    let value = parser.value(0)?;
    parser.end()?;
    Ok(value)
}

/// Takes `Status`, `Value` and `ErrorDescription` apart.
fn status(answer: Value) -> Result<Reply, DecodeError> {
    let Value::Map(mut answer) = answer else {
        return Err(DecodeError::Shape("the answer is no struct".into()));
    };
    match answer.get("Status").and_then(Value::as_str) {
        Some("Success") => Ok(Ok(answer.remove("Value").unwrap_or(Value::Void))),
        Some("Failure") => {
            let Some(Value::Set(items)) = answer.remove("ErrorDescription") else {
                return Err(DecodeError::Shape("a failure without ErrorDescription".into()));
            };
            let mut texts = items.iter().map(Value::text);
            let code = texts.next().unwrap_or_default();
            Ok(Err(ApiError { code, args: texts.collect() }))
        }
        _ => Err(DecodeError::Shape("the answer has no Status".into())),
    }
}

enum Tag {
    Open(String),
    Close(String),
}

impl Tag {
    fn unexpected(self, wanted: &str) -> DecodeError {
        let found = match self {
            Tag::Open(name) => format!("<{name}>"),
            Tag::Close(name) => format!("</{name}>"),
        };
        DecodeError::Shape(format!("{found} where {wanted} was expected"))
    }
}

struct Parser<'a> {
    reader: Reader<&'a [u8]>,
    budget: Budget,
    /// Text seen since the last tag.
    text: String,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        let mut reader = Reader::from_str(text);
        // `<value/>` and `<value></value>` mean the same.
        reader.config_mut().expand_empty_elements = true;
        Parser { reader, budget: Budget::default(), text: String::new() }
    }

    /// The next tag, the text before it in `self.text`.
    fn tag(&mut self) -> Result<Option<Tag>, DecodeError> {
        self.text.clear();
        loop {
            let event = self.reader.read_event().map_err(|e| DecodeError::Syntax(e.to_string()))?;
            match event {
                Event::Start(tag) => {
                    return Ok(Some(Tag::Open(tag.name().as_ref().to_owned())));
                }
                Event::End(tag) => return Ok(Some(Tag::Close(tag.name().as_ref().to_owned()))),
                Event::Text(text) => self.text.push_str(&text.xml10_content()),
                Event::CData(text) => self.text.push_str(&text.xml10_content()),
                Event::GeneralRef(entity) => {
                    let resolved = entity
                        .resolve_char_ref()
                        .map_err(|e| DecodeError::Syntax(e.to_string()))?;
                    let name: &str = &entity;
                    let c = match (resolved, name) {
                        (Some(c), _) => c,
                        (None, "amp") => '&',
                        (None, "lt") => '<',
                        (None, "gt") => '>',
                        (None, "quot") => '"',
                        (None, "apos") => '\'',
                        (None, other) => {
                            return Err(DecodeError::Syntax(format!("unknown entity &{other};")));
                        }
                    };
                    self.text.push(c);
                }
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
                Event::DocType(_) => {
                    return Err(DecodeError::Syntax("a document type is not allowed".into()));
                }
                Event::Empty(_) => unreachable!("empty elements are expanded"),
                Event::Eof => return Ok(None),
            }
        }
    }

    /// The next tag where only white space may come before it.
    fn next_tag(&mut self) -> Result<Tag, DecodeError> {
        let tag = self.tag()?;
        if !self.text.trim().is_empty() {
            return Err(DecodeError::Shape("text between elements".into()));
        }
        tag.ok_or_else(|| DecodeError::Syntax("the message ends too early".into()))
    }

    fn open(&mut self, wanted: &str) -> Result<(), DecodeError> {
        match self.next_tag()? {
            Tag::Open(name) if name == wanted => Ok(()),
            tag => Err(tag.unexpected(&format!("<{wanted}>"))),
        }
    }

    fn close(&mut self, wanted: &str) -> Result<(), DecodeError> {
        match self.next_tag()? {
            Tag::Close(name) if name == wanted => Ok(()),
            tag => Err(tag.unexpected(&format!("</{wanted}>"))),
        }
    }

    /// True at `<open>`, false at `</close>`.
    fn open_or_close(&mut self, open: &str, close: &str) -> Result<bool, DecodeError> {
        match self.next_tag()? {
            Tag::Open(name) if name == open => Ok(true),
            Tag::Close(name) if name == close => Ok(false),
            tag => Err(tag.unexpected(&format!("<{open}> or </{close}>"))),
        }
    }

    fn end(&mut self) -> Result<(), DecodeError> {
        let tag = self.tag()?;
        match tag {
            None if self.text.trim().is_empty() => Ok(()),
            _ => Err(DecodeError::Shape("something follows the message".into())),
        }
    }

    fn text_until(&mut self, wanted: &str) -> Result<String, DecodeError> {
        match self.tag()? {
            Some(Tag::Close(name)) if name == wanted => Ok(std::mem::take(&mut self.text)),
            Some(tag) => Err(tag.unexpected(&format!("</{wanted}>"))),
            None => Err(DecodeError::Syntax("the message ends too early".into())),
        }
    }

    /// What follows `<value>`, up to and with `</value>`.
    fn value(&mut self, depth: usize) -> Result<Value, DecodeError> {
        self.budget.spend(depth)?;
        let kind = match self.tag()? {
            Some(Tag::Close(_)) => return Ok(Value::String(std::mem::take(&mut self.text))),
            Some(Tag::Open(kind)) => kind,
            None => return Err(DecodeError::Syntax("the message ends too early".into())),
        };
        if !self.text.trim().is_empty() {
            return Err(DecodeError::Shape(format!("text before <{kind}>")));
        }
        let value = match kind.as_str() {
            "struct" => self.members(depth)?,
            "array" => self.items(depth)?,
            simple => {
                let text = self.text_until(simple)?;
                scalar(simple, text)?
            }
        };
        self.close("value")?;
        Ok(value)
    }

    fn members(&mut self, depth: usize) -> Result<Value, DecodeError> {
        let mut entries = BTreeMap::new();
        while self.open_or_close("member", "struct")? {
            self.open("name")?;
            let name = self.text_until("name")?;
            self.open("value")?;
            entries.insert(name, self.value(depth + 1)?);
            self.close("member")?;
        }
        Ok(Value::Map(entries))
    }

    fn items(&mut self, depth: usize) -> Result<Value, DecodeError> {
        let mut items = Vec::new();
        self.open("data")?;
        while self.open_or_close("value", "data")? {
            items.push(self.value(depth + 1)?);
        }
        self.close("array")?;
        Ok(Value::Set(items))
    }
}

fn scalar(kind: &str, text: String) -> Result<Value, DecodeError> {
    let wrong = |text: &str| DecodeError::Shape(format!("{text:?} is no <{kind}>"));
    Ok(match kind {
        "string" => Value::String(text),
        "int" | "i4" | "i8" => Value::Int(text.trim().parse().map_err(|_| wrong(&text))?),
        "double" => match text.trim().parse::<f64>() {
            Ok(f) if f.is_finite() => Value::Float(f),
            _ => return Err(wrong(&text)),
        },
        "boolean" => match text.trim() {
            "1" | "true" => Value::Bool(true),
            "0" | "false" => Value::Bool(false),
            _ => return Err(wrong(&text)),
        },
        // Clients send any text in fields that nobody reads; whoever wants a time refuses it then.
        "dateTime.iso8601" => DateTime::parse(&text).map_or(Value::String(text), Value::DateTime),
        "nil" => Value::Void,
        other => return Err(DecodeError::Shape(format!("unknown type <{other}>"))),
    })
}
