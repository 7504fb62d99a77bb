// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sizes as people write them.

use super::BadField;

/// Units with their bytes: decimal as on disks' labels, binary as in memory.
const UNITS: &[(&str, u64)] = &[
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// `480 GB`, `1.8TB`, `500 GiB` in bytes.
///
/// # Errors
/// Something else, or more than 2^64 bytes.
pub fn bytes(text: &str) -> Result<u64, BadField> {
    let wrong =
        || BadField::new(format!("{text:?} is not a size such as \"480 GB\" or \"1.8 TiB\""));
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
    let (number, unit) = text.split_at(end);
    let unit = unit.trim();
    let (_, unit) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if fraction.is_empty() || fraction.len() > 6 {
        return Err(wrong());
    }
    let whole: u64 = whole.parse().map_err(|_| wrong())?;
    let part: u64 = fraction.parse().map_err(|_| wrong())?;
    let tenth = 10_u64.pow(u32::try_from(fraction.len()).unwrap_or_default());
    // At most six digits of at most a TiB: this fits.
    let part = part * (unit / tenth) + part * (unit % tenth) / tenth;
    whole.checked_mul(*unit).and_then(|bytes| bytes.checked_add(part)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, expected) in [
            ("480 GB", Some(480_000_000_000)),
            ("1.8TB", Some(1_800_000_000_000)),
            ("0.5 GiB", Some(1 << 29)),
            (" 16 TiB ", Some(16 << 40)),
            ("1.000001 MB", Some(1_000_001)),
            ("18446744 TB", Some(18_446_744_000_000_000_000)),
            ("18446745 TB", None),
            ("480", None),
            ("480 gb", None),
            ("GB", None),
            ("1. GB", None),
            (".5 GB", None),
            ("1.2.3 GB", None),
            ("-1 GB", None),
            ("1.0000001 GB", None),
            ("", None),
        ] {
            assert_eq!(bytes(text).ok(), expected, "{text}");
        }
    }
}
