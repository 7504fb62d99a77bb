// SPDX-License-Identifier: MIT OR Apache-2.0
//! Addresses of an interface: as the installer left them, as a `PIF` has them, as the backend takes
//! them.

use std::net::Ipv4Addr;

use appliance_model::handover::{self, AddressMode, Management};
use network::{Addresses, Addressing, IpMode, Ipv6Mode};
use xapi_model::Value;

use crate::store::Object;

/// How the installer wants the management interface to get its addresses; without it by DHCP.
pub fn of_handover(management: Option<&Management>) -> Addressing {
    let Some(management) = management else {
        return Addressing { ipv4: IpMode::Dhcp, ..Addressing::default() };
    };
    let ipv4 = match management.mode.clone() {
        AddressMode::None => IpMode::None,
        AddressMode::Dhcp => IpMode::Dhcp,
        AddressMode::Static { address, gateway } => IpMode::Static { address, gateway },
    };
    let ipv6 = match management.ipv6.clone() {
        handover::Ipv6Mode::None => Ipv6Mode::None,
        handover::Ipv6Mode::Auto => Ipv6Mode::Autoconf,
        handover::Ipv6Mode::Dhcp => Ipv6Mode::Dhcp,
        handover::Ipv6Mode::Static { address, gateway } => Ipv6Mode::Static { address, gateway },
    };
    Addressing { ipv4, ipv6, dns: management.dns.clone() }
}

/// What a `PIF` says.
pub fn of_pif(pif: &Object) -> Addressing {
    let some = |field| Some(pif.text(field).to_owned()).filter(|text| !text.is_empty());
    let ipv4 = match pif.text("ip_configuration_mode") {
        "DHCP" => IpMode::Dhcp,
        "Static" => {
            let prefix = pif.text("netmask").parse::<Ipv4Addr>().map_or(32, prefix);
            let address = format!("{}/{prefix}", pif.text("IP"));
            IpMode::Static { address, gateway: some("gateway") }
        }
        _ => IpMode::None,
    };
    let first = pif.get("IPv6").as_set().unwrap_or_default().first().and_then(Value::as_str);
    let ipv6 = match (pif.text("ipv6_configuration_mode"), first) {
        ("DHCP", _) => Ipv6Mode::Dhcp,
        ("Autoconf", _) => Ipv6Mode::Autoconf,
        ("Static", Some(address)) => {
            Ipv6Mode::Static { address: address.to_owned(), gateway: some("ipv6_gateway") }
        }
        _ => Ipv6Mode::None,
    };
    Addressing { ipv4, ipv6, dns: servers(pif.text("DNS")) }
}

/// The fields of a `PIF` that say the same. Those that are only found out are empty.
pub fn fields(addressing: &Addressing) -> Vec<(&'static str, Value)> {
    let (mode, ip, mask, gateway) = match &addressing.ipv4 {
        IpMode::None => ("None", "", String::new(), None),
        IpMode::Dhcp => ("DHCP", "", String::new(), None),
        IpMode::Static { address, gateway } => {
            let (address, prefix) = address.split_once('/').unwrap_or((address, "32"));
            ("Static", address, netmask(prefix.parse().unwrap_or(32)), gateway.clone())
        }
    };
    let (mode6, address6, gateway6) = match &addressing.ipv6 {
        Ipv6Mode::None => ("None", None, None),
        Ipv6Mode::Dhcp => ("DHCP", None, None),
        Ipv6Mode::Autoconf => ("Autoconf", None, None),
        Ipv6Mode::Static { address, gateway } => ("Static", Some(address), gateway.clone()),
    };
    let only_ipv6 = addressing.ipv4 == IpMode::None && addressing.ipv6 != Ipv6Mode::None;
    vec![
        ("ip_configuration_mode", Value::Enum(mode)),
        ("IP", ip.into()),
        ("netmask", mask.into()),
        ("gateway", gateway.unwrap_or_default().into()),
        ("ipv6_configuration_mode", Value::Enum(mode6)),
        ("IPv6", Value::strings(address6.cloned())),
        ("ipv6_gateway", gateway6.unwrap_or_default().into()),
        ("DNS", addressing.dns.join(",").into()),
        ("primary_address_type", Value::Enum(if only_ipv6 { "IPv6" } else { "IPv4" })),
    ]
}

/// The fields of a `PIF` with addresses that somebody else gave, as they are now.
pub fn found(pif: &Object, now: &Addresses) -> Vec<(&'static str, Value)> {
    let mut fields = Vec::new();
    if pif.text("ip_configuration_mode") == "DHCP" {
        let ipv4 = now.ipv4.as_ref();
        let text = |text: Option<String>| text.unwrap_or_default().into();
        fields.extend([
            ("IP", text(ipv4.map(|status| status.address.clone()))),
            ("netmask", text(ipv4.map(|status| netmask(status.prefix)))),
            ("gateway", text(ipv4.and_then(|status| status.gateway.clone()))),
        ]);
    }
    if ["DHCP", "Autoconf"].contains(&pif.text("ipv6_configuration_mode")) {
        let addresses = now.ipv6.iter().map(|s| format!("{}/{}", s.address, s.prefix));
        let gateway = now.ipv6.first().and_then(|status| status.gateway.clone());
        fields.push(("IPv6", Value::strings(addresses)));
        fields.push(("ipv6_gateway", gateway.unwrap_or_default().into()));
    }
    fields
}

/// Name servers as `PIF.DNS` has them.
pub fn servers(text: &str) -> Vec<String> {
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}

fn netmask(prefix: u8) -> String {
    let bits = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
    Ipv4Addr::from(bits).to_string()
}

fn prefix(mask: Ipv4Addr) -> u32 {
    mask.to_bits().leading_ones()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::MemoryDatabase;
    use crate::derived;
    use crate::store::Store;
    use xapi_model::classes;

    #[test]
    fn netmasks() {
        assert_eq!(netmask(24), "255.255.255.0");
        assert_eq!(netmask(0), "0.0.0.0");
        assert_eq!(netmask(32), "255.255.255.255");
        assert_eq!(prefix(Ipv4Addr::new(255, 255, 254, 0)), 23);
    }

    #[test]
    fn a_pif_says_what_it_was_told() {
        let ipv4 = |gateway: Option<&str>| IpMode::Static {
            address: "192.0.2.10/23".into(),
            gateway: gateway.map(str::to_owned),
        };
        let ipv6 =
            Ipv6Mode::Static { address: "2001:db8::10/64".into(), gateway: Some("fe80::1".into()) };
        let dns = vec!["192.0.2.53".to_owned(), "2001:db8::53".to_owned()];
        for addressing in [
            Addressing::default(),
            Addressing { ipv4: IpMode::Dhcp, ipv6: Ipv6Mode::Autoconf, dns: vec![] },
            Addressing { ipv4: ipv4(None), ipv6: Ipv6Mode::Dhcp, dns: dns.clone() },
            Addressing { ipv4: ipv4(Some("192.0.2.1")), ipv6: ipv6.clone(), dns },
            Addressing { ipv4: IpMode::None, ipv6, dns: vec![] },
        ] {
            let store = Store::open(Box::new(MemoryDatabase::default()), derived::derive).unwrap();
            let pif = store.write(|t| Ok(t.create(&classes::PIF, fields(&addressing)))).unwrap();
            let said = store.read(|objects| objects.find(&pif).map(of_pif));
            assert_eq!(said, Some(addressing));
        }
    }
}
