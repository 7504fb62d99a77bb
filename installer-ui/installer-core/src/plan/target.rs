// SPDX-License-Identifier: MIT OR Apache-2.0
//! The disks that a plan is for, laid out.

use image_formats::gpt::{DiskLayout, LayoutError, Role};

use super::kept::{self, Kept};
use super::{ARRAY_START, Ids, Mirror, PlanError, Refusal, alike, choose, usable};
use crate::answers::Answers;
use crate::discovery::{Discovery, Disk, Medium};

/// What is written to.
pub(super) struct Target<'a> {
    pub(super) disk: &'a Disk,
    pub(super) layout: DiskLayout,
    pub(super) mirror: Option<Mirror>,
    pub(super) storage: Vec<&'a Disk>,
    pub(super) torn: Vec<String>,
    pub(super) kept: Option<Kept>,
    pub(super) ids: Ids,
}

impl<'a> Target<'a> {
    /// Disks on which nothing stays.
    pub(super) fn wiped(
        answers: &Answers,
        found: &'a Discovery,
        ids: Ids,
    ) -> Result<Self, PlanError> {
        let (disk, second) = choose::disks(&answers.disk, answers.mirror.as_ref(), found)?;
        let system: Vec<&Disk> = [Some(disk), second].into_iter().flatten().collect();
        let storage = choose::storage(answers.storage.as_ref(), &system, found)?;
        let sector_size = usable(disk)?;
        let (layout, mirror) = match second {
            None => (lay_out(disk, DiskLayout::new(disk.size, sector_size, &ids.guids))?, None),
            Some(second) => {
                usable(second)?;
                alike(disk, second)?;
                one_path([disk, second])?;
                let smaller = disk.size.min(second.size);
                let half = |disk: &Disk, guids| {
                    lay_out(disk, DiskLayout::mirrored(disk.size, smaller, sector_size, guids))
                };
                let layout = half(second, &ids.mirror.guids)?;
                let mirror = Mirror { disk: second.clone(), layout };
                (half(disk, &ids.guids)?, Some(mirror))
            }
        };
        let torn = torn(&[system, storage.clone()].concat(), found);
        Ok(Self { disk, layout, mirror, storage, torn, kept: None, ids })
    }

    /// The disks of a host that is there, as they are.
    pub(super) fn kept(
        answers: &Answers,
        found: &'a Discovery,
        mut ids: Ids,
    ) -> Result<Self, PlanError> {
        let host = kept::choose_host(&answers.disk, found)?;
        if let Some(mirror) = &host.mirror {
            one_path([host.disk, &mirror.disk])?;
        }
        let kept = Some(Kept::of(&host, found));
        // The initramfs finds the arrays by these.
        ids.mirror.arrays = host.arrays;
        let (disk, layout, mirror) = (host.disk, host.layout, host.mirror);
        Ok(Self { disk, layout, mirror, storage: Vec::new(), torn: Vec::new(), kept, ids })
    }

    /// Whether the new system has room.
    pub(super) fn check_room(&self, medium: &Medium) -> Result<(), PlanError> {
        let start = if self.mirror.is_some() { ARRAY_START } else { 0 };
        let per_sector = self.layout.sector_size().bytes();
        let room = |role| self.layout.partition(role).sectors * per_sector;
        let (slot, esp) = (room(Role::SlotA).saturating_sub(start), room(Role::Esp));
        // On the EFI system partition: both slots' files, the next version's maybe larger, and the file
        // system's own tables.
        for (what, size, room) in [
            ("the system's image", medium.root_image_size, slot),
            ("hypervisor and kernel", medium.boot_size, esp / 3),
        ] {
            if size > room {
                return Err(PlanError::ImageTooLarge { what, size, room });
            }
        }
        Ok(())
    }
}

fn lay_out(disk: &Disk, layout: Result<DiskLayout, LayoutError>) -> Result<DiskLayout, PlanError> {
    layout.map_err(|_| PlanError::Disk {
        disk: disk.path.clone(),
        refusal: Refusal::TooSmall(disk.size),
    })
}

/// Arrays are put together of disks, not of what lies over them.
fn one_path(disks: [&Disk; 2]) -> Result<(), PlanError> {
    match disks.into_iter().find(|disk| disk.multipath.is_some()) {
        Some(disk) => Err(PlanError::MirrorPaths { disk: disk.path.clone() }),
        None => Ok(()),
    }
}

/// What lies on a disk that is wiped and on one that is not.
fn torn(wiped: &[&Disk], found: &Discovery) -> Vec<String> {
    let others = found.disks.iter().filter(|disk| !wiped.iter().any(|w| w.path == disk.path));
    let others: Vec<&Disk> = others.collect();
    let mut lines = Vec::new();
    for content in wiped.iter().flat_map(|disk| &disk.contents) {
        let Some(whole) = &content.part_of else { continue };
        let has = |disk: &&&Disk| disk.contents.iter().any(|c| c.part_of.as_ref() == Some(whole));
        let rest: Vec<String> =
            others.iter().filter(has).map(|disk| disk.path.display().to_string()).collect();
        let line = match content.kind.as_str() {
            _ if rest.is_empty() => continue,
            "LVM2_member" => format!(
                "group {whole:?} is also on {}: what lies on both is lost there too",
                rest.join(", ")
            ),
            _ => format!(
                "software RAID {:?} is also on {}, without this part then",
                content.label.as_deref().unwrap_or(whole),
                rest.join(", ")
            ),
        };
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}
