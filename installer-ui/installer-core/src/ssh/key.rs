// SPDX-License-Identifier: MIT OR Apache-2.0
//! A public key in one word, as it fits on a kernel command line: the middle one of the three of
//! authorized_keys (sshd(8)), which says itself of which kind it is (RFC 4253, section 6.6).

use crate::answers::{BadField, SshKey};

/// Longest word, in characters: an RSA key of 8192 bits has some 1,400.
const LONGEST: usize = 2000;

/// Why a word is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// Not base64, or too long.
    #[error("it is not the middle word of a public key, the one that begins with AAAA")]
    Form,
    /// A kind that is not known, or a word that is cut off.
    #[error(transparent)]
    Kind(#[from] BadField),
}

/// Understands such a word.
pub(super) fn parse(word: &str) -> Result<SshKey, BadKey> {
    if word.len() > LONGEST {
        return Err(BadKey::Form);
    }
    let bytes = decode(word).ok_or(BadKey::Form)?;
    let (length, rest) = bytes.split_first_chunk::<4>().ok_or(BadKey::Form)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| BadKey::Form)?;
    let kind = rest.get(..length).and_then(|kind| std::str::from_utf8(kind).ok());
    let kind = kind.filter(|kind| kind.chars().all(|c| c.is_ascii_graphic()));
    Ok(format!("{} {word}", kind.ok_or(BadKey::Form)?).parse::<SshKey>()?)
}

/// Base64 (RFC 4648, section 4), with or without `=` at its end.
fn decode(word: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0u32, 0);
    for letter in word.trim_end_matches('=').bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_word_of_a_key_says_its_kind() {
        let word = "AAAAC3NzaC1lZDI1NTE5AAAAIJYcPSwnBDlNJr6nmIcRzLQFmMYUmFCfGXEHCWCrFiOs";
        assert_eq!(parse(word).unwrap().as_str(), format!("ssh-ed25519 {word}"));
        let long = "A".repeat(LONGEST + 1);
        for bad in ["", "AAAA", "ssh-ed25519", "AAAAC3NzaC1", "A&AA", "/////w==", long.as_str()] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        // A kind that nobody has: "ssh-foo".
        let error =
            parse("AAAAB3NzaC1mb28AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap_err();
        assert!(matches!(error, BadKey::Kind(_)), "{error:?}");
    }

    #[test]
    fn base64() {
        for (text, bytes) in [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9vYmFy", "foobar")] {
            assert_eq!(decode(text).unwrap(), bytes.as_bytes());
        }
    }
}
