// SPDX-License-Identifier: MIT OR Apache-2.0
//! The local storage repository, as the toolstack's drivers would make it. Afterwards nothing keeps
//! the disks, unless a script for the installed system is to come.

use appliance_model::handover::{LocalSr, LocalSrKind};
use image_formats::gpt::Role;

use super::{Run, StepError};
use crate::hooks::Stage;
use crate::program::Program;

impl Run<'_> {
    pub(super) fn make_storage(&mut self) -> Result<(), StepError> {
        if let Some(sr) = self.plan.handover.local_sr.clone() {
            self.make_sr(&sr)?;
        }
        self.last_of_arrays()
    }

    /// Lets go of the arrays, unless the script for the installed system is to work on them.
    pub(super) fn last_of_arrays(&mut self) -> Result<(), StepError> {
        match self.hooks.script(Stage::Populated) {
            Some(_) => Ok(()),
            None => self.stop_arrays(),
        }
    }

    fn make_sr(&mut self, sr: &LocalSr) -> Result<(), StepError> {
        let group = format!("xsr-{}", sr.uuid);
        let system = self.plan.storage_on_system.then(|| self.device(Role::Sr));
        let disks = self.plan.storage_disks.iter().map(|disk| disk.path.clone());
        let devices = system.into_iter().chain(disks);
        let create = devices
            .fold(Program::new("vgcreate").args(["--yes", &group]), |create, path| {
                create.arg(path.display().to_string())
            });
        let programs = match sr.kind {
            LocalSrKind::Ext => vec![
                create,
                Program::new("lvcreate")
                    .args(["--yes", "--wipesignatures", "y", "--zero", "y"])
                    .args(["--extents", "100%FREE", "--name", "data", &group]),
                Program::new("mkfs.ext4")
                    .args(["-q", "-F", "-m", "0", "-T", "largefile", "-L", "sr"])
                    .arg(format!("/dev/{group}/data")),
            ],
            LocalSrKind::LvmThin => vec![
                create,
                Program::new("lvcreate").args(["--yes", "--type", "thin-pool"]).args([
                    "--extents",
                    "98%FREE",
                    "--name",
                    "pool",
                    &group,
                ]),
                // lvcreate does not know this option for thin pools.
                Program::new("lvchange")
                    .args(["--errorwhenfull", "y"])
                    .arg(format!("{group}/pool")),
            ],
        };
        for program in &programs {
            self.system.run(program)?;
        }
        // So that the disk is free again: for another try, or to be pulled out.
        self.system.run(&Program::new("vgchange").args(["--activate", "n", &group]))?;
        Ok(())
    }
}
