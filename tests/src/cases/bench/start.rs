// SPDX-License-Identifier: MIT OR Apache-2.0
//! Starting a guest, by the toolstack and by `xl`, in turns in the same boot: seconds to the moment the
//! command returns with the domain built and its devices connected, what that is made of, and what it
//! costs in programs, processes and requests to xenstore. `VM.start` and `VM.hard_shutdown` are what the
//! toolstack takes; `xe` is a program, a session and five calls more.

use anyhow::{Context, Result};

use super::number;
use crate::inner::{self, HVM, PVH};
use crate::lab::Lab;
use crate::runner::Figures;
use crate::serial::Serial;
use crate::shell;

/// How often a guest is started each way.
const ROUNDS: usize = 5;
/// Where the kernel tells of programs and processes.
const TRACING: &str = "/sys/kernel/tracing";
/// Where xenstored logs its requests.
const REQUESTS: &str = "/run/bench.xenstore";

/// A kind of guest, made once for each way.
struct Kind {
    name: &'static str,
    template: &'static str,
    /// Memory in MiB.
    memory: u32,
    /// What `xl` is told of it beside memory, disk and card.
    xl: &'static str,
}

const KINDS: &[Kind] = &[
    Kind {
        name: "PVH",
        template: PVH,
        memory: 64,
        xl: "type='pvh'\\nkernel='/usr/lib/grub-xen/grub-i386-xen_pvh.bin'\\n",
    },
    // As the template's: without these `xl` has another PC.
    Kind {
        name: "HVM",
        template: HVM,
        memory: 128,
        xl: "type='hvm'\\nhdtype='ahci'\\nvga='stdvga'\\nusbdevice='tablet'\\nvnc=1\\n",
    },
];

/// A message of the API.
struct Call {
    name: &'static str,
    /// What the daemon's log says of it, before the VM's uuid.
    log: &'static str,
    /// What the worker's log says of it.
    worker: &'static str,
    /// The ways that are held against each other.
    ours: usize,
    theirs: usize,
}

const CALLS: [Call; 2] = [
    Call { name: "VM.start", log: "started", worker: "built the domain", ours: 0, theirs: 1 },
    Call {
        name: "VM.hard_shutdown",
        log: "ended",
        worker: "destroyed the domain",
        ours: 2,
        theirs: 3,
    },
];

/// Measures all kinds.
pub(super) fn measure(lab: &Lab, serial: &mut Serial, figures: &Figures) -> Result<()> {
    // Its scripts know Linux bridges; they and the disk's file are all that differs.
    shell::run(serial, "modprobe bridge && ip link add xlbr0 type bridge && ip link set xlbr0 up")?;
    shell::run(serial, "cp /dev/disk/by-id/virtio-GUEST /var/tmp/bench.img")?;
    shell::run(serial, &format!("mount -t tracefs tracefs {TRACING} || mountpoint {TRACING}"))?;
    // That it has a log makes xenstored write to it, each letter by itself: only while requests are counted.
    shell::run(
        serial,
        &format!("xenstore-control logfile {REQUESTS} && xenstore-control log off"),
    )?;
    KINDS.iter().try_for_each(|kind| {
        of(kind, lab, serial, figures).with_context(|| format!("starting {} guests", kind.name))
    })
}

fn of(kind: &Kind, lab: &Lab, serial: &mut Serial, figures: &Figures) -> Result<()> {
    let name = kind.name;
    let guest = inner::create(lab, serial, &format!("bench-{name}"), kind.template)?;
    let bytes = u64::from(kind.memory) << 20;
    let limits = ["static-min", "dynamic-min", "dynamic-max", "static-max"];
    let limits: Vec<_> = limits.iter().map(|name| format!("{name}={bytes}")).collect();
    shell::run(serial, &format!("xe vm-memory-limits-set uuid={} {}", guest.vm, limits.join(" ")))?;
    let config = format!(
        "name='xlbench'\\nmemory={}\\n{}\
         disk=['format=raw,vdev=xvda,access=rw,target=/var/tmp/bench.img']\\n\
         vif=['bridge=xlbr0']\\n",
        kind.memory, kind.xl
    );
    shell::run(serial, &format!("printf \"{config}\" >/run/bench.cfg"))?;
    let ways = [
        ("xe vm-start", format!("xe vm-start paused=true uuid={}", guest.vm)),
        ("xl create", "xl create -q -p /run/bench.cfg".to_owned()),
        ("xe vm-shutdown", format!("xe vm-shutdown --force uuid={}", guest.vm)),
        ("xl destroy", "xl destroy xlbench".to_owned()),
    ];
    let mut seconds = [const { Vec::new() }; 4];
    let mut calls = [const { Vec::new() }; 2];
    for _ in 0..ROUNDS {
        // A start is followed by its own end, so that both ways find the machine the same.
        for way in [0, 2, 1, 3] {
            seconds[way].push(timed(serial, &ways[way].1)?);
        }
        for (call, seconds) in CALLS.iter().zip(&mut calls) {
            let steps = steps(&last_line(serial, &format!("{} {}", call.log, guest.vm))?)?;
            seconds.push(steps.iter().map(|(_, ms)| ms / 1e3).sum());
        }
    }
    let mut median = |seconds: &mut Vec<f64>| {
        seconds.sort_by(f64::total_cmp);
        seconds[ROUNDS / 2]
    };
    let seconds = seconds.each_mut().map(&mut median);
    let calls = calls.each_mut().map(&mut median);
    for (way, seconds) in ways.iter().zip(seconds) {
        figures.note(format!("{} {name}, s", way.0), seconds);
    }
    for (call, in_it) in CALLS.iter().zip(calls) {
        figures.note(format!("{} {name}, s", call.name), in_it);
        let (ours, theirs) = (ways[call.ours].0, ways[call.theirs].0);
        figures.note(format!("{} / {theirs} {name}, x", call.name), in_it / seconds[call.theirs]);
        let ratio = seconds[call.ours] / seconds[call.theirs];
        figures.note(format!("{ours} / {theirs} {name}, x"), ratio);
        for line in [format!("{} {}", call.log, guest.vm), call.worker.to_owned()] {
            for part in steps(&last_line(serial, &line)?)? {
                figures.note(format!("{} {name}: {}, ms", call.name, part.0), part.1);
            }
        }
    }
    // Not within the rounds: watching costs time.
    for way in [0, 2, 1, 3] {
        let (way, command) = &ways[way];
        for (what, count) in counted(serial, command)? {
            figures.note(format!("{way} {name}: {what}, "), count);
        }
    }
    Ok(())
}

/// Wall seconds of a command that succeeds. By bash's clock: to start `date` takes a twentieth of a second.
fn timed(serial: &mut Serial, command: &str) -> Result<f64> {
    let line = format!(
        "s=${{EPOCHREALTIME/./}} && {{ {command}; }} >/run/bench.out 2>&1 && e=${{EPOCHREALTIME/./}} \
         && echo $((e-s)) || {{ cat /run/bench.out; false; }}"
    );
    Ok(number(serial, &line)? / 1e6)
}

/// The last line of the daemon's and its worker's log that has these words.
fn last_line(serial: &mut Serial, words: &str) -> Result<String> {
    let log = "journalctl -u xenith-toolstack -o cat --no-pager";
    shell::run(serial, &format!("{log} | grep -F '{words}' | tail -n 1"))
}

/// The steps of a line of the log, each with its milliseconds: `… took=building the domain 120, …`.
fn steps(line: &str) -> Result<Vec<(String, f64)>> {
    let (_, steps) =
        line.trim().split_once("took=").with_context(|| format!("no step in {line:?}"))?;
    let step = |step: &str| {
        let (name, ms) = step.rsplit_once(' ')?;
        Some((name.to_owned(), ms.parse().ok()?))
    };
    let steps =
        steps.split(", ").map(|text| step(text).with_context(|| format!("reading {text:?}")));
    steps.collect()
}

/// Runs a command once, and counts what the whole of Dom0 did meanwhile.
fn counted(serial: &mut Serial, command: &str) -> Result<[(&'static str, f64); 3]> {
    let events =
        ["exec", "fork"].map(|e| format!("{TRACING}/events/sched/sched_process_{e}/enable"));
    let switch = |on: u8| events.iter().map(move |file| format!("echo {on} >{file};"));
    let on: String = switch(1).collect();
    let off: String = switch(0).collect();
    shell::run(
        serial,
        &format!(": >{REQUESTS}; : >{TRACING}/trace; {on} xenstore-control log on"),
    )?;
    let result = shell::run(serial, &format!("{{ {command}; }} >/run/bench.out 2>&1"));
    shell::run(serial, &format!("{off} xenstore-control log off"))?;
    result?;
    let mut count =
        |file: &str, word: &str| number(serial, &format!("grep -c '{word}' {file} || true"));
    let trace = format!("{TRACING}/trace");
    Ok([
        ("programs", count(&trace, "sched_process_exec:")?),
        // Threads too.
        ("processes", count(&trace, "sched_process_fork:")?),
        ("requests to xenstore", count(REQUESTS, "io: IN ")?),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read_from_the_log() {
        let line = "INFO toolstack::vm::start: started 5f82 took=activating disks 41, building the domain 210\r";
        let read = steps(line).unwrap();
        let expected = [("activating disks", 41.0), ("building the domain", 210.0)];
        assert_eq!(read, expected.map(|(name, ms)| (name.to_owned(), ms)));
        for bad in ["", "took=", "took=a, b 1", "took=a x"] {
            assert!(steps(bad).is_err(), "{bad}");
        }
    }
}
