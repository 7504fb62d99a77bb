// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the kernel's and udev's files are, so that tests can bring their own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::DiscoveryError;
use super::table::{self, HostTable};
use crate::program::{Program, ProgramError};

/// Finds out what a block device holds: blkid's variables (`TYPE`, `LABEL`, `PTTYPE`, …).
/// A device that cannot be read gives the reason.
pub type Probe = fn(&Path) -> Result<Result<BTreeMap<String, String>, String>, DiscoveryError>;

/// Finds out which volume group each physical volume belongs to, by device path.
pub type Groups = fn(&Roots) -> Result<BTreeMap<PathBuf, String>, DiscoveryError>;

/// The folders that discovery reads.
#[derive(Debug, Clone)]
pub struct Roots {
    /// `/sys`.
    pub sys: PathBuf,
    /// `/proc`.
    pub proc: PathBuf,
    /// `/dev`.
    pub dev: PathBuf,
    /// `/run/udev/data`.
    pub udev: PathBuf,
    /// Root of the running system, which is the one that is installed.
    pub root: PathBuf,
    /// Asks Xen about the machine: the text of `xl info`.
    pub xl_info: fn(&Self) -> Result<String, ProgramError>,
    /// Asks the kernel about network interfaces: the text of `ip -details -json link show`.
    pub links: fn(&Self) -> Result<String, ProgramError>,
    /// The time in seconds since 1970; 0 for a clock that stands before.
    pub clock: fn(&Self) -> u64,
    /// How devices are probed.
    pub probe: Probe,
    /// How volume groups are found.
    pub groups: Groups,
    /// Reads a partition table with a host's partitions, of a disk with sectors of so many bytes.
    pub table: fn(&Path, u32) -> Option<HostTable>,
    /// Offers loop devices as disks too: for trying the installer on an image file.
    pub loop_devices: bool,
}

impl Default for Roots {
    fn default() -> Self {
        Self {
            sys: "/sys".into(),
            proc: "/proc".into(),
            dev: "/dev".into(),
            udev: "/run/udev/data".into(),
            root: "/".into(),
            xl_info: |_| Program::new("xl").args(["info"]).run(),
            links: |_| Program::new("ip").args(["-details", "-json", "link", "show"]).run(),
            clock: |_| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs()),
            probe: blkid,
            groups: |_| volume_groups(),
            table: table::read,
            loop_devices: false,
        }
    }
}

impl Roots {
    /// The trimmed text of a file below `/sys`, none if it is not there or empty.
    pub(super) fn sys_text(&self, path: impl AsRef<Path>) -> Option<String> {
        let text = fs::read_to_string(self.sys.join(path)).ok()?;
        let text = text.trim();
        // Disks name themselves; their words reach terminals.
        (!text.is_empty()).then(|| text.replace(char::is_control, "?"))
    }

    /// Sorted names in a folder below `/sys`; none if it is not there.
    pub(super) fn sys_names(&self, path: impl AsRef<Path>) -> Vec<String> {
        let entries = fs::read_dir(self.sys.join(path)).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// udev's properties of a block device, given `major:minor`; empty without udev.
    pub(super) fn udev_properties(&self, number: &str) -> BTreeMap<String, String> {
        let text = fs::read_to_string(self.udev.join(format!("b{number}"))).unwrap_or_default();
        let properties = text.lines().filter_map(|line| line.strip_prefix("E:")?.split_once('='));
        properties.map(|(k, v)| (k.to_owned(), v.trim().to_owned())).collect()
    }

    /// Links below `/dev` that udev made for a block device, as absolute paths.
    pub(super) fn udev_links(&self, number: &str) -> Vec<PathBuf> {
        let text = fs::read_to_string(self.udev.join(format!("b{number}"))).unwrap_or_default();
        let links = text.lines().filter_map(|line| line.strip_prefix("S:"));
        links.map(|link| self.dev.join(link)).collect()
    }
}

/// What pvs(8) tells; it only reads.
fn volume_groups() -> Result<BTreeMap<PathBuf, String>, DiscoveryError> {
    let program = Program::new("pvs").args([
        "--readonly",
        "--noheadings",
        "--separator",
        "|",
        "--options",
        "pv_name,vg_name",
    ]);
    let text = program.run().map_err(|source| DiscoveryError::Program {
        what: "the volume groups".to_owned(),
        source,
    })?;
    Ok(groups(&text))
}

/// Lines such as `  /dev/sda2|vg0`; a volume that is in no group has nothing behind the bar.
fn groups(text: &str) -> BTreeMap<PathBuf, String> {
    let lines = text.lines().filter_map(|line| line.trim().split_once('|'));
    let named = lines.filter(|(_, group)| !group.is_empty());
    // Names are of a few letters, but what is on a disk may be anything.
    let plain = |text: &str| text.replace(char::is_control, "?");
    named.map(|(device, group)| (PathBuf::from(device), plain(group))).collect()
}

/// Reads the superblocks themselves, not a cache that may be out of date. Status 2 means nothing
/// found, or an error that is told in words.
fn blkid(device: &Path) -> Result<Result<BTreeMap<String, String>, String>, DiscoveryError> {
    let program = Program::new("blkid").args(["-p", "-o", "export"]);
    let program = program.arg(device.display().to_string());
    let (status, text, complaint) = program.ask().map_err(|source| DiscoveryError::Program {
        what: format!("what is on {}", device.display()),
        source,
    })?;
    if status != Some(0) && !complaint.trim().is_empty() {
        return Ok(Err(complaint.trim().replace(char::is_control, " ")));
    }
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    Ok(Ok(pairs.map(|(k, v)| (k.to_owned(), v.replace("\\ ", " "))).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_belong_to_the_groups_that_are_told() {
        let found = groups("  /dev/sda2|vg0\n  /dev/sdb|\n\n  /dev/sdc1|xsr-1\n  noise\n");
        let found: Vec<(&str, &str)> =
            found.iter().map(|(path, group)| (path.to_str().unwrap(), group.as_str())).collect();
        assert_eq!(found, [("/dev/sda2", "vg0"), ("/dev/sdc1", "xsr-1")]);
    }
}
