// SPDX-License-Identifier: MIT OR Apache-2.0
//! How fast something long goes, and how long it still takes.

use std::fmt;
use std::time::Duration;

use crate::size::Size;

/// How far something is that reads or writes a known number of bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pace {
    /// Bytes so far.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
    /// Time so far.
    pub elapsed: Duration,
}

impl Pace {
    /// 0 to 100.
    pub fn percent(&self) -> u64 {
        let percent = u128::from(self.done.min(self.total)) * 100;
        u64::try_from(percent.checked_div(self.total.into()).unwrap_or(0)).unwrap_or(100)
    }

    /// Bytes a second, once it has run for a moment.
    pub fn rate(&self) -> Option<u64> {
        let millis = self.elapsed.as_millis();
        (millis >= 100).then(|| u64::try_from(u128::from(self.done) * 1000 / millis).ok())?
    }

    /// Time that the rest takes at this rate.
    pub fn remaining(&self) -> Option<Duration> {
        let rate = self.rate().filter(|rate| *rate > 0)?;
        Some(Duration::from_secs(self.total.saturating_sub(self.done).div_ceil(rate)))
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", Size(self.done), Size(self.total))?;
        if let Some(rate) = self.rate() {
            write!(f, ", {}/s", Size(rate))?;
        }
        match self.remaining().map(|left| left.as_secs()) {
            Some(seconds @ 0..120) => write!(f, ", {seconds} s left"),
            Some(seconds) => write!(f, ", {} min left", seconds.div_ceil(60)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_and_rest() {
        let pace = |done, total, millis| {
            let pace = Pace { done, total, elapsed: Duration::from_millis(millis) };
            (pace.to_string(), pace.percent())
        };
        for (found, text, percent) in [
            (pace(0, 0, 0), "0 B of 0 B", 0),
            (pace(0, 100, 5000), "0 B of 100 B, 0 B/s", 0),
            (pace(30_000_000, 150_000_000, 50), "30.0 MB of 150 MB", 20),
            (pace(30_000_000, 150_000_000, 1000), "30.0 MB of 150 MB, 30.0 MB/s, 4 s left", 20),
            (pace(1_000_000, 700_000_000, 2000), "1.0 MB of 700 MB, 500 kB/s, 24 min left", 0),
            (pace(150, 150, 1000), "150 B of 150 B, 150 B/s, 0 s left", 100),
            (pace(u64::MAX, 1, 1000), "18446 PB of 1 B, 18446 PB/s, 0 s left", 100),
        ] {
            assert_eq!(found, (text.to_owned(), percent));
        }
    }
}
