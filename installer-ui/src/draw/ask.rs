// SPDX-License-Identifier: MIT OR Apache-2.0
//! Welcome, host name, network, login.

use installer_core::discovery::{Firmware, Virtualization};

use super::body::Body;
use crate::state::{NETWORK_FIELDS, State};

pub(super) fn welcome(state: &State) -> Body {
    let mut body = Body::default();
    let Some(found) = &state.found else { return body };
    let machine = &found.machine;
    body.bold(&format!("Xenith {}", found.medium.build_id));
    body.gap();
    body.wrapped(
        "This installs a Xen virtualization host on one disk of this machine. A few questions \
         follow. Nothing is written before the last screen, where you type \"yes\".",
    );
    body.gap();
    body.text("This machine:");
    let unknown = || "unknown".to_owned();
    let product = machine.product.clone().unwrap_or_else(unknown);
    let memory = machine.memory.map_or_else(unknown, in_gib);
    let cpus = machine.cpus.map_or_else(unknown, |cpus| cpus.to_string());
    let firmware = match machine.firmware {
        Firmware::Bios => "BIOS",
        Firmware::Uefi => "UEFI",
    };
    let guests = match machine.virtualization {
        Virtualization::Present => "PV, PVH and HVM",
        Virtualization::Absent => "only PV: VT-x or AMD-V is missing, or off in the firmware",
        Virtualization::Unknown => "unknown",
    };
    for (label, value) in [
        ("Model", product),
        ("Memory", memory),
        ("Processors", cpus),
        ("Started by", firmware.to_owned()),
        ("Guests", guests.to_owned()),
        ("Disks", found.candidates().count().to_string()),
        ("Network cards", found.nics.len().to_string()),
    ] {
        body.text(&format!("  {label:<14} {value}"));
    }
    remote(&mut body, state);
    body
}

/// How to come in over SSH, if that was asked for.
pub(super) fn remote(body: &mut Body, state: &State) {
    if let Some(remote) = &state.remote {
        body.gap();
        remote.lines().for_each(|line| body.wrapped(line));
    }
}

pub(super) fn hostname(state: &State) -> Body {
    let mut body = Body::default();
    body.text("What is this host called?");
    body.gap();
    body.field(true, "Host name", &state.form.hostname, false);
    body.gap();
    body.wrapped("Letters, digits and \"-\"; with a domain if you like: xen1.example.org");
    body
}

pub(super) fn network(state: &State) -> Body {
    let mut body = Body::default();
    body.text("Through which network is this host managed?");
    body.gap();
    let form = &state.form.network;
    let nics = state.found.as_ref().map_or(&[][..], |found| &found.nics[..]);
    let Some(nic) = nics.get(form.card) else {
        body.bold("This machine has no network card that Linux has a driver for.");
        body.gap();
        body.wrapped(
            "The host will take the first card that appears, by DHCP. Press Enter twice to go on.",
        );
        return body;
    };
    let link = match nic.carrier {
        Some(true) => "connected",
        Some(false) => "no cable",
        None => "link unknown",
    };
    let driver = nic.driver.as_deref().unwrap_or("no driver name");
    let number = format!("{} of {}", form.card + 1, nics.len());
    body.toggle(form.focus == 0, NETWORK_FIELDS[0], &format!("{} ({number})", nic.name));
    body.text(&format!("{:21}{}, {driver}, {link}", "", nic.mac));
    body.gap();
    let mode = if form.fixed { "fixed" } else { "by DHCP" };
    body.toggle(form.focus == 1, NETWORK_FIELDS[1], mode);
    if form.fixed {
        body.gap();
        body.field(form.focus == 2, NETWORK_FIELDS[2], &form.address, false);
        body.field(form.focus == 3, NETWORK_FIELDS[3], &form.gateway, false);
        body.field(form.focus == 4, NETWORK_FIELDS[4], &form.dns, false);
        body.gap();
        body.text("Address with prefix length, such as 192.0.2.10/24. Gateway and DNS may be");
        body.text("empty; several name servers with blanks between.");
    }
    body
}

pub(super) fn password(state: &State) -> Body {
    let mut body = Body::default();
    let form = &state.form.password;
    body.text("Root's password, for logins here and for XenAPI clients (xe, Python, ...).");
    body.gap();
    body.field(form.focus == 0, "Password", &form.first, true);
    body.field(form.focus == 1, "The same again", &form.second, true);
    body.gap();
    body.toggle(form.focus == 2, "SSH server", if form.ssh { "on" } else { "off" });
    body.gap();
    body.text("At least 6 characters. Nothing of it is shown or logged.");
    body
}

/// Memory modules are counted in powers of two.
fn in_gib(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10) >> 30;
    format!("{}.{} GiB", tenths / 10, tenths % 10)
}
