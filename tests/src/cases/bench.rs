// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `cargo xtask bench` measures in a virtual machine. These judge nothing.

use std::path::Path;

use anyhow::{Context, Result};
use isobuild::emulator::Medium;

use super::boot::{LIMIT, READY};
use crate::inner;
use crate::install::{self, From, PASSWORD};
use crate::lab::Lab;
use crate::runner::{Case, Figures};
use crate::serial::Serial;
use crate::shell;
use crate::vm::{Setup, Vm};

/// How often a guest is started each way.
const ROUNDS: usize = 5;
/// Memory of the guest in MiB.
const GUEST_MIB: u32 = 64;

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
    start(lab, serial, figures)
}

/// The same guest started by the toolstack and by `xl`, in turns, to the moment the command returns
/// with the domain built and its devices connected.
fn start(lab: &Lab, serial: &mut Serial, figures: &Figures) -> Result<()> {
    let guest = inner::create(lab, serial, "bench")?;
    let bytes = u64::from(GUEST_MIB) << 20;
    let limits = ["static-min", "dynamic-min", "dynamic-max", "static-max"];
    let limits: Vec<_> = limits.iter().map(|name| format!("{name}={bytes}")).collect();
    shell::run(serial, &format!("xe vm-memory-limits-set uuid={} {}", guest.vm, limits.join(" ")))?;
    // Its scripts know Linux bridges; they and the disk's file are all that differs.
    shell::run(serial, "modprobe bridge && ip link add xlbr0 type bridge && ip link set xlbr0 up")?;
    shell::run(serial, "cp /dev/disk/by-id/virtio-GUEST /var/tmp/bench.img")?;
    let config = format!(
        "name='xlbench'\\ntype='pvh'\\nmemory={GUEST_MIB}\\n\
         kernel='/usr/lib/grub-xen/grub-i386-xen_pvh.bin'\\n\
         disk=['format=raw,vdev=xvda,access=rw,target=/var/tmp/bench.img']\\n\
         vif=['bridge=xlbr0']\\n"
    );
    shell::run(serial, &format!("printf \"{config}\" >/run/bench.cfg"))?;
    let ways = [
        ("VM.start", format!("xe vm-start paused=true uuid={}", guest.vm)),
        ("xl create", "xl create -q -p /run/bench.cfg".to_owned()),
        ("VM.hard_shutdown", format!("xe vm-shutdown --force uuid={}", guest.vm)),
        ("xl destroy", "xl destroy xlbench".to_owned()),
    ];
    let mut seconds = [const { Vec::new() }; 4];
    for _ in 0..ROUNDS {
        // A start is followed by its own end, so that both ways find the machine the same.
        for way in [0, 2, 1, 3] {
            seconds[way].push(timed(serial, &ways[way].1)?);
        }
    }
    for (way, seconds) in ways.iter().zip(&mut seconds) {
        seconds.sort_by(f64::total_cmp);
        figures.note(format!("{}, s", way.0), seconds[ROUNDS / 2]);
    }
    figures.note("VM.start / xl create", seconds[0][ROUNDS / 2] / seconds[1][ROUNDS / 2]);
    Ok(())
}

/// Wall seconds of a command that succeeds.
fn timed(serial: &mut Serial, command: &str) -> Result<f64> {
    let line = format!(
        "s=$(date +%s%N) && {{ {command}; }} >/run/bench.out 2>&1 && e=$(date +%s%N) \
         && echo $((e-s)) || {{ cat /run/bench.out; false; }}"
    );
    Ok(number(serial, &line)? / 1e9)
}

fn number(serial: &mut Serial, command: &str) -> Result<f64> {
    let text = shell::run(serial, command)?;
    let last = text.lines().last().unwrap_or_default().trim();
    last.parse().with_context(|| format!("{command} printed {text:?}, which is no number"))
}
