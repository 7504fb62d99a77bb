// SPDX-License-Identifier: MIT OR Apache-2.0
//! Software RAID 1 over two disks, by mdadm(8).

use std::path::PathBuf;

use image_formats::gpt::Role;

use super::{Run, StepError};
use crate::plan::ARRAY_START;
use crate::program::Program;

/// The array that holds `role`. The initramfs gives it the same name.
pub(super) fn device(role: Role) -> PathBuf {
    format!("/dev/md/{}", role.name()).into()
}

impl Run<'_> {
    /// Makes the arrays over partitions that hold no signature any more, taken as equal from the
    /// beginning: what is ever read of them is written to both before.
    pub(super) fn make_arrays(&mut self) -> Result<(), StepError> {
        for (role, id) in self.plan.arrays() {
            let program = Program::new("mdadm")
                .args(["--create"])
                .arg(device(role).display().to_string())
                .args(["--run", "--level=1", "--raid-devices=2", "--metadata=1.2"])
                .arg(format!("--data-offset={}K", ARRAY_START >> 10))
                // After a power cut, or when a disk comes back, only what changed is copied.
                .args(["--assume-clean", "--bitmap=internal", "--homehost=any"])
                .arg(format!("--name={}", role.name()))
                .arg(format!("--uuid={id}"));
            let partitions = self.partitions(role).into_iter();
            self.system.run(&partitions.fold(program, |program, partition| {
                program.arg(partition.display().to_string())
            }))?;
        }
        Ok(())
    }

    /// Lets go of the arrays, so that the disks are free again.
    pub(super) fn stop_arrays(&mut self) -> Result<(), StepError> {
        for (role, _) in self.plan.arrays() {
            let device = device(role).display().to_string();
            self.system.run(&Program::new("mdadm").args(["--stop", &device]))?;
        }
        Ok(())
    }
}
