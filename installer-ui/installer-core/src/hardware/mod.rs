// SPDX-License-Identifier: MIT OR Apache-2.0
//! What will and will not work on this machine, said before anything is asked. Pure.

mod finding;
mod processor;

use std::fmt::Write as _;

use image_formats::gpt::DiskLayout;
use jiff::Timestamp;

pub use finding::{Finding, Severity};

use crate::discovery::{Discovery, Disk, Firmware, Kind, Machine, Medium, Nic};
use crate::plan::Refusal;
use crate::size::Size;

/// What is asked for in the manual, in bytes.
const RECOMMENDED_MEMORY: u64 = 2_000_000_000;
/// With less than this beside Dom0 not even one small guest starts.
const SMALLEST_ROOM: u64 = 256 << 20;
/// A clock that is this far ahead of the medium's date is set wrong, in seconds.
const LATEST: u64 = 20 * 365 * 86400;

/// Every finding, the worst first.
pub fn check(found: &Discovery) -> Vec<Finding> {
    let mut findings = Vec::new();
    processor::check(&found.machine, &mut findings);
    findings.push(memory(&found.machine, &found.medium));
    findings.extend(firmware(&found.machine));
    disks(found, &mut findings);
    network(found, &mut findings);
    findings.push(clock(&found.machine, &found.medium));
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

/// Why nothing can be installed here, in one line; none if it can.
pub fn refusal(findings: &[Finding]) -> Option<String> {
    let refusals = findings.iter().filter(|finding| finding.severity == Severity::Refusal);
    let texts: Vec<&str> = refusals.map(|finding| finding.text.as_str()).collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}

/// Memory modules are counted in powers of two.
fn amount(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10) >> 30;
    match tenths {
        0..20 => format!("{} MiB", bytes >> 20),
        _ => format!("{}.{} GiB", tenths / 10, tenths % 10),
    }
}

/// What the medium's menus give to Dom0, in bytes.
fn dom0_memory(medium: &Medium) -> Option<u64> {
    let options = medium.boot_options.xen.iter().map(ToString::to_string);
    let mut value = options.filter_map(|option| Some(option.strip_prefix("dom0_mem=")?.to_owned()));
    let last = value.next_back()?;
    let first = last.split(',').next()?;
    let (number, shift) = match first.char_indices().next_back()? {
        (at, 'K' | 'k') => (&first[..at], 10),
        (at, 'M' | 'm') => (&first[..at], 20),
        (at, 'G' | 'g') => (&first[..at], 30),
        // Xen counts in KiB by itself.
        _ => (first, 10),
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

fn memory(machine: &Machine, medium: &Medium) -> Finding {
    const SUBJECT: &str = "Memory";
    let Some(total) = machine.memory else {
        return Finding::warning(SUBJECT, "how much there is could not be found out");
    };
    let dom0 = dom0_memory(medium).unwrap_or(0);
    // What Xen has left is what guests can have, as Dom0 keeps what it has.
    let room = machine.free_memory.unwrap_or(total.saturating_sub(dom0));
    let mut text = amount(total);
    if dom0 > 0 {
        let _ = write!(text, "; the host itself takes {}", amount(dom0));
    }
    let _ = write!(text, ", {} are left for guests", amount(room));
    if total < dom0 + SMALLEST_ROOM {
        return Finding::refusal(SUBJECT, format!("too little for a host: {text}"));
    }
    if total < RECOMMENDED_MEMORY {
        let wanted = Size(RECOMMENDED_MEMORY);
        return Finding::warning(SUBJECT, format!("{text}: less than the {wanted} asked for"));
    }
    Finding::ok(SUBJECT, text)
}

fn firmware(machine: &Machine) -> Vec<Finding> {
    const SUBJECT: &str = "Firmware";
    const SECURE_BOOT: &str = "Secure Boot";
    let started = |by| {
        format!("this medium was started by {by}; the installed host starts by BIOS and by UEFI")
    };
    match (machine.firmware, machine.secure_boot) {
        (Firmware::Bios, _) => vec![Finding::ok(SUBJECT, started("BIOS"))],
        (Firmware::Uefi, secure_boot) => vec![
            Finding::ok(SUBJECT, started("UEFI")),
            match secure_boot {
                Some(false) => Finding::ok(SECURE_BOOT, "off"),
                Some(true) => Finding::warning(
                    SECURE_BOOT,
                    "on: the installed host will not start, because its boot loader and Xen are \
                     not signed; switch it off in the firmware",
                ),
                None => Finding::warning(
                    SECURE_BOOT,
                    "could not be found out; if it is on, switch it off in the firmware, because \
                     boot loader and Xen are not signed",
                ),
            },
        ],
    }
}

fn disks(found: &Discovery, findings: &mut Vec<Finding>) {
    const SUBJECT: &str = "Disk";
    let usable = found.candidates().filter(|disk| Refusal::of(disk).is_none()).count();
    if usable == 0 {
        let least = Size(DiskLayout::MINIMUM_BYTES);
        let text = format!("there is none that can be installed on (at least {least})");
        findings.push(Finding::refusal("Disks", text));
    }
    findings.extend(found.disks.iter().map(|disk| {
        let name = name(disk);
        match Refusal::of(disk) {
            Some(Refusal::Medium) => {
                Finding::ok(SUBJECT, format!("{name}: the installation medium"))
            }
            Some(refusal) => {
                Finding::warning(SUBJECT, format!("{name}: cannot be used: {refusal}"))
            }
            None if disk.sector_size != 512 && found.machine.firmware == Firmware::Bios => {
                let size = disk.sector_size;
                let text = format!(
                    "{name}: can be used, but only UEFI starts disks with {size}-byte sectors, and \
                     this machine was started by BIOS"
                );
                Finding::warning(SUBJECT, text)
            }
            None => Finding::ok(SUBJECT, format!("{name}: can be used")),
        }
    }));
    for device in found.unusable.iter().filter(|device| device.kind == Kind::Storage) {
        let text = format!("{}: {}; its disks are not seen", device.name, device.why);
        findings.push(Finding::warning("Disk controller", text));
    }
}

fn name(disk: &Disk) -> String {
    let model = disk.model.as_deref().unwrap_or("unknown model");
    let paths = disk.multipath.as_ref().map(|paths| format!(", over {}", paths.words()));
    format!("{} {}, {model}{}", disk.path.display(), Size(disk.size), paths.unwrap_or_default())
}

fn network(found: &Discovery, findings: &mut Vec<Finding>) {
    const SUBJECT: &str = "Network card";
    if found.nics.is_empty() {
        let text = "there is none that can be used: the host can be managed at its console only";
        findings.push(Finding::warning("Network", text));
    }
    findings.extend(found.nics.iter().map(|nic| card(nic, &found.nics)));
    for device in found.unusable.iter().filter(|device| device.kind == Kind::Network) {
        let text = format!("{}: cannot be used: {}", device.name, device.why);
        findings.push(Finding::warning(SUBJECT, text));
    }
}

fn card(nic: &Nic, all: &[Nic]) -> Finding {
    const SUBJECT: &str = "Network card";
    let mac = nic.mac.as_str();
    let driver = nic.driver.as_deref().unwrap_or("unknown driver");
    let text = format!("{} {mac}, {driver}", nic.name);
    let twins = all.iter().filter(|other| other.mac == nic.mac).count();
    if mac == "00:00:00:00:00:00" {
        let text = format!("{text}: has no address of its own, so it cannot be told from others");
        return Finding::warning(SUBJECT, text);
    }
    if twins > 1 {
        let text = format!("{text}: another card has the same address, so neither can be named");
        return Finding::warning(SUBJECT, text);
    }
    match nic.carrier {
        Some(true) => Finding::ok(SUBJECT, format!("{text}: connected")),
        Some(false) => {
            let text = format!("{text}: no cable, or the other side is off");
            // Servers have more cards than are used.
            match all.iter().any(|other| other.carrier == Some(true)) {
                true => Finding::ok(SUBJECT, text),
                false => Finding::warning(SUBJECT, text),
            }
        }
        None => {
            Finding::ok(SUBJECT, format!("{text}: not switched on yet, so its link is unknown"))
        }
    }
}

fn clock(machine: &Machine, medium: &Medium) -> Finding {
    const SUBJECT: &str = "Clock";
    let now = date(machine.clock);
    let wrong = "set it in the firmware, or guests and certificates get wrong dates until the \
                 host has asked a time server";
    match medium.made {
        Some(made) if machine.clock < made => {
            let made = date(made);
            let text = format!("it says {now}, but this medium was made {made}: {wrong}");
            Finding::warning(SUBJECT, text)
        }
        Some(made) if machine.clock > made.saturating_add(LATEST) => {
            Finding::warning(SUBJECT, format!("it says {now}, which is hardly true: {wrong}"))
        }
        _ => Finding::ok(SUBJECT, now),
    }
}

/// Seconds since 1970 as a date.
fn date(seconds: u64) -> String {
    let seconds = i64::try_from(seconds).ok();
    match seconds.and_then(|seconds| Timestamp::from_second(seconds).ok()) {
        Some(time) => time.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        None => "a time beyond all dates".to_owned(),
    }
}

#[cfg(test)]
mod tests;
