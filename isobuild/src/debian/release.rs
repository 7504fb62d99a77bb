// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signed releases: `InRelease` files, verified with the keys that are pinned in this repository.

use std::collections::BTreeMap;

use appliance_model::Digest;
use jiff::Timestamp;
use pgp::composed::{CleartextSignedMessage, Deserializable, SignedPublicKey};

use super::deb822::{self, ControlError};

/// The archive signing keys of Debian 13, as Debian's own keyring package has them.
pub const DEBIAN_13_KEYS: [&str; 3] = [
    include_str!("../../keys/debian-archive-trixie-automatic.asc"),
    include_str!("../../keys/debian-archive-trixie-security-automatic.asc"),
    include_str!("../../keys/debian-archive-trixie-stable.asc"),
];

/// A release whose signature was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// `trixie`, `trixie-security`.
    pub codename: String,
    /// When it was made.
    pub date: Timestamp,
    /// The index files by path below the release's folder.
    files: BTreeMap<String, (Digest, u64)>,
}

/// A release that must not be used.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// A pinned key cannot be read.
    #[error("reading a pinned archive key")]
    Key(#[source] Box<pgp::errors::Error>),
    /// Not a signed text.
    #[error("reading the signature of {suite}'s InRelease")]
    Form {
        /// The suite asked for.
        suite: String,
        /// The cause.
        source: Box<pgp::errors::Error>,
    },
    /// No signature is of a pinned key.
    #[error(
        "{suite}'s InRelease is not signed by a pinned Debian 13 archive key; either the mirror \
         serves something else, or Debian has new keys and this program is too old"
    )]
    Signature {
        /// The suite asked for.
        suite: String,
    },
    /// The signed text is not a control file.
    #[error("reading {suite}'s InRelease")]
    Control {
        /// The suite asked for.
        suite: String,
        /// The cause.
        source: ControlError,
    },
    /// The signed text lacks something, or has it wrong.
    #[error("{suite}'s InRelease has no usable {field}: {found:?}")]
    Field {
        /// The suite asked for.
        suite: String,
        /// The field.
        field: &'static str,
        /// What is there.
        found: String,
    },
    /// Signed, but of another suite.
    #[error("asked for {suite}, the mirror sent the InRelease of {found}")]
    OtherSuite {
        /// The suite asked for.
        suite: String,
        /// The suite that came.
        found: String,
    },
    /// Past its `Valid-Until`.
    #[error(
        "{suite}'s InRelease was valid until {until}: the mirror is out of date (or this \
         machine's clock is wrong)"
    )]
    Expired {
        /// The suite asked for.
        suite: String,
        /// Its last moment.
        until: Timestamp,
    },
    /// An index that the release does not list.
    #[error("{suite}'s InRelease does not list {path}")]
    NoIndex {
        /// The suite.
        suite: String,
        /// The index's path.
        path: String,
    },
    /// An index that is not the one that was signed.
    #[error(
        "{path} of {suite} is not what its InRelease says; the mirror may be updating: try again"
    )]
    WrongIndex {
        /// The suite.
        suite: String,
        /// The index's path.
        path: String,
    },
}

impl Release {
    /// Verifies the `InRelease` of `suite` with `keys` (armored) and reads it.
    ///
    /// # Errors
    /// Anything that keeps it from being trusted at the time `now`.
    pub fn verify(
        suite: &str,
        in_release: &str,
        keys: &[&str],
        now: Timestamp,
    ) -> Result<Self, ReleaseError> {
        let form = |e| ReleaseError::Form { suite: suite.to_owned(), source: Box::new(e) };
        let (message, _) = CleartextSignedMessage::from_string(in_release).map_err(form)?;
        let mut trusted = false;
        for key in keys {
            let wrong = |e| ReleaseError::Key(Box::new(e));
            let (key, _) = SignedPublicKey::from_string(key).map_err(wrong)?;
            // Only subkeys that the primary key signed count.
            key.verify_bindings().map_err(wrong)?;
            trusted |= message.verify(&key).is_ok()
                || key.public_subkeys.iter().any(|sub| message.verify(&sub.key).is_ok());
        }
        if !trusted {
            return Err(ReleaseError::Signature { suite: suite.to_owned() });
        }
        // Nothing outside of what was signed is looked at.
        Self::read(suite, &message.signed_text(), now)
    }

    fn read(suite: &str, text: &str, now: Timestamp) -> Result<Self, ReleaseError> {
        let own = || suite.to_owned();
        let paragraphs =
            deb822::parse(text).map_err(|source| ReleaseError::Control { suite: own(), source })?;
        let field = |name: &'static str| {
            paragraphs.first().and_then(|p| p.get(name)).ok_or_else(|| ReleaseError::Field {
                suite: own(),
                field: name,
                found: String::new(),
            })
        };
        let codename = field("Codename")?.to_owned();
        if codename != suite {
            return Err(ReleaseError::OtherSuite { suite: own(), found: codename });
        }
        let time = |name: &'static str, text: &str| {
            let civil = jiff::civil::DateTime::strptime("%a, %d %b %Y %H:%M:%S UTC", text);
            civil.and_then(|t| t.to_zoned(jiff::tz::TimeZone::UTC)).map(|t| t.timestamp()).map_err(
                |_| ReleaseError::Field { suite: own(), field: name, found: text.to_owned() },
            )
        };
        let date = time("Date", field("Date")?)?;
        if let Some(until) = paragraphs.first().and_then(|p| p.get("Valid-Until")) {
            let until = time("Valid-Until", until)?;
            if until < now {
                return Err(ReleaseError::Expired { suite: own(), until });
            }
        }
        let mut files = BTreeMap::new();
        for line in field("SHA256")?.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let file = match words.as_slice() {
                [digest, size, path] => digest.parse().ok().zip(size.parse().ok()).zip(Some(path)),
                _ => None,
            };
            let ((digest, size), path) = file.ok_or_else(|| ReleaseError::Field {
                suite: own(),
                field: "SHA256",
                found: line.to_owned(),
            })?;
            files.insert((*path).to_owned(), (digest, size));
        }
        Ok(Self { codename, date, files })
    }

    /// Checks that `bytes` are the index at `path`.
    ///
    /// # Errors
    /// They are not.
    pub fn check_index(&self, path: &str, bytes: &[u8]) -> Result<(), ReleaseError> {
        let (suite, path) = (self.codename.clone(), path.to_owned());
        let Some((digest, size)) = self.files.get(&path) else {
            return Err(ReleaseError::NoIndex { suite, path });
        };
        if *size != bytes.len() as u64 || *digest != crate::digest::of_bytes(bytes) {
            return Err(ReleaseError::WrongIndex { suite, path });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
