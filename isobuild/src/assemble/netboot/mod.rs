// SPDX-License-Identifier: MIT OR Apache-2.0
//! The recipe `netboot-<profile>`: a folder that a TFTP or HTTP server gives out, instead of a medium.
//!
//! Firmware loads GRUB (or iPXE the menu) from it, that loads Xen, kernel and initial file system, and
//! that fetches by HTTP, into memory, what a medium would carry: the files that the manifest lists. They
//! have the paths that they have on a medium.

mod tree;

use appliance_model::medium::BuildId;
use appliance_model::profile::Profile;

use super::{Boot, Menu, Parts};
use crate::inputs::Inputs;
use crate::recipe::{BoxError, Build, Recipe};

pub use tree::{NetbootError, NetbootTree, write_netboot};

const REVISION: u32 = 1;

/// The SHA-256 of every file that is fetched; `sha256sum -c` reads it too.
pub(super) const MANIFEST: &str = "xenith/manifest";
/// The initial file system with the drivers of network cards.
pub(super) const INITRD: &str = "boot/initrd-netboot.img";
/// The hypervisor unpacked: iPXE may be without the code to unpack it.
pub(super) const XEN: &str = "boot/xen";
/// What a BIOS loads.
pub(super) const GRUB_PXE: &str = "xenith.pxe";
/// What UEFI loads.
pub(super) const GRUB_EFI: &str = "xenith-x64.efi";
/// What iPXE loads.
pub(super) const SCRIPT: &str = "xenith.ipxe";
/// What a person changes, read by GRUB's menu.
pub(super) const SETTINGS_GRUB: &str = "netboot.cfg";
/// The same for iPXE's.
pub(super) const SETTINGS_IPXE: &str = "netboot.ipxe";

/// Files that are the same in every build.
const TEXTS: [(&str, &str); 4] = [
    ("README.txt", include_str!("README.txt")),
    (SETTINGS_GRUB, include_str!("netboot.cfg")),
    (SETTINGS_IPXE, include_str!("netboot.ipxe")),
    ("examples/dnsmasq.conf", include_str!("dnsmasq.conf")),
];

/// Makes the folder of one profile, which is the whole artifact, from those of `xen`,
/// `rootfs-<profile>`, `netboot-initrd-<profile>` and [`Boot`].
#[derive(Debug, Clone)]
pub struct Netboot {
    profile: String,
    menu: Menu,
}

impl Netboot {
    /// The recipe for `profile`; `version` is Xenith's own.
    #[must_use]
    pub fn new(profile: &Profile, version: &str) -> Self {
        Self { profile: profile.name.clone(), menu: Menu::new(profile, version) }
    }

    /// The recipe's name for the profile of that name.
    #[must_use]
    pub fn recipe_name(profile: &str) -> String {
        format!("netboot-{profile}")
    }

    fn rootfs(&self) -> String {
        format!("rootfs-{}", self.profile)
    }

    fn initrd(&self) -> String {
        format!("netboot-initrd-{}", self.profile)
    }
}

impl Recipe for Netboot {
    fn name(&self) -> String {
        Self::recipe_name(&self.profile)
    }

    fn needs(&self) -> Vec<String> {
        vec!["xen".to_owned(), self.rootfs(), self.initrd(), Boot::NAME.to_owned()]
    }

    fn declare(&self, inputs: &mut Inputs) -> Result<(), BoxError> {
        inputs.revision(REVISION);
        inputs.value("menu", tree::template(&self.menu)?);
        inputs.value("boot-options", self.menu.options().to_toml()?);
        inputs.values("texts", TEXTS.iter().flat_map(|(name, text)| [name, text]));
        Ok(())
    }

    fn build(&self, build: &Build<'_>) -> Result<(), BoxError> {
        let rootfs = build.dep(&self.rootfs())?;
        let tree = NetbootTree {
            parts: Parts {
                build: &BuildId::new(build.key()),
                menu: &self.menu,
                xen: &build.dep("xen")?.join("xen.gz"),
                kernel: &rootfs.join("vmlinuz"),
                initrd: &rootfs.join("initrd.img"),
                root_image: &rootfs.join("root.img"),
                boot: build.dep(Boot::NAME)?,
            },
            initrd_end: &build.dep(&self.initrd())?.join("netboot.img"),
        };
        build.status("writing the folder");
        write_netboot(build.out(), &tree)?;
        Ok(())
    }
}
