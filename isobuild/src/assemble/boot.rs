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

/// Makes
/// - `eltorito.img`: what a BIOS loads from a medium,
/// - `boot_hybrid.img`: sector 0 of a medium, to be patched,
/// - `boot.img`, `core.img`: sector 0 and BIOS boot partition of an installed disk, to be patched,
/// - `grubx64.efi`: for UEFI, on media and disks.
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
        Ok(())
    }

    fn build(&self, build: &Build<'_>) -> Result<(), BoxError> {
        let time = u32::try_from(build.source_date_epoch())?;
        write_memdisk(&build.scratch().join("memdisk"), time)?;
        fs::write(build.scratch().join("start.cfg"), START)?;
        let images = [
            ("i386-pc-eltorito", "eltorito.img", BIOS_ONLY),
            ("i386-pc", "core.img", BIOS_ONLY),
            ("x86_64-efi", "grubx64.efi", EFI_ONLY),
        ];
        let sandbox = build.sandbox();
        for (format, name, own) in images {
            build.status(&format!("making {name}"));
            let folder = format!("{MODULES}/{}", format.trim_end_matches("-eltorito"));
            let out = format!("/out/{name}");
            let mut args = vec!["--format", format, "--directory", &folder, "--output", &out];
            // --memdisk implies a prefix, which an option behind it overrides.
            args.extend(["--memdisk", "/build/memdisk", "--prefix", PREFIX]);
            args.extend(["--config", "/build/start.cfg"]);
            args.extend(COMMON.iter().chain(own));
            sandbox.run("grub-mkimage", args)?;
        }
        for name in ["boot.img", "boot_hybrid.img"] {
            let from = format!("{MODULES}/i386-pc/{name}");
            sandbox.run("cp", ["--no-preserve=all", &from, &format!("/out/{name}")])?;
        }
        Ok(())
    }
}

fn write_memdisk(path: &Path, time: u32) -> Result<(), BoxError> {
    let mut memdisk = CpioWriter::new(BufWriter::new(File::create(path)?), time);
    memdisk.folders("boot/grub")?;
    memdisk.file("boot/grub/grub.cfg", 0o644, EARLY.len() as u64, EARLY.as_bytes())?;
    memdisk.finish()?;
    Ok(())
}
