// SPDX-License-Identifier: MIT OR Apache-2.0
//! Unattended installation, then a working day of the installed host.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use isobuild::emulator::Forward;

use super::boot::{LIMIT, READY};
use crate::inner::{self, Inner};
use crate::install::{self, From, PASSWORD};
use crate::lab::{Lab, free_port};
use crate::runner::{Case, Figures};
use crate::serial::Serial;
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
            about: "UEFI install by answers in the ISO, thin LVM SR; a guest with xe inside",
            run: uefi,
        },
    ]
}

fn bios(lab: &Lab, folder: &Path, figures: &Figures) -> Result<()> {
    install::install(lab, folder, false, "ext", From::Volume)?;
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
    lab.client(api, &log, &["leave", "/guest.img", "/case/left.json"])?;
    vm.cut_power();

    let mut vm = Vm::start(lab, folder, "second", &setup)?;
    vm.serial.wait(READY, LIMIT).context("booting after the power cut")?;
    lab.client(api, &log, &["after", "/case/left.json"])
}

fn uefi(lab: &Lab, folder: &Path, figures: &Figures) -> Result<()> {
    install::install(lab, folder, true, "lvm-thin", From::Medium)?;
    let web = free_port()?;
    let setup = Setup {
        uefi: true,
        disks: vec![install::system_disk(), inner::disk(lab, folder)?],
        forwards: vec![Forward { host_port: web, address: GUEST_ADDRESS.into(), port: GUEST_PORT }],
        ..Setup::default()
    };
    let mut vm = Vm::start(lab, folder, "first", &setup)?;
    vm.serial.wait(READY, LIMIT).context("booting the installed host")?;
    figures.note("installed host ready, CPU s", vm.cpu_seconds()?);
    let serial = &mut vm.serial;
    shell::log_in(serial, PASSWORD)?;
    let pool = shell::run(serial, "xe pool-list --minimal")?;
    shell::run(serial, &format!("xe pool-param-set uuid={pool} name-label='by hand'"))?;
    let sr = shell::run(serial, "xe pool-list params=default-SR --minimal")?;
    let found = shell::run(serial, "xe sr-probe type=lvmthin")?;
    anyhow::ensure!(found.contains(&sr), "SR {sr} is not among those found:\n{found}");
    let network = shell::run(serial, "xe network-create name-label='between guests'")?;
    let Inner { vm: vm_uuid, vdi } = inner::create(lab, serial, "inner", inner::PVH)?;
    shell::run(
        serial,
        &format!("xe vif-create vm-uuid={vm_uuid} network-uuid={network} device=1 mac=random"),
    )?;
    shell::run(serial, &format!("xe vm-start uuid={vm_uuid}"))?;
    expect_state(serial, &vm_uuid, "running")?;
    inner::watch_boot(serial, &vm_uuid, "boots 1")?;
    expect_page(web, &format!("guest {vm_uuid} boots 1"))?;
    shell::run(serial, &format!("xe vm-pause uuid={vm_uuid}"))?;
    expect_state(serial, &vm_uuid, "paused")?;
    shell::run(serial, &format!("xe vm-unpause uuid={vm_uuid}"))?;
    shell::run(serial, &format!("xe vm-reboot --force uuid={vm_uuid}"))?;
    inner::watch_boot(serial, &vm_uuid, "boots 2")?;
    expect_page(web, &format!("guest {vm_uuid} boots 2"))?;
    shell::run(serial, &format!("xe vm-shutdown uuid={vm_uuid}"))?;
    expect_state(serial, &vm_uuid, "halted")?;
    shell::run(serial, &format!("xe vm-destroy uuid={vm_uuid}"))?;
    shell::run(serial, &format!("xe vdi-destroy uuid={vdi}"))?;
    shell::run(serial, &format!("xe network-destroy uuid={network}"))?;
    let label = shell::run(serial, "xe pool-list params=name-label --minimal")?;
    anyhow::ensure!(label == "by hand", "the pool is called {label:?}");
    serial.send("poweroff\n")?;
    vm.wait_off(Duration::from_secs(300)).context("powering the host off")
}

fn expect_state(serial: &mut Serial, vm: &str, wanted: &str) -> Result<()> {
    let state = format!("xe vm-param-get uuid={vm} param-name=power-state");
    let state = shell::run(serial, &state)?;
    anyhow::ensure!(state == wanted, "the guest is {state}, not {wanted}");
    Ok(())
}

/// What the guest serves behind a forwarded port.
fn expect_page(port: u16, wanted: &str) -> Result<()> {
    let url = format!("http://127.0.0.1:{port}/");
    let mut stream =
        TcpStream::connect(("127.0.0.1", port)).with_context(|| format!("connecting to {url}"))?;
    stream.set_read_timeout(Some(LIMIT)).context("setting how long to wait")?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").with_context(|| format!("asking {url}"))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).with_context(|| format!("reading {url}"))?;
    anyhow::ensure!(answer.trim_end().ends_with(wanted), "the guest serves {answer:?}");
    Ok(())
}
