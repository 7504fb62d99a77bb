// SPDX-License-Identifier: MIT OR Apache-2.0
//! Network cards of the host.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::backend::PhysicalNic;
use crate::error::NetworkError;
use crate::program::{System, io};

#[derive(Deserialize)]
struct Link {
    ifindex: u32,
    ifname: String,
    address: Option<String>,
    permaddr: Option<String>,
}

/// Every network card that is a piece of hardware, by PCI address; none as long as udev, which
/// gives them their names, is not done with all of them.
pub(crate) fn physical(system: &dyn System) -> Result<Vec<PhysicalNic>, NetworkError> {
    // The kernel tells the permanent address only over netlink, and `ip` shows it where it differs.
    let doing = "listing network interfaces";
    let out = system.must(doing, "ip", &["-json", "link", "show"])?;
    let links: Vec<Link> = serde_json::from_str(&out).map_err(|error| NetworkError::Failed {
        doing: doing.to_owned(),
        detail: error.to_string(),
    })?;
    let mut nics = Vec::new();
    for link in links {
        let folder = system.path(&format!("/sys/class/net/{}", link.ifname));
        let device = folder.join("device");
        // Bridges and bonds have no device; the back ends of guests' network cards have one.
        if !device.exists() || target_name(&device.join("subsystem")) == Some("xen-backend".into())
        {
            continue;
        }
        // udev(7): the database has a record of every device that the rules were run for.
        let udev = system.path("/run/udev/data");
        if udev.exists() && !udev.join(format!("n{}", link.ifindex)).exists() {
            return Ok(Vec::new());
        }
        let Some(mac) = link.permaddr.or(link.address) else { continue };
        let real = device
            .canonicalize()
            .map_err(io(format!("looking at the device of {}", link.ifname)))?;
        nics.push(PhysicalNic {
            mac,
            mtu: number(&folder.join("mtu")).unwrap_or(1500),
            carrier: number(&folder.join("carrier")) == Some(1),
            speed_mbit: number(&folder.join("speed")),
            driver: target_name(&device.join("driver")).unwrap_or_default(),
            pci: pci_address(&real),
            device: link.ifname,
        });
    }
    // Cards that hang on no PCI bus come last.
    nics.sort_by_cached_key(|nic| (nic.pci.is_none(), nic.pci.clone(), nic.device.clone()));
    Ok(nics)
}

fn target_name(link: &Path) -> Option<String> {
    let target: PathBuf = fs::read_link(link).ok()?;
    Some(target.file_name()?.to_string_lossy().into_owned())
}

/// A link that is down has no readable carrier and speed, and a speed of -1 is unknown.
fn number(path: &Path) -> Option<u32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The last `dddd:bb:dd.f` of a device's path.
fn pci_address(device: &Path) -> Option<String> {
    let is_pci = |name: &str| {
        name.len() == 12
            && name.bytes().enumerate().all(|(at, byte)| match at {
                4 | 7 => byte == b':',
                10 => byte == b'.',
                _ => byte.is_ascii_hexdigit(),
            })
    };
    let names = device.components().rev().filter_map(|part| part.as_os_str().to_str());
    names.map(str::to_owned).find(|name| is_pci(name))
}
