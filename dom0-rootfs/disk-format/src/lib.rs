// SPDX-License-Identifier: MIT OR Apache-2.0
//! Disks and VMs as files, read and written as streams: no seeking, bounded memory.
//!
//! [`vhd`] is Microsoft's Virtual Hard Disk; [`qcow2`] QEMU's images; [`xva`] the archive in which XenServer
//! and XCP-ng export a VM; [`compression`] what may be around either.

pub mod compression;
pub mod framed;
pub mod qcow2;
pub mod vhd;
pub mod xva;

/// Takes the contents of a disk, in any order of places. Places that get nothing are not part of the
/// image.
pub trait Target {
    /// Why it cannot.
    type Error;
    /// Bytes at a place.
    fn data(&mut self, at: u64, bytes: &[u8]) -> Result<(), Self::Error>;
    /// So many zeros at a place.
    fn zeros(&mut self, at: u64, length: u64) -> Result<(), Self::Error>;
}

/// Whether there is nothing but zeros.
pub fn is_zero(bytes: &[u8]) -> bool {
    // Words first: a byte at a time is slow in builds for size.
    let (words, rest) = bytes.as_chunks::<16>();
    words.iter().all(|word| u128::from_ne_bytes(*word) == 0) && rest.iter().all(|b| *b == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_told_apart_at_any_length() {
        for length in 0..50 {
            let mut bytes = vec![0; length];
            assert!(is_zero(&bytes));
            for at in 0..length {
                bytes[at] = 1;
                assert!(!is_zero(&bytes), "{length} {at}");
                bytes[at] = 0;
            }
        }
    }
}
