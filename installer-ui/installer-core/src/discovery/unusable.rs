// SPDX-License-Identifier: MIT OR Apache-2.0
//! Devices that are there and of no use: without a driver, or of a kind that is not supported.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Roots;

/// What a device would be for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Disks.
    Storage,
    /// Network.
    Network,
}

/// A device that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Unusable {
    /// What it would be for.
    pub kind: Kind,
    /// Its place and ids on the PCI bus, or the kernel's name.
    pub name: String,
    /// Why it cannot be used.
    pub why: String,
}

pub(super) fn look(roots: &Roots) -> Vec<Unusable> {
    let mut unusable: Vec<Unusable> =
        roots.sys_names("bus/pci/devices").iter().filter_map(|slot| pci(roots, slot)).collect();
    for name in roots.sys_names("class/net") {
        let folder = Path::new("class/net").join(&name);
        if roots.sys.join(&folder).join("phy80211").exists() {
            let why = "wireless cards cannot carry guests' networks".to_owned();
            unusable.push(Unusable { kind: Kind::Network, name, why });
        }
    }
    unusable
}

/// Class codes of the PCI Code and ID Assignment Specification: base class, subclass, interface.
fn pci(roots: &Roots, slot: &str) -> Option<Unusable> {
    let folder = Path::new("bus/pci/devices").join(slot);
    let text = |file: &str| roots.sys_text(folder.join(file));
    let number = |text: String| u32::from_str_radix(text.strip_prefix("0x")?, 16).ok();
    let class = text("class").and_then(number)? >> 8;
    if roots.sys.join(&folder).join("driver").exists() {
        return None;
    }
    let (kind, why) = match class {
        // Intel and AMD hide SATA and NVMe disks behind these.
        0x0104 => (
            Kind::Storage,
            "Linux has no driver for it in RAID mode; if the firmware can, switch it to AHCI, or VMD \
             off",
        ),
        0x0100..=0x01ff => (Kind::Storage, "Linux has no driver for it"),
        0x0280 => (Kind::Network, "Linux has no driver for it (it may be a wireless card)"),
        0x0200..=0x02ff => (Kind::Network, "Linux has no driver for it"),
        _ => return None,
    };
    let id = |file| number(text(file)?).map(|id| format!("{id:04x}"));
    let name = match id("vendor").zip(id("device")) {
        Some((vendor, device)) => format!("PCI {slot} ({vendor}:{device})"),
        None => format!("PCI {slot}"),
    };
    Some(Unusable { kind, name, why: why.to_owned() })
}
