// SPDX-License-Identifier: MIT OR Apache-2.0
//! What lies where on an installed disk, beyond the partition table.
//!
//! The state partition is the only one that a running host writes. The initramfs mounts it and puts
//! parts of it over the read-only root image:
//!
//! | on the state partition | in the running host |
//! |---|---|
//! | `etc/upper`, `etc/work` | upper layer of `/etc` (overlay) |
//! | `var` | `/var` |
//! | `root` | `/root` |
//! | `.xenith-populated` | not visible: the initramfs makes it once it has copied the image's `/var` and `/root`; files that are there already stay |
//!
//! A reinstallation that keeps guests puts all of this anew too, but for the rest of `var/lib/xenith` (the
//! toolstack's database and key, kernels of guests) and folders that are storage repositories.
//!
//! The installer writes these, all owned by root:
//!
//! | path | mode | why |
//! |---|---|---|
//! | `etc/upper/hostname`, `etc/upper/hosts` | 0644 | the host's name |
//! | `etc/upper/machine-id` | 0444 | a new random id |
//! | `etc/upper/shadow` | 0640, group `shadow` | the image's file with root's line replaced |
//! | `etc/upper/systemd/system/multi-user.target.wants/ssh.service` | link | if SSH was asked for |
//! | `etc/upper/chrony/sources.d/default.sources` | 0644 | if time servers were named; hides the image's |
//! | `etc/upper/default/keyboard` | 0644 | if a keyboard was named: vconsole.conf(5), as a link that Debian's systemd makes at each start leads there |
//! | `etc/upper/localtime` | link | if a time zone was named: localtime(5) |
//! | `etc/upper/profile.d/proxy.sh` | 0600 | if a proxy was named |
//! | `root/.ssh/authorized_keys` | 0600 | if keys were given |
//! | `var/lib/xenith/handover.toml` | 0600 | for the toolstack's first start |

use std::path::PathBuf;

/// Folder of slot A's boot files on the EFI system partition.
pub const SLOT_A_FOLDER: &str = "xenith/a";
/// GRUB's menu on the EFI system partition, read by both boot loaders.
pub const GRUB_CFG: &str = "boot/grub/grub.cfg";
/// The boot loader that UEFI starts from any disk.
pub const BOOT_EFI: &str = "EFI/BOOT/BOOTX64.EFI";
/// Label of the state partition's file system.
pub const STATE_LABEL: &str = "xenith-state";
/// Of the state partition: what says that the first start has filled it.
pub const POPULATED: &str = ".xenith-populated";
/// Label of the EFI system partition's file system.
pub const ESP_LABEL: &str = "XENITH-ESP";

/// Of the running host: where chrony reads which servers it asks.
pub const NTP_SOURCES: &str = "etc/chrony/sources.d/default.sources";

/// Of the running host: where login shells find the proxy.
pub const PROXY: &str = "etc/profile.d/proxy.sh";

/// Something in a file system that is made in one go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the file system's root.
    pub path: PathBuf,
    /// What it is.
    pub kind: EntryKind,
}

/// Kinds of [`Entry`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A folder with these permissions; folders above it that are not listed get 0755.
    Folder {
        /// Permission bits.
        mode: u32,
    },
    /// A file.
    File {
        /// Content.
        bytes: Vec<u8>,
        /// Permission bits.
        mode: u32,
        /// Owning group; the owner is always root.
        group: u32,
    },
    /// A symbolic link.
    Link {
        /// Where it points.
        target: PathBuf,
    },
}

impl Entry {
    /// A folder.
    pub fn folder(path: &str, mode: u32) -> Self {
        Self { path: path.into(), kind: EntryKind::Folder { mode } }
    }

    /// A file of root's group.
    pub fn file(path: &str, mode: u32, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self { path: path.into(), kind: EntryKind::File { bytes, mode, group: 0 } }
    }

    /// A symbolic link.
    pub fn link(path: &str, target: &str) -> Self {
        Self { path: path.into(), kind: EntryKind::Link { target: target.into() } }
    }
}
