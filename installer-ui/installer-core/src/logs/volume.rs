// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sticks that logs can be saved on.

use std::fmt;
use std::path::PathBuf;

use crate::discovery::Disk;
use crate::size::Size;

/// File systems that Linux writes and other computers read.
const KINDS: &[&str] = &["vfat", "exfat", "ext2", "ext3", "ext4", "xfs"];
/// udev's names of buses whose disks are pulled out.
const BUSES: &[&str] = &["usb", "ieee1394", "memstick", "mmc"];

/// A file system on a disk that can be pulled out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Its device.
    pub device: PathBuf,
    /// File system.
    pub kind: String,
    /// Label, if it has one.
    pub label: Option<String>,
    /// The disk's model, if it tells.
    pub model: Option<String>,
    /// The disk's size in bytes.
    pub size: u64,
}

impl Volume {
    /// Those among `disks`. Disks that stay in the machine are left alone, as are the installation
    /// medium and what is in use.
    #[must_use]
    pub fn of(disks: &[Disk]) -> Vec<Self> {
        let pulled_out = |disk: &&Disk| {
            let bus = disk.properties.get("ID_BUS").is_some_and(|bus| BUSES.contains(&&**bus));
            (disk.removable || bus) && !disk.is_medium && !disk.read_only && disk.uses.is_empty()
        };
        let mut volumes = Vec::new();
        for disk in disks.iter().filter(pulled_out) {
            let folder = disk.path.parent().unwrap_or(&disk.path);
            let known = disk.contents.iter().filter(|c| KINDS.contains(&c.kind.as_str()));
            volumes.extend(known.map(|content| Self {
                device: folder.join(&content.device),
                kind: content.kind.clone(),
                label: content.label.clone(),
                model: disk.model.clone(),
                size: disk.size,
            }));
        }
        volumes
    }
}

impl fmt::Display for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.device.display(), self.kind)?;
        if let Some(label) = &self.label {
            write!(f, " {label:?}")?;
        }
        write!(f, ", {}", Size(self.size))?;
        self.model.as_ref().map_or(Ok(()), |model| write!(f, ", {model}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::Content;
    use crate::plan::tests::machine;

    #[test]
    fn only_what_can_be_pulled_out_and_written_is_offered() {
        let content = |device: &str, kind: &str, label: Option<&str>| Content {
            device: device.into(),
            kind: kind.into(),
            label: label.map(str::to_owned),
            part_of: None,
        };
        let inside = Disk {
            path: "/dev/sdb".into(),
            removable: false,
            is_medium: false,
            uses: Vec::new(),
            properties: Default::default(),
            size: 8_000_000_000,
            model: Some("Stick".into()),
            contents: vec![
                content("sdb", "dos", None),
                content("sdb1", "vfat", Some("LOGS")),
                content("sdb2", "LVM2_member", None),
            ],
            ..machine().disks[0].clone()
        };
        let removable = Disk { removable: true, ..inside.clone() };
        let mut by_bus = Disk { path: "/dev/sdc".into(), ..inside.clone() };
        by_bus.properties.insert("ID_BUS".into(), "usb".into());
        by_bus.contents = vec![content("sdc", "ext4", None)];
        by_bus.model = None;
        let medium = Disk { is_medium: true, ..removable.clone() };
        let used = Disk { uses: vec!["mounted".into()], ..removable.clone() };
        let locked = Disk { read_only: true, ..removable.clone() };
        let found = Volume::of(&[inside, removable, by_bus, medium, used, locked]);
        let shown: Vec<String> = found.iter().map(Volume::to_string).collect();
        assert_eq!(shown, ["/dev/sdb1 vfat \"LOGS\", 8.0 GB, Stick", "/dev/sdc ext4, 8.0 GB"]);
    }
}
