// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Dom0 component: root image, kernel, initramfs, our programs.
//!
//! ```text
//! packages of the profile ─► dom0-<profile>: tree, vmlinuz, initrd.img
//!                                   │  └─► netboot-initrd-<profile>: netboot.img
//!                                   │
//! xen-tools, programs, overlay ─────┴─► rootfs-<profile>: root.img, vmlinuz, initrd.img, manifest
//! ```
//!
//! No maintainer script runs. What the scripts of the packages taken would have decided is written
//! down: accounts, configuration and units in `overlay/`, what to remove and what to enable in the
//! profile, and what can be computed (linker cache, module index) is.
//!
//! Everything in the image belongs to root and nothing is set-user-id: there are no other people
//! on a host. Services' own folders are made at boot by `tmpfiles`.

mod accounts;
mod base;
mod glob;
mod initramfs;
mod kernel_module;
mod modules;
mod netboot_initrd;
pub mod programs;
mod rootfs;
mod tree;
mod units;

pub use base::Base;
pub use netboot_initrd::NetbootInitrd;
pub use rootfs::{Layer, Rootfs};
