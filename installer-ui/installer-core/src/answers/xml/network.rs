// SPDX-License-Identifier: MIT OR Apache-2.0
//! The management network.

use std::net::Ipv4Addr;

use super::super::raw::{RawIpv6, RawNetwork};
use super::{Element, Translation, tag};

/// Names of the elements that `<admin-interface>` may hold, each row one thing with all its names.
const ADDRESS: &[&str] = &["ipaddr", "ip"];
const MASK: &[&str] = &["subnet", "subnet-mask", "subnetmask"];
const GATEWAY: &[&str] = &["gateway"];
/// All of them.
pub(super) const INSIDE: &[&str] =
    &["ipaddr", "ip", "subnet", "subnet-mask", "subnetmask", "gateway", "ipv6", "gatewayv6"];
const PROTO: &str = "\"dhcp\", \"static\", or \"none\" for IPv6 alone";
const ADMIN: &str = "<admin-interface>";

impl Translation {
    pub(super) fn interface(&mut self, element: &Element) {
        self.attributes(element, &["name", "hwaddr", "proto", "vlan", "protov6"]);
        for (at, child) in element.children.iter().enumerate() {
            let name = child.name.as_str();
            if !INSIDE.contains(&name) {
                let text = format!("holds <{name}>");
                self.problem(ADMIN, text, "move it out to <installation>, or remove it");
            } else if element.children[..at].iter().any(|earlier| earlier.name == name) {
                self.problem(&tag(name), "is there more than once", "keep one");
            }
        }
        let (interface, mac) = self.card(element);
        let network = match element.attribute(&["proto"]) {
            Some("dhcp") => self.dhcp(element),
            Some("static") => self.fixed(element),
            Some("none") => {
                self.unused(element, "proto", "none", &[ADDRESS, MASK, GATEWAY]);
                Some(RawNetwork { mode: Some("none".into()), ..RawNetwork::default() })
            }
            Some(other) => {
                let text = format!("proto={other:?} is not one of dhcp, static, none");
                self.problem(ADMIN, text, PROTO);
                None
            }
            None => {
                self.problem(ADMIN, "the attribute proto is missing", PROTO);
                None
            }
        };
        let (ipv6, vlan) = (self.ipv6(element), self.vlan(element));
        self.raw.network =
            network.map(|network| RawNetwork { interface, mac, vlan, ipv6, ..network });
    }

    fn vlan(&mut self, element: &Element) -> Option<i64> {
        let text = element.attribute(&["vlan"])?;
        let vlan = text.parse().ok();
        if vlan.is_none() {
            self.problem(ADMIN, format!("vlan={text:?} is not a number"), "1 to 4094");
        }
        vlan
    }

    /// An address of IPv6 with `protov6` left out is one that XenServer does not look at.
    fn ipv6(&mut self, element: &Element) -> Option<RawIpv6> {
        const ADDRESS6: &[&str] = &["ipv6"];
        const GATEWAY6: &[&str] = &["gatewayv6"];
        let raw = |mode: &str| RawIpv6 { mode: Some(mode.into()), ..RawIpv6::default() };
        let kind = element.attribute(&["protov6"]);
        match kind {
            Some("static") => {
                let mut part = |names: &[&str]| {
                    let child = child(element, names)?;
                    self.text(child)
                };
                let (address, gateway) = (part(ADDRESS6), part(GATEWAY6));
                if address.is_none() {
                    self.missing("ipv6", "a static address needs it, such as 2001:db8::10/64");
                    return None;
                }
                Some(RawIpv6 { address, gateway, ..raw("static") })
            }
            Some("dhcp" | "autoconf" | "none") | None => {
                let kind = kind.unwrap_or("none");
                self.unused(element, "protov6", kind, &[ADDRESS6, GATEWAY6]);
                match kind {
                    "dhcp" => Some(raw("dhcp")),
                    "autoconf" => Some(raw("auto")),
                    _ => None,
                }
            }
            Some(other) => {
                let text = format!("protov6={other:?} is not one of static, dhcp, autoconf, none");
                self.problem(ADMIN, text, "leave it out for a host without IPv6");
                None
            }
        }
    }

    /// Elements that mean nothing with this value of an attribute.
    fn unused(&mut self, element: &Element, attribute: &str, value: &str, all: &[&[&str]]) {
        for names in all {
            if let Some(child) = child(element, names) {
                let text = format!("is given although {attribute} is {value:?}");
                let hint = format!("set {attribute}=\"static\", or leave it out");
                self.problem(&tag(&child.name), text, &hint);
            }
        }
    }

    fn card(&mut self, element: &Element) -> (Option<String>, Option<String>) {
        let text = |name| element.attribute(&[name]).map(str::to_owned);
        match (text("name"), text("hwaddr")) {
            (name, Some(mac)) => {
                if name.is_some() {
                    self.note("name", "is not looked at, as hwaddr names the network card too");
                }
                (None, Some(mac))
            }
            (Some(name), None) => {
                let text = "Linux may name a card otherwise here than on XenServer (eno1 instead \
                            of eth0); hwaddr=\"52:54:…\" is sure";
                self.note("name", text);
                (Some(name), None)
            }
            (None, None) => {
                let text = "names no network card";
                self.problem(ADMIN, text, "give hwaddr=\"52:54:…\" or name=\"eth0\"");
                (None, None)
            }
        }
    }

    fn dhcp(&mut self, element: &Element) -> Option<RawNetwork> {
        self.unused(element, "proto", "dhcp", &[ADDRESS, MASK, GATEWAY]);
        Some(RawNetwork { mode: Some("dhcp".into()), ..RawNetwork::default() })
    }

    fn fixed(&mut self, element: &Element) -> Option<RawNetwork> {
        let mut part = |names: &[&str]| {
            let child = child(element, names)?;
            Some((tag(&child.name), self.text(child)?))
        };
        let (address, mask, gateway) = (part(ADDRESS), part(MASK), part(GATEWAY));
        let (address, mask) = (address.map(|(_, text)| text), mask);
        if address.is_none() {
            self.missing("ipaddr", "a static address needs it, such as 192.0.2.10");
        }
        let prefix = match mask {
            Some((about, text)) => {
                let prefix = prefix(&text);
                if prefix.is_none() {
                    let text = format!("{text:?} is not a network mask");
                    self.problem(&about, text, "such as 255.255.255.0");
                }
                prefix
            }
            None => {
                self.missing("subnet", "a static address needs it, such as 255.255.255.0");
                None
            }
        };
        Some(RawNetwork {
            mode: Some("static".into()),
            address: Some(format!("{}/{}", address?, prefix?)),
            gateway: gateway.map(|(_, text)| text),
            ..RawNetwork::default()
        })
    }

    pub(super) fn name_server(&mut self, element: &Element) {
        self.attributes(element, &[]);
        let text = self.text(element);
        self.name_servers.extend(text);
    }

    /// Name servers stand beside the interface that they are for.
    pub(super) fn finish_network(&mut self) {
        let servers = std::mem::take(&mut self.name_servers);
        match &mut self.raw.network {
            Some(network) if takes_servers(network) => network.dns = servers,
            _ if servers.is_empty() || self.problems.iter().any(|p| p.key == ADMIN) => {}
            _ => {
                let text = "is given although the address comes by DHCP";
                self.problem("<name-server>", text, "DHCP brings name servers too: leave it out");
            }
        }
    }
}

/// Whether name servers are asked for beside the addresses.
fn takes_servers(network: &RawNetwork) -> bool {
    let ipv6 = network.ipv6.as_ref().and_then(|ipv6| ipv6.mode.as_deref());
    network.mode.as_deref() == Some("static") || matches!(ipv6, Some("static" | "auto"))
}

fn child<'a>(element: &'a Element, names: &[&str]) -> Option<&'a Element> {
    element.children.iter().find(|child| names.contains(&child.name.as_str()))
}

/// Length of a mask such as 255.255.255.0, in bits.
fn prefix(mask: &str) -> Option<u32> {
    let bits = mask.parse::<Ipv4Addr>().ok()?.to_bits();
    (bits.leading_ones() == bits.count_ones()).then_some(bits.leading_ones())
}
