// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sizes for people.

use std::fmt;

/// A number of bytes, printed with three digits and a unit of the power of ten that disks are sold
/// by: `20.0 GB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = ["B", "kB", "MB", "GB", "TB", "PB"];
        let mut unit = 0;
        let mut scale = 1u64;
        while unit + 1 < units.len() && self.0 / scale >= 1000 {
            scale *= 1000;
            unit += 1;
        }
        let whole = self.0 / scale;
        let tenth = self.0 % scale * 10 / scale;
        match whole {
            _ if unit == 0 => write!(f, "{whole} B"),
            100.. => write!(f, "{whole} {}", units[unit]),
            _ => write!(f, "{whole}.{tenth} {}", units[unit]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (20_000_000_000, "20.0 GB"),
            (536_870_912, "536 MB"),
            (18_446_744_073_709_551_615, "18446 PB"),
        ] {
            assert_eq!(Size(bytes).to_string(), text);
        }
    }
}
