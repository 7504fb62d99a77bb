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
    /// Makes the arrays over partitions that hold no signature any more. Only the slots are taken as
    /// equal from the beginning: all of them that is ever read is written and verified on each disk.
    /// The kernel brings the others in line while they are used already.
    pub(super) fn make_arrays(&mut self) -> Result<(), StepError> {
        for (role, id) in self.plan.arrays() {
            let mut program = Program::new("mdadm")
                .args(["--create"])
                .arg(device(role).display().to_string())
                .args(["--run", "--level=1", "--raid-devices=2", "--metadata=1.2"])
                .arg(format!("--data-offset={}K", ARRAY_START >> 10))
                // After a power cut, or when a disk comes back, only what changed is copied.
                .args(["--bitmap=internal", "--homehost=any"])
                .arg(format!("--name={}", role.name()))
                .arg(format!("--uuid={id}"));
            if matches!(role, Role::SlotA | Role::SlotB) {
                program = program.args(["--assume-clean"]);
            }
            for partition in self.partitions(role) {
                program = program.arg(partition.display().to_string());
            }
            self.system.run(&program)?;
        }
        Ok(())
    }

    /// Lets go of the arrays, so that the disks are free again. What the kernel has not yet brought
    /// in line it goes on with when the host starts.
    pub(super) fn stop_arrays(&mut self) -> Result<(), StepError> {
        for (role, _) in self.plan.arrays() {
            let device = device(role).display().to_string();
            self.system.run(&Program::new("mdadm").args(["--stop", &device]))?;
        }
        Ok(())
    }
}
