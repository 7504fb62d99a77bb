// SPDX-License-Identifier: MIT OR Apache-2.0
//! Keyboard and time zone. Whether the image has them is [`crate::regional`]'s question.

use std::str::FromStr;

use super::BadField;

/// What the host's consoles and clocks are to be like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegionalAnswer {
    /// Keyboard of the console; none: US.
    pub keymap: Option<Keymap>,
    /// Zone in which times are shown; none: UTC.
    pub zone: Option<TimeZone>,
}

/// Name of a keymap as loadkeys(1) takes it: `de-latin1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keymap(String);

/// Name of a zone in the IANA time zone database: `Europe/Berlin`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeZone(String);

/// Longest name of either, in characters.
const LONGEST: usize = 64;

impl Keymap {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TimeZone {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether this can be a name, or a part of one between slashes.
fn plain(text: &str, marks: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || marks.contains(c);
    text.chars().all(letter) && text.starts_with(|c: char| c.is_ascii_alphanumeric())
}

impl FromStr for Keymap {
    type Err = BadField;

    fn from_str(text: &str) -> Result<Self, BadField> {
        match plain(text, "-_.+") && text.len() <= LONGEST {
            true => Ok(Self(text.to_owned())),
            false => {
                Err(BadField::new(format!("{text:?} is no name of a keymap, such as us or de")))
            }
        }
    }
}

impl FromStr for TimeZone {
    type Err = BadField;

    fn from_str(text: &str) -> Result<Self, BadField> {
        match text.split('/').all(|part| plain(part, "-_+")) && text.len() <= LONGEST {
            true => Ok(Self(text.to_owned())),
            false => Err(BadField::new(format!(
                "{text:?} is no name of a time zone, such as UTC or Europe/Berlin"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["us", "de-latin1-nodeadkeys", "fr_CH", "us-intl.iso01", "ANSI-dvorak"] {
            assert_eq!(good.parse::<Keymap>().unwrap().as_str(), good);
        }
        let long = "a".repeat(65);
        for bad in ["", "../us", "/etc/passwd", "-q", "a b", "de\n", "ü", long.as_str()] {
            assert!(bad.parse::<Keymap>().is_err(), "{bad}");
        }
        for good in ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+1"] {
            assert_eq!(good.parse::<TimeZone>().unwrap().as_str(), good);
        }
        for bad in ["", "Europe/", "/Berlin", "../x", "A//B", "Europe/..", "a b", long.as_str()] {
            assert!(bad.parse::<TimeZone>().is_err(), "{bad}");
        }
    }
}
