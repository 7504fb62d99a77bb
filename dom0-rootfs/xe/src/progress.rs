// SPDX-License-Identifier: MIT OR Apache-2.0
//! How far a file has got, on standard error.

use std::io::{IsTerminal, Read, Result, Write};

/// Counts what goes through, and shows it if wanted.
pub(crate) struct Metered<'a, T> {
    inner: T,
    total: Option<u64>,
    done: u64,
    /// Percent or, without a total, units of 16 MiB that were shown.
    shown: u64,
    screen: Option<&'a mut dyn Write>,
    terminal: bool,
}

impl<'a, T> Metered<'a, T> {
    /// Of `total` bytes, where that is known; `screen` is where it shows.
    pub(crate) fn new(inner: T, total: Option<u64>, screen: Option<&'a mut dyn Write>) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Metered { inner, total, done: 0, shown: 0, screen, terminal }
    }

    fn count(&mut self, bytes: usize) -> Result<()> {
        self.done += bytes as u64;
        let Some(screen) = &mut self.screen else { return Ok(()) };
        let (now, step) = match self.total {
            // Lines that stay are fewer than changes of one line.
            Some(total) => (self.done * 100 / total.max(1), if self.terminal { 1 } else { 10 }),
            None => (self.done >> 24, if self.terminal { 1 } else { 16 }),
        };
        if now < self.shown + step {
            return Ok(());
        }
        self.shown = now;
        let mib = self.done >> 20;
        let text = match self.total {
            Some(total) => format!("{now:3} % of {} MiB", total >> 20),
            None => format!("{mib} MiB"),
        };
        match self.terminal {
            true => write!(screen, "\r{text}")?,
            false => writeln!(screen, "{text}")?,
        }
        screen.flush()
    }

    /// Ends the line.
    pub(crate) fn finish(self) -> Result<()> {
        match self.screen {
            Some(screen) if self.terminal && self.shown > 0 => writeln!(screen),
            _ => Ok(()),
        }
    }
}

impl<T: Read> Read for Metered<'_, T> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count(count)?;
        Ok(count)
    }
}

impl<T: Write> Write for Metered<'_, T> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let count = self.inner.write(bytes)?;
        self.count(count)?;
        Ok(count)
    }

    fn flush(&mut self) -> Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(total: Option<u64>, pieces: &[usize], terminal: bool) -> String {
        let mut screen = Vec::new();
        let mut metered = Metered::new(std::io::sink(), total, Some(&mut screen));
        metered.terminal = terminal;
        for piece in pieces {
            metered.write_all(&vec![0; *piece]).unwrap();
        }
        metered.finish().unwrap();
        String::from_utf8(screen).unwrap()
    }

    #[test]
    fn progress_is_shown_as_there_is_room() {
        let mib = 1 << 20;
        let pieces = [mib, mib / 100, 2 * mib, mib - mib / 100];
        let lines = " 25 % of 4 MiB\n 75 % of 4 MiB\n100 % of 4 MiB\n";
        assert_eq!(shown(Some(4 << 20), &pieces, false), lines);
        let line = "\r 25 % of 4 MiB\r 75 % of 4 MiB\r100 % of 4 MiB\n";
        assert_eq!(shown(Some(4 << 20), &pieces, true), line);
        assert_eq!(shown(None, &[16 * mib, mib], true), "\r16 MiB\n");
        assert_eq!(shown(None, &[mib], true), "");
    }
}
