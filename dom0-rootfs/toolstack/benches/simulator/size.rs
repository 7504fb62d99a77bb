// SPDX-License-Identifier: MIT OR Apache-2.0
//! Start-up and memory with many VMs in the database.

use anyhow::Result;

use crate::daemon::Daemon;
use crate::{Figures, machines};

const FEW: usize = 100;
const MANY: usize = 10_000;

pub fn measure(figures: &mut Figures) -> Result<()> {
    let folder = tempfile::tempdir()?;
    machines::make(folder.path(), 0..FEW)?;
    let daemon = Daemon::start(folder.path())?;
    figures.push(("resident with 100 VMs, MiB".into(), daemon.resident_mib()?));
    drop(daemon);
    machines::make(folder.path(), FEW..MANY)?;
    let daemon = Daemon::start(folder.path())?;
    figures.push(("start-up with 10,000 VMs, s".into(), daemon.began.as_secs_f64()));
    figures.push(("resident with 10,000 VMs, MiB".into(), daemon.resident_mib()?));
    let all = daemon.login()?.call("VDI.get_all", vec![])?;
    anyhow::ensure!(all.as_set().is_some_and(|all| all.len() == MANY), "some VMs are not there");
    Ok(())
}
