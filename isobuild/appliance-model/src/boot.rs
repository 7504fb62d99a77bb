// SPDX-License-Identifier: MIT OR Apache-2.0
//! What Xen and the Dom0 kernel are booted with, beside what every boot entry says itself.
//!
//! The profile decides. The medium's menu has the options, and the medium carries them in
//! [`crate::medium::BOOT_OPTIONS`], so that the installer writes the same into a host's menu.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One word of a command line: printable ASCII but space, quotes and backslash, which GRUB hands on
/// with a backslash in front.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BootOption(String);

/// A text that is not a [`BootOption`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "{0:?} is not one word of a boot command line: printable ASCII without space, quotes and \
     backslash"
)]
pub struct NotABootOption(String);

impl BootOption {
    /// The word as GRUB's shell reads it as itself: in quotes if it has characters that the shell
    /// might understand.
    #[must_use]
    pub fn grub(&self) -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.,:=/+@%".contains(c);
        match self.0.chars().all(plain) {
            true => self.0.clone(),
            false => format!("'{}'", self.0),
        }
    }
}

impl FromStr for BootOption {
    type Err = NotABootOption;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.to_owned().try_into()
    }
}

impl TryFrom<String> for BootOption {
    type Error = NotABootOption;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let fits = |c: char| c.is_ascii_graphic() && !"'\"\\".contains(c);
        match !text.is_empty() && text.chars().all(fits) {
            true => Ok(Self(text)),
            false => Err(NotABootOption(text)),
        }
    }
}

impl From<BootOption> for String {
    fn from(option: BootOption) -> Self {
        option.0
    }
}

impl fmt::Display for BootOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BootOptions {
    /// Options of Xen's command line, beside its consoles.
    pub xen: Vec<BootOption>,
    /// Options of the Dom0 kernel's command line, beside its consoles and Xenith's own.
    pub dom0: Vec<BootOption>,
}

/// A text that is not [`BootOptions`], in one line for a screen.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("line {line}: {message}")]
pub struct NotBootOptions {
    line: usize,
    message: String,
}

impl BootOptions {
    /// Reads the file's text.
    ///
    /// # Errors
    /// Not TOML, another key, a missing one, or an option that is none.
    pub fn from_toml(text: &str) -> Result<Self, NotBootOptions> {
        toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let line = text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
            NotBootOptions { line, message: error.message().to_owned() }
        })
    }

    /// The file's text.
    ///
    /// # Errors
    /// What `toml` reports; no value of this type is known to cause it.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_read_as_it_was_written() {
        let option = |text: &str| text.parse::<BootOption>().unwrap();
        let options = BootOptions { xen: vec![option("dom0_mem=1G")], dom0: Vec::new() };
        let text = options.to_toml().unwrap();
        assert_eq!(text, "xen = [\"dom0_mem=1G\"]\ndom0 = []\n");
        assert_eq!(BootOptions::from_toml(&text).unwrap(), options);
    }

    #[test]
    fn a_malformed_file_is_an_error() {
        for (text, expected) in [
            ("", "line 1: missing field `xen`"),
            ("xen = []", "missing field `dom0`"),
            ("xen = []\ndom0 = []\nkernel = []", "line 3: unknown field `kernel`"),
            ("xen = 'a'\ndom0 = []", "invalid type"),
            ("xen = ['a b']\ndom0 = []", "\"a b\" is not one word of a boot command line"),
            ("xen = [", "line 1: "),
        ] {
            let error = BootOptions::from_toml(text).unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains('\n'), "{text}: {error}");
        }
    }

    #[test]
    fn nothing_is_left_for_grubs_shell_to_understand() {
        for (text, expected) in [
            ("dom0_mem=min:512M,max:50%", "dom0_mem=min:512M,max:50%"),
            ("xen-pciback.hide=(00:1f.2)(03:00.0)", "'xen-pciback.hide=(00:1f.2)(03:00.0)'"),
            ("memmap=64K$0x18690000", "'memmap=64K$0x18690000'"),
            ("a;b", "'a;b'"),
            ("ivrs_hpet[0]=00:14.0", "'ivrs_hpet[0]=00:14.0'"),
            ("#a", "'#a'"),
        ] {
            let option: BootOption = text.parse().unwrap();
            assert_eq!((option.grub().as_str(), option.to_string().as_str()), (expected, text));
        }
        for text in ["", "a b", "a\nreboot", "it's", "a=\"b\"", "a\\", "a\tb", "\u{e4}", "a\u{7f}"]
        {
            assert_eq!(text.parse::<BootOption>(), Err(NotABootOption(text.to_owned())));
        }
    }
}
