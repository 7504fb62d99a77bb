// SPDX-License-Identifier: MIT OR Apache-2.0
//! Storage on a real NFS server that is lost under a guest, and comes back.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use isobuild::emulator::Forward;

use super::boot::{LIMIT, READY};
use crate::file_server::{DISKS, FileServer, IMAGES};
use crate::install::{self, From, PASSWORD};
use crate::lab::{Lab, free_port};
use crate::runner::{Case, Figures};
use crate::serial::Serial;
use crate::shell;
use crate::vm::{Setup, Vm};

/// An image in the library, and how it begins.
const IMAGE: (&str, &str) = ("word.iso", "halcyon");

/// The one case.
pub fn cases() -> Vec<Case> {
    vec![Case {
        name: "life-nfs",
        about: "a PVH guest on an NFS server that is lost and comes back, twice; on request",
        run: lost_twice,
    }]
}

fn lost_twice(lab: &Lab, folder: &Path, _: &Figures) -> Result<()> {
    install::install(lab, folder, false, "lvm-thin", From::Volume)?;
    let mut server = FileServer::start(lab, folder)?;
    let (image, word) = IMAGE;
    let make = format!("{{ echo {word}; head -c 1048000 /dev/zero; }} >/data{IMAGES}/{image}");
    server.run(&make)?;

    let api = free_port()?;
    let setup = Setup {
        disks: vec![install::system_disk()],
        forwards: vec![Forward { host_port: api, address: String::new(), port: 443 }],
        ..Setup::default()
    };
    let mut host = Vm::start(lab, folder, "first", &setup)?;
    host.serial.wait(READY, LIMIT).context("booting the installed host")?;
    shell::log_in(&mut host.serial, PASSWORD)?;
    let before = left(&mut host.serial)?;
    ensure!(before == NOTHING, "before: {before}");

    let port = server.port.to_string();
    let client = |action: &str, rest: &[&str]| {
        let log = folder.join(format!("{action}.log"));
        lab.client_script("nfs.py", api, &log, &[&[action], rest].concat())
    };
    client("build", &[&port, word, "/guest.img"])?;
    server.lose()?;
    client("lost", &[&port])?;
    server.come_back()?;
    client("back", &[word])?;
    server.lose()?;
    client("again", &[&port])?;
    server.come_back()?;
    client("end", &[])?;

    // Of a server that was let go of the kernel lets go when it has answered.
    let gone = format!("[ \"$({LEFT})\" = '{NOTHING}' ]");
    let wait = format!("timeout 250 sh -c 'until {}; do sleep 1; done'", gone.replace('\'', "\""));
    let gone = shell::run(&mut host.serial, &wait);
    ensure!(gone.is_ok(), "of {NOTHING} is left: {}", left(&mut host.serial)?);
    let served = server.run(&format!("ls /data{DISKS} /data{IMAGES}"))?;
    ensure!(served.contains(image), "the library is not whole: {served}");
    let disks = server.run(&format!("ls -A /data{DISKS}"))?;
    ensure!(disks.is_empty(), "the server has {disks:?} still");
    host.cut_power();
    Ok(())
}

/// Mounts, loop devices, folders of mounts, guests, and threads of the toolstack that wait for a server.
const NOTHING: &str = "0 0 0 1 0";
const LEFT: &str = "echo $(grep -c sr-mount /proc/mounts) $(losetup -nO BACK-FILE | grep -c sr-mount) \
                    $(ls /run/sr-mount 2>/dev/null | wc -l) $(xl list | tail -n +2 | wc -l) \
                    $(cat /proc/$(pgrep -xo xenith-toolstac)/task/*/comm | grep -cx server)";

fn left(serial: &mut Serial) -> Result<String> {
    shell::run(serial, LEFT)
}
