// SPDX-License-Identifier: MIT OR Apache-2.0
//! Welcome, host name, login.

use installer_core::discovery::{Firmware, Virtualization};
use widgets::Body;

use crate::state::State;

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
