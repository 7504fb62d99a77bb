// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exactly one disk, exactly one network card.

use super::{PlanError, Refusal};
use crate::answers::{DiskChoice, InterfaceChoice};
use crate::discovery::{Discovery, Disk, Nic};
use crate::size::Size;

pub(super) fn disk<'a>(choice: &DiskChoice, found: &'a Discovery) -> Result<&'a Disk, PlanError> {
    let (what, matching): (String, Vec<&Disk>) = match choice {
        DiskChoice::Device(path) => {
            let is = |disk: &&Disk| disk.path == *path || disk.links.contains(path);
            (path.display().to_string(), found.disks.iter().filter(is).collect())
        }
        DiskChoice::Filter(filter) => {
            let matches = |disk: &&Disk| {
                filter.iter().all(|(property, glob)| {
                    disk.properties.get(property).is_some_and(|value| glob.matches(value))
                })
            };
            let words: Vec<String> = filter.iter().map(|(k, v)| format!("{k}={v}")).collect();
            (words.join(" "), found.candidates().filter(matches).collect())
        }
        DiskChoice::Smallest => {
            // A stick that somebody forgot is no disk to install on, unless it is named.
            let usable = |disk: &&Disk| Refusal::of(disk).is_none() && !disk.removable;
            let usable: Vec<&Disk> = found.candidates().filter(usable).collect();
            let size = usable.iter().map(|disk| disk.size).min();
            let smallest = usable.into_iter().filter(|disk| Some(disk.size) == size);
            ("the smallest usable disk".to_owned(), smallest.collect())
        }
    };
    match matching.as_slice() {
        [disk] => Ok(disk),
        [] => Err(PlanError::NoDisk {
            what,
            found: or_nothing(found.disks.iter().map(|disk| match Refusal::of(disk) {
                Some(refusal) => format!("{} ({refusal})", describe(disk)),
                None => describe(disk),
            })),
        }),
        several => Err(PlanError::AmbiguousDisk {
            what,
            found: several.iter().map(|disk| describe(disk)).collect(),
        }),
    }
}

fn describe(disk: &Disk) -> String {
    let mut text = format!("{} {}", disk.path.display(), Size(disk.size));
    for word in [&disk.model, &disk.serial].into_iter().flatten() {
        text.push(' ');
        text.push_str(word);
    }
    text
}

pub(super) fn nic<'a>(
    choice: &InterfaceChoice,
    found: &'a Discovery,
) -> Result<&'a Nic, PlanError> {
    let describe = |nic: &Nic| format!("{} {}", nic.name, nic.mac);
    let (what, matching): (String, Vec<&Nic>) = match choice {
        InterfaceChoice::Name(name) => {
            (name.clone(), found.nics.iter().filter(|nic| nic.name == *name).collect())
        }
        InterfaceChoice::Mac(mac) => {
            (mac.to_string(), found.nics.iter().filter(|nic| nic.mac == *mac).collect())
        }
        InterfaceChoice::Only => ("there".to_owned(), found.nics.iter().collect()),
    };
    match matching.as_slice() {
        [nic] => Ok(nic),
        [] => Err(PlanError::NoNic { what, found: or_nothing(found.nics.iter().map(describe)) }),
        several => Err(PlanError::AmbiguousNic {
            found: several.iter().map(|nic| describe(nic)).collect(),
        }),
    }
}

fn or_nothing(names: impl Iterator<Item = String>) -> Vec<String> {
    let names: Vec<String> = names.collect();
    if names.is_empty() { vec!["none at all".to_owned()] } else { names }
}
