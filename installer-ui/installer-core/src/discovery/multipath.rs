// SPDX-License-Identifier: MIT OR Apache-2.0
//! Disks that are reached over several controllers or fabrics.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Roots;
use super::disk::Block;

/// How device mapper's ids of multipath devices begin (libmultipath).
const MAP: &str = "mpath-";

/// One disk over several paths, as device mapper has put it together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Multipath {
    /// Its name in the world as multipath-tools write it: `3600508b4…`. None: not one that the kernel
    /// tells too, by which alone the first program of a host finds the paths.
    pub wwid: Option<String>,
    /// The disks that are paths to it: `/dev/sda`.
    pub paths: Vec<PathBuf>,
}

impl Multipath {
    /// How many there are, in words.
    pub fn words(&self) -> String {
        match self.paths.len() {
            1 => "1 path".to_owned(),
            n => format!("{n} paths"),
        }
    }
}

/// What a device is to multipath, by its device mapper's id.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The disk with this name in the world.
    Whole(String),
    /// A partition of one, as kpartx(8) maps it.
    Partition(u32),
}

pub(super) fn part(block: &Block<'_>) -> Option<Part> {
    let uuid = block.text("dm/uuid")?;
    if let Some(wwid) = uuid.strip_prefix(MAP) {
        return Some(Part::Whole(wwid.to_owned()));
    }
    let (number, _) = uuid.strip_prefix("part")?.split_once("-mpath-")?;
    Some(Part::Partition(number.parse().ok()?))
}

/// The multipath device that a disk is a path of.
pub(super) fn map_over<'a>(block: &Block<'a>) -> Option<Block<'a>> {
    let mut above = block.neighbours("holders").into_iter();
    above.find(|above| matches!(part(above), Some(Part::Whole(_))))
}

/// The paths of the device `wwid`.
pub(super) fn of(wwid: &str, paths: &[Block<'_>]) -> Multipath {
    let told = !paths.is_empty() && paths.iter().all(|path| name(path).as_deref() == Some(wwid));
    Multipath {
        wwid: told.then(|| wwid.to_owned()),
        paths: paths.iter().map(Block::path).collect(),
    }
}

/// A SCSI disk's name in the world by what the kernel tells (scsi_vpd_lun_id), in multipath-tools'
/// writing. `init/multipath` does the same.
fn name(disk: &Block<'_>) -> Option<String> {
    let told = disk.text("device/wwid")?;
    let (kind, digits) = told.split_once('.')?;
    let first = match kind {
        "naa" => '3',
        "eui" => '2',
        _ => return None,
    };
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    plain.then(|| format!("{first}{}", digits.to_ascii_lowercase()))
}

/// Whether there are several paths to one disk that are not put together yet.
pub(super) fn are_loose(roots: &Roots) -> bool {
    let mut loose: BTreeMap<String, bool> = BTreeMap::new();
    for name in roots.sys_names("block").into_iter().filter(|name| name.starts_with("sd")) {
        let block = Block::new(roots, name);
        let Some(wwid) = self::name(&block) else { continue };
        let free = map_over(&block).is_none();
        // One that is not in the map of the others is loose too.
        if let Some(before) = loose.get_mut(&wwid) {
            if free || *before {
                return true;
            }
        } else {
            loose.insert(wwid, free);
        }
    }
    false
}
