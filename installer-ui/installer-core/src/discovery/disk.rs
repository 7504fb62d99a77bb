// SPDX-License-Identifier: MIT OR Apache-2.0
//! Disks and what is on them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::mounts::Mounts;
use super::table::HostTable;
use super::{DiscoveryError, Roots};

/// A whole disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Disk {
    /// `/dev/sda`.
    pub path: PathBuf,
    /// Other names of it: links below `/dev/disk`.
    pub links: Vec<PathBuf>,
    /// Maker and model, if it tells.
    pub model: Option<String>,
    /// Serial number, if it tells.
    pub serial: Option<String>,
    /// Size in bytes.
    pub size: u64,
    /// Logical sector size in bytes.
    pub sector_size: u32,
    /// Whether it can be pulled out.
    pub removable: bool,
    /// Whether it refuses to be written.
    pub read_only: bool,
    /// Whether the installation medium lies on it.
    pub is_medium: bool,
    /// What was found on it.
    pub contents: Vec<Content>,
    /// Why it may not be touched now: mounted, swapped to; empty if it is free.
    pub uses: Vec<String>,
    /// If it is one of several paths to the same disk: the multipath device, or the other paths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_of: Option<String>,
    /// Why it cannot be read, if so.
    pub unreadable: Option<String>,
    /// Its partition table, if partitions of a host are in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_table: Option<HostTable>,
    /// Mapped devices on top of it that must be taken down first, topmost first.
    pub holders: Vec<Holder>,
    /// udev's properties, and `ID_MODEL` and `ID_SERIAL_SHORT` from the kernel where udev has none.
    pub properties: BTreeMap<String, String>,
}

/// Something recognisable on a disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Content {
    /// `sda` or `sda1`.
    pub device: String,
    /// File system or other format (`ext4`, `LVM2_member`, `gpt`).
    pub kind: String,
    /// Label of the file system or name of the partition.
    pub label: Option<String>,
    /// What it is a part of, maybe with other disks: an array's id, or the name of a volume group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_of: Option<String>,
}

impl Content {
    /// In words, without its device.
    pub fn words(&self) -> String {
        let label = self.label.as_ref().map(|label| format!(" {label:?}")).unwrap_or_default();
        match (self.kind.as_str(), &self.part_of) {
            ("linux_raid_member", _) => format!("member of the software RAID{label}"),
            ("isw_raid_member" | "ddf_raid_member", _) => {
                format!("member of a RAID of the firmware ({})", self.kind)
            }
            ("LVM2_member", Some(group)) if group.starts_with("xsr-") => {
                format!("guests' storage of a Xenith host (group {group:?})")
            }
            ("LVM2_member", Some(group)) => format!("physical volume of the group {group:?}"),
            (kind, _) => format!("{kind}{label}"),
        }
    }
}

impl Disk {
    /// What the kernel calls a partition.
    pub fn partition_name(&self, number: u32) -> String {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        match name.ends_with(|c: char| c.is_ascii_digit()) {
            true => format!("{name}p{number}"),
            false => format!("{name}{number}"),
        }
    }
}

/// A device that the kernel keeps on top of a disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Holder {
    /// Device mapper, by its own name (`vg-lv`).
    Mapper(String),
    /// Software RAID, by device path.
    Raid(PathBuf),
    /// Something that this program cannot take down, by kernel name.
    Other(String),
}

/// What a block device's folder in `/sys/class/block` tells.
struct Block<'a> {
    roots: &'a Roots,
    name: String,
}

impl Block<'_> {
    fn text(&self, file: &str) -> Option<String> {
        self.roots.sys_text(Path::new("class/block").join(&self.name).join(file))
    }

    fn number(&self) -> String {
        self.text("dev").unwrap_or_default()
    }

    fn partitions(&self) -> Vec<Self> {
        let names = self.roots.sys_names(Path::new("class/block").join(&self.name));
        let own = names.into_iter().filter(|name| name.starts_with(&self.name));
        let blocks = own.map(|name| Self { roots: self.roots, name });
        let mut blocks: Vec<Self> = blocks.filter(|b| b.text("partition").is_some()).collect();
        blocks.sort_by_key(|b| b.text("partition").and_then(|n| n.parse::<u32>().ok()));
        blocks
    }

    fn neighbours(&self, folder: &str) -> Vec<Self> {
        let names = self.roots.sys_names(Path::new("class/block").join(&self.name).join(folder));
        names.into_iter().map(|name| Self { roots: self.roots, name }).collect()
    }
}

/// Kernel names that are never disks to install on.
const NO_DISKS: &[&str] = &["ram", "zram", "dm-", "md", "sr", "fd", "nbd", "mtdblock", "rbd"];

pub(super) fn look(
    roots: &Roots,
    mounts: &Mounts,
    medium: &[String],
) -> Result<Vec<Disk>, DiscoveryError> {
    let mut disks = Vec::new();
    let groups = (roots.groups)(roots)?;
    for name in roots.sys_names("block") {
        let loop_device = name.starts_with("loop");
        if NO_DISKS.iter().any(|no| name.starts_with(no)) || (loop_device && !roots.loop_devices) {
            continue;
        }
        let block = Block { roots, name };
        let sectors = block.text("size").and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        let hidden = block.text("hidden").is_some_and(|text| text == "1");
        let boot_area = block.name.starts_with("mmcblk")
            && (block.name.contains("boot") || block.name.contains("rpmb"));
        if sectors > 0 && !hidden && !boot_area {
            let mut disk = disk(&block, sectors * 512, mounts, medium)?;
            let volumes = disk.contents.iter_mut().filter(|found| found.kind == "LVM2_member");
            volumes.for_each(|volume| {
                volume.part_of = groups.get(&roots.dev.join(&volume.device)).cloned();
            });
            disks.push(disk);
        }
    }
    find_paths(&mut disks);
    Ok(disks)
}

/// Marks disks that are the same one, seen over several controllers or fabrics: they have the same
/// name in the world (SCSI VPD page 83h, as udev tells it), the same serial number and the same size.
fn find_paths(disks: &mut [Disk]) {
    let identity = |disk: &Disk| {
        let get = |key: &str| disk.properties.get(key).filter(|v| !v.is_empty()).cloned();
        let wwn = get("ID_WWN_WITH_EXTENSION").or_else(|| get("ID_WWN"))?;
        Some((wwn, get("ID_SERIAL")?, disk.size))
    };
    let all: Vec<_> = disks.iter().map(|d| (identity(d), d.path.display().to_string())).collect();
    for (at, disk) in disks.iter_mut().enumerate() {
        let own = &all[at].0;
        let twins = all.iter().enumerate().filter(|(i, (id, _))| *i != at && id == own);
        let twins: Vec<&str> = twins.map(|(_, (_, path))| path.as_str()).collect();
        if own.is_some() && !twins.is_empty() && disk.path_of.is_none() {
            disk.path_of = Some(twins.join(", "));
        }
    }
}

fn disk(
    block: &Block<'_>,
    size: u64,
    mounts: &Mounts,
    medium: &[String],
) -> Result<Disk, DiscoveryError> {
    let flag = |file| block.text(file).is_some_and(|text| text == "1");
    let number = block.number();
    let mut properties = block.roots.udev_properties(&number);
    let model = join([block.text("device/vendor"), block.text("device/model")]);
    let serial = block.text("device/serial").or_else(|| block.text("serial"));
    for (key, value) in [("ID_MODEL", &model), ("ID_SERIAL_SHORT", &serial)] {
        if let Some(value) = value {
            properties.entry(key.to_owned()).or_insert_with(|| value.clone());
        }
    }
    let mut uses = Vec::new();
    let mut holders = Vec::new();
    let mut contents = Vec::new();
    let mut unreadable = None;
    let path_of = block.neighbours("holders").iter().find_map(multipath);
    let partitions = block.partitions();
    for part in std::iter::once(block).chain(&partitions) {
        uses.extend(mounts.uses(&part.number(), &part.name));
        hold(part, mounts, &mut uses, &mut holders);
        match (block.roots.probe)(&block.roots.dev.join(&part.name))? {
            Ok(found) => contents.extend(content(part, &found)),
            Err(complaint) => unreadable = Some(complaint),
        }
    }
    let sector_size = block.text("queue/logical_block_size").and_then(|text| text.parse().ok());
    let sector_size = sector_size.unwrap_or(512);
    let path = block.roots.dev.join(&block.name);
    // Only what blkid saw a table on is read once more.
    let has_table = contents.iter().any(|c| c.device == block.name && c.kind == "gpt");
    let host_table = has_table.then(|| (block.roots.table)(&path, sector_size)).flatten();
    Ok(Disk {
        path,
        links: block.roots.udev_links(&number),
        model,
        serial: properties.get("ID_SERIAL_SHORT").cloned(),
        size,
        sector_size,
        removable: flag("removable"),
        read_only: flag("ro"),
        is_medium: medium.contains(&block.name),
        contents,
        uses,
        path_of,
        unreadable,
        host_table,
        holders,
        properties,
    })
}

fn join(words: [Option<String>; 2]) -> Option<String> {
    // SATA disks have "ATA" as their vendor, virtio ones a number.
    let vendor = |word: &&String| *word != "ATA" && !word.starts_with("0x");
    let words: Vec<String> = words.iter().flatten().filter(vendor).cloned().collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// The path of a multipath device; device mapper's ids of those begin so (libmultipath).
fn multipath(above: &Block<'_>) -> Option<String> {
    let is = above.text("dm/uuid").is_some_and(|uuid| uuid.starts_with("mpath-"));
    Some(format!("/dev/mapper/{}", above.text("dm/name").filter(|_| is)?))
}

/// Goes up from a device to everything on top of it.
fn hold(block: &Block<'_>, mounts: &Mounts, uses: &mut Vec<String>, holders: &mut Vec<Holder>) {
    for above in block.neighbours("holders") {
        hold(&above, mounts, uses, holders);
        uses.extend(mounts.uses(&above.number(), &above.name));
        let holder = match above.text("dm/name") {
            Some(name) => Holder::Mapper(name),
            None if above.name.starts_with("md") => Holder::Raid(block.roots.dev.join(&above.name)),
            None => Holder::Other(above.name.clone()),
        };
        if !holders.contains(&holder) {
            holders.push(holder);
        }
    }
}

fn content(block: &Block<'_>, found: &BTreeMap<String, String>) -> Option<Content> {
    let get = |key: &str| found.get(key).filter(|value| !value.is_empty()).cloned();
    let is_partition = block.text("partition").is_some();
    let label = get("LABEL").or_else(|| get("PART_ENTRY_NAME"));
    let kind = get("TYPE").or_else(|| get("PTTYPE"));
    match kind {
        Some(kind) => {
            let part_of = if kind == "linux_raid_member" { get("UUID") } else { None };
            Some(Content { device: block.name.clone(), kind, label, part_of })
        }
        None if is_partition => {
            let kind = "unknown".to_owned();
            Some(Content { device: block.name.clone(), kind, label, part_of: None })
        }
        None => None,
    }
}

/// Names of the whole disks on which the device `major:minor` lies.
pub(super) fn disks_below(roots: &Roots, number: &str) -> Vec<String> {
    let Ok(folder) = fs::canonicalize(roots.sys.join("dev/block").join(number)) else {
        return Vec::new();
    };
    let Some(name) = folder.file_name().map(|name| name.to_string_lossy().into_owned()) else {
        return Vec::new();
    };
    if folder.join("partition").exists() {
        let parent = folder.parent().and_then(Path::file_name);
        return parent.map(|name| name.to_string_lossy().into_owned()).into_iter().collect();
    }
    let block = Block { roots, name };
    let below = block.neighbours("slaves");
    if below.is_empty() {
        return vec![block.name];
    }
    below.iter().flat_map(|slave| disks_below(roots, &slave.number())).collect()
}
