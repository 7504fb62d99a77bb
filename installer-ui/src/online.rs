// SPDX-License-Identifier: MIT OR Apache-2.0
//! Brings the network up, for answers, scripts and reports that go over it. An installation itself
//! needs none.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use installer_core::delivery::{OPTION_SHA256, OPTION_URL};
use installer_core::program::Program;

const FILE: &str = "/run/systemd/network/90-xenith-installer.network";
/// A DHCP server is asked for the options with answers, and told who asks.
fn content() -> String {
    format!(
        "# Written by the installer, for this start only.\n\
         [Match]\nType=ether\nKind=!*\n\
         [Network]\nDHCP=yes\n\
         [DHCPv4]\nRequestOptions={OPTION_URL} {OPTION_SHA256}\n\
         VendorClassIdentifier=xenith-installer\n"
    )
}

/// Seconds until the person is told that there is no network.
const PATIENCE: &str = "--timeout=60";

/// Has DHCP on every card, unless a route is there already.
pub fn bring_up(say: &mut dyn FnMut(&str)) -> Result<()> {
    let routes = fs::read_to_string("/proc/net/route").context("reading /proc/net/route")?;
    if routes.lines().count() > 1 {
        return Ok(());
    }
    say("waiting for an address by DHCP, at most 60 s");
    let folder = Path::new(FILE).parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    fs::write(FILE, content()).with_context(|| format!("writing {FILE}"))?;
    Program::new("systemctl").args(["restart", "systemd-networkd"]).run()?;
    Program::new("/usr/lib/systemd/systemd-networkd-wait-online")
        .args(["--any", "--ipv4", PATIENCE])
        .run()
        .context("waiting for a network card to get an address by DHCP")?;
    Ok(())
}
