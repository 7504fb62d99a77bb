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
}

/// Cards have a device behind them; bridges, bonds and tunnels have none.
pub(super) fn look(roots: &Roots) -> Result<Vec<Nic>, DiscoveryError> {
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
            carrier: roots.sys_text(folder.join("carrier")).map(|text| text == "1"),
            name,
        });
    }
    Ok(nics)
}
