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
    /// A new EFI system partition with everything but a boot loader.
    pub(super) fn copy_boot_files(&mut self) -> Result<(), StepError> {
        let plan = self.plan;
        let (device, bytes) = (self.partition(Role::Esp), self.size_of(Role::Esp));
        let sector = plan.layout.sector_size().bytes();
        let volume = FatVolume { bytes, label: ESP_LABEL, id: plan.ids.esp };
        let target = Device::new(self.system, &device, bytes);
        let fat = FatWriter::format_with_sectors(target, &volume, sector);
        fat.and_then(FatWriter::finish).map_err(StepError::Fat)?;
        let mut done = 0;
        for (name, file) in
            [("xen.gz", paths::XEN), ("vmlinuz", paths::KERNEL), ("initrd.img", paths::INITRD)]
        {
            let content = self.read_medium(file)?;
            done += content.len() as u64;
            let path = format!("{SLOT_A_FOLDER}/{name}");
            put(self.system, &device, bytes, &[(&path, &content)])?;
            self.progress(done, plan.medium.boot_size);
        }
        self.system.sync(&device)?;
        Ok(())
    }

    /// UEFI's boot loader after its menu, BIOS's first sector after the rest of GRUB: each start
    /// way works from its last write on. The very last one says that the installation is whole.
    pub(super) fn write_boot_loader(&mut self) -> Result<(), StepError> {
        self.write_efi_boot_loader()?;
        self.write_bios_boot_loader()?;
        let (device, bytes) = (self.partition(Role::Esp), self.size_of(Role::Esp));
        let build = self.plan.medium.build_id;
        let text = format!("{build}\n");
        put(self.system, &device, bytes, &[(&build.installed(), text.as_bytes())])?;
        self.system.sync(&device)?;
        Ok(())
    }

    fn write_efi_boot_loader(&mut self) -> Result<(), StepError> {
        let plan = self.plan;
        let (device, bytes) = (self.partition(Role::Esp), self.size_of(Role::Esp));
        let menu = grub_cfg(plan);
        let boot_efi = self.read_medium(paths::GRUB_EFI)?;
        put(self.system, &device, bytes, &[(GRUB_CFG, menu.as_bytes()), (BOOT_EFI, &boot_efi)])?;
        self.system.sync(&device)?;
        Ok(())
    }

    fn write_bios_boot_loader(&mut self) -> Result<(), StepError> {
        let plan = self.plan;
        let Some(boot) = self.boot_sectors()? else {
            return Ok(());
        };
        let bios = self.partition(Role::BiosBoot);
        self.system.write_at(&bios, 0, &boot.core)?;
        self.system.sync(&bios)?;
        let signature = plan.layout.guid().as_fields().0;
        let sector = mbr::protective(&boot.boot_code, signature, plan.layout.sectors());
        self.system.write_at(&plan.disk.path, 0, &sector)?;
        self.system.sync(&plan.disk.path)?;
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
