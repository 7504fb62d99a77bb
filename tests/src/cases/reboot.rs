// SPDX-License-Identifier: MIT OR Apache-2.0
//! Guests that end and start with their host.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::boot::{LIMIT, READY};
use crate::inner;
use crate::install::PASSWORD;
use crate::lab::Lab;
use crate::runner::{Case, Figures};
use crate::shell;

/// Only by name and in full runs.
pub fn cases() -> Vec<Case> {
    vec![Case {
        name: "life-reboot",
        about: "a host that reboots shuts its guests down, and starts those that are to run; on request",
        run,
    }]
}

/// Of each guest in bytes: both run at a time.
const MEMORY: u64 = 128 << 20;

fn run(lab: &Lab, folder: &Path, _: &Figures) -> Result<()> {
    let mut vm = inner::host(lab, folder)?;
    let serial = &mut vm.serial;
    let (stays, other) = (
        inner::create(lab, serial, "stays", inner::PVH)?.vm,
        inner::create(lab, serial, "other", inner::PVH)?.vm,
    );
    shell::run(
        serial,
        "xe pool-param-set uuid=$(xe pool-list --minimal) other-config:auto_poweron=true",
    )?;
    shell::run(serial, &format!("xe vm-param-set uuid={stays} other-config:auto_poweron=true"))?;
    for guest in [&stays, &other] {
        let limits = ["static-min", "dynamic-min", "dynamic-max", "static-max"];
        let limits = limits.map(|limit| format!("{limit}={MEMORY}")).join(" ");
        shell::run(serial, &format!("xe vm-memory-limits-set uuid={guest} {limits}"))?;
        shell::run(serial, &format!("xe vm-start uuid={guest}"))?;
        inner::watch_boot(serial, guest, "boots 1")?;
    }
    serial.send("reboot\n")?;
    serial.wait(READY, LIMIT).context("booting the host again")?;
    shell::log_in(serial, PASSWORD)?;
    let before = "journalctl -b -1 -u xenith-toolstack -o cat --no-pager";
    // All ended by themselves, within the time that they had.
    shell::run(serial, &format!("{before} | grep -q 'the host goes down'"))?;
    shell::run(serial, &format!("! {before} | grep -E 'pulling the plug|cut off'"))?;
    let running = "xe vm-list is-control-domain=false power-state=running --minimal";
    shell::run(
        serial,
        &format!("timeout 250 sh -c 'until {running} | grep -q .; do sleep 1; done'"),
    )?;
    let running = shell::run(serial, running)?;
    ensure!(running == stays, "{running:?} run, not {stays} alone");
    inner::watch_boot(serial, &stays, "boots 2")?;
    let messages = shell::run(serial, "xe message-list name=VM_NOT_STARTED --minimal")?;
    ensure!(messages.is_empty(), "messages: {messages}");
    // The journal of a daemon that goes without its host says nothing of guests.
    shell::run(serial, "systemctl restart xenith-toolstack")?;
    shell::run(
        serial,
        &format!("xe vm-list uuid={stays} power-state=running --minimal | grep -q ."),
    )?;
    Ok(())
}
