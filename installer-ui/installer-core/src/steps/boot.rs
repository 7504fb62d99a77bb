// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the firmware starts.

use std::path::Path;

use appliance_model::medium as paths;
use image_formats::fat::{FatError, FatVolume, FatWriter};
use image_formats::gpt::Role;
use image_formats::mbr;

use super::{Run, StepError, parents};
use crate::boot_menu::grub_cfg;
use crate::layout::{BOOT_EFI, ESP_LABEL, GRUB_CFG, SLOT_A_FOLDER};
use crate::system::{Device, System};

impl Run<'_> {
    /// On each disk a new EFI system partition with everything but a boot loader.
    pub(super) fn copy_boot_files(&mut self) -> Result<(), StepError> {
        let plan = self.plan;
        let (devices, bytes) = (self.partitions(Role::Esp), self.size_of(Role::Esp));
        let sector = plan.layout.sector_size().bytes();
        for (device, id) in devices.iter().zip([plan.ids.esp, plan.ids.mirror.esp]) {
            let volume = FatVolume { bytes, label: ESP_LABEL, id };
            let target = Device::new(self.system, device, bytes);
            let fat = FatWriter::format_with_sectors(target, &volume, sector);
            fat.and_then(FatWriter::finish).map_err(StepError::Fat)?;
        }
        let mut done = 0;
        for (name, file) in
            [("xen.gz", paths::XEN), ("vmlinuz", paths::KERNEL), ("initrd.img", paths::INITRD)]
        {
            let content = self.read_medium(file)?;
            done += content.len() as u64;
            let path = format!("{SLOT_A_FOLDER}/{name}");
            for device in &devices {
                put(self.system, device, bytes, &[(&path, &content)])?;
            }
            self.progress(done, plan.medium.boot_size);
        }
        devices.iter().try_for_each(|device| Ok(self.system.sync(device)?))
    }

    /// UEFI's boot loader after its menu, BIOS's first sector after the rest of GRUB: each start
    /// way works from its last write on. The very last one says that the installation is whole.
    pub(super) fn write_boot_loader(&mut self) -> Result<(), StepError> {
        self.write_efi_boot_loader()?;
        self.write_bios_boot_loader()?;
        let build = self.plan.medium.build_id;
        let text = format!("{build}\n");
        self.put_on_esps(&[(&build.installed(), text.as_bytes())])
    }

    fn write_efi_boot_loader(&mut self) -> Result<(), StepError> {
        let menu = grub_cfg(self.plan);
        let boot_efi = self.read_medium(paths::GRUB_EFI)?;
        self.put_on_esps(&[(GRUB_CFG, menu.as_bytes()), (BOOT_EFI, &boot_efi)])
    }

    /// Each disk's EFI system partition gets the files.
    fn put_on_esps(&mut self, files: &[(&str, &[u8])]) -> Result<(), StepError> {
        let bytes = self.size_of(Role::Esp);
        for device in self.partitions(Role::Esp) {
            put(self.system, &device, bytes, files)?;
            self.system.sync(&device)?;
        }
        Ok(())
    }

    fn write_bios_boot_loader(&mut self) -> Result<(), StepError> {
        let plan = self.plan;
        let Some(boot) = self.boot_sectors()? else {
            return Ok(());
        };
        for bios in self.partitions(Role::BiosBoot) {
            self.system.write_at(&bios, 0, &boot.core)?;
            self.system.sync(&bios)?;
        }
        for (disk, layout) in plan.disks() {
            let signature = layout.guid().as_fields().0;
            let sector = mbr::protective(&boot.boot_code, signature, layout.sectors());
            self.system.write_at(&disk.path, 0, &sector)?;
            self.system.sync(&disk.path)?;
        }
        Ok(())
    }
}

fn put(
    system: &mut dyn System,
    device: &Path,
    bytes: u64,
    files: &[(&str, &[u8])],
) -> Result<(), StepError> {
    let fill = |mut fat: FatWriter<Device<'_>>| -> Result<(), FatError> {
        files.iter().try_for_each(|(path, content)| fat.file(path, *content))?;
        fat.finish()
    };
    let fat = FatWriter::open(Device::new(system, device, bytes));
    fat.and_then(fill).map_err(StepError::Fat)?;
    let mut volume = Device::new(system, device, bytes);
    parents::mend(&mut volume).map_err(|source| StepError::Fat(FatError::Close(source)))
}
