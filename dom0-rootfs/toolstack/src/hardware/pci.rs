// SPDX-License-Identifier: MIT OR Apache-2.0
//! PCI devices, as `/sys/bus/pci/devices` has them, and their names.

use std::collections::BTreeMap;
use std::fs;

use super::{Machine, text};

/// Where Debian has the list of names (<https://pci-ids.ucw.cz>), if it is installed.
const NAMES: &str = "/usr/share/misc/pci.ids";

/// Names of classes by their first digits, longest first (PCI Code and ID Assignment, chapter 1).
const CLASSES: &[(&str, &str)] = &[
    ("0100", "SCSI storage controller"),
    ("0101", "IDE interface"),
    ("0104", "RAID bus controller"),
    ("0106", "SATA controller"),
    ("0107", "Serial Attached SCSI controller"),
    ("0108", "Non-Volatile memory controller"),
    ("0200", "Ethernet controller"),
    ("0300", "VGA compatible controller"),
    ("0302", "3D controller"),
    ("0403", "Audio device"),
    ("0600", "Host bridge"),
    ("0601", "ISA bridge"),
    ("0604", "PCI bridge"),
    ("0c03", "USB controller"),
    ("0c05", "SMBus"),
    ("01", "Mass storage controller"),
    ("02", "Network controller"),
    ("03", "Display controller"),
    ("04", "Multimedia controller"),
    ("05", "Memory controller"),
    ("06", "Bridge"),
    ("07", "Communication controller"),
    ("08", "Generic system peripheral"),
    ("0b", "Processor"),
    ("0c", "Serial bus controller"),
    ("", "Unclassified device"),
];

/// A PCI device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PciDevice {
    /// `0000:00:1f.0`.
    pub address: String,
    /// Class and subclass, four hexadecimal digits; likewise the other numbers.
    pub class: String,
    /// Vendor.
    pub vendor: String,
    /// Device.
    pub device: String,
    /// Vendor of the subsystem.
    pub subsystem_vendor: String,
    /// Device of the subsystem.
    pub subsystem_device: String,
    /// Driver in Dom0; empty: none.
    pub driver: String,
    /// The firmware's screen is on it.
    pub boot_display: bool,
    /// Names of vendor, device and the subsystem's vendor; empty where they are not known.
    pub names: [String; 3],
}

impl PciDevice {
    /// Name of its class.
    pub fn class_name(&self) -> &'static str {
        CLASSES.iter().find(|(start, _)| self.class.starts_with(start)).map_or("", |(_, name)| name)
    }

    /// Whether it is a graphics card.
    pub fn is_display(&self) -> bool {
        self.class.starts_with("03")
    }

    /// Whether another device is a function of the same card.
    pub fn is_beside(&self, other: &PciDevice) -> bool {
        let slot = |address: &str| address.rsplit_once('.').map(|(slot, _)| slot.to_owned());
        self.address != other.address && slot(&self.address) == slot(&other.address)
    }
}

impl Machine {
    /// All PCI devices, by address.
    pub fn pci(&self) -> Vec<PciDevice> {
        let folder = self.path("/sys/bus/pci/devices");
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut devices: Vec<PciDevice> = entries
            .map(|entry| {
                let path = entry.path();
                let number = |name: &str| {
                    let text = text(&path.join(name));
                    text.trim().trim_start_matches("0x").chars().take(4).collect::<String>()
                };
                let driver = fs::read_link(path.join("driver")).ok();
                let driver =
                    driver.and_then(|link| Some(link.file_name()?.to_string_lossy().into()));
                PciDevice {
                    address: entry.file_name().to_string_lossy().into_owned(),
                    class: number("class"),
                    vendor: number("vendor"),
                    device: number("device"),
                    subsystem_vendor: number("subsystem_vendor"),
                    subsystem_device: number("subsystem_device"),
                    driver: driver.unwrap_or_default(),
                    boot_display: number("boot_vga") == "1",
                    names: Default::default(),
                }
            })
            .collect();
        devices.sort_by(|one, other| one.address.cmp(&other.address));
        if !devices.is_empty() {
            let names = Names::read(&text(&self.path(NAMES)));
            for device in &mut devices {
                device.names = [
                    names.vendor(&device.vendor),
                    names.device(&device.vendor, &device.device),
                    names.vendor(&device.subsystem_vendor),
                ];
            }
        }
        devices
    }
}

/// The list of names: vendors in the first column, their devices behind one tab.
struct Names(BTreeMap<(String, String), String>);

impl Names {
    fn read(list: &str) -> Names {
        let mut all = BTreeMap::new();
        let mut vendor = String::new();
        for line in list.lines().filter(|line| !line.starts_with('#')) {
            // Classes follow the vendors.
            if line.starts_with("C ") {
                break;
            }
            let (inner, text) = match line.strip_prefix('\t') {
                Some(rest) if rest.starts_with('\t') => continue,
                Some(rest) => (true, rest),
                None => (false, line),
            };
            let Some((number, name)) = text.split_once("  ") else { continue };
            if !inner {
                number.clone_into(&mut vendor);
            }
            let device = if inner { number } else { "" };
            all.insert((vendor.clone(), device.to_owned()), name.trim().to_owned());
        }
        Names(all)
    }

    fn vendor(&self, vendor: &str) -> String {
        self.device(vendor, "")
    }

    fn device(&self, vendor: &str, device: &str) -> String {
        self.0.get(&(vendor.to_owned(), device.to_owned())).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_by_numbers() {
        let names = Names::read(
            "# list\n8086  Intel Corporation\n\t100e  82540EM\n\t\t1af4 1100  QEMU\n10de  NVIDIA\n\
             broken\n\nC 02  Network controller\n\t00  Ethernet controller\n",
        );
        assert_eq!(names.vendor("8086"), "Intel Corporation");
        assert_eq!(names.device("8086", "100e"), "82540EM");
        assert_eq!(names.device("10de", "100e"), "");
        assert_eq!(names.device("10de", "00"), "");
    }

    #[test]
    fn classes_have_names() {
        let name =
            |class: &str| PciDevice { class: class.into(), ..Default::default() }.class_name();
        assert_eq!(name("0300"), "VGA compatible controller");
        assert_eq!(name("0280"), "Network controller");
        assert_eq!(name("ff00"), "Unclassified device");
    }

    #[test]
    fn functions_of_a_card_belong_together() {
        let at = |address: &str| PciDevice { address: address.into(), ..Default::default() };
        assert!(at("0000:01:00.0").is_beside(&at("0000:01:00.1")));
        assert!(!at("0000:01:00.0").is_beside(&at("0000:01:00.0")));
        assert!(!at("0000:01:00.0").is_beside(&at("0000:02:00.1")));
    }
}
