// SPDX-License-Identifier: MIT OR Apache-2.0
//! The network as files of systemd-networkd, with the kernel's own bonds and VLANs: Open vSwitch does
//! not run during an installation.

use std::fmt::Write as _;

use appliance_model::handover::{AddressMode, Bond, BondHash, BondMode, Ipv6Mode, Management};

use crate::delivery::{OPTION_SHA256, OPTION_URL};

/// Name of the bond while the installer runs.
const BOND: &str = "xn-bond";
/// Name of the VLAN.
const VLAN: &str = "xn-vlan";
/// How the names of all files begin; they come before those for every card.
const START: &str = "10-xenith-installer";

/// Files, and what they make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePlan {
    /// Name and text, for `/run/systemd/network`.
    pub files: Vec<(String, String)>,
    /// The interface that gets the addresses; none: the card itself.
    pub interface: Option<&'static str>,
    /// Interfaces that are made, the upper one first.
    pub made: Vec<&'static str>,
}

/// The files for a network. Cards are named by their permanent MAC addresses, as the members of a
/// bond have all the same one.
pub fn files(management: &Management) -> FilePlan {
    let mut files = Vec::new();
    let mut made = Vec::new();
    let name = |part: &str, end: &str| format!("{START}-{part}.{end}");
    let mtu = management.mtu.map(|mtu| format!("\n[Link]\nMTUBytes={mtu}\n")).unwrap_or_default();
    let card = |mac: &str| format!("[Match]\nPermanentMACAddress={mac}\nKind=!*\n{mtu}");
    let quiet = "LinkLocalAddressing=no\nIPv6AcceptRA=no\n";
    let mut lower = card(&management.mac);
    if let Some(bond) = &management.bond {
        let text = format!("[NetDev]\nName={BOND}\nKind=bond\nMACAddress={}\n", management.mac);
        files.push((name("bond", "netdev"), text + &bond_section(bond)));
        for (number, mac) in bond.members.iter().enumerate() {
            let text = format!("{}\n[Network]\nBond={BOND}\n{quiet}", card(mac));
            files.push((name(&format!("card{number}"), "network"), text));
        }
        lower = format!("[Match]\nName={BOND}\n{mtu}");
        made.insert(0, BOND);
    }
    let mut top = lower;
    if let Some(tag) = management.vlan {
        let text = format!("[NetDev]\nName={VLAN}\nKind=vlan\n\n[VLAN]\nId={tag}\n");
        files.push((name("vlan", "netdev"), text));
        files.push((name("trunk", "network"), format!("{top}\n[Network]\nVLAN={VLAN}\n{quiet}")));
        top = format!("[Match]\nName={VLAN}\n{mtu}");
        made.insert(0, VLAN);
    }
    files.push((name("address", "network"), top + &addresses(management)));
    FilePlan { files, interface: made.first().copied(), made }
}

/// A switch without LACP sees one working link in both other modes.
fn bond_section(bond: &Bond) -> String {
    let mode = match (bond.mode, bond.hash) {
        (BondMode::ActiveBackup | BondMode::BalanceSlb, _) => "Mode=active-backup\n",
        (BondMode::Lacp, BondHash::TcpudpPorts) => {
            "Mode=802.3ad\nTransmitHashPolicy=layer3+4\nLACPTransmitRate=fast\n"
        }
        (BondMode::Lacp, BondHash::SrcMac) => {
            "Mode=802.3ad\nTransmitHashPolicy=layer2\nLACPTransmitRate=fast\n"
        }
    };
    format!("\n[Bond]\n{mode}MIIMonitorSec=100ms\n")
}

/// The file for every card by DHCP and router advertisements.
pub fn every_card() -> String {
    format!("[Match]\nType=ether\nKind=!*\n\n[Network]\nDHCP=yes\n{}", dhcp_section())
}

/// A DHCP server is asked for the options with answers, and told who asks.
fn dhcp_section() -> String {
    format!(
        "\n[DHCPv4]\nRequestOptions={OPTION_URL} {OPTION_SHA256}\n\
         VendorClassIdentifier=xenith-installer\n"
    )
}

fn addresses(management: &Management) -> String {
    let mut text = String::from("\n[Network]\n");
    let (mode, ipv6) = (&management.mode, &management.ipv6);
    let link_local = if *ipv6 == Ipv6Mode::None { "no" } else { "ipv6" };
    let announced = if matches!(ipv6, Ipv6Mode::Auto | Ipv6Mode::Dhcp) { "yes" } else { "no" };
    let dhcp = match (mode, ipv6) {
        (AddressMode::Dhcp, Ipv6Mode::Dhcp) => "yes",
        (AddressMode::Dhcp, _) => "ipv4",
        (_, Ipv6Mode::Dhcp) => "ipv6",
        _ => "no",
    };
    // Writing to a string cannot fail.
    let _ =
        writeln!(text, "LinkLocalAddressing={link_local}\nIPv6AcceptRA={announced}\nDHCP={dhcp}");
    let mut fixed = |address: &String, gateway: &Option<String>| {
        let _ = writeln!(text, "Address={address}");
        if let Some(gateway) = gateway {
            let _ = writeln!(text, "Gateway={gateway}");
        }
    };
    if let AddressMode::Static { address, gateway } = mode {
        fixed(address, gateway);
    }
    if let Ipv6Mode::Static { address, gateway } = ipv6 {
        fixed(address, gateway);
    }
    for server in &management.dns {
        let _ = writeln!(text, "DNS={server}");
    }
    if *mode == AddressMode::Dhcp {
        text += &dhcp_section();
        text += "ClientIdentifier=mac\n";
    }
    if *ipv6 == Ipv6Mode::Dhcp {
        text += "\n[IPv6AcceptRA]\nUseAutonomousPrefix=no\n\n[DHCPv6]\nWithoutRA=solicit\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;

    fn text(plan: &FilePlan) -> String {
        let mut text = format!("interface {:?}, made {:?}\n", plan.interface, plan.made);
        for (name, content) in &plan.files {
            let _ = write!(text, "== {name}\n{content}");
        }
        text
    }

    #[test]
    fn files_read_like_this() {
        let plain = Management {
            mac: "52:54:00:12:34:56".into(),
            vlan: None,
            mtu: None,
            dns: vec![],
            mode: AddressMode::Dhcp,
            ipv6: Ipv6Mode::Auto,
            bond: None,
        };
        let members = ["52:54:00:12:34:56", "52:54:00:12:34:57"].map(str::to_owned).to_vec();
        let bond = |mode, hash| Some(Bond { members: members.clone(), mode, hash });
        let full = Management {
            vlan: Some(42),
            mtu: Some(9000),
            dns: vec!["192.0.2.53".into(), "2001:db8::53".into()],
            mode: AddressMode::Static {
                address: "192.0.2.10/24".into(),
                gateway: Some("192.0.2.1".into()),
            },
            ipv6: Ipv6Mode::Static {
                address: "2001:db8::10/64".into(),
                gateway: Some("fe80::1".into()),
            },
            bond: bond(BondMode::Lacp, BondHash::SrcMac),
            ..plain.clone()
        };
        let backup = Management {
            mode: AddressMode::None,
            ipv6: Ipv6Mode::Dhcp,
            bond: bond(BondMode::BalanceSlb, BondHash::TcpudpPorts),
            ..plain.clone()
        };
        let vlan = Management { vlan: Some(1), ipv6: Ipv6Mode::None, ..plain.clone() };
        for (name, management) in
            [("card", plain), ("lacp-vlan", full), ("active-backup", backup), ("vlan", vlan)]
        {
            golden::is(&format!("networkd/{name}.txt"), &text(&files(&management)));
        }
        golden::is("networkd/every-card.txt", &every_card());
    }
}
