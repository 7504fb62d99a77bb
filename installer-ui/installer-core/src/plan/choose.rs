// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exactly one disk, exactly one network card.

use super::{PlanError, Refusal, alike};
use crate::answers::{DiskChoice, DiskRules, Glob, InterfaceChoice, StorageAnswer};
use crate::discovery::{Discovery, Disk, Nic};
use crate::size::Size;

/// The system disk, and the second one if there is to be a mirror.
pub(super) fn disks<'a>(
    system: &DiskChoice,
    mirror: Option<&DiskChoice>,
    found: &'a Discovery,
) -> Result<(&'a Disk, Option<&'a Disk>), PlanError> {
    match (system, mirror) {
        // Of two that are alike neither is the smallest, but the pair is what is meant.
        (DiskChoice::Rules(rules), Some(DiskChoice::Rules(other)))
            if rules == other && rules.smallest =>
        {
            let (first, second) = smallest_two(rules, found)?;
            Ok((first, Some(second)))
        }
        (system, None) => Ok((disk(system, found, &[], Refusal::of)?, None)),
        (system, Some(mirror)) => {
            let system = disk(system, found, &[], Refusal::of)?;
            Ok((system, Some(disk(mirror, found, &[system], Refusal::of)?)))
        }
    }
}

/// The disk of a host that is installed again.
pub(super) fn system<'a>(choice: &DiskChoice, found: &'a Discovery) -> Result<&'a Disk, PlanError> {
    disk(choice, found, &[], Refusal::of)
}

/// The disks that are added to guests' storage.
pub(super) fn storage<'a>(
    answer: Option<&StorageAnswer>,
    system: &[&'a Disk],
    found: &'a Discovery,
) -> Result<Vec<&'a Disk>, PlanError> {
    let mut taken = system.to_vec();
    for choice in answer.map(|answer| answer.disks.as_slice()).unwrap_or_default() {
        let disk = disk(choice, found, &taken, Refusal::of_storage)?;
        if let Some(refusal) = Refusal::of_storage(disk) {
            return Err(PlanError::Storage { disk: disk.path.clone(), refusal });
        }
        taken.push(disk);
    }
    let own = taken.split_off(system.len());
    // One volume group is over all of them.
    let on_system = answer.is_some_and(|answer| answer.on_system);
    let beside = if on_system { &system[..1] } else { &own[..own.len().min(1)] };
    own.iter().try_for_each(|disk| beside.iter().try_for_each(|other| alike(other, disk)))?;
    Ok(own)
}

/// A stick that somebody forgot is no disk to install on, unless it is named.
fn usable(disk: &Disk, refusal: Refuse) -> bool {
    refusal(disk).is_none() && !disk.removable
}

/// Why a disk cannot be used for a purpose.
type Refuse = fn(&Disk) -> Option<Refusal>;

/// Whether all rules hold but that of the smallest.
fn holds(rules: &DiskRules, disk: &Disk) -> bool {
    let has = |(property, glob): (&String, &Glob)| {
        disk.properties.get(property).is_some_and(|value| glob.matches(value))
    };
    rules.properties.iter().all(has)
        && rules.min_size.is_none_or(|size| disk.size >= size)
        && rules.max_size.is_none_or(|size| disk.size <= size)
}

fn by_rules<'a>(
    rules: &DiskRules,
    disks: impl Iterator<Item = &'a Disk>,
    refusal: Refuse,
) -> Vec<&'a Disk> {
    let mut matching: Vec<&Disk> = disks.filter(|disk| holds(rules, disk)).collect();
    if rules.smallest {
        matching.retain(|disk| usable(disk, refusal));
        let size = matching.iter().map(|disk| disk.size).min();
        matching.retain(|disk| Some(disk.size) == size);
    }
    matching
}

fn words(rules: &DiskRules) -> String {
    let mut words: Vec<String> =
        rules.properties.iter().map(|(name, glob)| format!("{name}={glob}")).collect();
    words.extend(rules.min_size.map(|size| format!("at least {}", Size(size))));
    words.extend(rules.max_size.map(|size| format!("at most {}", Size(size))));
    match (rules.smallest, words.join(" ")) {
        (false, words) => words,
        (true, words) if words.is_empty() => "the smallest usable disk".to_owned(),
        (true, words) => format!("the smallest usable disk with {words}"),
    }
}

fn smallest_two<'a>(
    rules: &DiskRules,
    found: &'a Discovery,
) -> Result<(&'a Disk, &'a Disk), PlanError> {
    let what = || words(rules).replace("smallest usable disk", "two smallest usable disks");
    let disks = found.candidates().filter(|disk| holds(rules, disk));
    let mut disks: Vec<&Disk> = disks.filter(|disk| usable(disk, Refusal::of)).collect();
    disks.sort_by_key(|disk| disk.size);
    match disks.as_slice() {
        [] | [_] => Err(PlanError::NoDisk { what: what(), found: all(found) }),
        [_, second, third, ..] if second.size == third.size => {
            let alike = disks.iter().filter(|disk| disk.size <= second.size);
            let found = alike.map(|disk| describe(disk)).collect();
            Err(PlanError::AmbiguousDisk { what: what(), found })
        }
        [first, second, ..] => Ok((first, second)),
    }
}

pub(super) fn all(found: &Discovery) -> Vec<String> {
    or_nothing(found.disks.iter().map(|disk| match Refusal::of(disk) {
        Some(refusal) => format!("{} ({refusal})", describe(disk)),
        None => describe(disk),
    }))
}

/// The one disk that is meant; rules never mean one that is `taken`.
fn disk<'a>(
    choice: &DiskChoice,
    found: &'a Discovery,
    taken: &[&Disk],
    refusal: Refuse,
) -> Result<&'a Disk, PlanError> {
    let free = |disk: &&Disk| !taken.iter().any(|taken| taken.path == disk.path);
    let (what, matching): (String, Vec<&Disk>) = match choice {
        DiskChoice::Device(path) => {
            let is = |disk: &&Disk| disk.path == *path || disk.links.contains(path);
            (path.display().to_string(), found.disks.iter().filter(is).collect())
        }
        DiskChoice::Installed => {
            let hosts = found.candidates().filter(|disk| disk.host_table.is_some());
            ("an installed host's".to_owned(), hosts.filter(free).collect())
        }
        DiskChoice::Rules(rules) => {
            let free = found.candidates().filter(free);
            (words(rules), by_rules(rules, free, refusal))
        }
    };
    match matching.as_slice() {
        [disk] if !free(disk) => Err(PlanError::NamedTwice { disk: disk.path.clone() }),
        [disk] => Ok(disk),
        [] => Err(PlanError::NoDisk { what, found: all(found) }),
        several => Err(PlanError::AmbiguousDisk {
            what,
            found: several.iter().map(|disk| describe(disk)).collect(),
        }),
    }
}

pub(super) fn describe(disk: &Disk) -> String {
    let mut text = format!("{} {}", disk.path.display(), Size(disk.size));
    for word in [&disk.model, &disk.serial].into_iter().flatten() {
        text.push(' ');
        text.push_str(word);
    }
    text
}

/// The card, or the cards of a bond in their order.
pub(super) fn nics<'a>(
    choice: &InterfaceChoice,
    found: &'a [Nic],
) -> Result<Vec<&'a Nic>, PlanError> {
    let InterfaceChoice::Bond(bond) = choice else {
        return Ok(vec![nic(choice, found)?]);
    };
    let mut nics: Vec<&Nic> = Vec::new();
    for member in &bond.members {
        let nic = nic(member, found)?;
        // By name and by MAC address.
        if nics.iter().any(|other| other.mac == nic.mac) {
            return Err(PlanError::NicTwice { nic: describe_nic(nic) });
        }
        nics.push(nic);
    }
    Ok(nics)
}

fn describe_nic(nic: &Nic) -> String {
    format!("{} {}", nic.name, nic.mac)
}

fn nic<'a>(choice: &InterfaceChoice, found: &'a [Nic]) -> Result<&'a Nic, PlanError> {
    let all = found.iter();
    let (what, matching): (String, Vec<&Nic>) = match choice {
        InterfaceChoice::Name(name) => {
            (name.clone(), all.filter(|nic| nic.name == *name).collect())
        }
        InterfaceChoice::Mac(mac) => (mac.to_string(), all.filter(|nic| nic.mac == *mac).collect()),
        // Bonds of bonds are not made.
        InterfaceChoice::Only | InterfaceChoice::Bond(_) => ("there".to_owned(), all.collect()),
    };
    match matching.as_slice() {
        [nic] => Ok(nic),
        [] => {
            let found = or_nothing(found.iter().map(describe_nic));
            Err(PlanError::NoNic { what, found })
        }
        several => Err(PlanError::AmbiguousNic {
            found: several.iter().map(|nic| describe_nic(nic)).collect(),
        }),
    }
}

fn or_nothing(names: impl Iterator<Item = String>) -> Vec<String> {
    let names: Vec<String> = names.collect();
    if names.is_empty() { vec!["none at all".to_owned()] } else { names }
}
