// SPDX-License-Identifier: MIT OR Apache-2.0
//! Expressions of `get_all_records_where`: `field "name__label" = "a" and not field "is_a_template" = "true"`.

use xapi_model::Class;

use crate::store::Object;

/// Deepest nesting of an expression.
const MAX_DEPTH: usize = 50;

/// An expression about one object.
#[derive(Debug, Clone, PartialEq)]
pub enum Query {
    /// Always the same.
    Is(bool),
    /// Two texts are equal.
    Equal(Term, Term),
    /// The reverse.
    Not(Box<Query>),
    /// Both.
    And(Box<Query>, Box<Query>),
    /// At least one.
    Or(Box<Query>, Box<Query>),
}

/// One side of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub enum Term {
    /// The text of a field.
    Field(&'static str),
    /// A fixed text.
    Text(String),
}

impl Query {
    /// Reads an expression about objects of a class. The error says what is wrong with it.
    pub fn parse(class: &'static Class, text: &str) -> Result<Query, String> {
        let tokens = tokens(text)?;
        if tokens.len() > MAX_TOKENS {
            return Err(format!("the expression has more than {MAX_TOKENS} words and signs"));
        }
        let mut parser = Parser { class, tokens, at: 0 };
        let query = parser.or(0)?;
        match parser.tokens.get(parser.at) {
            None => Ok(query),
            Some(token) => Err(format!("{token:?} follows the expression")),
        }
    }

    /// Whether it is true of an object.
    pub fn matches(&self, object: &Object) -> bool {
        match self {
            Query::Is(truth) => *truth,
            Query::Equal(a, b) => a.text(object) == b.text(object),
            Query::Not(query) => !query.matches(object),
            Query::And(a, b) => a.matches(object) && b.matches(object),
            Query::Or(a, b) => a.matches(object) || b.matches(object),
        }
    }
}

impl Term {
    fn text(&self, object: &Object) -> String {
        match self {
            Term::Field(name) => object.get(name).text(),
            Term::Text(text) => text.clone(),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Sign(char),
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => {}
            '(' | ')' | '=' => tokens.push(Token::Sign(c)),
            '"' | '\'' => {
                let mut literal = String::new();
                loop {
                    match chars.next() {
                        Some('\\') => literal.extend(chars.next()),
                        Some(end) if end == c => break,
                        Some(other) => literal.push(other),
                        None => return Err("a text has no end".into()),
                    }
                }
                tokens.push(Token::Text(literal));
            }
            c if c.is_ascii_alphabetic() => {
                let mut word = String::from(c);
                while let Some(next) = chars.next_if(|n| n.is_ascii_alphanumeric() || *n == '_') {
                    word.push(next);
                }
                tokens.push(Token::Word(word.to_ascii_lowercase()));
            }
            other => return Err(format!("{other:?} is not understood")),
        }
    }
    Ok(tokens)
}

/// Longest expression in words and signs. Every `and` and `or` nests one deeper.
const MAX_TOKENS: usize = 2000;

struct Parser {
    class: &'static Class,
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn word(&mut self, word: &str) -> bool {
        let found = matches!(self.tokens.get(self.at), Some(Token::Word(w)) if w == word);
        self.at += usize::from(found);
        found
    }

    fn sign(&mut self, sign: char) -> Result<(), String> {
        if self.tokens.get(self.at) == Some(&Token::Sign(sign)) {
            self.at += 1;
            return Ok(());
        }
        Err(format!("{sign:?} is missing"))
    }

    fn or(&mut self, depth: usize) -> Result<Query, String> {
        if depth > MAX_DEPTH {
            return Err("the expression is nested too deep".into());
        }
        let mut query = self.and(depth)?;
        while self.word("or") {
            query = Query::Or(Box::new(query), Box::new(self.and(depth)?));
        }
        Ok(query)
    }

    fn and(&mut self, depth: usize) -> Result<Query, String> {
        let mut query = self.not(depth)?;
        while self.word("and") {
            query = Query::And(Box::new(query), Box::new(self.not(depth)?));
        }
        Ok(query)
    }

    fn not(&mut self, depth: usize) -> Result<Query, String> {
        if self.word("not") {
            if depth > MAX_DEPTH {
                return Err("the expression is nested too deep".into());
            }
            return Ok(Query::Not(Box::new(self.not(depth + 1)?)));
        }
        if self.sign('(').is_ok() {
            let query = self.or(depth + 1)?;
            self.sign(')')?;
            return Ok(query);
        }
        if self.word("true") {
            return Ok(Query::Is(true));
        }
        if self.word("false") {
            return Ok(Query::Is(false));
        }
        let left = self.term()?;
        self.sign('=')?;
        Ok(Query::Equal(left, self.term()?))
    }

    fn term(&mut self) -> Result<Term, String> {
        let is_field = self.word("field");
        let Some(Token::Text(text)) = self.tokens.get(self.at).cloned() else {
            return Err("a text or a field is missing".into());
        };
        self.at += 1;
        if !is_field {
            return Ok(Term::Text(text));
        }
        // Clients write name__label for name_label.
        let name = text.replace("__", "_");
        let field = self.class.fields.iter().find(|f| f.name.eq_ignore_ascii_case(&name));
        field.map(|f| Term::Field(f.name)).ok_or_else(|| format!("there is no field {text}"))
    }
}

#[cfg(test)]
mod tests {
    use xapi_model::classes;

    use super::*;

    #[test]
    fn expressions_are_read() {
        let read = |text: &str| Query::parse(&classes::VM, text);
        let name = || Term::Field("name_label");
        let a = || Term::Text("a\"".into());
        assert_eq!(read(r#"field "name__label"="a\"""#), Ok(Query::Equal(name(), a())));
        assert_eq!(
            read(r#"not (field 'name_label' = 'a"') and true or false"#),
            Ok(Query::Or(
                Box::new(Query::And(
                    Box::new(Query::Not(Box::new(Query::Equal(name(), a())))),
                    Box::new(Query::Is(true))
                )),
                Box::new(Query::Is(false))
            ))
        );
        for bad in ["", "field", "true true", "(true", "field \"no\" = \"a\"", "\"a", "true & true"]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(read(&"(".repeat(100_000)).is_err());
        assert!(read(&"not ".repeat(100_000)).is_err());
        assert!(read(&format!("true{}", " or true".repeat(100_000))).is_err());
    }
}
