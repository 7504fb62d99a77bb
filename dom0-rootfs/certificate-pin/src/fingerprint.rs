// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a certificate is told from others by.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

/// SHA-256 of a certificate as DER. Written in hexadecimal with colons, as `openssl x509 -fingerprint
/// -sha256` prints it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

/// A text that is no fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAFingerprint {
    /// Of another length; 40 digits are SHA-1, 32 are MD5.
    #[error(
        "has {0} hexadecimal digits and not the 64 of SHA-256, which `openssl x509 -noout \
         -fingerprint -sha256` prints"
    )]
    Length(usize),
    /// Something else than digits and colons between pairs of them.
    #[error(
        "is not a SHA-256 fingerprint: 64 hexadecimal digits, in pairs with colons between them or \
         without, as `openssl x509 -noout -fingerprint -sha256` prints it"
    )]
    Form,
}

impl Fingerprint {
    /// That of a certificate.
    pub fn of(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }
}

impl FromStr for Fingerprint {
    type Err = NotAFingerprint;

    /// Digits of either case, with colons or without; all of openssl's line will do.
    fn from_str(text: &str) -> Result<Self, NotAFingerprint> {
        let text = text.trim();
        let name = text.split_once('=').map(|(name, _)| name.to_ascii_lowercase());
        let digits = match name.as_deref() {
            Some("sha256 fingerprint") => &text["sha256 fingerprint=".len()..],
            _ => text,
        };
        let pairs: Vec<&str> = match digits.contains(':') {
            true => digits.split(':').collect(),
            false if digits.is_ascii() => (0..digits.len())
                .step_by(2)
                .map(|at| &digits[at..(at + 2).min(digits.len())])
                .collect(),
            false => return Err(NotAFingerprint::Form),
        };
        let hex = |pair: &&str| pair.bytes().all(|b| b.is_ascii_hexdigit());
        if digits.is_empty() || !pairs.iter().all(hex) {
            return Err(NotAFingerprint::Form);
        }
        let length = pairs.iter().map(|pair| pair.len()).sum();
        if length != 64 {
            return Err(NotAFingerprint::Length(length));
        }
        let mut bytes = [0; 32];
        if pairs.len() != bytes.len() || pairs.iter().any(|pair| pair.len() != 2) {
            return Err(NotAFingerprint::Form);
        }
        for (byte, pair) in bytes.iter_mut().zip(pairs) {
            *byte = u8::from_str_radix(pair, 16).map_err(|_| NotAFingerprint::Form)?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(at, byte)| match at {
            0 => write!(f, "{byte:02X}"),
            _ => write!(f, ":{byte:02X}"),
        })
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_openssl_prints_is_read() {
        let one = Fingerprint::of(&[1]);
        let text = one.to_string();
        assert!(text.starts_with("4B:F5:12:2F:34:45:54:C5:3B:DE:2E:BB:8C:D2:B7:E3:"), "{text}");
        for text in [
            text.clone(),
            text.to_lowercase(),
            text.replace(':', ""),
            format!("sha256 Fingerprint={text}"),
            format!(" SHA256 Fingerprint={text}\n"),
        ] {
            assert_eq!(text.parse(), Ok(one), "{text}");
        }
    }

    #[test]
    fn other_texts_are_not() {
        let text = Fingerprint::of(&[1]).to_string();
        let plain = text.replace(':', "");
        let sha1 = &text[..59];
        assert_eq!(sha1.parse::<Fingerprint>(), Err(NotAFingerprint::Length(40)));
        assert_eq!(plain[..63].parse::<Fingerprint>(), Err(NotAFingerprint::Length(63)));
        assert_eq!(format!("{plain}0").parse::<Fingerprint>(), Err(NotAFingerprint::Length(65)));
        let shifted = format!("{}:{}{}", &text[..1], &text[1..2], &text[3..]);
        let long = format!("{}::{}", &text[..1], &text[1..]);
        let form =
            ["", ":", "sha256", &format!("sha1 Fingerprint={text}"), &shifted, &long, "ü:ß", "ü€ß"];
        for text in form {
            assert!(text.parse::<Fingerprint>().is_err(), "{text}");
        }
    }
}
