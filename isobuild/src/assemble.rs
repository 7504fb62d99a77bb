// SPDX-License-Identifier: MIT OR Apache-2.0
//! Puts the components together: boot loader, medium, netboot.
//!
//! ```text
//! tools ─► boot ──────────────┐
//! xen ────────────────────────┼─► iso-<profile>
//! rootfs-<profile> ───────────┴─► netboot-<profile> ◄─ netboot-initrd-<profile>
//! ```
//!
//! The same GRUB boots media and installed disks. It carries a small configuration (`early.cfg`)
//! that finds the menu; the menu of a medium is written here (see `menu`), that of an installed
//! disk by the installer.

mod boot;
mod iso;
mod medium;
mod menu;
mod netboot;
mod parts;

pub use appliance_model::medium::{ANSWERS, ANSWERS_LABEL, BuildId};
pub use boot::Boot;
pub use iso::Iso;
pub use medium::{Medium, MediumError, write_medium};
pub use menu::Menu;
pub use netboot::{Netboot, NetbootError, NetbootTree, write_netboot};
pub use parts::Parts;
