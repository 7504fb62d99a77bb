// SPDX-License-Identifier: MIT OR Apache-2.0
//! The disk and the local storage on it.

use super::super::raw::{RawChoice, RawDisk, RawStorage};
use super::{Element, Translation, tag};

/// What the elements say of disks; only together do they decide.
#[derive(Debug, Default)]
pub(super) struct Disks {
    /// As device path.
    primary: Option<String>,
    /// Device path of the host that is installed again.
    existing: Option<String>,
    /// Whether the rest of the primary disk is local storage.
    storage: Option<bool>,
    /// An array's device path and its disks'.
    raid: Option<(String, Vec<String>)>,
    /// Device paths for local storage.
    guest: Vec<String>,
    /// As in `sr-type`.
    kind: Option<&'static str>,
}

impl Translation {
    pub(super) fn primary_disk(&mut self, element: &Element) {
        const STORAGE: &[&str] = &["guest-storage", "gueststorage"];
        let others = ["sr-at-end", "preserve-first-partition", "swraid"];
        self.attributes(element, &[STORAGE, others.as_slice()].concat());
        if let Some(text) = element.attribute(STORAGE) {
            self.disks.storage = self.flag("guest-storage", text);
        }
        if let Some(text) = element.attribute(&["sr-at-end"])
            && self.flag("sr-at-end", text) == Some(false)
        {
            self.note("sr-at-end", "has no meaning here: storage is the last partition");
        }
        if let Some(text) = element.attribute(&["swraid"])
            && self.flag("swraid", text) == Some(true)
        {
            match element.text.split(',').map(str::trim).collect::<Vec<_>>().as_slice() {
                [first, second] if !first.is_empty() && !second.is_empty() => {
                    let array = path(&element.text);
                    self.disks.raid = Some((array.clone(), vec![path(first), path(second)]));
                    self.disks.primary = Some(array);
                }
                _ => {
                    let hint =
                        "a mirror has two: <primary-disk swraid=\"true\">sda,sdb</primary-disk>";
                    self.problem("swraid", "needs two disks with a comma between", hint);
                }
            }
        }
        match element.attribute(&["preserve-first-partition"]) {
            None => {}
            Some(_) if self.keep => self.note("preserve-first-partition", STAYS),
            Some("if-utility") => self.note("preserve-first-partition", WIPED),
            Some(text) if self.flag("preserve-first-partition", text) == Some(true) => {
                let hint = "leave it out, if that partition can go";
                self.problem("preserve-first-partition", WIPED, hint);
            }
            // That is what happens; a word that is neither is a finding by now.
            Some(_) => {}
        }
        if self.disks.primary.is_none() {
            self.disks.primary = self.disk(element);
        }
    }

    /// Where the host is that is installed again.
    pub(super) fn existing_installation(&mut self, element: &Element) {
        self.attributes(element, &["fs-type"]);
        if !self.keep {
            let hint = "say <installation mode=\"reinstall\">, or leave it out: the disk is wiped";
            self.problem("<existing-installation>", "is given without that mode", hint);
            return;
        }
        self.disks.existing = self.disk(element);
    }

    /// A mirror of two disks, which is the primary disk under the name of its `device`.
    pub(super) fn raid(&mut self, element: &Element) {
        const ABOUT: &str = "<raid>";
        self.attributes(element, &["device"]);
        let Some(device) = element.attribute(&["device"]).filter(|name| !name.is_empty()) else {
            let hint = "such as <raid device=\"md127\">, and <primary-disk>md127</primary-disk>";
            self.problem(ABOUT, "has no attribute device", hint);
            return;
        };
        let mut disks = Vec::new();
        for child in &element.children {
            match child.name.as_str() {
                "disk" => {
                    self.attributes(child, &[]);
                    disks.extend(self.disk(child));
                }
                _ => {
                    let text = format!("holds <{}>", child.name);
                    self.problem(ABOUT, text, "only <disk> may be in it");
                }
            }
        }
        if disks.len() != 2 {
            let text = format!("names {} disks", disks.len());
            self.problem(ABOUT, text, "a mirror has two: <disk>sda</disk><disk>sdb</disk>");
            return;
        }
        self.disks.raid = Some((path(device), disks));
    }

    pub(super) fn guest_disks(&mut self, element: &Element) {
        self.attributes(element, &[]);
        for child in &element.children {
            match child.name.as_str() {
                "guest-disk" => self.guest_disk(child),
                _ => {
                    let text = format!("holds <{}>", child.name);
                    self.problem("<guest-disks>", text, "only <guest-disk> may be in it");
                }
            }
        }
    }

    pub(super) fn guest_disk(&mut self, element: &Element) {
        self.attributes(element, &[]);
        let disk = self.disk(element);
        self.disks.guest.extend(disk);
    }

    pub(super) fn utility_partitions(&mut self, element: &Element) {
        let Some(text) = self.text(element) else { return };
        match self.flag("<zap-utility-partitions>", &text) {
            Some(_) if self.keep => self.note("<zap-utility-partitions>", STAYS),
            Some(true) => self.note("<zap-utility-partitions>", WIPED),
            Some(false) => {
                let hint = "leave it out, if those partitions can go";
                self.problem("<zap-utility-partitions>", WIPED, hint);
            }
            None => {}
        }
    }

    /// A device path.
    fn disk(&mut self, element: &Element) -> Option<String> {
        let text = self.text(element)?;
        let about = tag(&element.name);
        if text.contains(',') || text.contains(char::is_whitespace) {
            let hint = "each disk has an element of its own";
            self.problem(&about, "names several disks", hint);
            return None;
        }
        if text.starts_with("iscsi:") {
            let hint = "name a disk of the machine, such as sda";
            self.problem(&about, "iSCSI disks are not used by the installer", hint);
            return None;
        }
        Some(path(&text))
    }

    pub(super) fn storage_kind(&mut self, root: &Element) {
        let about = if root.attribute(&["sr-type"]).is_some() { "sr-type" } else { "srtype" };
        match root.attribute(&["sr-type", "srtype"]) {
            None => {}
            Some("ext") => self.disks.kind = Some("ext"),
            Some("lvm") => self.disks.kind = Some("lvm-thin"),
            Some(other) => {
                let text = format!("{other:?} is not a kind of local storage here");
                self.problem(about, text, "\"ext\" or \"lvm\"");
            }
        }
    }

    pub(super) fn finish_disks(&mut self) {
        if self.keep {
            return self.finish_kept();
        }
        let Disks { primary, storage, raid, guest, kind, .. } = std::mem::take(&mut self.disks);
        let Some(primary) = primary else {
            self.missing("primary-disk", "such as <primary-disk>sda</primary-disk>");
            return;
        };
        // Naming the primary disk as a guest disk says the same as the attribute. All are one SR.
        let on_system = storage.unwrap_or(true) || guest.contains(&primary);
        let mut others: Vec<String> = Vec::new();
        for disk in guest.into_iter().filter(|disk| *disk != primary) {
            if !others.contains(&disk) {
                others.push(disk);
            }
        }
        let kind = if on_system || !others.is_empty() { kind } else { Some("none") };
        if kind == Some("lvm-thin") {
            self.note("sr-type", "\"lvm\" becomes thin logical volumes, the kind there is here");
        }
        let named = |disk| RawChoice { device: Some(disk), ..RawChoice::default() };
        self.raw.storage = Some(RawStorage {
            kind: kind.map(str::to_owned),
            system_disk: (!others.is_empty()).then_some(on_system),
            disks: others.into_iter().map(named).collect(),
        });
        // A file of this kind is a consent in itself: XenServer wipes the disk that it names too.
        let wipe = Some(true);
        let (device, mirror) = match raid {
            None => (primary, None),
            Some((device, disks)) if device == primary => {
                let [first, second] = disks.try_into().unwrap_or_default();
                (first, Some(RawChoice { device: Some(second), ..RawChoice::default() }))
            }
            Some((device, _)) => {
                let text = format!("is {device}, which is not the primary disk");
                self.problem("<raid>", text, "only the system's disks can be a RAID");
                (primary, None)
            }
        };
        self.raw.disk = Some(RawDisk { device: Some(device), mirror, wipe, ..RawDisk::default() });
    }
}

impl Translation {
    /// The disk of the host that is there; storage stays as it is.
    fn finish_kept(&mut self) {
        let Disks { primary, existing, storage, raid, guest, kind } =
            std::mem::take(&mut self.disks);
        for (about, given) in [
            ("sr-type", kind.is_some()),
            ("guest-storage", storage.is_some()),
            ("<guest-disk>", !guest.is_empty()),
        ] {
            if given {
                self.note(about, STAYS);
            }
        }
        // Of a mirror one disk leads to the other.
        let primary = primary.map(|primary| match raid {
            Some((device, disks)) if device == primary => {
                disks.into_iter().next().unwrap_or(primary)
            }
            _ => primary,
        });
        let device = match (primary, existing) {
            (Some(primary), Some(existing)) if primary != existing => {
                let text = format!("is {primary}, and <existing-installation> is {existing}");
                self.problem("<primary-disk>", text, "keep one of them");
                return;
            }
            (Some(device), _) | (None, Some(device)) => device,
            (None, None) => {
                let hint = "such as <primary-disk>sda</primary-disk>, on which the host is";
                return self.missing("primary-disk", hint);
            }
        };
        let (device, keep_storage) = (Some(device), Some(true));
        self.raw.disk = Some(RawDisk { device, keep_storage, ..RawDisk::default() });
    }
}

/// XenServer takes `sda` for `/dev/sda`.
fn path(text: &str) -> String {
    if text.starts_with('/') { text.to_owned() } else { format!("/dev/{text}") }
}

const WIPED: &str = "the whole disk is wiped here, with every partition on it";
const STAYS: &str = "has no meaning in this mode: partitions and storage stay as they are";
