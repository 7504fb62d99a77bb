// SPDX-License-Identifier: MIT OR Apache-2.0
//! What becomes of a guest while it runs: devices that come and go, suspend, checkpoint.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use image_formats::fat::{FatVolume, FatWriter};
use isobuild::emulator::{FOLDER, Forward, NetBoot};

use super::boot::{LIMIT, READY};
use super::clients::{self, Server};
use crate::guest;
use crate::inner;
use crate::install::{self, From, PASSWORD};
use crate::lab::{Lab, free_port, sparse_file};
use crate::remains;
use crate::runner::Case;
use crate::serial::Serial;
use crate::shell;
use crate::vm::{Setup, Vm};
use crate::web;

/// One for each kind of change.
pub fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "life-pvh",
            about: "a PVH guest: disks and cards come and go, suspend and resume; on request",
            run: |lab, folder, _| drive(lab, folder, "lvm-thin", "life"),
        },
        Case {
            name: "life-checkpoint",
            about: "a PVH guest: processors come, checkpoint, snapshot, revert; on request",
            run: |lab, folder, _| drive(lab, folder, "lvm-thin", "back"),
        },
        Case {
            name: "life-guard",
            about: "a PVH guest tries other addresses than its own, with each locking mode; on request",
            run: |lab, folder, _| drive(lab, folder, "lvm-thin", "guard"),
        },
        Case {
            name: "life-balloon",
            about: "a PVH guest whose memory changes, by itself and for another VM; on request",
            run: |lab, folder, _| drive(lab, folder, "lvm-thin", "balloon"),
        },
        Case {
            name: "life-qcow2",
            about: "a PVH guest on qcow2 disks: snapshots share room and give it back while it runs; on request",
            run: |lab, folder, _| drive(lab, folder, "ext", "qcow2"),
        },
        Case {
            name: "life-disks",
            about: "a PVH guest with more than a hundred disks; on request",
            run: |lab, folder, _| {
                let host = Host::install(lab, folder, "ext", Setup::default())?;
                let log = folder.join("client.log");
                lab.client_script("disks.py", host.api, &log, &["/guest.img"])
            },
        },
        Case {
            name: "life-cycles",
            about: "30 starts and stops leave the host as it was; on request",
            run: |lab, folder, _| cycles(lab, folder),
        },
        Case {
            name: "life-clients",
            about: "XenAPI of PyPI (now and 2.x), fence_xenapi, async-xenapi and ws of npm; on request",
            run: |lab, folder, _| drive_with_clients(lab, folder),
        },
        Case {
            name: "life-provision",
            about: "guests come to be: an image with settings on a second disk, over the network; on request",
            run: |lab, folder, _| provision(lab, folder),
        },
        Case {
            name: "life-archives",
            about: "a PVH guest in archives and images, cloned and copied between two SRs; on request",
            run: |lab, folder, _| archives(lab, folder),
        },
        Case {
            name: "life-services",
            about: "what a host does beside VMs: clock, password, SSH, logs, names; on request",
            run: |lab, folder, _| services(lab, folder),
        },
        Case {
            name: "life-full",
            about: "a PVH guest fills a thin SR that has promised more than it has; on request",
            run: |lab, folder, _| {
                let (host, device) = with_further_disk(lab, folder, SMALL_BYTES)?;
                let args = ["/guest.img", &device];
                lab.client_script("full.py", host.api, &folder.join("client.log"), &args)
            },
        },
        Case {
            name: "life-hvm",
            about: "an HVM guest: firmware's words, CDs, devices, agent, rate; on request",
            run: |lab, folder, _| hvm(lab, folder),
        },
        Case {
            name: "life-uefi",
            about: "an HVM guest starts by UEFI; on request",
            run: |lab, folder, _| {
                let setup = Setup { uefi_guests: true, ..Setup::default() };
                let host = Host::install(lab, folder, "lvm-thin", setup)?;
                lab.client(host.api, &folder.join("client.log"), &["uefi", "/guest.img"])
            },
        },
    ]
}

fn drive(lab: &Lab, folder: &Path, storage: &str, action: &str) -> Result<()> {
    let host = Host::install(lab, folder, storage, Setup::default())?;
    lab.client(host.api, &folder.join("client.log"), &[action, "/guest.img"])
}

/// What the second SR is made on.
const FURTHER: (&str, &str) = ("further.img", "XENITH-FURTHER");
const FURTHER_BYTES: u64 = 4 << 30;

const SMALL_BYTES: u64 = 256 << 20;

/// A host with one more disk, and that disk's name there.
fn with_further_disk(lab: &Lab, folder: &Path, bytes: u64) -> Result<(Host, String)> {
    sparse_file(&folder.join(FURTHER.0), bytes)?;
    let disks = vec![(FURTHER.0.to_owned(), FURTHER.1.to_owned())];
    let host = Host::install(lab, folder, "lvm-thin", Setup { disks, ..Setup::default() })?;
    Ok((host, format!("/dev/disk/by-id/virtio-{}", FURTHER.1)))
}

fn archives(lab: &Lab, folder: &Path) -> Result<()> {
    let (host, device) = with_further_disk(lab, folder, FURTHER_BYTES)?;
    let args = ["/guest.img", &device];
    lab.client_script("archives.py", host.api, &folder.join("client.log"), &args)
}

/// What the host is called, and what shows in Dom0 of the changes of `services.py`.
const RENAMED: &str = "renamed";
const SHOWN: &[(&str, &str)] = &[
    ("hostname", RENAMED),
    ("readlink /etc/localtime", "/usr/share/zoneinfo/Europe/Berlin"),
    ("grep -h -o 10.0.2.2 /etc/chrony/sources.d/*.sources", "10.0.2.2"),
    ("bash -lc 'echo $TMOUT'", "600"),
    ("sed -n s/^InitiatorName=//p /etc/iscsi/initiatorname.iscsi", "iqn.2026-12.example.test:host"),
    ("systemctl is-active ssh", "inactive"),
    ("systemctl is-active xenith-syslog", "active"),
];

fn services(lab: &Lab, folder: &Path) -> Result<()> {
    let mut host = Host::install(lab, folder, "lvm-thin", Setup::default())?;
    let serial = &mut host.vm.serial;
    shell::log_in(serial, PASSWORD)?;
    let args = ["/guest.img", RENAMED];
    lab.client_script("services.py", host.api, &folder.join("client.log"), &args)?;
    for (command, expected) in SHOWN {
        // Some of it fails when it tells what is expected.
        let said = shell::run(serial, &format!("{command}; true"))?;
        ensure!(said.trim() == *expected, "{command}: {said:?}, not {expected:?}");
    }
    Ok(())
}

/// A folder of the host, a file in it, and how that begins.
const LIBRARY: (&str, &str, &str) = ("/var/lib/xenith/library", "word.iso", "halcyon");

fn hvm(lab: &Lab, folder: &Path) -> Result<()> {
    let mut host = Host::install(lab, folder, "lvm-thin", Setup::default())?;
    let serial = &mut host.vm.serial;
    shell::log_in(serial, PASSWORD)?;
    let (library, image, word) = LIBRARY;
    let make = format!(
        "mkdir {library} && {{ echo {word}; head -c 1048000 /dev/zero; }} >{library}/{image} && truncate -s 1M {library}/{image}"
    );
    shell::run(serial, &make)?;
    let args = ["/guest.img", library, image, word];
    lab.client_script("hvm.py", host.api, &folder.join("client.log"), &args)
}

fn drive_with_clients(lab: &Lab, folder: &Path) -> Result<()> {
    let mut host = Host::install(lab, folder, "lvm-thin", Setup::default())?;
    let serial = &mut host.vm.serial;
    shell::log_in(serial, PASSWORD)?;
    // It is made anew for each address that the host gets.
    let named = "journalctl -u xenith-toolstack -o cat | grep -q 'certificate names one more'";
    shell::run(serial, &format!("timeout 250 sh -c \"until {named}; do sleep 1; done\""))?;
    let certificate = shell::run(serial, "cat /var/lib/xenith/tls/cert.pem")?;
    let file = folder.join("host.pem");
    fs::write(&file, certificate.replace('\r', "") + "\n").context("writing the certificate")?;
    let url = format!("https://127.0.0.1:{}", host.api);
    let server = Server { url: &url, password: PASSWORD, certificate: &file, kind: "installed" };
    clients::drive(lab, folder, &server)
}

/// A host that runs.
struct Host {
    /// The port where its API is.
    api: u16,
    vm: Vm,
}

impl Host {
    /// Installs a host and starts it with its API forwarded; `setup` is the rest of the machine.
    fn install(lab: &Lab, folder: &Path, storage: &str, setup: Setup) -> Result<Self> {
        install::install(lab, folder, false, storage, From::Volume)?;
        let api = free_port()?;
        let setup = Setup {
            disks: std::iter::once(install::system_disk()).chain(setup.disks).collect(),
            forwards: vec![Forward { host_port: api, address: String::new(), port: 443 }],
            ..setup
        };
        let mut vm = Vm::start(lab, folder, "first", &setup)?;
        vm.serial.wait(READY, LIMIT).context("booting the installed host")?;
        Ok(Self { api, vm })
    }
}

/// Starts before the host is looked at, for what is made once; and starts that leave nothing.
const WARM: usize = 5;
const CYCLES: usize = 30;
/// As many as are done well within the time that a command may take. In the last one the guest starts to
/// its end and is asked to shut down; in the others it is cut off while it starts.
const AT_ONCE: usize = 5;

fn cycles(lab: &Lab, folder: &Path) -> Result<()> {
    let mut vm = inner::host(lab, folder)?;
    let serial = &mut vm.serial;
    let guest = inner::create(lab, serial, "cycles", inner::PVH)?.vm;
    let cycle = |serial: &mut Serial, times: usize| {
        let (start, end) =
            (format!("xe vm-start uuid={guest}"), format!("xe vm-shutdown uuid={guest}"));
        let cut_off =
            format!("for n in $(seq 2 {AT_ONCE}); do {start} && {end} --force || break; done");
        let halted = format!("xe vm-list uuid={guest} power-state=halted --minimal | grep -q .");
        for _ in 0..times / AT_ONCE {
            shell::run(serial, &format!("{cut_off}; {start}"))?;
            // One that has only begun would not hear that it is asked to end.
            inner::watch_boot(serial, &guest, "boots")?;
            shell::run(serial, &format!("{end} && {halted}"))?;
        }
        anyhow::Ok(())
    };
    // What happens at once has threads and connections of its own, which stay.
    shell::run(serial, &together(&guest))?;
    cycle(serial, WARM)?;
    let before = remains::all(serial)?;
    cycle(serial, CYCLES)?;
    let after = remains::all(serial)?;
    println!("before: {before:?}\nafter:  {after:?}");
    for ((what, before), (_, after)) in before.iter().zip(&after) {
        // Allocators keep some, and threads and connections are kept for what happens at once: what each
        // start leaves would be there thirty times. Everything else is counted.
        let most = match what.rsplit(' ').next() {
            Some("KiB") => before + before / 20,
            Some("descriptors" | "threads") => before + CYCLES as u64 / 3,
            _ => *before,
        };
        ensure!(*after <= most, "{what}: {before} before {CYCLES} starts and stops, {after} after");
    }
    Ok(())
}

/// Clones of a guest, started and ended at the same time, then removed.
fn together(guest: &str) -> String {
    let each = |what: &str| format!("for vm in $vms; do {what} & done; wait");
    let running =
        "$(xe vm-list name-label=together power-state=running --minimal | tr , '\\n' | wc -l)";
    let all = [
        format!("vms=$(for n in 1 2 3; do xe vm-clone uuid={guest} new-name-label=together; done)"),
        each("xe vm-start uuid=$vm"),
        format!("test {running} = 3 || exit"),
        each("xe vm-shutdown uuid=$vm --force"),
        "for vm in $vms; do xe vm-uninstall uuid=$vm --force || exit; done".to_owned(),
    ];
    // In a shell of its own, which says nothing of jobs.
    format!("({})", all.join("; "))
}

/// The script of iPXE, in the folder that is served.
const SCRIPT: &str = "guest.ipxe";
/// What only the settings' disk knows.
const WORD: &str = "halcyon";

fn provision(lab: &Lab, folder: &Path) -> Result<()> {
    let served = folder.join("served");
    fs::create_dir(&served).context("making the folder that is served")?;
    for name in [guest::KERNEL, guest::INITRD] {
        let from = lab.guest_boot.join(name);
        fs::copy(&from, served.join(name))
            .with_context(|| format!("copying {}", from.display()))?;
    }
    fs::copy(&lab.guest_disk, served.join("guest.img")).context("copying the guest's disk")?;
    let port = web::serve(&served)?;
    let script = format!(
        "#!ipxe\nkernel {} console=hvc0 quiet install=http://10.0.2.2:{port}/guest.img\n\
         initrd {}\nboot\n",
        guest::KERNEL,
        guest::INITRD
    );
    fs::write(served.join(SCRIPT), script).context("writing the script of iPXE")?;
    write_settings(&folder.join("settings.img"))?;

    let net_boot =
        NetBoot { tftp: format!("{FOLDER}/served"), file: SCRIPT.to_owned(), first: false };
    let setup = Setup { net_boot: Some(net_boot), ..Setup::default() };
    let host = Host::install(lab, folder, "lvm-thin", setup)?;
    let provision = ["provision", "/guest.img", "/case/settings.img", WORD];
    lab.client(host.api, &folder.join("provision.log"), &provision)?;
    lab.client(host.api, &folder.join("netinstall.log"), &["netinstall"])
}

/// A disk with settings as cloud-init's data source NoCloud reads them.
fn write_settings(path: &Path) -> Result<()> {
    let bytes = 2 << 20;
    let mut volume = vec![0; bytes as usize];
    let format = FatVolume { bytes, label: "CIDATA", id: 2 };
    let mut fat = FatWriter::format(Cursor::new(&mut volume), &format)
        .context("making the file system of the settings")?;
    let meta = "instance-id: first\nlocal-hostname: web-1\n";
    fat.file("meta-data", meta.as_bytes()).context("writing the settings")?;
    let user = format!("#!/bin/sh\necho \"guest: user data says {WORD}\"\n");
    fat.file("user-data", user.as_bytes()).context("writing the settings")?;
    fat.finish().context("finishing the file system of the settings")?;
    fs::write(path, volume).with_context(|| format!("writing {}", path.display()))
}
