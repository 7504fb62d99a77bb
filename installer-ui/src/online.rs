// SPDX-License-Identifier: MIT OR Apache-2.0
//! Brings the network up, for answers that come over it. An installation itself needs none.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use installer_core::program::Program;

const FILE: &str = "/run/systemd/network/90-xenith-installer.network";
const CONTENT: &str = "\
# Written by the installer, for this start only.
[Match]
Type=ether
Kind=!*
[Network]
DHCP=yes
";
/// Seconds until the person is told that there is no network.
const PATIENCE: &str = "--timeout=60";

/// Has DHCP on every card, unless a route is there already.
pub fn bring_up() -> Result<()> {
    let routes = fs::read_to_string("/proc/net/route").context("reading /proc/net/route")?;
    if routes.lines().count() > 1 {
        return Ok(());
    }
    let folder = Path::new(FILE).parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    fs::write(FILE, CONTENT).with_context(|| format!("writing {FILE}"))?;
    Program::new("systemctl").args(["restart", "systemd-networkd"]).run()?;
    Program::new("/usr/lib/systemd/systemd-networkd-wait-online")
        .args(["--any", "--ipv4", PATIENCE])
        .run()
        .context("waiting for a network card to get an address by DHCP")?;
    Ok(())
}
