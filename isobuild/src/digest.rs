// SPDX-License-Identifier: MIT OR Apache-2.0
//! Hashing bytes and files.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use appliance_model::Digest;
use sha2::{Digest as _, Sha256};

/// A running SHA-256.
#[derive(Clone, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Adds bytes with their length before them, so that fields cannot run into each other.
    pub fn field(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    /// The digest of what was added.
    pub fn finish(self) -> Digest {
        Digest::new(self.0.finalize().into())
    }
}

/// The digest of bytes in memory.
pub fn of_bytes(bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::default();
    hasher.update(bytes);
    hasher.finish()
}

/// The digest of a file's contents, and its size in bytes.
///
/// # Errors
/// The file cannot be read.
pub fn of_file(path: &Path) -> io::Result<(Digest, u64)> {
    let mut file = File::open(path)?;
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 1 << 17];
    let mut size = 0;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok((hasher.finish(), size)),
            Ok(n) => {
                hasher.update(&buffer[..n]);
                size += n as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
