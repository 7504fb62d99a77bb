// SPDX-License-Identifier: MIT OR Apache-2.0
//! The network interfaces.

use super::{ascii, number, text, texts, truth};
use crate::mirror::{Mirror, Record};

/// A network interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interface {
    /// Reference to it.
    pub reference: String,
    /// Name of the device.
    pub device: String,
    /// Its bond or VLAN in words; empty for a card of its own.
    pub kind: String,
    /// Its MAC address.
    pub mac: String,
    /// Whether a cable is plugged in; none if that is not known.
    pub link: Option<bool>,
    /// Mbit/s; 0 if unknown.
    pub speed: u64,
    /// `DHCP`, `Static` or `None`.
    pub mode: String,
    /// IPv4 address; may be empty.
    pub ip: String,
    /// IPv4 netmask.
    pub netmask: String,
    /// IPv4 gateway.
    pub gateway: String,
    /// Name servers, separated by commas.
    pub dns: String,
    /// IPv6 addresses, with prefix length.
    pub ipv6: Vec<String>,
    /// How it gets them.
    pub ipv6_mode: String,
    /// The host is managed through it.
    pub management: bool,
    /// Its bridge is up.
    pub attached: bool,
}

impl Interface {
    /// Where clients reach the host, by this interface.
    pub fn urls(&self) -> Vec<String> {
        let four = (!self.ip.is_empty()).then(|| format!("https://{}", self.ip));
        let six = self.ipv6.iter().map(|address| {
            let bare = address.split('/').next().unwrap_or_default();
            format!("https://[{bare}]")
        });
        four.into_iter().chain(six).collect()
    }

    /// Why it has no address.
    pub fn why_none(&self) -> &'static str {
        match (self.attached, self.link, self.mode.as_str(), self.ipv6_mode.as_str()) {
            (false, ..) => "its bridge is not up",
            (_, Some(false), ..) => "no cable, or the other side is off",
            (.., "DHCP", _) => "no DHCP server has answered yet",
            (.., "None" | "", "None" | "") => "none is set",
            (.., "Static", _) => "the address that is set is not there yet",
            _ => "no router has answered yet",
        }
    }
}

pub(super) fn interfaces(mirror: &Mirror) -> Vec<Interface> {
    let all = mirror.all("pif").map(|(reference, pif)| {
        let metrics = mirror.get("pif_metrics", &text(pif, "metrics"));
        Interface {
            reference: reference.to_owned(),
            device: ascii(&text(pif, "device")),
            kind: kind(mirror, reference, pif),
            mac: ascii(&text(pif, "MAC")),
            link: metrics.map(|metrics| truth(metrics, "carrier")),
            speed: metrics.map(|metrics| number(metrics, "speed")).unwrap_or_default(),
            mode: ascii(&text(pif, "ip_configuration_mode")),
            ip: ascii(&text(pif, "IP")),
            netmask: ascii(&text(pif, "netmask")),
            gateway: ascii(&text(pif, "gateway")),
            dns: ascii(&text(pif, "DNS")),
            ipv6: texts(pif, "IPv6").iter().filter(|a| !a.is_empty()).map(|a| ascii(a)).collect(),
            ipv6_mode: ascii(&text(pif, "ipv6_configuration_mode")),
            management: truth(pif, "management"),
            attached: truth(pif, "currently_attached"),
        }
    });
    let mut all: Vec<Interface> = all.collect();
    all.sort_by(|a, b| {
        let place = |one: &Interface| (!one.management, one.device.clone(), one.kind.clone());
        place(a).cmp(&place(b))
    });
    all
}

fn kind(mirror: &Mirror, reference: &str, pif: &Record) -> String {
    let device = |reference: &str| {
        mirror.get("pif", reference).map(|pif| text(pif, "device")).unwrap_or_default()
    };
    let bond = |reference: &str| mirror.all("bond").find(|(_, b)| text(b, "master") == reference);
    // -1 is none.
    if let Ok(tag) = text(pif, "VLAN").parse::<u16>() {
        let mut vlans = mirror.all("vlan");
        let below = vlans.find(|(_, vlan)| text(vlan, "untagged_PIF") == reference);
        let below = below.map(|(_, vlan)| device(&text(vlan, "tagged_PIF"))).unwrap_or_default();
        return ascii(&format!("VLAN {tag} of {below}"));
    }
    if let Some((_, bond)) = bond(reference) {
        let mut cards: Vec<String> = texts(bond, "slaves").iter().map(|s| device(s)).collect();
        cards.sort();
        return ascii(&format!("bond of {}, {}", cards.join(" and "), text(bond, "mode")));
    }
    match mirror.get("bond", &text(pif, "bond_slave_of")) {
        Some(bond) => ascii(&format!("card of {}", device(&text(bond, "master")))),
        None => String::new(),
    }
}
