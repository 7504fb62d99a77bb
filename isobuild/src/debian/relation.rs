// SPDX-License-Identifier: MIT OR Apache-2.0
//! Relations between packages: `a (>= 1) | b, c:any`.

use std::cmp::Ordering;

use super::version;

/// One package name with what it must fulfil.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// The package's name, or a virtual one.
    pub name: String,
    /// The version constraint.
    pub version: Option<(Operator, String)>,
}

/// How versions are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `<<`
    Earlier,
    /// `<=`
    EarlierOrEqual,
    /// `=`
    Equal,
    /// `>=`
    LaterOrEqual,
    /// `>>`
    Later,
}

/// A text that is not a relation.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a relation between packages: {0:?}")]
pub struct RelationError(pub String);

impl Relation {
    /// Whether this version fulfils the constraint.
    pub fn allows(&self, found: &str) -> bool {
        self.version.as_ref().is_none_or(|(operator, wanted)| {
            let order = version::compare(found, wanted);
            match operator {
                Operator::Earlier => order == Ordering::Less,
                Operator::EarlierOrEqual => order != Ordering::Greater,
                Operator::Equal => order == Ordering::Equal,
                Operator::LaterOrEqual => order != Ordering::Less,
                Operator::Later => order == Ordering::Greater,
            }
        })
    }
}

impl std::fmt::Display for Relation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)?;
        let Some((operator, version)) = &self.version else { return Ok(()) };
        let operator = match operator {
            Operator::Earlier => "<<",
            Operator::EarlierOrEqual => "<=",
            Operator::Equal => "=",
            Operator::LaterOrEqual => ">=",
            Operator::Later => ">>",
        };
        write!(f, " ({operator} {version})")
    }
}

/// Parses a list: all groups must be fulfilled, of each group one alternative.
///
/// # Errors
/// The first relation that is not one.
pub fn parse(text: &str) -> Result<Vec<Vec<Relation>>, RelationError> {
    let groups = text.split(',').map(str::trim).filter(|group| !group.is_empty());
    groups.map(|group| group.split('|').map(one).collect()).collect()
}

fn one(text: &str) -> Result<Relation, RelationError> {
    let text = text.trim();
    let error = || RelationError(text.chars().take(80).collect());
    let (name, rest) = match text.find(|c: char| c.is_whitespace() || c == '(') {
        Some(at) => (&text[..at], text[at..].trim_start()),
        None => (text, ""),
    };
    // `:any` and `:amd64` make no difference here: one architecture is all there is.
    let name = name.split(':').next().unwrap_or_default();
    let valid = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"+-.".contains(&c);
    if name.len() < 2 || !name.bytes().all(valid) {
        return Err(error());
    }
    let version = match rest.strip_prefix('(') {
        None if rest.is_empty() => None,
        None => return Err(error()),
        Some(rest) => {
            let inner = rest.strip_suffix(')').ok_or_else(error)?.trim();
            let end = inner.find(|c| !"<>=".contains(c)).ok_or_else(error)?;
            let operator = match &inner[..end] {
                "<<" => Operator::Earlier,
                "<=" => Operator::EarlierOrEqual,
                "=" => Operator::Equal,
                ">=" => Operator::LaterOrEqual,
                ">>" => Operator::Later,
                _ => return Err(error()),
            };
            let version = inner[end..].trim();
            if version.is_empty() || version.contains(char::is_whitespace) {
                return Err(error());
            }
            Some((operator, version.to_owned()))
        }
    };
    Ok(Relation { name: name.to_owned(), version })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_groups_and_versions() {
        let groups = parse("libc6 (>= 2.38), mawk | awk,\n python3:any (<< 3.14), ").unwrap();
        let text: Vec<Vec<String>> =
            groups.iter().map(|g| g.iter().map(ToString::to_string).collect()).collect();
        assert_eq!(text, [vec!["libc6 (>= 2.38)"], vec!["mawk", "awk"], vec!["python3 (<< 3.14)"]]);
        assert!(groups[0][0].allows("2.41-12") && !groups[0][0].allows("2.37"));
        assert!(!groups[2][0].allows("3.14"));
        let exact = &parse("aa(=1)").unwrap()[0][0];
        assert!(exact.allows("1") && !exact.allows("1-1"));
    }

    #[test]
    fn bad_relations_are_refused() {
        for bad in ["A", "a", "aa (1)", "aa (> 1)", "aa (>= )", "aa (>= 1", "aa b", "aa | ", "|"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "[a-c(),|<>=: 1é]{0,40}") {
            if let Ok(groups) = parse(&text) {
                for relation in groups.iter().flatten() {
                    // What was parsed says the same again.
                    assert_eq!(parse(&relation.to_string()).unwrap(), [[relation.clone()]]);
                }
            }
        }
    }
}
