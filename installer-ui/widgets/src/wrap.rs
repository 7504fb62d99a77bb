// SPDX-License-Identifier: MIT OR Apache-2.0
//! Texts in lines of a screen.

/// Breaks a text between words so that no line is wider; longer words are cut.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        loop {
            let used = lines.last().map_or(0, |line| line.chars().count());
            let space = usize::from(used > 0);
            if used + space + word.len() <= width {
                let line = lines.last_mut().into_iter();
                for line in line {
                    line.extend(std::iter::repeat_n(' ', space));
                    line.extend(word.iter());
                }
                break;
            }
            if used > 0 {
                lines.push(String::new());
                continue;
            }
            let rest = word.split_off(width);
            lines.last_mut().into_iter().for_each(|line| line.extend(word.iter()));
            lines.push(String::new());
            word = rest;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij k", 4), ["abcd", "efgh", "ij k"]);
        assert_eq!(wrap("", 4), [""]);
    }
}
