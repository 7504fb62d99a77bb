// SPDX-License-Identifier: MIT OR Apache-2.0
//! USB devices, as `/sys/bus/usb/devices` has them.

use std::fs;

use super::{Machine, text};

/// Class of a hub (USB 2.0 specification, section 11.23.1): devices hang on it, nobody uses it.
const HUB: &str = "09";

/// A USB device.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UsbDevice {
    /// Ports from the controller to it: `1-2.3`.
    pub path: String,
    /// Vendor, four hexadecimal digits.
    pub vendor: String,
    /// What it calls its vendor.
    pub vendor_name: String,
    /// Product, four hexadecimal digits.
    pub product: String,
    /// What it calls itself.
    pub product_name: String,
    /// Its serial number, if it has one.
    pub serial: String,
    /// Version of USB that it speaks: `2.00`.
    pub version: String,
    /// Mbit/s; -1 is not known.
    pub speed: f64,
}

impl Machine {
    /// Every device that is no hub, by its path.
    pub fn usb(&self) -> Vec<UsbDevice> {
        let folder = self.path("/sys/bus/usb/devices");
        let mut devices = Vec::new();
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(path) = entry.file_name().into_string() else { continue };
            // Interfaces of a device have a colon, the controllers' own hubs begin with "usb".
            let read = |name: &str| text(&entry.path().join(name)).trim().to_owned();
            if path.contains(':') || path.starts_with("usb") || read("bDeviceClass") == HUB {
                continue;
            }
            let device = UsbDevice {
                vendor: read("idVendor"),
                vendor_name: read("manufacturer"),
                product: read("idProduct"),
                product_name: read("product"),
                serial: read("serial"),
                version: read("version"),
                speed: read("speed").parse().unwrap_or(-1.0),
                path,
            };
            // One that was pulled meanwhile says nothing any more.
            if !device.vendor.is_empty() {
                devices.push(device);
            }
        }
        devices.sort_by(|left, right| left.path.cmp(&right.path));
        devices
    }
}

impl UsbDevice {
    /// What people know it by.
    pub fn description(&self) -> String {
        let words = [self.vendor_name.as_str(), self.product_name.as_str()];
        let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
        match words.is_empty() {
            true => format!("{}:{}", self.vendor, self.product),
            false => words.join(" "),
        }
    }

    /// Everything that tells it from others: another device in its place is another object.
    pub(super) fn key(&self) -> String {
        [&self.path, &self.vendor, &self.product, &self.serial].map(String::as_str).join("/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_found_and_hubs_are_not() {
        let root = tempfile::tempdir().unwrap();
        let write = |device: &str, files: &[(&str, &str)]| {
            let folder = root.path().join("sys/bus/usb/devices").join(device);
            fs::create_dir_all(&folder).unwrap();
            for (name, text) in files {
                fs::write(folder.join(name), format!("{text}\n")).unwrap();
            }
        };
        write("usb1", &[("bDeviceClass", "09"), ("idVendor", "1d6b"), ("idProduct", "0002")]);
        write("1-1", &[("bDeviceClass", "09"), ("idVendor", "05e3"), ("idProduct", "0610")]);
        let stick = [
            ("bDeviceClass", "00"),
            ("idVendor", "0781"),
            ("idProduct", "5581"),
            ("manufacturer", "SanDisk"),
            ("product", "Ultra"),
            ("serial", "4C53"),
            ("version", " 2.10"),
            ("speed", "480"),
        ];
        write("1-1.2", &stick);
        write("1-1.2:1.0", &[("bInterfaceClass", "08")]);
        write("2-1", &[("idVendor", "0000"), ("idProduct", "0538"), ("speed", "fast")]);
        write("2-2", &[]);
        let devices = Machine::new(root.path().to_owned()).usb();
        assert_eq!(devices.len(), 2, "{devices:?}");
        assert_eq!((devices[0].speed, devices[0].version.as_str()), (480.0, "2.10"));
        assert_eq!(devices[0].description(), "SanDisk Ultra");
        assert_eq!((devices[1].speed, devices[1].description()), (-1.0, "0000:0538".into()));
        assert_eq!(Machine::new("/nowhere".into()).usb(), []);
    }
}
