// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the firmware starts.

use std::mem::take;

use appliance_model::medium as paths;
use image_formats::fat::{FatError, FatVolume, FatWriter};
use image_formats::gpt::Role;
use image_formats::mbr;

use super::{Run, StepError, parents};
use crate::boot_menu::grub_cfg;
use crate::layout::{BOOT_EFI, ESP_LABEL, GRUB_CFG, SLOT_A_FOLDER};
use crate::system::Device;

impl Run<'_> {
    /// On each disk a new EFI system partition with everything but a boot loader. Its first sector,
    /// without which it is no file system to anyone, is held back: what a power cut leaves of the rest,
    /// mixed with what was there before, is never read.
    pub(super) fn copy_boot_files(&mut self) -> Result<(), StepError> {
        let plan = self.plan;
        let (devices, bytes) = (self.partitions(Role::Esp), self.size_of(Role::Esp));
        let sector = plan.layout.sector_size().bytes();
        let start = vec![0; usize::try_from(sector).unwrap_or_default()];
        self.esp_starts = vec![start; devices.len()];
        let ids = [plan.ids.esp, plan.ids.mirror.esp];
        for ((device, start), id) in devices.iter().zip(&mut self.esp_starts).zip(ids) {
            let volume = FatVolume { bytes, label: ESP_LABEL, id };
            let target = Device::new(self.system, device, bytes).holding(Some(start));
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
            self.put(&[(&path, &content)])?;
            self.progress(done, plan.medium.boot_size);
        }
        self.sync_esps()
    }

    /// On each disk UEFI's first sector and then BIOS's, each after all that it leads to is on the device:
    /// each start way works from one write on. The very last one says that the installation is whole.
    pub(super) fn write_boot_loader(&mut self) -> Result<(), StepError> {
        self.write_efi_boot_loader()?;
        self.write_bios_boot_loader()?;
        let build = self.plan.medium.build_id;
        let text = format!("{build}\n");
        self.put(&[(&build.installed(), text.as_bytes())])?;
        self.sync_esps()
    }

    fn write_efi_boot_loader(&mut self) -> Result<(), StepError> {
        let menu = grub_cfg(self.plan);
        let boot_efi = self.read_medium(paths::GRUB_EFI)?;
        self.put(&[(GRUB_CFG, menu.as_bytes()), (BOOT_EFI, &boot_efi)])?;
        self.sync_esps()?;
        for (device, start) in self.partitions(Role::Esp).iter().zip(take(&mut self.esp_starts)) {
            self.system.write_at(device, 0, &start)?;
            self.system.sync(device)?;
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

    /// Adds files to each disk's EFI system partition.
    fn put(&mut self, files: &[(&str, &[u8])]) -> Result<(), StepError> {
        let bytes = self.size_of(Role::Esp);
        for (index, device) in self.partitions(Role::Esp).iter().enumerate() {
            let start = self.esp_starts.get_mut(index);
            let volume = Device::new(self.system, device, bytes).holding(start);
            let fill = |mut fat: FatWriter<Device<'_>>| -> Result<(), FatError> {
                files.iter().try_for_each(|(path, content)| fat.file(path, *content))?;
                fat.finish()
            };
            FatWriter::open(volume).and_then(fill).map_err(StepError::Fat)?;
            let start = self.esp_starts.get_mut(index);
            let mut volume = Device::new(self.system, device, bytes).holding(start);
            parents::mend(&mut volume).map_err(|source| StepError::Fat(FatError::Close(source)))?;
        }
        Ok(())
    }

    fn sync_esps(&mut self) -> Result<(), StepError> {
        let devices = self.partitions(Role::Esp);
        devices.iter().try_for_each(|device| Ok(self.system.sync(device)?))
    }
}
