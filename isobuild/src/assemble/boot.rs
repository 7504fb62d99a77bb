// SPDX-License-Identifier: MIT OR Apache-2.0
//! The recipe `boot`: GRUB's images, for media and for installed disks.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;

use image_formats::cpio::CpioWriter;

use crate::inputs::Inputs;
use crate::recipe::{BoxError, Build, Recipe};
use crate::tools;

const REVISION: u32 = 1;
/// Where GRUB's modules are in the tools tree.
const MODULES: &str = "/usr/lib/grub";
/// Found by every image before anything else; see `early.cfg` itself.
const EARLY: &str = include_str!("early.cfg");
/// Without a device, so that GRUB takes the one that the firmware booted from as its root.
const PREFIX: &str = "/boot/grub";
/// Run before the first configuration is read: leaves the root as it is, but makes GRUB read its
/// configuration from the file system that it carries.
const START: &str = "set prefix=(memdisk)/boot/grub\n";
/// The same for netboot, whose menu is in the folder that GRUB takes for its prefix if it is given
/// none: the one that the firmware loaded it from. Debian's GRUB would look there for a `grub.cfg`
/// before anywhere else.
const START_NET: &str = "set dir=$prefix\nset prefix=(memdisk)/boot/grub\nunset fw_path\n";
const EARLY_NET: &str = include_str!("netboot/early.cfg");

/// In every image. Nothing is loaded from a medium later, so what a menu may use must be here.
const COMMON: &[&str] = &[
    "boot",
    "cat",
    "chain",
    "configfile",
    "echo",
    "fat",
    "gzio",
    "halt",
    "iso9660",
    "loadenv",
    "ls",
    "memdisk",
    "minicmd",
    "multiboot2",
    "newc",
    "normal",
    "part_gpt",
    "part_msdos",
    "reboot",
    "regexp",
    "search",
    "search_fs_file",
    "search_fs_uuid",
    "search_label",
    "serial",
    "sleep",
    "terminal",
    "test",
    "true",
];
const BIOS_ONLY: &[&str] = &["biosdisk"];
const EFI_ONLY: &[&str] = &["efi_gop", "efifwsetup"];
const BIOS_NET: &[&str] = &["http", "net", "pxe", "tftp"];
const EFI_NET: &[&str] = &["efinet", "http", "net", "tftp"];

/// An image of GRUB.
struct Image {
    format: &'static str,
    /// Folder of its modules.
    folder: &'static str,
    name: &'static str,
    net: bool,
    modules: [&'static [&'static str]; 2],
}

const IMAGES: [Image; 5] = [
    Image {
        format: "i386-pc-eltorito",
        folder: "i386-pc",
        name: "eltorito.img",
        net: false,
        modules: [BIOS_ONLY, &[]],
    },
    Image {
        format: "i386-pc",
        folder: "i386-pc",
        name: "core.img",
        net: false,
        modules: [BIOS_ONLY, &[]],
    },
    Image {
        format: "x86_64-efi",
        folder: "x86_64-efi",
        name: "grubx64.efi",
        net: false,
        modules: [EFI_ONLY, &[]],
    },
    Image {
        format: "i386-pc-pxe",
        folder: "i386-pc",
        name: "netboot.pxe",
        net: true,
        modules: [BIOS_ONLY, BIOS_NET],
    },
    Image {
        format: "x86_64-efi",
        folder: "x86_64-efi",
        name: "netboot-x64.efi",
        net: true,
        modules: [EFI_ONLY, EFI_NET],
    },
];

/// Makes
/// - `eltorito.img`: what a BIOS loads from a medium,
/// - `boot_hybrid.img`: sector 0 of a medium, to be patched,
/// - `boot.img`, `core.img`: sector 0 and BIOS boot partition of an installed disk, to be patched,
/// - `grubx64.efi`: for UEFI, on media and disks,
/// - `netboot.pxe`, `netboot-x64.efi`: what a BIOS and UEFI load over the network.
#[derive(Debug, Clone, Copy, Default)]
pub struct Boot;

impl Boot {
    /// The recipe's name.
    pub const NAME: &str = "boot";
}

impl Recipe for Boot {
    fn name(&self) -> String {
        Self::NAME.to_owned()
    }

    fn needs(&self) -> Vec<String> {
        vec![tools::NAME.to_owned()]
    }

    fn declare(&self, inputs: &mut Inputs) -> Result<(), BoxError> {
        inputs.revision(REVISION);
        inputs.value("start", START);
        inputs.value("early.cfg", EARLY);
        inputs.values("modules", COMMON);
        inputs.values("bios-modules", BIOS_ONLY);
        inputs.values("efi-modules", EFI_ONLY);
        inputs.value("start-net", START_NET);
        inputs.value("early-net.cfg", EARLY_NET);
        inputs.values("bios-net-modules", BIOS_NET);
        inputs.values("efi-net-modules", EFI_NET);
        Ok(())
    }

    fn build(&self, build: &Build<'_>) -> Result<(), BoxError> {
        let time = u32::try_from(build.source_date_epoch())?;
        for (name, early, start) in [("disk", EARLY, START), ("net", EARLY_NET, START_NET)] {
            write_memdisk(&build.scratch().join(format!("{name}.memdisk")), early, time)?;
            fs::write(build.scratch().join(format!("{name}.cfg")), start)?;
        }
        let sandbox = build.sandbox();
        for Image { format, folder, name, net, modules } in IMAGES {
            build.status(&format!("making {name}"));
            let folder = format!("{MODULES}/{folder}");
            let out = format!("/out/{name}");
            let (kind, prefix) = if net { ("net", "") } else { ("disk", PREFIX) };
            let (memdisk, start) = (format!("/build/{kind}.memdisk"), format!("/build/{kind}.cfg"));
            let mut args = vec!["--format", format, "--directory", &folder, "--output", &out];
            // --memdisk implies a prefix, which an option behind it overrides.
            args.extend(["--memdisk", &memdisk, "--prefix", prefix, "--config", &start]);
            args.extend(COMMON.iter().chain(modules.into_iter().flatten()));
            sandbox.run("grub-mkimage", args)?;
        }
        for name in ["boot.img", "boot_hybrid.img"] {
            let from = format!("{MODULES}/i386-pc/{name}");
            sandbox.run("cp", ["--no-preserve=all", &from, &format!("/out/{name}")])?;
        }
        Ok(())
    }
}

fn write_memdisk(path: &Path, early: &str, time: u32) -> Result<(), BoxError> {
    let mut memdisk = CpioWriter::new(BufWriter::new(File::create(path)?), time);
    memdisk.folders("boot/grub")?;
    memdisk.file("boot/grub/grub.cfg", 0o644, early.len() as u64, early.as_bytes())?;
    memdisk.finish()?;
    Ok(())
}
