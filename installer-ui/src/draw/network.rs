// SPDX-License-Identifier: MIT OR Apache-2.0
//! The management network, and its test.

use installer_core::discovery::Nic;
use installer_core::hardware::{Finding, Severity};
use widgets::{Body, wrap};

use crate::state::{BONDS, IPV4, IPV6, Item, NetworkForm, State};

/// Lines of findings that fit.
const SHOWN: usize = 16;
/// Columns of the mark before each finding, with a blank.
const MARK: usize = 7;

pub(super) fn body(state: &State) -> Body {
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
    for item in form.items() {
        draw(&mut body, form, item, nic, nics.len());
    }
    if form.more {
        return body;
    }
    body.gap();
    if form.is_fixed() {
        body.text("Address with prefix length, such as 192.0.2.10/24. Gateway and DNS may be");
        body.text("empty; several name servers with blanks between.");
        body.gap();
    }
    body.text("More settings: IPv6, several cards as one, VLAN tag, MTU.");
    body
}

fn draw(body: &mut Body, form: &NetworkForm, item: Item, nic: &Nic, cards: usize) {
    let focused = form.focus == item;
    let mut field = |label, field| body.field(focused, label, field, false);
    match item {
        Item::Address => return field("Address/prefix", &form.address),
        Item::Gateway => return field("Gateway", &form.gateway),
        Item::Dns => return field("DNS", &form.dns),
        Item::Address6 => return field("IPv6/prefix", &form.address6),
        Item::Gateway6 => return field("IPv6 gateway", &form.gateway6),
        Item::Members => return field("Cards of it", &form.members),
        Item::Vlan => return field("VLAN tag", &form.vlan),
        Item::Mtu => return field("MTU", &form.mtu),
        Item::Card | Item::Ipv4 | Item::More | Item::Ipv6 | Item::Bond => {}
    }
    match item {
        Item::Card => {
            let link = match nic.carrier {
                Some(true) => "connected",
                Some(false) => "no cable",
                None => "link unknown",
            };
            let driver = nic.driver.as_deref().unwrap_or("no driver name");
            let number = format!("{} of {cards}", form.card + 1);
            body.toggle(focused, "Card", &format!("{} ({number})", nic.name));
            body.text(&format!("{:21}{}, {driver}, {link}", "", nic.mac));
            if !form.more {
                body.gap();
            }
        }
        Item::Ipv4 => {
            body.toggle(focused, "IPv4 address", IPV4[form.ipv4]);
            if form.is_fixed() && !form.more {
                body.gap();
            }
        }
        Item::More => {
            if !form.more {
                body.gap();
            }
            let shown = match (form.more, form.is_unusual()) {
                (true, _) => "shown",
                (false, true) => "hidden, and in use",
                (false, false) => "hidden",
            };
            body.toggle(focused, "More settings", shown);
        }
        Item::Ipv6 => body.toggle(focused, "IPv6 address", IPV6[form.ipv6]),
        Item::Bond => body.toggle(focused, "Several cards", BONDS[form.bond].0),
        _ => {}
    }
}

pub(super) fn tested(findings: Option<&[Finding]>, scroll: usize) -> Body {
    let mut body = Body::default();
    let Some(findings) = findings else {
        body.text("Trying the network: links, address, gateway, name servers, time ...");
        body.gap();
        body.wrapped(
            "This takes up to two minutes if nothing answers. Afterwards the network is as before.",
        );
        return body;
    };
    let worst = findings.iter().map(|finding| finding.severity).max();
    body.bold(match worst {
        Some(Severity::Ok) => "The network works.",
        Some(Severity::Warning) => "The network works, but for what is marked [warn].",
        _ => "The network does not work; what is marked [STOP] says why.",
    });
    body.gap();
    let mut lines = Vec::new();
    for finding in findings {
        let line = finding.to_string();
        let (mark, text) = line.split_at(line.floor_char_boundary(MARK));
        for (index, part) in wrap(text, widgets::WIDTH - MARK).into_iter().enumerate() {
            lines.push(format!("{:MARK$}{part}", if index == 0 { mark } else { "" }));
        }
    }
    body.window(&lines, scroll, SHOWN);
    body
}
