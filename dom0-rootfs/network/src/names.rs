// SPDX-License-Identifier: MIT OR Apache-2.0
//! What may be put into a command line or a file.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::backend::{Addressing, Bridge, IpMode, Ipv6Mode, Uplink};
use crate::error::NetworkError;
use crate::guard::{Guard, Identity};

/// Refuses what Linux would not take as an interface name, and what a file name must not be.
pub(crate) fn check_interface(name: &str) -> Result<(), NetworkError> {
    let good = (1..=15).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if good {
        Ok(())
    } else {
        Err(NetworkError::Invalid { what: "interface name", value: name.to_owned() })
    }
}

/// Refuses bridges that cannot be.
pub(crate) fn check_bridge(bridge: &Bridge) -> Result<(), NetworkError> {
    check_interface(&bridge.name)?;
    match &bridge.uplink {
        Uplink::None => Ok(()),
        Uplink::Card(card) => check_interface(card),
        Uplink::Bond(bond) => {
            let repeated =
                bond.cards.iter().enumerate().any(|(at, c)| bond.cards[..at].contains(c));
            if bond.cards.is_empty() || repeated {
                let value = bond.cards.join(",");
                return Err(NetworkError::Invalid { what: "list of a bond's cards", value });
            }
            check_interface(&bond.name)?;
            bond.cards.iter().try_for_each(|card| check_interface(card))
        }
        Uplink::Vlan { bridge, tag } => match tag {
            1..=4094 => check_interface(bridge),
            _ => Err(NetworkError::Invalid { what: "VLAN tag", value: tag.to_string() }),
        },
    }
}

/// Refuses a guard whose MAC address is none.
pub(crate) fn check_guard(guard: &Guard) -> Result<(), NetworkError> {
    let Guard::Only(Identity { mac, .. }) = guard else { return Ok(()) };
    let parts: Vec<&str> = mac.split(':').collect();
    let good = parts.len() == 6
        && parts.iter().all(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit()));
    if good {
        Ok(())
    } else {
        Err(NetworkError::Invalid { what: "MAC address", value: mac.clone() })
    }
}

/// Refuses addresses that are none.
pub(crate) fn check_addressing(addressing: &Addressing) -> Result<(), NetworkError> {
    if let IpMode::Static { address, gateway } = &addressing.ipv4 {
        let what = "IPv4 address with prefix length";
        check_cidr::<Ipv4Addr>(what, 32, address)?;
        gateway.iter().try_for_each(|text| check_one::<Ipv4Addr>("IPv4 address", text))?;
    }
    if let Ipv6Mode::Static { address, gateway } = &addressing.ipv6 {
        let what = "IPv6 address with prefix length";
        check_cidr::<Ipv6Addr>(what, 128, address)?;
        gateway.iter().try_for_each(|text| check_one::<Ipv6Addr>("IPv6 address", text))?;
    }
    addressing.dns.iter().try_for_each(|text| check_one::<IpAddr>("address", text))
}

fn check_cidr<T: FromStr>(what: &'static str, most: u8, text: &str) -> Result<(), NetworkError> {
    let good = text.split_once('/').is_some_and(|(address, prefix)| {
        address.parse::<T>().is_ok()
            && prefix.bytes().all(|b| b.is_ascii_digit())
            && prefix.parse::<u8>().is_ok_and(|bits| (1..=most).contains(&bits))
    });
    if good { Ok(()) } else { Err(NetworkError::Invalid { what, value: text.to_owned() }) }
}

fn check_one<T: FromStr>(what: &'static str, text: &str) -> Result<(), NetworkError> {
    match text.parse::<T>() {
        Ok(_) => Ok(()),
        Err(_) => Err(NetworkError::Invalid { what, value: text.to_owned() }),
    }
}

/// A value as `ovs-vsctl` reads it in a column: always in quotes.
pub(crate) fn quoted(value: &str) -> String {
    serde_json::Value::from(value).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Bond, BondMode};

    #[test]
    fn interface_names() {
        for good in ["eth0", "xenbr0", "vif12.0", "enp3s0f1", "bond-1"] {
            check_interface(good).unwrap();
        }
        for bad in ["", "..", "-eth0", "a/b", "averyverylongname", "eth 0", "eth0\n[Network]"] {
            assert!(check_interface(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn addresses() {
        let with = |address: &str, gateway: Option<&str>| Addressing {
            ipv4: IpMode::Static {
                address: address.to_owned(),
                gateway: gateway.map(str::to_owned),
            },
            ..Addressing::default()
        };
        check_addressing(&with("192.0.2.10/24", Some("192.0.2.1"))).unwrap();
        for bad in ["192.0.2.10", "192.0.2.10/33", "192.0.2.10/0", "192.0.2/24", "192.0.2.10/+4"] {
            assert!(check_addressing(&with(bad, None)).is_err(), "{bad}");
        }
        let error = check_addressing(&with("192.0.2.10/24", Some("gw\nDNS=x"))).unwrap_err();
        assert_eq!(error.to_string(), r#""gw\nDNS=x" is no IPv4 address"#);

        let with = |address: &str, gateway: &str, dns: &str| Addressing {
            ipv4: IpMode::None,
            ipv6: Ipv6Mode::Static {
                address: address.to_owned(),
                gateway: Some(gateway.to_owned()),
            },
            dns: vec![dns.to_owned()],
        };
        check_addressing(&with("2001:db8::10/64", "fe80::1", "192.0.2.53")).unwrap();
        for (address, gateway, dns) in [
            ("2001:db8::10/129", "fe80::1", "::1"),
            ("192.0.2.10/24", "fe80::1", "::1"),
            ("2001:db8::10/64", "fe80::1%eth0", "::1"),
            ("2001:db8::10/64", "fe80::1", "::1\n"),
        ] {
            assert!(check_addressing(&with(address, gateway, dns)).is_err(), "{address} {gateway}");
        }
    }

    #[test]
    fn bridges() {
        let bridge = |uplink| Bridge { name: "xapi0".to_owned(), uplink, mtu: 1500 };
        let vlan = |tag| bridge(Uplink::Vlan { bridge: "xenbr0".to_owned(), tag });
        let bond = |cards: &[&str]| {
            let cards = cards.iter().map(|card| (*card).to_owned()).collect();
            bridge(Uplink::Bond(Bond { name: "bond0".into(), cards, mode: BondMode::BalanceSlb }))
        };
        for good in [vlan(1), vlan(4094), bond(&["eth0"]), bond(&["eth0", "eth1"])] {
            check_bridge(&good).unwrap();
        }
        for bad in [vlan(0), vlan(4095), bond(&[]), bond(&["eth0", "eth0"]), bond(&["eth 0"])] {
            assert!(check_bridge(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn values_cannot_leave_their_quotes() {
        assert_eq!(quoted(r#"a",b=c\"#), r#""a\",b=c\\""#);
    }
}
