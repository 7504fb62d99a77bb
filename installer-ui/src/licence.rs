// SPDX-License-Identifier: MIT OR Apache-2.0
//! The terms, as the image has them.

use std::fs;

use widgets::wrap;

/// Our own terms, and those of every library in our programs.
const OWN: &str = "/usr/share/doc/xenith/copyright";
/// Columns of a line.
const WIDTH: usize = 76;
/// A line for each paragraph.
const HEAD: &str = "\
Xenith is under the MIT licence or the Apache License 2.0, at your choice, and comes without any \
warranty. Both are below, with the terms of every library in its programs.

Xen, Linux and Debian's programs, which come along, are under terms of their own. On the host \
/usr/share/xenith/manifest lists them, and /usr/share/doc has the terms of each.

Go on with Enter if that is all right for you.
";

/// Lines for the screen.
pub fn lines() -> Vec<String> {
    lines_of(fs::read_to_string(OWN))
}

pub(crate) fn lines_of(own: std::io::Result<String>) -> Vec<String> {
    let own = own.unwrap_or_else(|error| format!("They cannot be shown: {OWN}: {error}"));
    let text = format!("{HEAD}\n{}\n\n{own}", "-".repeat(WIDTH));
    // Control characters of any file must not reach the terminal.
    let plain = |line: &str| line.replace('\t', "    ").replace(char::is_control, " ");
    text.lines().flat_map(|line| wrap_indented(&plain(line))).collect()
}

/// Short lines stay as they are, blanks in front too.
fn wrap_indented(line: &str) -> Vec<String> {
    match line.chars().count() > WIDTH {
        true => wrap(line.trim_start(), WIDTH),
        false => vec![line.trim_end().to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_fit_the_screen_and_a_missing_file_is_said() {
        let long = format!("  indented\n\t{}\u{1b}[2J\n", "word ".repeat(40));
        let lines = lines_of(Ok(long));
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH));
        assert!(lines.iter().all(|line| !line.contains(char::is_control)));
        assert!(lines.contains(&"  indented".to_owned()));
        let missing = lines_of(Err(std::io::ErrorKind::NotFound.into()));
        assert!(missing.last().unwrap().starts_with("They cannot be shown: /usr/share/doc/"));
    }
}
