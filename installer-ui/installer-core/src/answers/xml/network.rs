// SPDX-License-Identifier: MIT OR Apache-2.0
//! The management network.

use std::net::Ipv4Addr;

use super::super::raw::RawNetwork;
use super::{Element, Translation, tag};

/// Names of the elements that `<admin-interface>` may hold, each row one thing with all its names.
const ADDRESS: &[&str] = &["ipaddr", "ip"];
const MASK: &[&str] = &["subnet", "subnet-mask", "subnetmask"];
const GATEWAY: &[&str] = &["gateway"];
const IPV6: &[&str] = &["ipv6", "gatewayv6"];
/// All of them.
pub(super) const INSIDE: &[&str] =
    &["ipaddr", "ip", "subnet", "subnet-mask", "subnetmask", "gateway", "ipv6", "gatewayv6"];
const ADMIN: &str = "<admin-interface>";

impl Translation {
    pub(super) fn interface(&mut self, element: &Element) {
        self.attributes(element, &["name", "hwaddr", "proto", "vlan", "protov6"]);
        let unsupported = [("vlan", element.attribute(&["vlan"])), ("protov6", ipv6(element))];
        for (name, value) in unsupported {
            if let Some(value) = value {
                let text = format!("{name}={value:?} is not supported");
                let hint = "the management interface has an untagged IPv4 address";
                self.problem(ADMIN, text, hint);
            }
        }
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
                let text = "proto=\"none\" leaves the host without an IPv4 address";
                self.problem(ADMIN, text, "\"dhcp\" or \"static\"");
                None
            }
            Some(other) => {
                let text = format!("proto={other:?} is not one of dhcp, static");
                self.problem(ADMIN, text, "\"dhcp\" or \"static\"");
                None
            }
            None => {
                self.problem(ADMIN, "the attribute proto is missing", "\"dhcp\" or \"static\"");
                None
            }
        };
        self.raw.network = network.map(|network| RawNetwork { interface, mac, ..network });
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
        for names in [ADDRESS, MASK, GATEWAY] {
            if let Some(child) = child(element, names) {
                let hint = "set proto=\"static\", or leave it out";
                self.problem(&tag(&child.name), "is given although proto is \"dhcp\"", hint);
            }
        }
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
            Some(network) if network.mode.as_deref() == Some("static") => network.dns = servers,
            _ if servers.is_empty() || self.problems.iter().any(|p| p.key == ADMIN) => {}
            _ => {
                let text = "is given although the address comes by DHCP";
                self.problem("<name-server>", text, "DHCP brings name servers too: leave it out");
            }
        }
    }
}

/// What is asked of IPv6, if anything.
fn ipv6(element: &Element) -> Option<&str> {
    let asked = element.attribute(&["protov6"]).filter(|mode| *mode != "none");
    asked.or_else(|| child(element, IPV6).map(|child| child.name.as_str()))
}

fn child<'a>(element: &'a Element, names: &[&str]) -> Option<&'a Element> {
    element.children.iter().find(|child| names.contains(&child.name.as_str()))
}

/// Length of a mask such as 255.255.255.0, in bits.
fn prefix(mask: &str) -> Option<u32> {
    let bits = mask.parse::<Ipv4Addr>().ok()?.to_bits();
    (bits.leading_ones() == bits.count_ones()).then_some(bits.leading_ones())
}
