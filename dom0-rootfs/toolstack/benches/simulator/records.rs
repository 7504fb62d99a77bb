// SPDX-License-Identifier: MIT OR Apache-2.0
//! All records of a thousand VMs in one answer.

use anyhow::Result;

use crate::daemon::Daemon;
use crate::{Figures, machines, median};

const MACHINES: usize = 1000;
const ROUNDS: usize = 21;

pub fn measure(figures: &mut Figures) -> Result<()> {
    let folder = tempfile::tempdir()?;
    machines::make(folder.path(), 0..MACHINES)?;
    let daemon = Daemon::start(folder.path())?;
    let client = daemon.login()?;
    let times: Result<Vec<f64>> =
        (0..ROUNDS).map(|_| client.time("VM.get_all_records", vec![])).collect();
    figures.push(("VM.get_all_records of 1,000 VMs, ms".into(), median(times?) * 1e3));
    Ok(())
}
