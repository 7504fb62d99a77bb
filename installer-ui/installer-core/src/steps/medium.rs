// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads what will be written, while the disk is still whole.

use std::ops::ControlFlow;

use appliance_model::Digest;
use appliance_model::medium as paths;
use image_formats::gpt::Role;
use image_formats::grub;
use sha2::{Digest as _, Sha256};

use super::{Run, StepError};
use crate::medium::ListedMedium;

/// Every file of the medium that something on the disk is made of.
const WRITTEN: [&str; 9] = [
    paths::BUILD_ID,
    paths::BOOT_OPTIONS,
    paths::BOOT_IMG,
    paths::CORE_IMG,
    paths::GRUB_EFI,
    paths::XEN,
    paths::KERNEL,
    paths::INITRD,
    paths::ROOT_IMAGE,
];

impl Run<'_> {
    /// Compares every file with the medium's list, so that a bad medium is noticed while nothing is
    /// lost, and tries the boot loader's patches.
    pub(super) fn check_medium(&mut self) -> Result<(), StepError> {
        let plan = self.plan;
        let listed = self.listed()?;
        let id_line = format!("{}\n", plan.medium.build_id);
        if listed.expected(paths::BUILD_ID)? != Digest::new(Sha256::digest(id_line).into()) {
            return Err(StepError::AnotherMedium);
        }
        let mut total = 0;
        for name in WRITTEN {
            total += self.system.size(&plan.source(name))?;
        }
        let mut done = 0;
        for name in WRITTEN {
            // Two fields of one struct, so that the file can be read while its progress is told.
            let (system, sink) = (&mut *self.system, &mut *self.sink);
            let checked = listed.check(system, name, &mut |bytes| {
                done += bytes.len() as u64;
                sink(crate::events::Event::Progress { done: done.min(total), total });
                ControlFlow::Continue(())
            });
            let _: ControlFlow<()> = checked?;
        }
        self.boot_sectors().map(drop)
    }

    /// The medium with its list.
    pub(super) fn listed(&mut self) -> Result<ListedMedium, StepError> {
        if let Some(listed) = &self.listed {
            return Ok(listed.clone());
        }
        let listed = ListedMedium::read(self.system, &self.plan.medium.path)?;
        self.listed = Some(listed.clone());
        Ok(listed)
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
