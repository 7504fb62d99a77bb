// SPDX-License-Identifier: MIT OR Apache-2.0
//! A host that is installed again over itself, whose guests and their storage stay.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::boot::{LIMIT, READY};
use crate::inner;
use crate::install::{self, From, PASSWORD};
use crate::lab::Lab;
use crate::runner::{Case, Figures};
use crate::serial::Serial;
use crate::shell;
use crate::vm::{Setup, Vm};

/// Of the host after it was installed again; the answers of the first installation say `proof`.
const NAME: &str = "again";

/// By UEFI, as the old EFI system partition is the harder one to take out of use.
pub fn cases() -> Vec<Case> {
    vec![Case {
        name: "reinstall-keep",
        about: "UEFI reinstall over a host with another name; its SR, VDI, VM and records stay",
        run: keep,
    }]
}

/// What has to be the same before and after, one line for each.
const RECORDS: &[&str] = &[
    "xe host-list params=uuid --minimal",
    "xe pool-list params=uuid,name-label",
    "xe sr-list type=ext params=uuid --minimal",
    "xe vdi-list name-label=inner params=uuid,name-description,virtual-size",
    "xe vm-list name-label=inner params=uuid,name-description,power-state",
    "xe vbd-list vm-name-label=inner params=uuid,vdi-uuid,userdevice",
    "xe vif-list vm-name-label=inner params=uuid,MAC,network-uuid",
];

fn keep(lab: &Lab, folder: &Path, _: &Figures) -> Result<()> {
    install::install(lab, folder, true, "ext", From::Volume)?;
    let setup = Setup {
        uefi: true,
        disks: vec![install::system_disk(), inner::disk(lab, folder)?],
        ..Setup::default()
    };
    let mut vm = Vm::start(lab, folder, "before", &setup)?;
    vm.serial.wait(READY, LIMIT).context("booting the installed host")?;
    let serial = &mut vm.serial;
    shell::log_in(serial, PASSWORD)?;
    let made = inner::create(lab, serial, "inner", inner::PVH)?;
    shell::run(
        serial,
        &format!("xe vm-param-set uuid={} name-description='kept by hand'", made.vm),
    )?;
    let digest = digest(serial, &made.vdi)?;
    let before = records(serial)?;
    ensure!(shell::run(serial, "hostname")? == "proof", "the host has another name");
    // What a reinstallation does not keep.
    shell::run(serial, "touch /root/lost /var/log/lost; sync")?;
    vm.cut_power();

    let answers = format!(
        "hostname = \"{NAME}\"\n\
         root-password = \"{PASSWORD}\"\n\
         on-success = \"reboot\"\n\
         [disk]\nkeep-storage = true\n\
         [network]\nmode = \"dhcp\"\n"
    );
    let setup = |disks| Setup { uefi: true, disks, ..Setup::default() };
    let disks = vec![install::system_disk()];
    install::install_again(lab, folder, &answers, setup(disks.clone()))?.cut_power();

    let mut vm = Vm::start(lab, folder, "after", &setup(disks))?;
    vm.serial.wait(READY, LIMIT).context("booting the host that was installed again")?;
    let serial = &mut vm.serial;
    shell::log_in(serial, PASSWORD)?;
    let name = shell::run(serial, "hostname")?;
    ensure!(name == NAME, "the host is called {name:?}");
    let label = shell::run(serial, "xe host-list params=name-label --minimal")?;
    ensure!(label == NAME, "the host's label is {label:?}");
    let after = records(serial)?;
    ensure!(before == after, "before:\n{before:#?}\nafter:\n{after:#?}");
    let found = self::digest(serial, &made.vdi)?;
    ensure!(found == digest, "the disk has SHA-256 {found} instead of {digest}");
    let lost = "test ! -e /root/lost && test ! -e /var/log/lost && ls -A /run/xenith/state";
    let left = shell::run(serial, lost)?;
    ensure!(!left.contains(".xenith-before"), "the old system is still there: {left}");
    // It works as before, too.
    shell::run(serial, &format!("xe vm-start uuid={}", made.vm))?;
    serial.send(&format!("xe console uuid={}\n", made.vm))?;
    serial.wait("guest: ready", LIMIT).context("reading the guest's console")
}

fn records(serial: &mut Serial) -> Result<Vec<String>> {
    RECORDS.iter().map(|command| shell::run(serial, command)).collect()
}

/// SHA-256 of a disk's content, as the toolstack gives it out.
fn digest(serial: &mut Serial, vdi: &str) -> Result<String> {
    let export = format!(
        "xe vdi-export uuid={vdi} filename=/run/vdi.raw format=raw && sha256sum </run/vdi.raw; \
         rm -f /run/vdi.raw"
    );
    shell::run(serial, &export)
}
