// SPDX-License-Identifier: MIT OR Apache-2.0
//! A guest made with `xe` inside the host, as a person at its console does.

use anyhow::{Context, Result};

use crate::cases::{LIMIT, READY};
use crate::install::{self, From, PASSWORD};
use crate::lab::Lab;
use crate::serial::Serial;
use crate::shell;
use crate::vm::{Setup, Vm};

/// Where the host sees the test guests' disk; see [`disk`].
const SOURCE: &str = "/dev/disk/by-id/virtio-GUEST";

/// Template of PVH guests.
pub const PVH: &str = "Linux PVH (own boot loader)";
/// Template of HVM guests.
pub const HVM: &str = "Other install media";

/// What was made.
pub struct Inner {
    /// The VM's uuid.
    pub vm: String,
    /// Its disk's.
    pub vdi: String,
}

/// Copies the test guests' disk into the case's folder; for [`crate::vm::Setup::disks`].
pub fn disk(lab: &Lab, folder: &std::path::Path) -> Result<(String, String)> {
    let file = "guest.img";
    std::fs::copy(&lab.guest_disk, folder.join(file)).context("copying the guest's disk")?;
    Ok((file.to_owned(), "GUEST".to_owned()))
}

/// Installs a host with thin LVM storage that also has the test guests' disk, starts it, and logs in.
pub fn host(lab: &Lab, folder: &std::path::Path) -> Result<Vm> {
    install::install(lab, folder, false, "lvm-thin", From::Volume)?;
    let disks = vec![install::system_disk(), disk(lab, folder)?];
    let mut vm = Vm::start(lab, folder, "host", &Setup { disks, ..Setup::default() })?;
    vm.serial.wait(READY, LIMIT).context("booting the installed host")?;
    shell::log_in(&mut vm.serial, PASSWORD)?;
    Ok(vm)
}

/// A guest made of `template`, with a disk on the default SR and a card in the management network.
pub fn create(lab: &Lab, serial: &mut Serial, name: &str, template: &str) -> Result<Inner> {
    let sr = shell::run(serial, "xe pool-list params=default-SR --minimal")?;
    let vm =
        shell::run(serial, &format!("xe vm-install template='{template}' new-name-label={name}"))?;
    let size = std::fs::metadata(&lab.guest_disk).context("sizing the guest's disk")?.len();
    let vdi = shell::run(
        serial,
        &format!("xe vdi-create sr-uuid={sr} name-label={name} virtual-size={size}"),
    )?;
    let network = shell::run(serial, "xe network-list bridge=xenbr0 --minimal")?;
    for command in [
        format!("xe vdi-import uuid={vdi} filename={SOURCE} format=raw"),
        format!("xe vbd-create vm-uuid={vm} vdi-uuid={vdi} device=0 bootable=true"),
        format!("xe vif-create vm-uuid={vm} network-uuid={network} device=0 mac=random"),
    ] {
        shell::run(serial, &command)?;
    }
    Ok(Inner { vm, vdi })
}

/// Reads a guest's console with `xe console` until it has said `word` and is ready.
pub fn watch_boot(serial: &mut Serial, vm: &str, word: &str) -> Result<()> {
    serial.send(&format!("xe console uuid={vm}\n"))?;
    serial.wait(word, LIMIT).context("reading the guest's console")?;
    serial.wait("guest: ready", LIMIT).context("reading the guest's console")?;
    // Ctrl-] leaves the console; what is typed before the shell is back is lost.
    serial.send("\x1d")?;
    serial.wait("~# ", LIMIT).context("leaving the guest's console")
}
