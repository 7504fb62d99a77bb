// SPDX-License-Identifier: MIT OR Apache-2.0
//! The installation medium: what is copied from it.

use std::fs;
use std::path::{Path, PathBuf};

use super::DiscoveryError;

/// The mounted medium; it exists only if everything that is needed is on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Medium {
    /// Where it is mounted.
    pub path: PathBuf,
    /// The build that is installed.
    pub build_id: String,
    /// Size of the root image in bytes.
    pub root_image_size: u64,
    /// Size of all files for the EFI system partition together, in bytes.
    pub boot_size: u64,
}

/// Paths on the medium of the files that the boot needs.
pub struct BootFiles;

impl BootFiles {
    /// The root image, read-only and compressed.
    pub const ROOT_IMAGE: &str = "xenith/root.img";
    /// Text with the build's id; its presence marks the medium.
    pub const BUILD_ID: &str = "xenith/build-id";
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
}

impl Medium {
    pub(super) fn look(path: &Path) -> Result<Self, DiscoveryError> {
        let size = |name: &str| {
            let file = path.join(name);
            let size = fs::metadata(&file).map(|data| data.len());
            size.map_err(DiscoveryError::read(file))
        };
        let file = path.join(BootFiles::BUILD_ID);
        let build_id = fs::read_to_string(&file).map_err(DiscoveryError::read(file))?;
        size(BootFiles::BOOT_IMG)?;
        size(BootFiles::CORE_IMG)?;
        let on_esp = [BootFiles::XEN, BootFiles::KERNEL, BootFiles::INITRD, BootFiles::GRUB_EFI];
        Ok(Self {
            path: path.to_owned(),
            build_id: build_id.trim().to_owned(),
            root_image_size: size(BootFiles::ROOT_IMAGE)?,
            boot_size: on_esp.iter().map(|name| size(name)).sum::<Result<u64, _>>()?,
        })
    }
}
