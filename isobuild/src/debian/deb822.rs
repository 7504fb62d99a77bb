// SPDX-License-Identifier: MIT OR Apache-2.0
//! Control files: paragraphs of `Field: value` lines (deb822).

/// A text that is not a control file.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("line {line} of the control file {what}: {text:?}")]
pub struct ControlError {
    /// Number of the line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: &'static str,
    /// The line, cut short.
    pub text: String,
}

/// One paragraph; its values are slices of the text, continuation lines included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Paragraph<'a> {
    fields: Vec<(&'a str, &'a str)>,
}

impl<'a> Paragraph<'a> {
    /// The value of a field, whose name is compared without regard to case. White space around the
    /// value is not part of it.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    /// The fields in their order.
    pub fn fields(&self) -> &[(&'a str, &'a str)] {
        &self.fields
    }
}

/// Splits a text into its paragraphs.
///
/// # Errors
/// The first line that is neither a field, nor a continuation, nor a comment, nor empty; or that
/// repeats a field.
pub fn parse(text: &str) -> Result<Vec<Paragraph<'_>>, ControlError> {
    let mut paragraphs = Vec::new();
    let mut current = Paragraph::default();
    // Where the value of the last field begins and ends in the text.
    let mut value: Option<(&str, usize, usize)> = None;
    let mut offset = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let start = offset;
        offset += line.len();
        let content = line.trim_end_matches(['\n', '\r']);
        let error = |what| {
            let text = content.chars().take(60).collect();
            Err(ControlError { line: number + 1, what, text })
        };
        if content.starts_with('#') {
            // A comment between continuation lines would become part of the value.
            if value.is_some() {
                return error("is a comment within a paragraph");
            }
        } else if content.trim().is_empty() {
            finish(text, &mut current, value.take());
            if !current.fields.is_empty() {
                paragraphs.push(std::mem::take(&mut current));
            }
        } else if content.starts_with([' ', '\t']) {
            match &mut value {
                Some((_, _, end)) => *end = offset,
                None => return error("continues nothing"),
            }
        } else {
            let Some((name, _)) = content.split_once(':') else {
                return error("is not a field");
            };
            let valid = |b: u8| (b'!'..=b'~').contains(&b);
            if name.is_empty() || name.starts_with('-') || !name.bytes().all(valid) {
                return error("has a wrong field name");
            }
            finish(text, &mut current, value.take());
            if current.get(name).is_some() {
                return error("repeats a field");
            }
            value = Some((name, start + name.len() + 1, offset));
        }
    }
    finish(text, &mut current, value);
    if !current.fields.is_empty() {
        paragraphs.push(current);
    }
    Ok(paragraphs)
}

fn finish<'a>(
    text: &'a str,
    paragraph: &mut Paragraph<'a>,
    value: Option<(&'a str, usize, usize)>,
) {
    if let Some((name, start, end)) = value {
        paragraph.fields.push((name, text[start..end].trim()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_fields_and_continuations() {
        let text = "# head\n\nPackage: a\nDepends: b,\n c\nEmpty:\n\n\n \nPackage: d";
        let paragraphs = parse(text).unwrap();
        assert_eq!(paragraphs.len(), 2);
        assert_eq!(paragraphs[0].get("package"), Some("a"));
        assert_eq!(paragraphs[0].get("Depends"), Some("b,\n c"));
        assert_eq!(paragraphs[0].get("Empty"), Some(""));
        assert_eq!(paragraphs[1].get("Package"), Some("d"));
        assert_eq!(paragraphs[1].get("Depends"), None);
        assert_eq!(parse("").unwrap(), []);
    }

    #[test]
    fn bad_lines_are_named() {
        let cases = [
            (" a", 1, "continues nothing"),
            ("A: b\n\n c", 3, "continues nothing"),
            ("A: b\njunk", 2, "is not a field"),
            (": b", 1, "wrong field name"),
            ("A b: c", 1, "wrong field name"),
            ("-A: c", 1, "wrong field name"),
            ("Ä: c", 1, "wrong field name"),
            ("A: b\nB: c\na: d", 3, "repeats a field"),
            ("A: b\n# c\n d", 2, "comment within"),
        ];
        for (text, line, what) in cases {
            let error = parse(text).unwrap_err();
            assert_eq!(error.line, line, "{text}");
            assert!(error.what.contains(what), "{text}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "[A-Ca: \\t\r\n#é-]{0,60}") {
            if let Ok(paragraphs) = parse(&text) {
                for (name, value) in paragraphs.iter().flat_map(|p| p.fields()) {
                    assert!(text.contains(name) && text.contains(value));
                    assert_eq!(value.trim(), *value);
                }
            }
        }
    }
}
