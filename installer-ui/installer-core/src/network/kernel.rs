// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel command line says about it.

use appliance_model::handover::{AddressMode, BondHash, Ipv6Mode, Management};

use crate::answers::{
    BOND_MODES, BadField, BondChoice, InterfaceChoice, MacAddress, NetworkAnswer, ipv4_cidr,
    ipv4_gateway, ipv6_cidr, ipv6_gateway, name_server, vlan_tag,
};
use crate::discovery::Nic;
use crate::plan::PlanError;

/// Where netboot's initramfs leaves the MAC address of the card that it fetched through.
pub const MAC_FILE: &str = "/run/xenith/netboot-mac";

/// The words `xenith.mac=`, `xenith.bond=`, `xenith.vlan=` and `xenith.ip=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootNetwork(NetworkAnswer);

impl BootNetwork {
    /// None if there is no such word. Of each the last one counts; of `xenith.ip=` the last one of
    /// each family.
    ///
    /// # Errors
    /// A sentence that names the word.
    pub fn parse(line: &str) -> Result<Option<Self>, BadField> {
        let mut answer = NetworkAnswer::dhcp(InterfaceChoice::Only);
        let (mut bond, mut mac, mut dns) = (None, None, Vec::new());
        let (mut ipv4, mut ipv6) = (None, None);
        let mut any = false;
        for word in line.split_ascii_whitespace() {
            let Some((key, value)) = word.split_once('=') else { continue };
            let value = value.trim_matches('"');
            let named = |error: BadField| BadField::new(format!("{key}={value}: {error}"));
            match key {
                "xenith.mac" => mac = Some(value.parse::<MacAddress>().map_err(named)?),
                "xenith.bond" => bond = Some(self::bond(value).map_err(named)?),
                "xenith.vlan" => answer.vlan = Some(tag(value).map_err(named)?),
                "xenith.ip" if value.split(',').next().is_some_and(|own| own.contains(':')) => {
                    ipv6 = Some(fixed6(value, &mut dns).map_err(named)?);
                }
                "xenith.ip" => ipv4 = Some(fixed4(value, &mut dns).map_err(named)?),
                _ => continue,
            }
            any = true;
        }
        answer.dns = dns;
        answer.interface = match (bond, mac) {
            (Some(bond), _) => InterfaceChoice::Bond(bond),
            (None, Some(mac)) => InterfaceChoice::Mac(mac),
            (None, None) => InterfaceChoice::Only,
        };
        (answer.address, answer.ipv6) = match (ipv4, ipv6) {
            (Some(ipv4), Some(ipv6)) => (ipv4, ipv6),
            (Some(ipv4), None) => (ipv4, Ipv6Mode::None),
            (None, Some(ipv6)) => (AddressMode::None, ipv6),
            // Whoever answers.
            (None, None) => (AddressMode::Dhcp, Ipv6Mode::Auto),
        };
        Ok(any.then_some(Self(answer)))
    }

    /// For these cards. Where none is named it is the one that netboot `used`, else the only one.
    ///
    /// # Errors
    /// Not one card is meant.
    pub fn management(&self, nics: &[Nic], used: Option<&str>) -> Result<Management, PlanError> {
        let mut answer = self.0.clone();
        let used = used.and_then(|mac| mac.trim().parse().ok());
        if let (InterfaceChoice::Only, Some(mac)) = (&answer.interface, used) {
            answer.interface = InterfaceChoice::Mac(mac);
        }
        crate::plan::management_on(&answer, nics)
    }
}

fn tag(text: &str) -> Result<u16, BadField> {
    match text.parse() {
        Ok(tag) => vlan_tag(tag),
        Err(_) => Err(BadField::new("not a number from 1 to 4094")),
    }
}

/// `MODE,CARD,CARD`
fn bond(text: &str) -> Result<BondChoice, BadField> {
    let mut words = text.split(',');
    let mode = words.next().unwrap_or_default();
    let found = BOND_MODES.iter().find(|(word, _)| *word == mode).map(|(_, mode)| *mode);
    let mode = found.ok_or_else(|| {
        let names: Vec<&str> = BOND_MODES.iter().map(|(word, _)| *word).collect();
        BadField::new(format!("{mode:?} is not one of {}", names.join(", ")))
    })?;
    let members = words.map(|word| match word.contains(':') {
        true => word.parse().map(InterfaceChoice::Mac),
        false if word.is_empty() => Err(BadField::new("a card without a name")),
        false => Ok(InterfaceChoice::Name(word.to_owned())),
    });
    let members = members.collect::<Result<Vec<_>, _>>()?;
    match members.len() {
        0 | 1 => Err(BadField::new("a bond has at least two cards: MODE,CARD,CARD")),
        _ => Ok(BondChoice { mode, hash: BondHash::default(), members }),
    }
}

/// `ADDRESS/PREFIX[,GATEWAY[,DNS]]`
fn parts(text: &str) -> Result<(String, Option<String>, Option<String>), BadField> {
    let mut words = text.split(',').map(|word| Some(word.to_owned()).filter(|w| !w.is_empty()));
    let (own, gateway, dns) = (words.next().flatten(), words.next(), words.next());
    if words.next().is_some() {
        return Err(BadField::new("more than ADDRESS/PREFIX,GATEWAY,DNS"));
    }
    let own = own.ok_or_else(|| BadField::new("no address: ADDRESS/PREFIX[,GATEWAY[,DNS]]"))?;
    Ok((own, gateway.flatten(), dns.flatten()))
}

fn fixed4(text: &str, dns: &mut Vec<String>) -> Result<AddressMode, BadField> {
    let (address, gateway, server) = parts(text)?;
    let host = ipv4_cidr(&address)?;
    gateway.iter().try_for_each(|gateway| ipv4_gateway(gateway, host).map(drop))?;
    dns.extend(server.map(|server| name_server(&server)).transpose()?);
    Ok(AddressMode::Static { address, gateway })
}

fn fixed6(text: &str, dns: &mut Vec<String>) -> Result<Ipv6Mode, BadField> {
    let (address, gateway, server) = parts(text)?;
    let host = ipv6_cidr(&address)?;
    gateway.iter().try_for_each(|gateway| ipv6_gateway(gateway, host).map(drop))?;
    dns.extend(server.map(|server| name_server(&server)).transpose()?);
    Ok(Ipv6Mode::Static { address, gateway })
}

#[cfg(test)]
mod tests {
    use appliance_model::handover::BondMode;

    use super::*;

    fn nics() -> Vec<Nic> {
        let nic = |name: &str, last: u8| Nic {
            name: name.to_owned(),
            mac: format!("52:54:00:12:34:{last:02x}").parse().unwrap(),
            driver: None,
            carrier: None,
            max_mtu: None,
        };
        vec![nic("eno1", 1), nic("eno2", 2)]
    }

    fn meant(line: &str, used: Option<&str>) -> Result<Management, String> {
        let network = BootNetwork::parse(line).map_err(|error| error.to_string())?.unwrap();
        network.management(&nics(), used).map_err(|error| error.to_string())
    }

    #[test]
    fn every_combination_of_words_is_one_network() {
        let cards =
            ["", "xenith.mac=52:54:00:12:34:02 ", "xenith.bond=lacp,eno2,52:54:00:12:34:01 "];
        let addresses = [
            "",
            "xenith.ip=192.0.2.10/24,192.0.2.1,192.0.2.53 ",
            "xenith.ip=2001:db8::10/64,fe80::1 ",
            "xenith.ip=192.0.2.10/24 xenith.ip=2001:db8::10/64,,2001:db8::53 ",
        ];
        let used = Some("52:54:00:12:34:01\n");
        for (at, cards) in cards.iter().enumerate() {
            for (ip, address) in addresses.iter().enumerate() {
                for vlan in ["", "xenith.vlan=42"] {
                    let line = format!("quiet {cards}{address}{vlan}");
                    if line == "quiet " {
                        assert_eq!(BootNetwork::parse(&line), Ok(None));
                        continue;
                    }
                    let management = meant(&line, used).unwrap();
                    let first = ["52:54:00:12:34:01", "52:54:00:12:34:02", "52:54:00:12:34:02"][at];
                    assert_eq!(management.mac, first, "{line}");
                    assert_eq!(management.bond.is_some(), at == 2, "{line}");
                    assert_eq!(management.vlan, (!vlan.is_empty()).then_some(42), "{line}");
                    let fixed4 = matches!(management.mode, AddressMode::Static { .. });
                    let fixed6 = matches!(management.ipv6, Ipv6Mode::Static { .. });
                    assert_eq!((fixed4, fixed6), (ip & 1 == 1, ip >= 2), "{line}");
                    let none =
                        (management.mode == AddressMode::None, management.ipv6 == Ipv6Mode::None);
                    assert_eq!(none, (ip == 2, ip == 1), "{line}");
                    let dns: &[&str] = [&[], &["192.0.2.53"][..], &[], &["2001:db8::53"]][ip];
                    assert_eq!(management.dns, dns, "{line}");
                }
            }
        }
        let bond = meant("xenith.bond=lacp,eno1,eno2 xenith.bond=active-backup,eno2,eno1", None);
        assert_eq!(bond.unwrap().bond.unwrap().mode, BondMode::ActiveBackup, "the last one counts");
    }

    #[test]
    fn bad_words_are_named() {
        for (line, expected) in [
            ("xenith.vlan=0", "xenith.vlan=0: 0 is not a VLAN tag (1 to 4094)"),
            ("xenith.vlan=4095", "xenith.vlan=4095: 4095 is not a VLAN tag (1 to 4094)"),
            ("xenith.vlan=", "xenith.vlan=: not a number from 1 to 4094"),
            (
                "xenith.bond=lacp,eno1",
                "xenith.bond=lacp,eno1: a bond has at least two cards: MODE,CARD,CARD",
            ),
            (
                "xenith.bond=802.3ad,eno1,eno2",
                "xenith.bond=802.3ad,eno1,eno2: \"802.3ad\" is not one of active-backup, balance-slb, lacp",
            ),
            ("xenith.bond=lacp,eno1,", "xenith.bond=lacp,eno1,: a card without a name"),
            (
                "xenith.mac=eno1",
                "xenith.mac=eno1: \"eno1\" is not a MAC address such as 52:54:00:12:34:56",
            ),
            ("xenith.ip=", "xenith.ip=: no address: ADDRESS/PREFIX[,GATEWAY[,DNS]]"),
            (
                "xenith.ip=192.0.2.10",
                "xenith.ip=192.0.2.10: \"192.0.2.10\" has no prefix length: write it as 192.0.2.10/24",
            ),
            (
                "xenith.ip=192.0.2.10/24,,,x",
                "xenith.ip=192.0.2.10/24,,,x: more than ADDRESS/PREFIX,GATEWAY,DNS",
            ),
            (
                "xenith.ip=2001:db8::1/64,2001:db8:1::1",
                "xenith.ip=2001:db8::1/64,2001:db8:1::1: 2001:db8:1::1 is neither in the network of 2001:db8::1/64 nor link-local (fe80::...)",
            ),
        ] {
            assert_eq!(meant(line, None).unwrap_err(), expected);
        }
        let error = meant("xenith.vlan=42", None).unwrap_err();
        assert!(error.starts_with("there are several network cards"), "{error}");
        let error = meant("xenith.bond=lacp,eno1,eno7", None).unwrap_err();
        assert!(error.starts_with("no network card is eno7"), "{error}");
        assert_eq!(BootNetwork::parse("xenith.net=http://x quiet"), Ok(None));
    }
}
