// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel command line says to the installer.

/// The value of `key=value` on a kernel command line; the last one counts, quotes are removed.
pub fn value<'a>(cmdline: &'a str, key: &str) -> Option<&'a str> {
    let words = cmdline.split_ascii_whitespace().rev();
    let mut values = words.filter_map(|word| word.strip_prefix(key)?.strip_prefix('='));
    values.next().map(|value| value.trim_matches('"'))
}

/// Whether a word stands alone on a kernel command line.
pub fn has(cmdline: &str, word: &str) -> bool {
    cmdline.split_ascii_whitespace().any(|found| found == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_counts() {
        let line = "quiet xenith.mode=live xenith.mode=install xenith.answers=\"label:A\" x\n";
        assert_eq!(value(line, "xenith.mode"), Some("install"));
        assert_eq!(value(line, "xenith.answers"), Some("label:A"));
        assert_eq!(value(line, "xenith.answer"), None);
        assert_eq!(value(line, "quiet"), None);
        assert!(has(line, "quiet") && has(line, "x"));
        assert!(!has(line, "xenith.mode") && !has(line, "qui"));
    }
}
