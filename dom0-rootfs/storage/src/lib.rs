// SPDX-License-Identifier: MIT OR Apache-2.0
//! Storage repositories: SR drivers and their fake.
//!
//! | kind | where VDIs live | clone |
//! |---|---|---|
//! | `file` | files in a folder of an existing filesystem | raw: sparse copy, shared blocks where the filesystem can; qcow2: copy on write |
//! | `ext` | files in an ext4 filesystem on a logical volume of its own | raw: sparse copy; qcow2: copy on write |
//! | `nfs` | files in a folder of an NFS server | raw: sparse copy, on the server where it can; qcow2: copy on write |
//! | `iso` | images that others put into a folder here or on an NFS server, read-only | none |
//! | `lvmthin` | thin volumes | thin snapshot |
//!
//! Drivers keep no state of their own: every call looks at the disk, so a call that was interrupted
//! is simply made again. What an interrupted call may leave behind is removed by the next
//! [`SrDriver::attach`] or [`SrDriver::scan`], and with qcow2 by [`SrDriver::tidy`].

mod block;
mod device;
mod driver;
mod error;
mod export;
mod ext;
mod fake;
#[cfg(test)]
mod fake_qemu;
mod file;
mod folder;
mod folder_driver;
mod format;
#[cfg(test)]
mod interruption;
mod iso;
mod loops;
mod lvm;
mod lvmthin;
mod mount;
mod nfs;
mod program;
mod qcow2;
mod qmp;
mod silence;
mod sparse;
#[cfg(test)]
mod testing;

pub use driver::*;
pub use error::{StorageError, is_full};
pub use ext::ExtDriver;
pub use fake::{FakeDriver, Faults};
pub use file::FileDriver;
pub use format::ImageFormat;
pub use iso::IsoDriver;
pub use lvmthin::LvmThinDriver;
pub use nfs::NfsDriver;
pub use program::{Change, Device, Host, Ran, System};
pub use qmp::Until;

/// Every driver of a real host.
pub fn host_drivers() -> Vec<std::sync::Arc<dyn SrDriver>> {
    let system: std::sync::Arc<dyn System> = std::sync::Arc::new(Host);
    vec![
        std::sync::Arc::new(ExtDriver::new(system.clone())),
        std::sync::Arc::new(FileDriver::new(system.clone())),
        std::sync::Arc::new(LvmThinDriver::new(system.clone())),
        std::sync::Arc::new(NfsDriver::new(system.clone())),
        std::sync::Arc::new(IsoDriver::new(system)),
    ]
}
