// SPDX-License-Identifier: MIT OR Apache-2.0
//! The daemon, or the worker that drives Xen, is killed at many moments of each kind of work on real parts:
//! what was under way is done or undone, and nothing is left behind.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::inner;
use crate::lab::Lab;
use crate::remains::{self, DAEMON, WORKER};
use crate::runner::{Case, Figures};
use crate::serial::Serial;
use crate::shell;

/// Only by name and in full runs.
pub fn cases() -> Vec<Case> {
    vec![Case {
        name: "life-kills",
        about: "daemon and worker killed in start, shutdown, snapshot, copy and import; on request",
        run,
    }]
}

/// Kills of each kind, spread evenly over how long the work takes.
const MOMENTS: u32 = 6;
/// How often work is timed.
const TIMES: usize = 3;

/// An archive of the guest, on the host.
const ARCHIVE: &str = "/var/tmp/kills.xva";

/// Work that is struck.
struct Work {
    name: &'static str,
    /// Who takes part in it, and is killed.
    victims: &'static [&'static str],
    /// Whether the guest has a domain before.
    alive: bool,
    /// What the shell is told; `$vm` is the guest.
    command: &'static str,
}

const ALL: &[Work] = &[
    Work {
        name: "start",
        victims: &[WORKER, DAEMON],
        alive: false,
        command: "xe vm-start uuid=$vm paused=true",
    },
    Work {
        name: "shutdown",
        victims: &[WORKER, DAEMON],
        alive: true,
        command: "xe vm-shutdown uuid=$vm --force",
    },
    Work {
        name: "snapshot",
        victims: &[DAEMON],
        alive: true,
        command: "xe vm-snapshot uuid=$vm new-name-label=struck",
    },
    Work {
        name: "copy",
        victims: &[DAEMON],
        alive: false,
        command: "xe vm-copy uuid=$vm new-name-label=struck sr-uuid=$sr",
    },
    Work {
        name: "import",
        victims: &[DAEMON],
        alive: false,
        command: "xe vm-import filename=/var/tmp/kills.xva sr-uuid=$sr",
    },
];

/// What the shell learns: `timed` says how many microseconds a command took, `strike` kills a process some
/// seconds after a command has begun and says whether that was `during` or `after` it, and its status.
const FUNCTIONS: &[&str] = &[
    "timed() { s=${EPOCHREALTIME/./}; \"$@\" >/run/struck 2>&1 || cat /run/struck; e=${EPOCHREALTIME/./}; echo $((e-s)); }",
    "strike() { \"${@:3}\" >/run/struck 2>&1 & op=$!; sleep $2; was=$(pgrep -xo $1); \
     kill -0 $op 2>/dev/null && when=during || when=after; kill -9 $was; wait $op; echo $when $?; }",
    // Until the next one serves; what a start of the daemon puts right is right by then.
    "anew() { timeout 200 sh -c \"until new=\\$(pgrep -xo $1) && [ \\$new != $was ] && xe host-list --minimal; do sleep .2; done\" \
     >/dev/null 2>&1; }",
    "is() { xe vm-param-get uuid=$1 param-name=power-state; }",
    "others() { xe vm-list is-control-domain=false params=uuid --minimal | tr , '\\n' | grep -v $vm; true; }",
    "sum() { xe vdi-export uuid=$(xe vbd-list vm-uuid=$1 type=Disk params=vdi-uuid --minimal) \
     filename=/var/tmp/sum.img format=raw >/dev/null && sha256sum </var/tmp/sum.img && rm /var/tmp/sum.img; }",
    "disks() { echo $(xe vdi-list params=uuid --minimal | tr , '\\n' | wc -l) $(lvs --noheadings | wc -l); }",
];

fn run(lab: &Lab, folder: &Path, _: &Figures) -> Result<()> {
    let mut vm = inner::host(lab, folder)?;
    let serial = &mut vm.serial;
    let guest = inner::create(lab, serial, "kills", inner::PVH)?.vm;
    for function in FUNCTIONS {
        shell::run(serial, function)?;
    }
    shell::run(serial, &format!("vm={guest} sr=$(xe pool-list params=default-SR --minimal)"))?;
    // Its copies' disks go with them.
    let owner = "xe vbd-param-set uuid=$(xe vbd-list vm-uuid=$vm type=Disk params=uuid --minimal) other-config:owner=true";
    shell::run(serial, owner)?;
    shell::run(serial, &format!("xe vm-export uuid=$vm filename={ARCHIVE} compress=zstd"))?;
    let sum = shell::run(serial, "sum $vm")?;
    // What is made once is made before the host is looked at.
    for victim in [WORKER, DAEMON] {
        shell::run(serial, "xe vm-start uuid=$vm paused=true && xe vm-shutdown uuid=$vm --force")?;
        strike(serial, victim, 0.0, "true")?;
    }
    let host = Host { sum, disks: shell::run(serial, "disks")?, before: remains::outside(serial)? };
    println!("before: {:?}, disks and volumes {}", host.before, host.disks);
    ALL.iter().try_for_each(|work| strike_all(serial, &host, work))
}

/// What it is like when nothing goes on.
struct Host {
    /// Digest of the guest's disk.
    sum: String,
    /// How many VDIs and volumes there are.
    disks: String,
    before: remains::Counted,
}

fn strike_all(serial: &mut Serial, host: &Host, work: &Work) -> Result<()> {
    let took = duration(serial, host, work)?;
    for victim in work.victims {
        let mut hits = 0;
        for moment in 0..MOMENTS {
            let after = took * (f64::from(moment) + 0.5) / f64::from(MOMENTS);
            let what = format!("{victim} killed {after:.2} s into {} of {took:.2} s", work.name);
            prepare(serial, work).with_context(|| format!("before {what}"))?;
            let said = strike(serial, victim, after, work.command).context(what.clone())?;
            let is = shell::run(serial, "is $vm").context(what.clone())?;
            println!("{what}: {said}, the guest is {is}");
            hits += u32::from(said.starts_with("during"));
            if said.ends_with(" 0") {
                kept(serial, host, work, &is).context(what.clone())?;
            }
            settle(serial, host).context(what)?;
        }
        ensure!(hits > 0, "no kill of {victim} came while {} was under way", work.name);
    }
    Ok(())
}

/// Seconds that the work takes if nobody disturbs it: the shortest of some times, so that few kills come after
/// its end.
fn duration(serial: &mut Serial, host: &Host, work: &Work) -> Result<f64> {
    let mut shortest = f64::INFINITY;
    for _ in 0..TIMES {
        prepare(serial, work)?;
        let took = shell::run(serial, &format!("timed {}", work.command))?;
        let took: u32 = took.parse().with_context(|| format!("{} printed {took}", work.command))?;
        shortest = shortest.min(f64::from(took) / 1e6);
        settle(serial, host).with_context(|| format!("after an undisturbed {}", work.name))?;
    }
    Ok(shortest)
}

/// Brings the guest where the work begins.
fn prepare(serial: &mut Serial, work: &Work) -> Result<()> {
    if work.alive {
        shell::run(serial, "xe vm-start uuid=$vm paused=true")?;
    }
    Ok(())
}

/// Kills one while a command runs; returns how that ended, when the next one serves.
fn strike(serial: &mut Serial, victim: &str, after: f64, command: &str) -> Result<String> {
    let said = shell::run(serial, &format!("strike {victim} {after:.3} {command}"))?;
    let said = said.lines().last().unwrap_or_default().to_owned();
    shell::run(serial, &format!("anew {victim}")).context("waiting for the next one")?;
    Ok(said)
}

/// Work that was said to be done is done.
fn kept(serial: &mut Serial, host: &Host, work: &Work, is: &str) -> Result<()> {
    match work.name {
        "start" => ensure!(is == "paused", "it was started, and is {is}"),
        "shutdown" => ensure!(is == "halted", "it was shut down, and is {is}"),
        "snapshot" => {
            let made = shell::run(serial, "xe snapshot-list name-label=struck --minimal")?;
            ensure!(!made.is_empty(), "the snapshot is gone");
        }
        _ => {
            let made = shell::run(serial, "others")?;
            ensure!(!made.is_empty(), "what was made is gone");
            let sum = shell::run(serial, "sum $(others)")?;
            ensure!(sum == host.sum, "what was made differs: {sum}, not {}", host.sum);
        }
    }
    Ok(())
}

/// Whatever there is is whole; without it the host is as it was.
fn settle(serial: &mut Serial, host: &Host) -> Result<()> {
    let pending = shell::run(serial, "xe task-list status=pending params=name-label --minimal")?;
    ensure!(pending.is_empty(), "tasks are pending: {pending}");
    let is = shell::run(serial, "is $vm")?;
    let domains = shell::run(serial, "xl list -v | grep -c $vm; true")?;
    let alive = is != "halted";
    ensure!(domains == u8::from(alive).to_string(), "it is {is} and has {domains} domains");
    for made in shell::run(serial, "others")?.lines() {
        let sum = shell::run(serial, &format!("sum {made}"))?;
        ensure!(sum == host.sum, "what was made is not whole: {sum}, not {}", host.sum);
        shell::run(serial, &format!("xe vm-uninstall uuid={made} force=true"))?;
    }
    if alive {
        shell::run(serial, "xe vm-shutdown uuid=$vm --force")?;
    }
    let remove = "for s in $(xe snapshot-list params=uuid --minimal | tr , ' '); do \
                  xe snapshot-uninstall uuid=$s force=true; done";
    shell::run(serial, remove)?;
    let disks = shell::run(serial, "disks")?;
    ensure!(disks == host.disks, "VDIs and volumes: {} before, now {disks}", host.disks);
    let after = remains::outside(serial)?;
    for ((what, before), (_, after)) in host.before.iter().zip(&after) {
        ensure!(after == before, "{what}: {before} before, {after} after");
    }
    Ok(())
}
