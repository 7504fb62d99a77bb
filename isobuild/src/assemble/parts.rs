// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the installer reads, on a medium or over the network.

use std::path::{Path, PathBuf};

use appliance_model::medium::{self as paths, BuildId};

use super::Menu;

/// What is put together, as paths of the host.
#[derive(Debug, Clone)]
pub struct Parts<'a> {
    /// Whose parts they are.
    pub build: &'a BuildId,
    /// The menu.
    pub menu: &'a Menu,
    /// The hypervisor.
    pub xen: &'a Path,
    /// The Dom0 kernel.
    pub kernel: &'a Path,
    /// Its initial file system.
    pub initrd: &'a Path,
    /// The root image.
    pub root_image: &'a Path,
    /// Folder with the artifact of the recipe [`super::Boot`].
    pub boot: &'a Path,
}

impl Parts<'_> {
    /// Files, by their path there.
    pub(super) fn files(&self) -> [(&'static str, PathBuf); 7] {
        [
            (paths::XEN, self.xen.to_owned()),
            (paths::KERNEL, self.kernel.to_owned()),
            (paths::INITRD, self.initrd.to_owned()),
            (paths::BOOT_IMG, self.boot.join("boot.img")),
            (paths::CORE_IMG, self.boot.join("core.img")),
            (paths::GRUB_EFI, self.boot.join("grubx64.efi")),
            (paths::ROOT_IMAGE, self.root_image.to_owned()),
        ]
    }

    /// Files that are written here, by their path there.
    pub(super) fn texts(&self) -> Result<[(&'static str, Vec<u8>); 2], toml::ser::Error> {
        Ok([
            (paths::BUILD_ID, format!("{}\n", self.build).into_bytes()),
            (paths::BOOT_OPTIONS, self.menu.options().to_toml()?.into_bytes()),
        ])
    }
}
