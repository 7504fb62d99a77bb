// SPDX-License-Identifier: MIT OR Apache-2.0
//! What passes a guest's link: rules of nftables on the link itself, family `netdev` (nft(8)).
//!
//! They see each frame of the guest before Open vSwitch does, and stay when that is started anew.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

/// What passes a guest's link.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Guard {
    /// Everything.
    #[default]
    Open,
    /// Nothing.
    Closed,
    /// What is sent by, or to, these addresses.
    Only(Identity),
}

/// Addresses that a guest may have. Its IPv6 link-local address is not among them by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// MAC address, `aa:bb:cc:dd:ee:ff`.
    pub mac: String,
    /// IPv4 addresses; with none there is no IPv4 but the question for one by DHCP.
    pub ipv4: Vec<Ipv4Addr>,
    /// IPv6 addresses; with none there is no IPv6.
    pub ipv6: Vec<Ipv6Addr>,
}

/// The table of a link, whose name may have a dot and a dash in it, and a table's may not.
fn table(link: &str) -> String {
    format!("xenith_{}", link.replace(['.', '-'], "_"))
}

/// The commands that leave a link without a table.
pub(crate) fn open(link: &str) -> String {
    let table = table(link);
    // Deleting what is not there is an error, adding what is there is none.
    format!("add table netdev {table}; delete table netdev {table}")
}

/// The commands that put `guard` in the place of whatever a link had, in one transaction.
pub(crate) fn rules(link: &str, guard: &Guard) -> String {
    let (from, to) = match guard {
        Guard::Open => return open(link),
        Guard::Closed => Default::default(),
        Guard::Only(identity) => (from_guest(identity), to_guest(identity)),
    };
    let mut text = open(link);
    let _ = writeln!(text, "\ntable netdev {} {{", table(link));
    for (name, hook, rules) in [("from_guest", "ingress", from), ("to_guest", "egress", to)] {
        let _ = writeln!(text, "  chain {name} {{");
        let _ = writeln!(text, "    type filter hook {hook} device \"{link}\" priority 0");
        let _ = writeln!(text, "    policy drop");
        for rule in rules {
            let _ = writeln!(text, "    {rule}");
        }
        let _ = writeln!(text, "  }}");
    }
    text + "}"
}

fn set<T: ToString>(addresses: &[T]) -> Option<String> {
    let list: Vec<String> = addresses.iter().map(T::to_string).collect();
    (!list.is_empty()).then(|| format!("{{ {} }}", list.join(", ")))
}

fn from_guest(identity: &Identity) -> Vec<String> {
    let Identity { mac, ipv4, ipv6 } = identity;
    let mut rules = vec![
        format!("ether saddr != {mac} drop"),
        // Into a VLAN of its own choice.
        "vlan id 0-4095 drop".to_owned(),
        "ip saddr 0.0.0.0 ip daddr 255.255.255.255 udp sport 68 udp dport 67 accept".to_owned(),
    ];
    if let Some(ipv4) = set(ipv4) {
        rules.push(format!("arp saddr ether {mac} arp saddr ip {ipv4} accept"));
        // Asking whether an address is free (RFC 5227, section 2.1.1).
        rules.push(format!(
            "arp operation request arp saddr ether {mac} arp saddr ip 0.0.0.0 arp daddr ip {ipv4} accept"
        ));
        rules.push(format!("ip saddr {ipv4} accept"));
    }
    let targets: Vec<String> = ipv6.iter().map(|ip| format!("{:#034x}", ip.to_bits())).collect();
    if let (Some(ipv6), Some(targets)) = (set(ipv6), set(&targets)) {
        // The address that a neighbour message is about, which nft has a name for from 1.0.8 on.
        let target = format!("@th,64,128 {targets}");
        let other = format!("@th,64,128 != {targets}");
        rules.extend([
            // A guest is no router, and speaks for its own addresses only (RFC 4861, section 4).
            "icmpv6 type { nd-router-advert, nd-redirect } drop".to_owned(),
            format!("icmpv6 type nd-neighbor-advert {other} drop"),
            // Asking whether an address is free (RFC 4862, section 5.4.2), and for its multicast group.
            format!("ip6 saddr :: icmpv6 type nd-neighbor-solicit {target} accept"),
            "ip6 saddr :: icmpv6 type mld2-listener-report accept".to_owned(),
            format!("ip6 saddr {ipv6} accept"),
        ]);
    }
    rules
}

fn to_guest(identity: &Identity) -> Vec<String> {
    let Identity { mac, ipv4, ipv6 } = identity;
    let mut rules = vec![
        // Broadcast and multicast.
        "ether daddr & 01:00:00:00:00:00 == 01:00:00:00:00:00 accept".to_owned(),
        format!("ether daddr != {mac} drop"),
        "ether type arp accept".to_owned(),
    ];
    rules.extend(set(ipv4).map(|ipv4| format!("ip daddr {ipv4} accept")));
    rules.extend(set(ipv6).map(|ipv6| format!("ip6 daddr {ipv6} accept")));
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_of_each_guard() {
        let identity = Identity {
            mac: "02:00:00:00:00:01".to_owned(),
            ipv4: vec![Ipv4Addr::new(192, 0, 2, 10), Ipv4Addr::new(192, 0, 2, 11)],
            ipv6: vec!["2001:db8::10".parse().unwrap()],
        };
        for (guard, expected) in [
            (Guard::Open, include_str!("../tests/golden/guard-open.nft")),
            (Guard::Closed, include_str!("../tests/golden/guard-closed.nft")),
            (Guard::Only(identity), include_str!("../tests/golden/guard-only.nft")),
        ] {
            assert_eq!(format!("{}\n", rules("vif3.0-emu", &guard)), expected);
        }
    }
}
