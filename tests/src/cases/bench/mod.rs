// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `cargo xtask bench` measures in a virtual machine. These judge nothing.

use std::path::Path;

use anyhow::{Context, Result};
use isobuild::emulator::Medium;

mod start;

use super::boot::{LIMIT, READY};
use crate::inner;
use crate::install::{self, From, PASSWORD};
use crate::lab::Lab;
use crate::runner::{Case, Figures};
use crate::serial::Serial;
use crate::shell;
use crate::vm::{Setup, Vm};

/// Not part of a run of all cases; only by name.
pub fn cases() -> Vec<Case> {
    vec![
        Case { name: "bench-live", about: "power-on to toolstack ready, BIOS CD", run: live },
        Case {
            name: "bench-host",
            about: "memory at rest, VM.start beside xl create, on an installed host",
            run: host,
        },
    ]
}

fn live(lab: &Lab, folder: &Path, figures: &Figures) -> Result<()> {
    let setup = Setup { medium: Some(Medium::Cd), ..Setup::default() };
    let mut vm = Vm::start(lab, folder, "live", &setup)?;
    vm.serial.wait(READY, LIMIT)?;
    figures.note("toolstack ready, CPU s", vm.cpu_seconds()?);
    Ok(())
}

fn host(lab: &Lab, folder: &Path, figures: &Figures) -> Result<()> {
    install::install(lab, folder, false, "ext", From::Volume)?;
    let disks = vec![install::system_disk(), inner::disk(lab, folder)?];
    let mut vm = Vm::start(lab, folder, "host", &Setup { disks, ..Setup::default() })?;
    vm.serial.wait(READY, LIMIT).context("booting the installed host")?;
    figures.note("installed host ready, CPU s", vm.cpu_seconds()?);
    let serial = &mut vm.serial;
    shell::log_in(serial, PASSWORD)?;
    // All jobs of the boot are done; a unit that failed is for other cases to find.
    shell::run(serial, "systemctl is-system-running --wait || true")?;
    let memory = "awk '/MemTotal/{t=$2} /MemAvailable/{a=$2} END{print t-a}' /proc/meminfo";
    figures.note("Dom0 memory used, MiB", number(serial, memory)? / 1024.0);
    // The kernel keeps 15 letters of a process's name.
    for (name, process) in [("resident", "xenith-toolstac"), ("worker resident", "xenops-worker")] {
        let rss = format!("awk '/VmRSS/{{print $2}}' /proc/$(pgrep -xo {process})/status");
        figures.note(format!("toolstack {name}, MiB"), number(serial, &rss)? / 1024.0);
    }
    start::measure(lab, serial, figures)
}

fn number(serial: &mut Serial, command: &str) -> Result<f64> {
    let text = shell::run(serial, command)?;
    let last = text.lines().last().unwrap_or_default().trim();
    last.parse().with_context(|| format!("{command} printed {text:?}, which is no number"))
}
