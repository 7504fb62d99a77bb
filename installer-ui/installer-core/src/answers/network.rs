// SPDX-License-Identifier: MIT OR Apache-2.0
//! The management network: what is meant, and the check of what is written.

use std::net::IpAddr;

use appliance_model::handover::{AddressMode, BondHash, BondMode, Ipv6Mode};

use super::check::Findings;
use super::raw::{RawBond, RawIpv6, RawNetwork};
use super::{BadField, MacAddress, Problem, ipv4_cidr, ipv4_gateway, ipv6_cidr, ipv6_gateway};

/// Words of `network.mode`.
pub(super) const MODES: &[(&str, Mode)] =
    &[("dhcp", Mode::Dhcp), ("static", Mode::Static), ("none", Mode::None)];
/// Words of `network.ipv6.mode`.
pub(super) const IPV6_MODES: &[(&str, Mode)] =
    &[("auto", Mode::Auto), ("dhcp", Mode::Dhcp), ("static", Mode::Static), ("none", Mode::None)];
/// Words of `network.bond.mode`.
pub const BOND_MODES: &[(&str, BondMode)] = &[
    ("active-backup", BondMode::ActiveBackup),
    ("balance-slb", BondMode::BalanceSlb),
    ("lacp", BondMode::Lacp),
];
/// Words of `network.bond.hash`.
pub const BOND_HASHES: &[(&str, BondHash)] =
    &[("tcpudp-ports", BondHash::TcpudpPorts), ("src-mac", BondHash::SrcMac)];
/// Open vSwitch takes no more cards for one bond in XenServer's tools, and switches rarely more.
const MOST_MEMBERS: usize = 8;
/// What IPv6 needs at least of every link, in bytes (RFC 8200, section 5).
const IPV6_MTU: u32 = 1280;

/// How an address comes, whatever its family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    None,
    Auto,
    Dhcp,
    Static,
}

/// The management network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkAnswer {
    /// Which card.
    pub interface: InterfaceChoice,
    /// VLAN tag, 1 to 4094; none: untagged.
    pub vlan: Option<u16>,
    /// MTU in bytes; none: what the cards have.
    pub mtu: Option<u32>,
    /// Its IPv4 address.
    pub address: AddressMode,
    /// Its IPv6 addresses.
    pub ipv6: Ipv6Mode,
    /// Addresses of name servers.
    pub dns: Vec<String>,
}

impl NetworkAnswer {
    /// By DHCP, and nothing else.
    pub fn dhcp(interface: InterfaceChoice) -> Self {
        Self {
            interface,
            vlan: None,
            mtu: None,
            address: AddressMode::Dhcp,
            ipv6: Ipv6Mode::None,
            dns: Vec::new(),
        }
    }
}

/// How the network card is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InterfaceChoice {
    /// By the kernel's name on this machine.
    Name(String),
    /// By MAC address.
    Mac(MacAddress),
    /// The only one there is; several are ambiguous.
    Only,
    /// Several that act as one.
    Bond(BondChoice),
}

/// Several cards that act as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BondChoice {
    /// How they share the work.
    pub mode: BondMode,
    /// What LACP chooses links by.
    pub hash: BondHash,
    /// The cards, at least two, each by name or MAC address; the first one's MAC address is the bond's.
    pub members: Vec<InterfaceChoice>,
}

/// Checks a VLAN tag of IEEE 802.1Q.
///
/// # Errors
/// 0 and 4095 are no VLANs.
pub fn vlan_tag(tag: i64) -> Result<u16, BadField> {
    let tag16 = u16::try_from(tag).ok().filter(|tag| (1..=4094).contains(tag));
    tag16.ok_or_else(|| BadField::new(format!("{tag} is not a VLAN tag (1 to 4094)")))
}

/// Checks an MTU in bytes.
///
/// # Errors
/// Too small for the families of addresses, or larger than Ethernet cards have.
pub fn mtu(bytes: i64, ipv6: &Ipv6Mode) -> Result<u32, BadField> {
    let mtu = u32::try_from(bytes).ok().filter(|mtu| (576..=9216).contains(mtu));
    let mtu = mtu.ok_or_else(|| BadField::new(format!("{bytes} is not an MTU (576 to 9216)")))?;
    if mtu < IPV6_MTU && *ipv6 != Ipv6Mode::None {
        return Err(BadField::new(format!("{mtu} is too small: IPv6 needs at least {IPV6_MTU}")));
    }
    Ok(mtu)
}

/// Checks the address of a name server.
///
/// # Errors
/// Not an address, or one that no server has.
pub fn name_server(text: &str) -> Result<String, BadField> {
    match text.parse::<IpAddr>() {
        Ok(address) if address.is_unspecified() || address.is_multicast() => {
            Err(BadField::new(format!("{address} cannot be the address of a name server")))
        }
        Ok(address) => Ok(address.to_string()),
        Err(_) => Err(BadField::new(format!("{text:?} is not an address"))),
    }
}

pub(super) fn check(findings: &mut Findings, raw: RawNetwork) -> Option<NetworkAnswer> {
    let interface = interface(findings, raw.interface, raw.mac, raw.bond);
    let mode = match raw.mode.as_deref() {
        Some(mode) => findings.word("network.mode", mode, MODES),
        None => {
            let problem = Problem::new("network.mode", "is missing");
            findings.add(problem.hint("\"dhcp\", \"static\" or \"none\""));
            None
        }
    };
    let ipv6 = match raw.ipv6 {
        None => Some(Ipv6Mode::None),
        Some(raw) => ipv6(findings, raw),
    };
    let vlan = raw.vlan.map(|tag| findings.take("network.vlan", vlan_tag(tag)));
    let mtu = raw.mtu.map(|bytes| {
        let ipv6 = ipv6.as_ref().unwrap_or(&Ipv6Mode::None);
        findings.take("network.mtu", mtu(bytes, ipv6))
    });
    let mut dns = Vec::new();
    for (i, server) in raw.dns.iter().enumerate() {
        dns.extend(findings.take(&format!("network.dns[{i}]"), name_server(server)));
    }
    let asks_for_dns = matches!(ipv6, Some(Ipv6Mode::Static { .. } | Ipv6Mode::Auto));
    let fixed = raw.address.is_some() || raw.gateway.is_some();
    let address = match mode? {
        Mode::Static => static_address(findings, raw.address, raw.gateway)?,
        Mode::Dhcp | Mode::Auto => {
            if fixed || (!raw.dns.is_empty() && !asks_for_dns) {
                let text = "an address is given although mode is \"dhcp\"";
                let hint = "set mode = \"static\", or leave address, gateway, dns out";
                findings.add(Problem::new("network", text).hint(hint));
            }
            AddressMode::Dhcp
        }
        Mode::None => {
            if fixed {
                let text = "an address is given although mode is \"none\"";
                let hint = "set mode = \"static\", or leave address and gateway out";
                findings.add(Problem::new("network", text).hint(hint));
            }
            if ipv6 == Some(Ipv6Mode::None) {
                let text = "the host would have no address: mode is \"none\", and so is IPv6's";
                let hint = "set mode = \"dhcp\", or give [network.ipv6]";
                findings.add(Problem::new("network", text).hint(hint));
            }
            AddressMode::None
        }
    };
    Some(NetworkAnswer {
        interface: interface?,
        vlan: vlan.map_or(Some(None), |tag| tag.map(Some))?,
        mtu: mtu.map_or(Some(None), |mtu| mtu.map(Some))?,
        address,
        ipv6: ipv6?,
        dns,
    })
}

fn interface(
    findings: &mut Findings,
    interface: Option<String>,
    mac: Option<String>,
    bond: Option<RawBond>,
) -> Option<InterfaceChoice> {
    if let Some(bond) = bond {
        if interface.is_some() || mac.is_some() {
            let text = "a card is named beside the bond";
            let hint = "name it among the bond's members only";
            findings.add(Problem::new("network", text).hint(hint));
        }
        return self::bond(findings, bond).map(InterfaceChoice::Bond);
    }
    match (interface, mac) {
        (Some(name), None) => named(findings, "network.interface", name),
        (None, Some(mac)) => findings.parse("network.mac", &mac).map(InterfaceChoice::Mac),
        (None, None) => Some(InterfaceChoice::Only),
        (Some(_), Some(_)) => {
            let problem = Problem::new("network", "the card is named by interface and by mac");
            findings.add(problem.hint("keep mac: names can change between boots"));
            None
        }
    }
}

fn named(findings: &mut Findings, key: &str, name: String) -> Option<InterfaceChoice> {
    if name.is_empty() || name.len() > 15 || name.contains(['/', ' ']) {
        let message = format!("{name:?} cannot be the name of a network card");
        findings.add(Problem::new(key, message));
        return None;
    }
    Some(InterfaceChoice::Name(name))
}

fn bond(findings: &mut Findings, raw: RawBond) -> Option<BondChoice> {
    let mode = match raw.mode.as_deref() {
        Some(mode) => findings.word("network.bond.mode", mode, BOND_MODES),
        None => {
            let names: Vec<&str> = BOND_MODES.iter().map(|(word, _)| *word).collect();
            let problem = Problem::new("network.bond.mode", "is missing");
            findings.add(problem.hint(format!("one of {}", names.join(", "))));
            None
        }
    };
    let hash = match raw.hash.as_deref() {
        None => Some(BondHash::default()),
        Some(hash) => findings.word("network.bond.hash", hash, BOND_HASHES),
    };
    if raw.hash.is_some() && mode.is_some_and(|mode| mode != BondMode::Lacp) {
        let problem = Problem::new("network.bond.hash", "has a meaning with mode \"lacp\" only");
        findings.add(problem.hint("leave it out"));
    }
    let count = raw.members.len();
    if !(2..=MOST_MEMBERS).contains(&count) {
        let text = format!("has {count} members; a bond has 2 to {MOST_MEMBERS}");
        let problem = Problem::new("network.bond.members", text);
        findings.add(problem.hint("with one card, name it by network.mac instead"));
    }
    let mut members = Vec::new();
    for (i, text) in raw.members.into_iter().enumerate() {
        let key = format!("network.bond.members[{i}]");
        let member = match text.contains([':', '-']) && text.len() == 17 {
            true => findings.parse(&key, &text).map(InterfaceChoice::Mac),
            false => named(findings, &key, text.clone()),
        };
        let Some(member) = member else { continue };
        match members.contains(&member) {
            true => findings.add(Problem::new(&key, format!("{text:?} is there twice"))),
            false => members.push(member),
        }
    }
    Some(BondChoice { mode: mode?, hash: hash?, members })
}

fn static_address(
    findings: &mut Findings,
    address: Option<String>,
    gateway: Option<String>,
) -> Option<AddressMode> {
    let Some(address) = address else {
        let problem = Problem::new("network.address", "is missing, mode is \"static\"");
        findings.add(problem.hint("such as \"192.0.2.10/24\""));
        return None;
    };
    let host = findings.take("network.address", ipv4_cidr(&address))?;
    if let Some(gateway) = &gateway {
        findings.take("network.gateway", ipv4_gateway(gateway, host))?;
    }
    Some(AddressMode::Static { address, gateway })
}

fn ipv6(findings: &mut Findings, raw: RawIpv6) -> Option<Ipv6Mode> {
    let RawIpv6 { mode, address, gateway } = raw;
    let Some(mode) = mode else {
        let problem = Problem::new("network.ipv6.mode", "is missing");
        findings.add(problem.hint("\"auto\", \"dhcp\", \"static\" or \"none\""));
        return None;
    };
    let kind = findings.word("network.ipv6.mode", &mode, IPV6_MODES)?;
    if kind != Mode::Static && (address.is_some() || gateway.is_some()) {
        let text = format!("an address is given although its mode is {mode:?}");
        let problem = Problem::new("network.ipv6", text);
        findings.add(problem.hint("set mode = \"static\", or leave address and gateway out"));
    }
    match kind {
        Mode::None => Some(Ipv6Mode::None),
        Mode::Auto => Some(Ipv6Mode::Auto),
        Mode::Dhcp => Some(Ipv6Mode::Dhcp),
        Mode::Static => {
            let Some(address) = address else {
                let problem =
                    Problem::new("network.ipv6.address", "is missing, mode is \"static\"");
                findings.add(problem.hint("such as \"2001:db8::10/64\""));
                return None;
            };
            let host = findings.take("network.ipv6.address", ipv6_cidr(&address))?;
            if let Some(gateway) = &gateway {
                findings.take("network.ipv6.gateway", ipv6_gateway(gateway, host))?;
            }
            Some(Ipv6Mode::Static { address, gateway })
        }
    }
}
