// SPDX-License-Identifier: MIT OR Apache-2.0
//! Unattended installation, then a working day of the installed host.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use isobuild::emulator::Forward;

use super::boot::{LIMIT, READY};
use crate::inner::{self, Inner};
use crate::install::{self, PASSWORD};
use crate::lab::{Lab, free_port};
use crate::runner::{Case, Figures};
use crate::shell;
use crate::vm::{Setup, Vm};

/// Address of the test guest in QEMU's user network.
const GUEST_ADDRESS: &str = "10.0.2.50";
/// Port that it answers on.
const GUEST_PORT: u16 = 7777;

/// One for each firmware, with different storage and a different way to drive the host.
pub fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "install-bios",
            about: "BIOS install, ext SR; guests through XenAPI from outside; power cut",
            run: bios,
        },
        Case {
            name: "install-uefi",
            about: "UEFI install, thin LVM SR; a guest with xe inside",
            run: uefi,
        },
    ]
}

fn bios(lab: &Lab, folder: &Path, figures: &Figures) -> Result<()> {
    install::install(lab, folder, false, "ext")?;
    let api = free_port()?;
    let web = free_port()?;
    let setup = Setup {
        disks: vec![install::system_disk()],
        forwards: vec![
            Forward { host_port: api, address: String::new(), port: 443 },
            Forward { host_port: web, address: GUEST_ADDRESS.into(), port: GUEST_PORT },
        ],
        ..Setup::default()
    };
    let log = folder.join("client.log");
    let mut vm = Vm::start(lab, folder, "first", &setup)?;
    vm.serial.wait(READY, LIMIT).context("booting the installed host")?;
    figures.note("installed host ready, CPU s", vm.cpu_seconds()?);
    lab.client(api, &log, &["pool"])?;
    let web = web.to_string();
    lab.client(api, &log, &["guest", "pvh", "/guest.img", &web])?;
    lab.client(api, &log, &["guest", "pv", "/guest.img", &web])?;
    lab.client(api, &log, &["guest", "hvm", "/guest.img", &web])?;
    lab.client(api, &log, &["leave", "/guest.img"])?;
    vm.cut_power();

    let mut vm = Vm::start(lab, folder, "second", &setup)?;
    vm.serial.wait(READY, LIMIT).context("booting after the power cut")?;
    lab.client(api, &log, &["after"])
}

fn uefi(lab: &Lab, folder: &Path, figures: &Figures) -> Result<()> {
    install::install(lab, folder, true, "lvm-thin")?;
    let setup = Setup {
        uefi: true,
        disks: vec![install::system_disk(), inner::disk(lab, folder)?],
        ..Setup::default()
    };
    let mut vm = Vm::start(lab, folder, "first", &setup)?;
    vm.serial.wait(READY, LIMIT).context("booting the installed host")?;
    figures.note("installed host ready, CPU s", vm.cpu_seconds()?);
    let serial = &mut vm.serial;
    shell::log_in(serial, PASSWORD)?;
    let pool = shell::run(serial, "xe pool-list --minimal")?;
    shell::run(serial, &format!("xe pool-param-set uuid={pool} name-label='by hand'"))?;
    let Inner { vm: vm_uuid, vdi } = inner::create(lab, serial, "inner")?;
    shell::run(serial, &format!("xe vm-start uuid={vm_uuid}"))?;
    let state = format!("xe vm-param-get uuid={vm_uuid} param-name=power-state");
    anyhow::ensure!(shell::run(serial, &state)? == "running", "the guest is not running");
    // Ctrl-] leaves the console; what is typed before the shell is back is lost.
    serial.send(&format!("xe console uuid={vm_uuid}\n"))?;
    serial.wait("guest: ready", LIMIT).context("reading the guest's console")?;
    serial.send("\x1d")?;
    serial.wait("~#", LIMIT).context("leaving the guest's console")?;
    shell::run(serial, &format!("xe vm-pause uuid={vm_uuid}"))?;
    anyhow::ensure!(shell::run(serial, &state)? == "paused", "the guest is not paused");
    shell::run(serial, &format!("xe vm-unpause uuid={vm_uuid}"))?;
    shell::run(serial, &format!("xe vm-shutdown --force uuid={vm_uuid}"))?;
    anyhow::ensure!(shell::run(serial, &state)? == "halted", "the guest is not halted");
    shell::run(serial, &format!("xe vm-destroy uuid={vm_uuid}"))?;
    shell::run(serial, &format!("xe vdi-destroy uuid={vdi}"))?;
    let label = shell::run(serial, "xe pool-list params=name-label --minimal")?;
    anyhow::ensure!(label == "by hand", "the pool is called {label:?}");
    serial.send("poweroff\n")?;
    vm.wait_off(Duration::from_secs(300)).context("powering the host off")
}
