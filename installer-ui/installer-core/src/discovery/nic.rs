// SPDX-License-Identifier: MIT OR Apache-2.0
//! Network cards.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{DiscoveryError, Roots};
use crate::answers::MacAddress;

/// A physical network card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Nic {
    /// The kernel's name.
    pub name: String,
    /// Its permanent or present address.
    pub mac: MacAddress,
    /// Driver, if the kernel tells.
    pub driver: Option<String>,
    /// Whether a cable is in and the other side is on; unknown while the card is down.
    pub carrier: Option<bool>,
    /// The largest MTU in bytes that its driver takes, if the kernel tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_mtu: Option<u32>,
}

/// One of `ip -details -json link show`.
#[derive(Debug, Deserialize)]
struct Link {
    ifname: String,
    /// 0: no limit.
    max_mtu: Option<u32>,
}

/// Cards have a device behind them; bridges, bonds and tunnels have none.
pub(super) fn look(roots: &Roots) -> Result<Vec<Nic>, DiscoveryError> {
    // Only netlink tells the limits of a driver.
    let program = |source| DiscoveryError::Program { what: "network cards".to_owned(), source };
    let text = (roots.links)(roots).map_err(program)?;
    let links: Vec<Link> = serde_json::from_str(&text).map_err(|source| {
        DiscoveryError::Malformed { path: "ip -json link show".into(), source: source.into() }
    })?;
    let mut nics = Vec::new();
    for name in roots.sys_names("class/net") {
        let folder = Path::new("class/net").join(&name);
        let ethernet = roots.sys_text(folder.join("type")).is_some_and(|kind| kind == "1");
        let device = roots.sys.join(&folder).join("device");
        let wireless = roots.sys.join(&folder).join("phy80211").exists();
        if !ethernet || !device.exists() || wireless {
            continue;
        }
        let Some(mac) = roots.sys_text(folder.join("address")).and_then(|mac| mac.parse().ok())
        else {
            continue;
        };
        let driver = fs::canonicalize(device.join("driver")).ok();
        let driver = driver.as_deref().and_then(Path::file_name);
        nics.push(Nic {
            mac,
            driver: driver.map(|name| name.to_string_lossy().into_owned()),
            max_mtu: links
                .iter()
                .find(|link| link.ifname == name)
                .and_then(|link| link.max_mtu)
                .filter(|mtu| *mtu > 0),
            carrier: roots.sys_text(folder.join("carrier")).map(|text| text == "1"),
            name,
        });
    }
    Ok(nics)
}
