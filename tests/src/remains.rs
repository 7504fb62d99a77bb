// SPDX-License-Identifier: MIT OR Apache-2.0
//! What work on guests could leave behind on a host.

use anyhow::{Context, Result, ensure};

use crate::serial::Serial;
use crate::shell;

/// The daemon and its worker; the kernel keeps 15 letters of a process's name.
pub const DAEMON: &str = "xenith-toolstac";
/// See [`DAEMON`].
pub const WORKER: &str = "xenops-worker";

/// What is there, and a command that counts it.
const THINGS: &[(&str, &str)] = &[
    ("domains", "xl list | wc -l"),
    ("nodes of xenstore", "xenstore-ls | wc -l"),
    ("files of libxl", "ls /var/lib/xen | wc -l"),
    ("links", "ls /sys/class/net | wc -l"),
    ("block devices", "ls /sys/class/block | wc -l"),
    ("ports of the switch", "ovs-vsctl list-ports xenbr0 | wc -l"),
    ("tables of nftables", "nft list tables | wc -l"),
    // The kernel's own, and udev's workers, come and go as there is work.
    ("processes", "ps --ppid 2 -p 2 --deselect -o comm= | grep -vcF udev-worker"),
];

/// How many there are of something.
pub type Counted = Vec<(String, u64)>;

/// What is on the host outside the daemon and its worker.
pub fn outside(serial: &mut Serial) -> Result<Counted> {
    counted(
        serial,
        THINGS.iter().map(|(what, command)| ((*what).to_owned(), (*command).to_owned())),
    )
}

/// The same, and what the daemon and its worker hold.
pub fn all(serial: &mut Serial) -> Result<Counted> {
    let held = [DAEMON, WORKER].into_iter().flat_map(|process| {
        let of = |file: &str| format!("/proc/$(pgrep -xo {process})/{file}");
        [
            (format!("{process}, KiB"), format!("awk '/VmRSS/{{print $2}}' {}", of("status"))),
            (format!("{process}, descriptors"), format!("ls {} | wc -l", of("fd"))),
            (format!("{process}, threads"), format!("ls {} | wc -l", of("task"))),
        ]
    });
    let mut all = counted(serial, held)?;
    all.extend(outside(serial)?);
    Ok(all)
}

/// By one line of the shell: each that is typed takes its time.
fn counted(
    serial: &mut Serial,
    commands: impl Iterator<Item = (String, String)>,
) -> Result<Counted> {
    let (things, commands): (Vec<_>, Vec<_>) = commands.unzip();
    let line = format!("echo $({})", commands.join(") $("));
    let text = shell::run(serial, &line)?;
    let numbers: Vec<u64> = text
        .lines()
        .last()
        .unwrap_or_default()
        .split_whitespace()
        .map(|number| number.parse().with_context(|| format!("{line} printed {text:?}")))
        .collect::<Result<_>>()?;
    ensure!(numbers.len() == things.len(), "{line} printed {text:?}");
    Ok(things.into_iter().zip(numbers).collect())
}
