// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names on the medium, which the build writes and the installer reads.
//!
//! Paths have no `/` in front. Two more readers have them in their own language: `early.cfg` of the
//! boot loader and the first program of Dom0.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Digest;

/// Text with the [`BuildId`]; its presence marks the medium.
pub const BUILD_ID: &str = "xenith/build-id";
/// The root image, read-only and compressed.
pub const ROOT_IMAGE: &str = "xenith/root.img";
/// The hypervisor.
pub const XEN: &str = "boot/xen.gz";
/// Dom0's kernel.
pub const KERNEL: &str = "boot/vmlinuz";
/// Dom0's initramfs.
pub const INITRD: &str = "boot/initrd.img";
/// GRUB's boot code for sector 0 of a BIOS disk.
pub const BOOT_IMG: &str = "xenith/boot/boot.img";
/// GRUB for the BIOS boot partition.
pub const CORE_IMG: &str = "xenith/boot/core.img";
/// GRUB for UEFI.
pub const GRUB_EFI: &str = "xenith/boot/grubx64.efi";
/// What hosts installed from it boot with: [`crate::boot::BootOptions`].
pub const BOOT_OPTIONS: &str = "xenith/boot/options.toml";
/// Digests of every file of the medium but this one, the answers and [`ELTORITO`]:
/// [`crate::sums::Sums`].
pub const SUMS: &str = "xenith/sha256sums";
/// What a BIOS loads. Not in the list: where it lies is written into it while the medium is.
pub const ELTORITO: &str = "boot/grub/eltorito.img";
/// Answers for the unattended installation; empty on a medium into which none were put.
pub const ANSWERS: &str = "xenith/answers.toml";
/// How long they can be, in bytes. What a medium has room for it says itself.
pub const ANSWERS_ROOM: u16 = 32 * 1024;

/// Label of another volume with answers, short enough for FAT. The medium's menu looks for it.
pub const ANSWERS_LABEL: &str = "XENITH-ANS";
/// Where the answers may be on such a volume; the first that is there and not empty counts.
pub const ANSWERS_ON_VOLUME: &[&str] =
    &["answers.toml", ANSWERS, "answers.xml", "xenith/answers.xml"];

/// What distinguishes one build's medium from another's; text form is 16 lower-case hexadecimal
/// digits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BuildId(u64);

impl BuildId {
    /// The id of the build with this key. (Not of what is on the medium: to hash that takes longer
    /// than to write it.)
    #[must_use]
    pub fn new(key: &Digest) -> Self {
        Self(key.as_bytes().iter().take(8).fold(0, |id, byte| id << 8 | u64::from(*byte)))
    }

    /// The id as a number, for formats that have room for one.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    /// Path on the medium of the file that only this build's medium has. GRUB can look for a name,
    /// not for what a file holds.
    #[must_use]
    pub fn marker(self) -> String {
        format!("xenith/medium-{self}")
    }

    /// Path on the EFI system partition of a host that was installed whole from this build's medium.
    /// With it in sight the medium's menu does not install unattended by itself.
    #[must_use]
    pub fn installed(self) -> String {
        format!("xenith/from-{self}")
    }
}

/// A text that is not a build id.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a build id (16 lower-case hexadecimal digits): {0:?}")]
pub struct NotABuildId(String);

impl FromStr for BuildId {
    type Err = NotABuildId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() != 16 || !text.bytes().all(digit) {
            return Err(NotABuildId(text.to_owned()));
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| NotABuildId(text.to_owned()))
    }
}

impl TryFrom<String> for BuildId {
    type Error = NotABuildId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<BuildId> for String {
    fn from(id: BuildId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_how_the_builds_key_begins() {
        let key = format!("00123456789abcde{}", "f".repeat(48));
        let id = BuildId::new(&key.parse().unwrap());
        assert_eq!(id.to_string(), "00123456789abcde");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.marker(), "xenith/medium-00123456789abcde");
        for bad in
            ["", "0123456789abcde", "0123456789ABCDEF", "+123456789abcdef", "0123456789abcdef\n"]
        {
            assert_eq!(bad.parse::<BuildId>(), Err(NotABuildId(bad.to_owned())));
        }
    }
}
