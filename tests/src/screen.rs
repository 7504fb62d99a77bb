// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a terminal of 80x24 shows at the other end of a serial line, compared with text files.

use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::serial::Serial;

const ROWS: NonZero<u16> = NonZero::new(24).unwrap();
const COLUMNS: NonZero<u16> = NonZero::new(80).unwrap();
/// In a file: this cell may hold anything.
const ANYTHING: char = '~';
/// Ctrl-L.
const DRAW_AGAIN: &str = "\x0c";
/// With `UPDATE_GOLDEN` set: how long the line has to be silent until a screen is taken for whole.
const SILENCE: Duration = Duration::from_secs(5);

/// A terminal, which a person sits at.
pub struct Screen {
    parser: vt100::Parser,
    golden: PathBuf,
}

impl Screen {
    /// An empty one, whose screens are files in `tests/screens/<folder>`.
    pub fn new(folder: &str) -> Self {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("screens").join(folder);
        Self { parser: vt100::Parser::new(ROWS, COLUMNS, 0), golden }
    }

    /// All rows, without the spaces at their ends.
    pub fn text(&self) -> String {
        let rows = self.parser.screen().rows(0, COLUMNS.get());
        rows.map(|row| format!("{}\n", row.trim_end())).collect()
    }

    /// Follows the line until the screen shows `text` somewhere.
    pub fn wait(&mut self, serial: &mut Serial, text: &str, limit: Duration) -> Result<()> {
        let waited = self.follow(serial, &format!("{text:?} on the screen"), limit, |shown| {
            shown.contains(text)
        });
        waited.with_context(|| format!("the screen shows:\n{}", self.text()))
    }

    /// Follows the line until the screen is as wanted. Xen and the kernel speak on the same line, in the
    /// middle of the screen: it is drawn again then.
    fn follow(
        &mut self,
        serial: &mut Serial,
        what: &str,
        limit: Duration,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<()> {
        loop {
            let mut said = Heard::default();
            let mut there = false;
            serial.follow(what, limit, |new| {
                self.parser.process(new.as_bytes());
                there = wanted(&self.text());
                there || said.whole_message(new)
            })?;
            if there {
                return Ok(());
            }
            serial.send(DRAW_AGAIN)?;
        }
    }

    /// Follows the line until the screen is the file `name`, apart from the cells that may hold anything.
    /// `text` is what only this screen has. With `UPDATE_GOLDEN` set the file is written anew instead.
    pub fn expect(
        &mut self,
        serial: &mut Serial,
        name: &str,
        text: &str,
        limit: Duration,
    ) -> Result<()> {
        let file = self.golden.join(name).with_extension("txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            self.wait(serial, text, limit)?;
            // Without what Xen said in the middle of it.
            serial.send(DRAW_AGAIN)?;
            // Nothing says that a screen is whole.
            let more = serial.follow("silence", SILENCE, |new| {
                self.parser.process(new.as_bytes());
                false
            });
            if let Err(error) = more {
                anyhow::ensure!(error.to_string().starts_with("silence"), error);
            }
            fs::create_dir_all(&self.golden).context("making the folder of screens")?;
            let before = fs::read_to_string(&file).unwrap_or_default();
            return fs::write(&file, with_marks(&before, &self.text())).context("writing a screen");
        }
        let golden = fs::read_to_string(&file);
        let golden = golden.with_context(|| format!("reading {}", file.display()))?;
        let what = format!("the screen {}", file.display());
        let waited =
            self.follow(serial, &what, limit, |shown| difference(&golden, shown).is_none());
        let Err(error) = waited else { return Ok(()) };
        let shown = self.text();
        let line = difference(&golden, &shown).unwrap_or_default();
        bail!("{error}; it differs first in line {line}; the screen shows:\n{shown}")
    }
}

/// What was heard since a screen was drawn.
#[derive(Default)]
struct Heard(String);

impl Heard {
    /// Whether a whole message of Xen or of the kernel has come.
    fn whole_message(&mut self, new: &str) -> bool {
        self.0.push_str(new);
        let message = |line: &str| {
            let stamp = |rest: &str| {
                let time = rest.split_once("] ").map(|(time, _)| time.trim_start());
                time.is_some_and(|time| time.contains('.') && time.parse::<f64>().is_ok())
            };
            let kernel = line.match_indices('[').any(|(at, _)| stamp(&line[at + 1..]));
            line.contains("(XEN) ") || kernel
        };
        self.0.split_inclusive('\n').any(|line| line.ends_with('\n') && message(line))
    }
}

/// The first line, from 1, in which a screen is not what a file wants.
fn difference(golden: &str, shown: &str) -> Option<usize> {
    let (mut wanted, mut found) = (golden.lines(), shown.lines());
    (1..).find_map(|line| match (wanted.next(), found.next()) {
        (None, None) => Some(None),
        (Some(wanted), Some(found)) if same(wanted, found) => None,
        _ => Some(Some(line)),
    })?
}

/// The new text of a file, with the marks of the rows that are still as they were.
fn with_marks(before: &str, now: &str) -> String {
    let before = before.lines().map(Some).chain(std::iter::repeat(None));
    let rows = now.lines().zip(before).map(|(now, before)| match before {
        Some(before) if same(before, now) => format!("{before}\n"),
        _ => format!("{now}\n"),
    });
    rows.collect()
}

/// Whether a row is as wanted; a cell behind its end is a space.
fn same(wanted: &str, found: &str) -> bool {
    let cells = wanted.chars().count().max(found.chars().count());
    let padded =
        |row: &str| row.chars().chain(std::iter::repeat(' ')).take(cells).collect::<Vec<_>>();
    padded(wanted).into_iter().zip(padded(found)).all(|(w, f)| w == ANYTHING || w == f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_marked_cells_may_differ() {
        let golden = " at ~~~ B/s, ~~ s\nend\n";
        assert_eq!(difference(golden, " at 123 B/s, 10 s\nend\n"), None);
        assert_eq!(difference(golden, " at   3 B/s,  1 s\nend\n"), None);
        assert_eq!(difference(golden, " at 1234 B/s,  1 s\nend\n"), Some(1));
        assert_eq!(difference(golden, " at 123 B/s, 10 s\nand\n"), Some(2));
        assert_eq!(difference(golden, " at 123 B/s, 10 s\n"), Some(2));
        assert_eq!(difference("a ~~\n", "a\n"), None);
        assert_eq!(difference("a\n", "a b\n"), Some(1));
        assert_eq!(with_marks("a ~\nb ~\n", "a 1\nc 2\nd\n"), "a ~\nc 2\nd\n");
    }

    #[test]
    fn messages_count_when_they_are_whole() {
        let mut heard = Heard::default();
        for part in ["\x1b[2;3H[done] x\r\n", "(XE", "N) uart inter", "rupt"] {
            assert!(!heard.whole_message(part), "{part}");
        }
        assert!(heard.whole_message("\r\n"));
        let kernel = "\x1b[24;1HEnter[   63.123456] virtio_blk: new\r\n";
        assert!(!Heard::default().whole_message("  [ ok ] Disk\n  [warn] \n [  7%] x\n"));
        assert!(Heard::default().whole_message("[   63.123456] virtio_blk: new\r\n"));
        assert!(Heard::default().whole_message(kernel));
    }

    #[test]
    fn a_screen_is_what_the_last_bytes_made_of_it() {
        let mut screen = Screen::new("none");
        screen.parser.process(b"old\x1b[?1049h\x1b[2J\x1b[2;3Hnew");
        assert!(screen.text().starts_with("\n  new\n"), "{}", screen.text());
        assert_eq!(screen.text().lines().count(), 24);
    }
}
