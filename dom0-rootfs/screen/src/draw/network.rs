// SPDX-License-Identifier: MIT OR Apache-2.0
//! Interfaces, and the change of the address.

use widgets::{Body, WIDTH};

use super::{cut, shown};
use crate::facts::{Facts, Interface};
use crate::state::{MODES, State};

/// Rows of the list above the selected one's facts.
const LIST: usize = 8;

pub(super) fn body(state: &State) -> Body {
    let mut body = Body::default();
    let none = Facts::default();
    let all = &state.facts.as_ref().unwrap_or(&none).interfaces;
    body.text(&format!(
        "  {:8} {:17}  {:15} {:15} {}",
        "Name", "MAC", "Link", "IPv4", "What it is"
    ));
    for (index, one) in shown(all, state.selected, LIST) {
        let link = match (one.link, one.speed) {
            (None, _) => "unknown".to_owned(),
            (Some(false), _) => "no cable".to_owned(),
            (Some(true), 0) => "connected".to_owned(),
            (Some(true), speed) => format!("{speed} Mbit/s"),
        };
        let line = format!(
            "{:8} {:17}  {link:15} {:15} {}",
            cut(&one.device, 8),
            cut(&one.mac, 17),
            cut(&one.ip, 15),
            what(one)
        );
        body.choice(index == state.selected, &cut(&line, WIDTH - 2));
    }
    match all.get(state.selected) {
        Some(interface) => facts(&mut body, interface),
        None => {
            body.gap();
            body.text("This host has no network card that Linux has a driver for.");
        }
    }
    body
}

fn what(one: &Interface) -> &str {
    match (one.management, one.kind.is_empty()) {
        (true, _) => "management",
        (false, false) => &one.kind,
        (false, true) => "card",
    }
}

fn facts(body: &mut Body, one: &Interface) {
    body.gap();
    let mut line = |label: &str, value: &str| {
        body.text(&cut(&format!("{label:<12} {value}"), WIDTH));
    };
    let or = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    let kind = if one.kind.is_empty() { "network card" } else { &one.kind };
    line(&one.device, kind);
    match one.ip.is_empty() {
        false => {
            line("IPv4", &format!("{}, netmask {}, by {}", one.ip, or(&one.netmask), one.mode))
        }
        true => line("IPv4", &format!("no address ({})", or(&one.mode))),
    }
    line("Gateway", &or(&one.gateway));
    line("Name servers", &or(&one.dns.replace(',', ", ")));
    line("IPv6", &or(&one.ipv6.join(", ")));
    if one.management && one.urls().is_empty() {
        line("No address", one.why_none());
    }
}

pub(super) fn address(state: &State) -> Body {
    let mut body = Body::default();
    let form = &state.address;
    let device = state.management().map(|one| one.device.as_str()).unwrap_or_default();
    body.text(&format!("How does this host get its IPv4 address, on {device}?"));
    body.gap();
    body.toggle(form.focus == 0, "IPv4 address", MODES.get(form.mode).copied().unwrap_or_default());
    if form.is_fixed() {
        body.gap();
        body.field(form.focus == 1, "Address/prefix", &form.address, false);
        body.field(form.focus == 2, "Gateway", &form.gateway, false);
        body.field(form.focus == 3, "DNS", &form.dns, false);
        body.gap();
        body.text("Gateway and DNS may be empty; several name servers with blanks between.");
    }
    body
}
