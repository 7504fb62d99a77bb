// SPDX-License-Identifier: MIT OR Apache-2.0
//! Hosts that are on the machine already, one of which may be installed again over itself.

use image_formats::gpt::{DiskLayout, Role, UnknownLayout};
use uuid::Uuid;

use super::{Mirror, PlanError, alike, choose, usable};
use crate::answers::DiskChoice;
use crate::discovery::{Content, Discovery, Disk};

/// How names of volume groups that are storage repositories begin.
const GROUPS: &str = "xsr-";

/// What a reinstallation leaves as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Guests' storage on this machine.
    pub storage: Vec<KeptStorage>,
}

/// Guests' storage that is not written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptStorage {
    /// Its volume group, or the array in which it is.
    pub name: String,
    /// The partitions and disks that it is on.
    pub devices: Vec<String>,
    /// All of these together in bytes; none where that is not known.
    pub size: Option<u64>,
}

/// A host that is on the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Host<'a> {
    pub(super) disk: &'a Disk,
    pub(super) layout: DiskLayout,
    pub(super) mirror: Option<Mirror>,
    /// By the place of what they hold in [`Role::ALL`]; nil for what is in none.
    pub(super) arrays: [Uuid; Role::ALL.len()],
}

/// One disk with the partitions of a host.
struct Half<'a> {
    disk: &'a Disk,
    layout: DiskLayout,
    arrays: [Uuid; Role::ALL.len()],
}

impl Disk {
    fn content(&self, role: Role) -> Option<&Content> {
        let name = self.partition_name(role.number());
        self.contents.iter().find(|content| content.device == name)
    }
}

/// Reads the table of a disk; none if it is not ours.
fn half(disk: &Disk) -> Option<Result<Half<'_>, PlanError>> {
    let table = disk.host_table.as_ref()?;
    let unknown =
        |why: UnknownLayout| PlanError::UnknownHost { disk: disk.path.clone(), why: why.0 };
    let read = || {
        let layout = table.layout(disk, usable(disk)?).map_err(unknown)?;
        let mut arrays = [Uuid::nil(); Role::ALL.len()];
        for role in Role::ALL.into_iter().filter(|r| layout.is_mirrored() && r.is_mirrored()) {
            let content = disk.content(role).filter(|found| found.kind == "linux_raid_member");
            let id = content.and_then(|content| content.part_of.as_ref()?.parse().ok());
            let missing = || UnknownLayout(format!("{:?} is in no array", role.name()));
            arrays[role as usize] = id.ok_or_else(missing).map_err(unknown)?;
        }
        Ok(Half { disk, layout, arrays })
    };
    Some(read())
}

/// The host that the disk `first` is a part of.
fn host<'a>(first: Half<'a>, found: &'a Discovery) -> Result<Host<'a>, PlanError> {
    let Half { disk, layout, arrays } = first;
    if !layout.is_mirrored() {
        return Ok(Host { disk, layout, mirror: None, arrays });
    }
    let others = found.candidates().filter(|other| other.path != disk.path);
    let others = others.filter_map(half).filter_map(Result::ok);
    let mut others: Vec<Half<'_>> = others.filter(|other| other.arrays == arrays).collect();
    let (Some(other), true) = (others.pop(), others.is_empty()) else {
        return Err(PlanError::HalfMirror { disk: disk.path.clone() });
    };
    alike(disk, other.disk)?;
    let places = |layout: &DiskLayout| -> Vec<(u64, u64)> {
        layout.partitions().iter().map(|found| (found.first_sector, found.sectors)).collect()
    };
    if places(&layout) != places(&other.layout) {
        let why = format!("those of {} lie elsewhere", other.disk.path.display());
        return Err(PlanError::UnknownHost { disk: disk.path.clone(), why });
    }
    let mirror = Mirror { disk: other.disk.clone(), layout: other.layout };
    Ok(Host { disk, layout, mirror: Some(mirror), arrays })
}

/// The one host that is meant.
pub(super) fn choose_host<'a>(
    choice: &DiskChoice,
    found: &'a Discovery,
) -> Result<Host<'a>, PlanError> {
    let meant = match choice {
        DiskChoice::Installed => {
            let mut disks: Vec<&Disk> = Vec::new();
            let mut mirrors = Vec::new();
            for disk in found.candidates().filter(|disk| disk.host_table.is_some()) {
                let half = half(disk).and_then(Result::ok);
                let arrays = half.filter(|half| half.layout.is_mirrored()).map(|half| half.arrays);
                // The second disk of a mirror is no other host.
                if arrays.is_none() || !mirrors.contains(&arrays) {
                    disks.push(disk);
                }
                mirrors.push(arrays);
            }
            match disks.as_slice() {
                [disk] => *disk,
                [] => return Err(PlanError::NoHost { found: choose::all(found) }),
                several => {
                    let found = several.iter().map(|disk| choose::describe(disk)).collect();
                    return Err(PlanError::SeveralHosts { found });
                }
            }
        }
        named => choose::system(named, found)?,
    };
    let Some(first) = half(meant) else {
        return Err(PlanError::NotAHost { disk: meant.path.clone() });
    };
    host(first?, found)
}

impl Kept {
    /// All guests' storage that is on the machine: none of it is written to, whose ever it is.
    pub(super) fn of(host: &Host<'_>, found: &Discovery) -> Self {
        let partition =
            |layout: &DiskLayout| layout.partition(Role::Sr).sectors * layout.sector_size().bytes();
        let own = partition(&host.layout);
        let mut storage: Vec<KeptStorage> = Vec::new();
        if let Some(mirror) = &host.mirror {
            let disks = [host.disk, &mirror.disk];
            let devices = disks.map(|disk| disk.partition_name(Role::Sr.number())).to_vec();
            let name = format!("array {}", Role::Sr.name());
            storage.push(KeptStorage { name, devices, size: Some(own) });
        }
        for disk in found.candidates() {
            let groups = disk.contents.iter().filter_map(|content| {
                let group = content.part_of.as_ref().filter(|name| name.starts_with(GROUPS))?;
                (content.kind == "LVM2_member").then_some((content, group))
            });
            for (content, group) in groups {
                let whole = disk.path.ends_with(&content.device);
                let sr = disk.path == host.disk.path
                    && content.device == disk.partition_name(Role::Sr.number());
                let size = if whole { Some(disk.size) } else { sr.then_some(own) };
                match storage.iter_mut().find(|known| known.name == *group) {
                    Some(known) => {
                        known.devices.push(content.device.clone());
                        let both = known.size.zip(size);
                        known.size = both.map(|(one, other)| one.saturating_add(other));
                    }
                    None => storage.push(KeptStorage {
                        name: group.clone(),
                        devices: vec![content.device.clone()],
                        size,
                    }),
                }
            }
        }
        Self { storage }
    }
}

#[cfg(test)]
pub(crate) mod tests;
