// SPDX-License-Identifier: MIT OR Apache-2.0
//! The disk that the test guests boot from, made out of Dom0's own kernel and busybox.
//!
//! One GPT disk for all three kinds of guest: its FAT partition has `boot/grub/grub.cfg`, which
//! pvgrub finds in PV and PVH guests, and GRUB for HVM ones that start by UEFI; sector 0 and a BIOS
//! boot partition have GRUB for the others.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Cursor, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use gpt::partition_types;
use image_formats::cpio::CpioWriter;
use image_formats::fat::{FatVolume, FatWriter};
use image_formats::{grub, mbr};
use isobuild::sandbox::Sandbox;

use crate::file_server;
use crate::interrupt_lock;

const SECTOR: u64 = 512;
const MIB: u64 = 1 << 20;
/// First sector and number of sectors of the BIOS boot partition.
const CORE: (u64, u64) = (2048, 2048);
/// First sector of the FAT partition.
const DATA: u64 = 4096;
/// Bytes of the whole disk.
const DISK: u64 = 64 * MIB;
/// Sectors left to the backup table.
const TAIL: u64 = 2048;
/// Loaded by the guest in this order, from Dom0's own modules.
const MODULES: &[&str] = &[
    "drivers/block/xen-blkfront.ko",
    "drivers/net/xen-netfront.ko",
    // What cloud-init's settings are read with.
    "fs/nls/nls_ascii.ko",
    "fs/nls/nls_cp437.ko",
    "fs/fat/fat.ko",
    "fs/fat/vfat.ko",
    // A fully virtualized guest's CD drive.
    "drivers/scsi/scsi_common.ko",
    "drivers/scsi/scsi_mod.ko",
    "drivers/ata/libata.ko",
    "drivers/ata/ata_piix.ko",
    "drivers/cdrom/cdrom.ko",
    "drivers/scsi/sr_mod.ko",
];
/// Where `write_disk` leaves the kernel and the initial file system, in its scratch folder, for guests
/// that start over the network.
pub const KERNEL: &str = "vmlinuz";
/// See [`KERNEL`].
pub const INITRD: &str = "initrd.img";
const INIT: &[u8] = include_bytes!("../guest/init");
const GRUB_CFG: &[u8] = include_bytes!("../guest/grub.cfg");

/// What the guest is made of.
pub struct Parts {
    /// The build's tools tree.
    pub tools: PathBuf,
    /// Dom0's kernel, a bzImage.
    pub kernel: PathBuf,
    /// Dom0's root image.
    pub root_image: PathBuf,
}

/// Writes the disk to `out`; `scratch` is an empty folder, in which [`KERNEL`], [`INITRD`] and
/// [`interrupt_lock`]'s plugin stay.
pub fn write_disk(parts: &Parts, scratch: &Path, out: &Path) -> Result<()> {
    let sandbox = Sandbox::over(&parts.tools)
        .bind_rw(scratch, "/build")
        .bind_ro(&parts.root_image, "/root.img")
        .cwd("/build")
        .log(scratch.join("guest.log"));
    fs::write(scratch.join("vmlinux.packed"), payload(&read(&parts.kernel)?)?)
        .context("writing the kernel's payload")?;
    sandbox
        .run("sh", ["-c", "{ zstd -dcq vmlinux.packed || xz -dc --single-stream vmlinux.packed; } | gzip -n1 >vmlinux.gz"])
        .context("unpacking the kernel for PV guests")?;
    let initrd = initrd(&sandbox, scratch)?;
    let core = core_image(&sandbox, scratch)?;
    let efi = efi_program(&sandbox, scratch)?;
    interrupt_lock::compile(&sandbox, scratch)?;
    let kernel = read(&parts.kernel)?;
    for (name, bytes) in [(KERNEL, &kernel), (INITRD, &initrd)] {
        fs::write(scratch.join(name), bytes)
            .with_context(|| format!("writing the guest's {name}"))?;
    }
    let boot_img = read(&parts.tools.join("usr/lib/grub/i386-pc/boot.img"))?;
    let boot = grub::for_disk(&boot_img, &core, CORE.0, CORE.1).context("patching GRUB")?;

    let bytes = (DISK / SECTOR - TAIL - DATA) * SECTOR;
    let mut volume = vec![0; bytes as usize];
    let mut fat =
        FatWriter::format(Cursor::new(&mut volume), &FatVolume { bytes, label: "GUEST", id: 1 })
            .context("making the guest's file system")?;
    fat.file("boot/grub/grub.cfg", GRUB_CFG).context("writing the guest's menu")?;
    fat.file("EFI/BOOT/BOOTX64.EFI", &efi[..]).context("writing the guest's GRUB for UEFI")?;
    fat.file("vmlinuz", &kernel[..]).context("writing the guest's kernel")?;
    fat.file("vmlinux.gz", &read(&scratch.join("vmlinux.gz"))?[..])
        .context("writing the guest's PV kernel")?;
    fat.file("initrd.img", &initrd[..]).context("writing the guest's initramfs")?;
    fat.finish().context("finishing the guest's file system")?;
    write_parts(out, &boot, &volume).with_context(|| format!("writing {}", out.display()))
}

/// Puts the disk together: table, boot code, GRUB, file system.
fn write_parts(out: &Path, boot: &grub::DiskBoot, volume: &[u8]) -> Result<()> {
    let mut file = File::options().read(true).write(true).create(true).truncate(true).open(out)?;
    file.set_len(DISK)?;
    let mut table = gpt::GptConfig::new()
        .writable(true)
        .create_from_device(&mut file, Some(uuid::Uuid::from_u128(1)))?;
    let last = DISK / SECTOR - TAIL - 1;
    let partition = |kind, id, name: &str, first_lba, last_lba| gpt::partition::Partition {
        part_type_guid: kind,
        part_guid: uuid::Uuid::from_u128(id),
        first_lba,
        last_lba,
        flags: 0,
        name: name.to_owned(),
    };
    table.update_partitions(BTreeMap::from([
        (1, partition(partition_types::BIOS, 2, "grub", CORE.0, CORE.0 + CORE.1 - 1)),
        (2, partition(partition_types::BASIC, 3, "guest", DATA, last)),
    ]))?;
    table.write()?;
    let pieces: [(u64, &[u8]); 3] = [
        (0, &mbr::protective(&boot.boot_code, 1, DISK / SECTOR)),
        (CORE.0, &boot.core),
        (DATA, volume),
    ];
    for (sector, bytes) in pieces {
        file.seek(SeekFrom::Start(sector * SECTOR))?;
        file.write_all(bytes)?;
    }
    Ok(())
}

/// The compressed kernel inside a bzImage (Documentation/arch/x86/boot.rst, `payload_offset`).
fn payload(image: &[u8]) -> Result<&[u8]> {
    let number = |at: usize| {
        let bytes = image.get(at..at + 4).context("the kernel is no bzImage")?;
        Ok::<_, anyhow::Error>(u32::from_le_bytes(bytes.try_into()?) as usize)
    };
    anyhow::ensure!(image.get(0x202..0x206) == Some(b"HdrS"), "the kernel is no bzImage");
    let setup = (usize::from(image[0x1f1]) + 1) * 512;
    let start = setup + number(0x248)?;
    // Four bytes with the unpacked size follow the compressed data proper.
    let length = number(0x24c)?.checked_sub(4).context("the kernel has no payload")?;
    image.get(start..start + length).context("the kernel's payload is cut off")
}

/// The shell and its friends, a static program.
pub const BUSYBOX: &str = "bin/busybox";

/// A file of Dom0, of those that [`write_disk`] leaves in its scratch folder.
pub fn part(scratch: &Path, path: &str) -> Result<Vec<u8>> {
    read(&scratch.join("root/usr").join(path))
}

/// One of its kernel's modules.
pub fn module_of(scratch: &Path, module: &str) -> Result<Vec<u8>> {
    let all = scratch.join("root/usr/lib/modules");
    let versions = fs::read_dir(all).context("listing kernel versions")?;
    let version = versions.flatten().next().context("there is no kernel version")?.path();
    read(&version.join("kernel").join(module))
}

fn initrd(sandbox: &Sandbox, scratch: &Path) -> Result<Vec<u8>> {
    let args = ["-q", "-f", "-d", "/build/root", "/root.img", "usr/bin/busybox"];
    let all = MODULES.iter().chain(file_server::MODULES);
    let wanted = all.map(|module| format!("usr/lib/modules/*/kernel/{module}"));
    sandbox
        .run("unsquashfs", args.iter().map(|arg| (*arg).to_owned()).chain(wanted))
        .context("taking modules and busybox out of Dom0's image")?;

    let mut cpio = CpioWriter::new(Vec::new(), 0);
    cpio.folders("bin")?;
    cpio.folders("dev")?;
    cpio.folders("modules")?;
    let mut order = String::new();
    let mut add = |path: &str, bytes: &[u8]| {
        cpio.file(path, 0o755, bytes.len() as u64, bytes).with_context(|| format!("adding {path}"))
    };
    add("init", INIT)?;
    add(BUSYBOX, &part(scratch, BUSYBOX)?)?;
    for module in MODULES {
        let name = Path::new(module).file_name().context("a module has a name")?;
        let name = name.to_string_lossy();
        add(&format!("modules/{name}"), &module_of(scratch, module)?)?;
        order.push_str(&format!("{name}\n"));
    }
    add("modules.order", order.as_bytes())?;
    cpio.device("dev/console", 0o600, image_formats::cpio::DeviceKind::Character, 5, 1)?;
    Ok(cpio.finish()?)
}

/// GRUB for a BIOS that reads the menu of partition 2.
fn core_image(sandbox: &Sandbox, scratch: &Path) -> Result<Vec<u8>> {
    fs::write(scratch.join("early.cfg"), "set root=(hd0,gpt2)\nconfigfile /boot/grub/grub.cfg\n")
        .context("writing GRUB's first configuration")?;
    let args = "--format i386-pc --directory /usr/lib/grub/i386-pc --output core.img --prefix / \
                --config early.cfg biosdisk part_gpt fat normal configfile linux test echo gzio \
                boot minicmd";
    sandbox.run("grub-mkimage", args.split_whitespace()).context("making the guest's GRUB")?;
    read(&scratch.join("core.img"))
}

/// GRUB for UEFI that reads the same menu, on whichever disk it finds it: the firmware sees the disk by
/// its own driver for Xen, and as an emulated one.
fn efi_program(sandbox: &Sandbox, scratch: &Path) -> Result<Vec<u8>> {
    let early = "search.fs_label GUEST root\nconfigfile /boot/grub/grub.cfg\n";
    fs::write(scratch.join("efi.cfg"), early).context("writing GRUB's first configuration")?;
    let args = "--format x86_64-efi --directory /usr/lib/grub/x86_64-efi --output boot.efi --prefix / \
                --config efi.cfg part_gpt fat normal configfile linux test echo gzio boot minicmd search_label";
    sandbox
        .run("grub-mkimage", args.split_whitespace())
        .context("making the guest's GRUB for UEFI")?;
    read(&scratch.join("boot.efi"))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("reading {}", path.display()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_no_kernel_has_no_payload() {
        for bad in [&b""[..], &[0; 4096]] {
            assert!(super::payload(bad).is_err());
        }
    }
}
