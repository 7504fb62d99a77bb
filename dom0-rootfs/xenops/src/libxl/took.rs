// SPDX-License-Identifier: MIT OR Apache-2.0
//! How long the parts of something took.

use std::fmt;
use std::time::{Duration, Instant};

/// Parts, one after the other; shown as `looking 3, writing 12`, in milliseconds.
#[derive(Debug)]
pub(crate) struct Took {
    began: Instant,
    parts: Vec<(&'static str, Duration)>,
}

impl Took {
    /// The first part begins.
    pub(crate) fn begin() -> Self {
        Self { began: Instant::now(), parts: Vec::new() }
    }

    /// A part has ended, and the next begins.
    pub(crate) fn tell(&mut self, part: &'static str) {
        let now = Instant::now();
        self.parts.push((part, now.duration_since(self.began)));
        self.began = now;
    }

    /// Two parts have ended, of which the second has lasted so long.
    pub(crate) fn tell_both(&mut self, first: &'static str, second: (&'static str, Duration)) {
        self.tell(first);
        let (second, lasted) = second;
        let Some((_, both)) = self.parts.last_mut() else { return };
        let lasted = lasted.min(*both);
        *both -= lasted;
        self.parts.push((second, lasted));
    }
}

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (part, time)) in self.parts.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{part} {}", time.as_millis())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_in_order() {
        let mut took = Took::begin();
        for part in ["looking", "writing"] {
            took.tell(part);
        }
        took.parts[1].1 = Duration::from_micros(12_900);
        took.parts[0].1 = Duration::ZERO;
        assert_eq!(took.to_string(), "looking 0, writing 12");
    }

    #[test]
    fn a_time_is_parted_where_the_second_part_began() {
        let mut took = Took::begin();
        took.began = Instant::now().checked_sub(Duration::from_secs(60)).unwrap();
        took.tell_both("building", ("waiting", Duration::from_secs(20)));
        assert_eq!(took.parts[1], ("waiting", Duration::from_secs(20)));
        assert_eq!(took.parts[0].1.as_secs(), 40);
        // By another clock than ours it may have begun before.
        took.tell_both("building", ("waiting", Duration::from_secs(1000)));
        assert_eq!(took.parts[2].1, Duration::ZERO);
        assert!(took.parts[3].1 < Duration::from_secs(20));
    }
}
