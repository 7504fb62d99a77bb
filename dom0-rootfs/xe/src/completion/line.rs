// SPDX-License-Identifier: MIT OR Apache-2.0
//! The beginning of a command line as bash sees it: words, quotes, and where the word begins that
//! would be replaced.

/// A line up to where somebody types.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Whole words after the program, without quotes.
    pub(super) words: Vec<String>,
    /// What was typed of the next word, without quotes; may be empty.
    pub(super) current: String,
    /// How much of it, in bytes, lies before the word that the shell replaces.
    start: usize,
    /// The quote that is open.
    quote: Option<char>,
}

impl Line {
    /// Reads a line; `breaks` are characters at which the shell begins a word.
    pub(super) fn parse(text: &str, breaks: &str) -> Line {
        let mut words: Vec<String> = Vec::new();
        let mut current: Option<String> = None;
        let (mut start, mut quote) = (0, None);
        let mut letters = text.chars();
        while let Some(letter) = letters.next() {
            match (quote, letter) {
                (None, letter) if letter.is_whitespace() => {
                    words.extend(current.take());
                    start = 0;
                }
                (None, '\'' | '"') => {
                    quote = Some(letter);
                    start = current.get_or_insert_default().len();
                }
                (Some(open), letter) if open == letter => quote = None,
                (None | Some('"'), '\\') => current.get_or_insert_default().extend(letters.next()),
                (None, letter) => {
                    let word = current.get_or_insert_default();
                    word.push(letter);
                    if breaks.contains(letter) {
                        start = word.len();
                    }
                }
                (Some(_), letter) => current.get_or_insert_default().push(letter),
            }
        }
        // The first word is the program's name.
        let words = words.split_off(1.min(words.len()));
        Line { words, current: current.unwrap_or_default(), start, quote }
    }

    /// How the shell is to write a word that begins as this one: from where it replaces, quoted as
    /// was begun, with a blank after it if nothing more follows. An open quote the shell closes.
    pub(super) fn shown(&self, word: &str, done: bool) -> String {
        let rest = word.get(self.start..).unwrap_or(word);
        match self.quote {
            Some('\'') => rest.to_owned(),
            Some(_) => escaped(rest, |letter| "\"\\$`".contains(letter)),
            None => {
                let plain =
                    |letter: char| letter.is_alphanumeric() || "-_./:=,@%+".contains(letter);
                let text = escaped(rest, |letter| !plain(letter));
                if done { text + " " } else { text }
            }
        }
    }
}

fn escaped(text: &str, special: impl Fn(char) -> bool) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        if special(letter) {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Line {
        Line::parse(text, "=:")
    }

    #[test]
    fn words_and_what_was_begun() {
        let line = parse("xe vm-list  name-label='my vm' par");
        assert_eq!(line.words, ["vm-list", "name-label=my vm"]);
        assert_eq!((line.current.as_str(), line.start), ("par", 0));
        assert_eq!(parse("xe vm-list ").current, "");
        assert_eq!(parse("xe").words, [""; 0]);
        assert_eq!(parse("xe a\\ b c").words, ["a b"]);
    }

    #[test]
    fn only_what_the_shell_replaces_is_shown() {
        assert_eq!(parse("xe x uuid=1").shown("uuid=123", true), "123 ");
        assert_eq!(parse("xe x other-config:a=").shown("other-config:a=b", false), "b");
        assert_eq!(Line::parse("xe x uuid=1", "").shown("uuid=123", true), "uuid=123 ");
        assert_eq!(parse("xe x vm=").shown("vm=a b", true), "a\\ b ");
        assert_eq!(parse("xe x vm=\"a").shown("vm=a $b", true), "a \\$b");
        assert_eq!(parse("xe x 'vm=a").shown("vm=a $b", true), "vm=a $b");
        assert_eq!(parse("xe x vm=\"a b\"").shown("vm=a b", true), "a\\ b ");
    }
}
