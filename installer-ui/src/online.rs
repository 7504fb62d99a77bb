// SPDX-License-Identifier: MIT OR Apache-2.0
//! Brings the network up, for answers, scripts and reports that go over it and for its test. An
//! installation itself needs none.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use appliance_model::handover::Management;
use installer_core::discovery::Nic;
use installer_core::network::{BootNetwork, FilePlan, MAC_FILE, every_card, files};
use installer_core::program::Program;

use crate::worker;

const FOLDER: &str = "/run/systemd/network";
/// DHCP and router advertisements on every card, where nothing else was said.
const EVERY_CARD: &str = "90-xenith-installer.network";
/// What says which interface has its addresses.
pub const WAIT: &str = "/usr/lib/systemd/systemd-networkd-wait-online";
/// Seconds until the person is told that there is no network.
const PATIENCE: &str = "--timeout=60";
/// Seconds for DHCP once there are IPv6 addresses: its lease may name answers.
const DHCP_PATIENCE: &str = "--timeout=15";

fn kernel_network() -> Result<Option<BootNetwork>> {
    let line = fs::read_to_string("/proc/cmdline").context("reading /proc/cmdline")?;
    BootNetwork::parse(&line).map_err(|error| anyhow!("{error}"))
}

/// What the kernel command line says about the network, if anything.
pub fn of_kernel_line(nics: &[Nic]) -> Result<Option<Management>> {
    let Some(network) = kernel_network()? else { return Ok(None) };
    // Only netboot leaves one.
    let used = fs::read_to_string(MAC_FILE).ok();
    Ok(Some(network.management(nics, used.as_deref())?))
}

/// Brings up what the kernel command line says; without a word about it every card by DHCP and
/// router advertisements, unless a route is there already.
pub fn bring_up(say: &mut dyn FnMut(&str)) -> Result<()> {
    let wait = || Program::new(WAIT).args(["--operational-state=routable", PATIENCE]);
    let waiting = "waiting for an address from the network";
    if kernel_network()?.is_some() {
        let nics = worker::nics()?;
        let management = of_kernel_line(&nics)?.context("no word about the network")?;
        say("waiting for the network of the kernel command line, at most 60 s");
        let plan = files(&management);
        if !is_there(&plan)? {
            apply(&management)?;
        }
        let interface = plan.interface.map_or_else(|| card(&management, &nics), str::to_owned);
        wait().arg(format!("--interface={interface}")).run().context(waiting)?;
        return Ok(());
    }
    if has_route()? {
        return Ok(());
    }
    say("waiting for an address by DHCP or router advertisements, at most 60 s");
    write(EVERY_CARD, &every_card())?;
    restart()?;
    wait().arg("--any").run().context(waiting)?;
    // Routers may be faster than DHCP. Without it that is all there is.
    let dhcp = Program::new(WAIT).args(["--any", "--ipv4", DHCP_PATIENCE]).run();
    if dhcp.is_err() {
        say("there is no address by DHCP, only by router advertisements");
    }
    Ok(())
}

/// The name of a management interface's first card.
pub fn card(management: &Management, nics: &[Nic]) -> String {
    let named = nics.iter().find(|nic| nic.mac.as_str() == management.mac);
    named.map(|nic| nic.name.clone()).unwrap_or_default()
}

fn has_route() -> Result<bool> {
    let routes = fs::read_to_string("/proc/net/route").context("reading /proc/net/route")?;
    Ok(routes.lines().count() > 1)
}

/// Whether [`apply`] made the same before: whoever comes in over that is not cut off.
fn is_there(plan: &FilePlan) -> Result<bool> {
    let mut there = own_files()?;
    there.sort();
    let mut wanted = plan.files.clone();
    wanted.sort();
    Ok(there == wanted)
}

/// Name and text of what [`apply`] and [`bring_up`] made.
pub fn own_files() -> Result<Vec<(String, String)>> {
    let entries = match fs::read_dir(FOLDER) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("listing {FOLDER}")),
    };
    let mut own = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("listing {FOLDER}"))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == EVERY_CARD || name.contains("-xenith-installer-") {
            let path = entry.path();
            let text = fs::read_to_string(&path);
            own.push((name, text.with_context(|| format!("reading {}", path.display()))?));
        }
    }
    Ok(own)
}

/// Has systemd-networkd make a network, in place of one that was made before.
pub fn apply(management: &Management) -> Result<FilePlan> {
    let plan = files(management);
    replace(&plan.files)?;
    Ok(plan)
}

/// Removes what [`apply`] and [`bring_up`] made, and has systemd-networkd follow these files instead.
pub fn replace(files: &[(String, String)]) -> Result<()> {
    let own = own_files()?;
    for (name, _) in &own {
        let path = Path::new(FOLDER).join(name);
        fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
    }
    for interface in ["xn-vlan", "xn-bond"] {
        if Path::new("/sys/class/net").join(interface).exists() {
            Program::new("ip").args(["link", "delete", interface]).run()?;
        }
    }
    for (name, text) in files {
        write(name, text)?;
    }
    if own.is_empty() && files.is_empty() { Ok(()) } else { restart() }
}

fn write(name: &str, text: &str) -> Result<()> {
    fs::create_dir_all(FOLDER).with_context(|| format!("creating {FOLDER}"))?;
    let path = Path::new(FOLDER).join(name);
    fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
}

fn restart() -> Result<()> {
    Program::new("systemctl").args(["restart", "systemd-networkd"]).run()?;
    Ok(())
}
