// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is different where a host is installed again and its guests stay.
//!
//! The old system is made to start no more before anything of it is written over, and the new one starts
//! only once it is whole. In between the records of the guests lie in the state partition, in one place or
//! another that [`crate::system`] finds again; guests' storage is never opened.

use image_formats::gpt::Role;
use image_formats::mbr::{self, STARTS_NOTHING};

use super::{Run, StepError};
use crate::events::Event;
use crate::program::Program;

impl Run<'_> {
    /// Looks for a whole database of the toolstack, and for whole mirrors, before anything is written.
    pub(super) fn check_records(&mut self) -> Result<(), StepError> {
        self.assemble()?;
        let found = self.whole_arrays().and_then(|()| {
            let state = self.device(Role::State);
            self.system.records(&state).map_err(StepError::Records)
        });
        let stopped = self.stop_arrays();
        let records = found?;
        stopped?;
        self.folders.clone_from(&records.folders);
        (self.sink)(Event::Said(format!(
            "kept: host {:?} with {} VMs and {} virtual disks",
            records.name, records.vms, records.vdis
        )));
        for sr in &records.srs {
            (self.sink)(Event::Said(format!(
                "kept: storage {:?} ({}, {})",
                sr.name, sr.kind, sr.uuid
            )));
        }
        Ok(())
    }

    /// Boot code that starts nothing, and EFI system partitions without the sector that makes them one:
    /// each is a single write, so that a power cut leaves a start way whole or ends it.
    pub(super) fn unboot(&mut self) -> Result<(), StepError> {
        let plan = self.plan;
        for (disk, layout) in plan.disks() {
            let signature = layout.guid().as_fields().0;
            let sector = mbr::protective(&STARTS_NOTHING, signature, layout.sectors());
            self.system.write_at(&disk.path, 0, &sector)?;
            self.system.sync(&disk.path)?;
        }
        let sector = usize::try_from(plan.layout.sector_size().bytes()).unwrap_or_default();
        for esp in self.partitions(Role::Esp) {
            self.system.write_at(&esp, 0, &vec![0; sector])?;
            self.system.sync(&esp)?;
        }
        self.assemble()
    }

    /// Starts the arrays of the host's mirror.
    fn assemble(&mut self) -> Result<(), StepError> {
        for (role, id) in self.plan.arrays() {
            let program = Program::new("mdadm")
                .args(["--assemble"])
                .arg(super::mirror::device(role).display().to_string())
                .args(["--run"])
                .arg(format!("--uuid={id}"));
            let partitions = self.partitions(role).into_iter();
            self.system.run(&partitions.fold(program, |program, partition| {
                program.arg(partition.display().to_string())
            }))?;
        }
        Ok(())
    }

    /// mdadm(8): `--detail --test` ends with 0 only for an array that lacks no disk.
    fn whole_arrays(&mut self) -> Result<(), StepError> {
        for (role, _) in self.plan.arrays() {
            let device = super::mirror::device(role).display().to_string();
            let program = Program::new("mdadm").args(["--detail", "--test", &device]);
            let asked = self.system.run(&program);
            asked.map_err(|source| StepError::Degraded { name: role.name(), source })?;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests;
