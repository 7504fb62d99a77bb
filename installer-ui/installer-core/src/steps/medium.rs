// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads what will be written, while the disk is still whole.

use std::io::Read;

use appliance_model::medium as paths;
use image_formats::gpt::Role;
use image_formats::grub;

use super::{Run, StepError};

impl Run<'_> {
    /// Reads every file once, so that a bad medium is noticed while nothing is lost, and tries the
    /// boot loader's patches.
    pub(super) fn check_medium(&mut self) -> Result<(), StepError> {
        let plan = self.plan;
        let files = [paths::XEN, paths::KERNEL, paths::INITRD, paths::GRUB_EFI, paths::ROOT_IMAGE];
        let total = plan.medium.boot_size + plan.medium.root_image_size;
        let mut done = 0;
        for name in files {
            let path = plan.source(name);
            let mut file = self.system.open(&path)?;
            let mut buffer = vec![0; super::root_image::CHUNK];
            loop {
                let read = file.read(&mut buffer);
                let read =
                    read.map_err(|source| StepError::Medium { path: path.clone(), source })?;
                if read == 0 {
                    break;
                }
                done += read as u64;
                self.progress(done.min(total), total);
            }
        }
        if done != total {
            let path = plan.medium.path.clone();
            return Err(StepError::Size { path, expected: total, found: done });
        }
        self.boot_sectors().map(drop)
    }

    /// What makes the disk start by BIOS; none on a disk that no BIOS starts.
    pub(super) fn boot_sectors(&mut self) -> Result<Option<grub::DiskBoot>, StepError> {
        if !self.plan.bios_boots() {
            return Ok(None);
        }
        let boot_img = self.read_medium(paths::BOOT_IMG)?;
        let core_img = self.read_medium(paths::CORE_IMG)?;
        let bios = self.plan.layout.partition(Role::BiosBoot);
        grub::for_disk(&boot_img, &core_img, bios.first_sector, bios.sectors)
            .map(Some)
            .map_err(StepError::Grub)
    }
}
