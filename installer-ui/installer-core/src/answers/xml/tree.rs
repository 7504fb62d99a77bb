// SPDX-License-Identifier: MIT OR Apache-2.0
//! Text to elements, within limits. There are no document types, so no entities but XML's own five.

use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::super::{AnswersError, Problem};

/// An answer file is flat: root, element, and at most one level more.
const DEEPEST: usize = 8;
/// Of elements in a file.
const MOST_ELEMENTS: usize = 1000;
/// Of attributes of an element.
const MOST_ATTRIBUTES: usize = 32;
/// In bytes, as [`super::super::source`] has it.
const LONGEST: usize = 1 << 20;

/// An element with everything in it.
#[derive(Debug, Default)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) children: Vec<Element>,
    /// Its own text without the children's, trimmed at its end.
    pub(super) text: String,
}

impl Element {
    /// The value of the first of these attributes that is there.
    pub(super) fn attribute(&self, names: &[&str]) -> Option<&str> {
        let find = |name: &&str| self.attributes.iter().find(|(known, _)| known == name);
        names.iter().find_map(find).map(|(_, value)| value.trim())
    }
}

/// Reads a whole document.
pub(super) fn parse(text: &str) -> Result<Element, AnswersError> {
    let mut parser = Parser::new(text);
    parser.document().map_err(|message| {
        let at = match parser.reader.error_position() {
            0 => parser.reader.buffer_position(),
            at => at,
        };
        let read = usize::try_from(at).unwrap_or(text.len());
        let line = text.as_bytes()[..read.min(text.len())].iter().filter(|b| **b == b'\n').count();
        // Part of a password must not get into a log; a slip inside one opens and closes elements.
        let secret = parser.open.iter().any(|element| element.name.contains("password"));
        let message = match secret {
            true => "the password's element is not closed, or & < > in it are not written as \
                     &amp; &lt; &gt;"
                .to_owned(),
            false => message,
        };
        AnswersError { problems: vec![Problem::new("", format!("line {}: {message}", line + 1))] }
    })
}

struct Parser<'a> {
    text: &'a str,
    reader: Reader<&'a [u8]>,
    open: Vec<Element>,
    elements: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        let mut reader = Reader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        Self { text, reader, open: Vec::new(), elements: 0 }
    }

    fn document(&mut self) -> Result<Element, String> {
        if self.text.len() > LONGEST {
            return Err("the file is longer than 1 MiB".into());
        }
        let mut root = None;
        loop {
            match self.reader.read_event().map_err(|error| error.to_string())? {
                Event::Start(tag) if root.is_none() => self.start(&tag)?,
                Event::Start(_) => return Err("something follows the end of the file".into()),
                Event::End(_) => {
                    let mut element = self.open.pop().unwrap_or_default();
                    element.text.truncate(element.text.trim_end().len());
                    match self.open.last_mut() {
                        Some(parent) => parent.children.push(element),
                        None => root = Some(element),
                    }
                }
                Event::Text(text) => self.characters(&text.xml10_content())?,
                Event::CData(text) => self.characters(&text.xml10_content())?,
                Event::GeneralRef(entity) => self.characters(reference(&entity)?.as_str())?,
                Event::Decl(declaration) => {
                    let encoding = declaration.encoding().transpose().map_err(|e| e.to_string())?;
                    self.encoding(encoding.as_deref().unwrap_or("utf-8"))?;
                }
                Event::DocType(kind) => return Err(not_a_document_type(&kind)),
                Event::PI(_) | Event::Comment(_) | Event::Empty(_) => {}
                Event::Eof => {
                    return match (root, self.open.last()) {
                        (Some(root), _) => Ok(root),
                        (None, Some(open)) => Err(format!("<{}> is never closed", open.name)),
                        (None, None) => Err("there is no element in the file".into()),
                    };
                }
            }
        }
    }

    fn start(&mut self, tag: &BytesStart<'_>) -> Result<(), String> {
        self.elements += 1;
        if self.elements > MOST_ELEMENTS {
            return Err(format!("more than {MOST_ELEMENTS} elements"));
        }
        if self.open.len() >= DEEPEST {
            return Err(format!("elements are nested more than {DEEPEST} deep"));
        }
        let mut element = Element { name: tag.name().as_ref().to_owned(), ..Element::default() };
        let broken = |cause| format!("<{}>: {cause}", element.name);
        for attribute in tag.attributes() {
            let attribute = attribute.map_err(|error| broken(error.to_string()))?;
            let value = attribute.normalized_value(XmlVersion::Implicit1_0);
            let value = value.map_err(|error| broken(error.to_string()))?;
            element.attributes.push((attribute.key.as_ref().to_owned(), value.into_owned()));
            if element.attributes.len() > MOST_ATTRIBUTES {
                return Err(format!("more than {MOST_ATTRIBUTES} attributes"));
            }
        }
        self.open.push(element);
        Ok(())
    }

    fn characters(&mut self, text: &str) -> Result<(), String> {
        match self.open.last_mut() {
            Some(element) if element.text.is_empty() => element.text.push_str(text.trim_start()),
            Some(element) => element.text.push_str(text),
            None if text.trim_matches(['\u{feff}', ' ', '\t', '\n']).is_empty() => {}
            None => return Err("there is text outside of the root element".into()),
        }
        Ok(())
    }

    /// The text was read as UTF-8; that is wrong for letters of another encoding.
    fn encoding(&self, name: &str) -> Result<(), String> {
        let unicode = ["utf-8", "utf8"].contains(&name.to_lowercase().as_str());
        match unicode || self.text.is_ascii() {
            true => Ok(()),
            false => Err(format!("the file says that it is {name:?}: save it as UTF-8")),
        }
    }
}

/// The character that `&…;` stands for.
fn reference(entity: &BytesRef<'_>) -> Result<String, String> {
    let number = entity.resolve_char_ref().map_err(|error| error.to_string())?;
    let name: &str = entity;
    match (number, name) {
        (Some(c), _) => Ok(c.to_string()),
        (None, "amp") => Ok("&".into()),
        (None, "lt") => Ok("<".into()),
        (None, "gt") => Ok(">".into()),
        (None, "quot") => Ok("\"".into()),
        (None, "apos") => Ok("'".into()),
        (None, other) => Err(format!("&{other}; is unknown; write & as &amp;")),
    }
}

fn not_a_document_type(kind: &str) -> String {
    match kind.trim_start().to_lowercase().starts_with("html") {
        true => "this is a web page, not an answer file; does the address name the file?".into(),
        false => "a document type (<!DOCTYPE …>) is not allowed; remove it".into(),
    }
}
