// SPDX-License-Identifier: MIT OR Apache-2.0
//! Disks and what is on them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::mounts::Mounts;
use super::multipath::{self, Multipath, Part};
use super::table::HostTable;
use super::{DiscoveryError, Roots};

/// A whole disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Disk {
    /// `/dev/sda`; `/dev/mapper/…` for one that is reached over several paths.
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
    /// If it is one of several paths to the same disk that are not put together: the other ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_of: Option<String>,
    /// If it is reached over several paths: these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multipath: Option<Multipath>,
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
    /// `sda` or `sda1`; the name in `/dev/mapper` of a multipath device.
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
    /// What the kernel, or device mapper, calls a partition.
    pub fn partition_name(&self, number: u32) -> String {
        let path = partition(&self.path, number);
        path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// The device of a partition of the disk `path`: `/dev/sda1`, `/dev/nvme0n1p1`, and of multipath devices
/// `/dev/mapper/NAME-part1`, as udev's rule has kpartx(8) name them.
pub fn partition(path: &Path, number: u32) -> PathBuf {
    let disk = path.display();
    if path.starts_with(MAPPER) {
        return format!("{disk}-part{number}").into();
    }
    match disk.to_string().ends_with(|c: char| c.is_ascii_digit()) {
        true => format!("{disk}p{number}").into(),
        false => format!("{disk}{number}").into(),
    }
}

/// Where device mapper's devices are, by their names.
const MAPPER: &str = "/dev/mapper";

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
pub(super) struct Block<'a> {
    roots: &'a Roots,
    name: String,
}

impl<'a> Block<'a> {
    pub(super) fn new(roots: &'a Roots, name: String) -> Self {
        Self { roots, name }
    }

    pub(super) fn text(&self, file: &str) -> Option<String> {
        self.roots.sys_text(Path::new("class/block").join(&self.name).join(file))
    }

    fn number(&self) -> String {
        self.text("dev").unwrap_or_default()
    }

    /// Below `/dev`, without folders.
    fn device(&self) -> String {
        self.text("dm/name").unwrap_or_else(|| self.name.clone())
    }

    pub(super) fn path(&self) -> PathBuf {
        match self.text("dm/name") {
            Some(name) => self.roots.dev.join("mapper").join(name),
            None => self.roots.dev.join(&self.name),
        }
    }

    fn partitions(&self) -> Vec<Self> {
        let names = self.roots.sys_names(Path::new("class/block").join(&self.name));
        let own = names.into_iter().filter(|name| name.starts_with(&self.name));
        let own = own.map(|name| Self::new(self.roots, name));
        let mut blocks: Vec<Self> = own.chain(self.neighbours("holders")).collect();
        blocks.retain(|block| block.partition().is_some());
        blocks.sort_by_key(Self::partition);
        blocks
    }

    /// Its number, if it is a partition.
    fn partition(&self) -> Option<u32> {
        match multipath::part(self) {
            Some(Part::Partition(number)) => Some(number),
            Some(Part::Whole(_)) => None,
            None => self.text("partition").and_then(|number| number.parse().ok()),
        }
    }

    pub(super) fn neighbours(&self, folder: &str) -> Vec<Self> {
        let names = self.roots.sys_names(Path::new("class/block").join(&self.name).join(folder));
        names.into_iter().map(|name| Self::new(self.roots, name)).collect()
    }

    fn flag(&self, file: &str) -> bool {
        self.text(file).is_some_and(|text| text == "1")
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
        let block = Block::new(roots, name);
        let whole = match multipath::part(&block) {
            Some(Part::Whole(wwid)) => Some(wwid),
            _ => None,
        };
        let no_disk = NO_DISKS.iter().any(|no| block.name.starts_with(no)) && whole.is_none();
        if no_disk || (loop_device && !roots.loop_devices) {
            continue;
        }
        let sectors = block.text("size").and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        let boot_area = block.name.starts_with("mmcblk")
            && (block.name.contains("boot") || block.name.contains("rpmb"));
        let is_path = multipath::map_over(&block).is_some();
        if sectors > 0 && !block.flag("hidden") && !boot_area && !is_path {
            let mut disk = disk(&block, whole, sectors * 512, mounts, medium)?;
            let folder = disk.path.parent().unwrap_or(&roots.dev).to_owned();
            let volumes = disk.contents.iter_mut().filter(|found| found.kind == "LVM2_member");
            volumes.for_each(|volume| {
                volume.part_of = groups.get(&folder.join(&volume.device)).cloned();
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
        if own.is_some() && !twins.is_empty() && disk.multipath.is_none() {
            disk.path_of = Some(twins.join(", "));
        }
    }
}

/// A disk, or the multipath device `whole` over several.
fn disk(
    block: &Block<'_>,
    whole: Option<String>,
    size: u64,
    mounts: &Mounts,
    medium: &[String],
) -> Result<Disk, DiscoveryError> {
    let paths = if whole.is_some() { block.neighbours("slaves") } else { Vec::new() };
    // What a disk tells of itself, it tells over each path.
    let own = paths.first().unwrap_or(block);
    let mut properties = block.roots.udev_properties(&own.number());
    let model = join([own.text("device/vendor"), own.text("device/model")]);
    let serial = own.text("device/serial").or_else(|| own.text("serial"));
    for (key, value) in [("ID_MODEL", &model), ("ID_SERIAL_SHORT", &serial)] {
        if let Some(value) = value {
            properties.entry(key.to_owned()).or_insert_with(|| value.clone());
        }
    }
    let mut uses = Vec::new();
    let mut holders = Vec::new();
    let mut contents = Vec::new();
    let mut unreadable = None;
    let partitions = block.partitions();
    for part in std::iter::once(block).chain(&partitions) {
        // The partitions of a multipath device are themselves on top of it.
        if whole.is_none() || part.name == block.name {
            uses.extend(mounts.uses(&part.number(), &part.name));
            hold(part, mounts, &mut uses, &mut holders);
        }
        match (block.roots.probe)(&part.path())? {
            Ok(found) => contents.extend(content(part, &found)),
            Err(complaint) => unreadable = Some(complaint),
        }
    }
    let sector_size = block.text("queue/logical_block_size").and_then(|text| text.parse().ok());
    let sector_size = sector_size.unwrap_or(512);
    let path = block.path();
    // Only what blkid saw a table on is read once more.
    let has_table = contents.iter().any(|c| c.device == block.device() && c.kind == "gpt");
    let host_table = has_table.then(|| (block.roots.table)(&path, sector_size)).flatten();
    let mut links = block.roots.udev_links(&block.number());
    // A path's names stand for the disk.
    for path in &paths {
        links.push(path.path());
        links.extend(block.roots.udev_links(&path.number()));
    }
    Ok(Disk {
        path,
        links,
        model,
        serial: properties.get("ID_SERIAL_SHORT").cloned(),
        size,
        sector_size,
        removable: own.flag("removable"),
        read_only: block.flag("ro"),
        is_medium: paths.iter().chain([block]).any(|block| medium.contains(&block.name)),
        contents,
        uses,
        path_of: None,
        multipath: whole.map(|wwid| multipath::of(&wwid, &paths)),
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
    let is_partition = block.partition().is_some();
    let label = get("LABEL").or_else(|| get("PART_ENTRY_NAME"));
    let kind = get("TYPE").or_else(|| get("PTTYPE"));
    match kind {
        Some(kind) => {
            let part_of = if kind == "linux_raid_member" { get("UUID") } else { None };
            Some(Content { device: block.device(), kind, label, part_of })
        }
        None if is_partition => {
            let kind = "unknown".to_owned();
            Some(Content { device: block.device(), kind, label, part_of: None })
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
    let block = Block::new(roots, name);
    let below = block.neighbours("slaves");
    if below.is_empty() {
        return vec![block.name];
    }
    below.iter().flat_map(|slave| disks_below(roots, &slave.number())).collect()
}
