// SPDX-License-Identifier: MIT OR Apache-2.0
//! `PIF`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use network::{Addressing, IpMode, Ipv6Mode};
use xapi_model::{ApiError, Ref, Reply, Value, errors};

use super::Entry;
use crate::host_network;
use crate::store::{Object, Transaction};
use crate::toolstack::{Args, Context};

pub(super) const HANDLERS: &[Entry] = &[
    ("PIF.plug", plug),
    ("PIF.unplug", unplug),
    ("PIF.introduce", introduce),
    ("PIF.forget", forget),
    ("host.management_reconfigure", |context, args| {
        host_network::manage_through(&context.toolstack, &args.to("pif")).map(|()| Value::Void)
    }),
    ("host.local_management_reconfigure", manage_through_bridge),
    ("pool.management_reconfigure", manage_through_network),
    ("PIF.scan", |context, args| {
        context.toolstack.look("host", &args.to("host"), |_, _| ())?;
        host_network::scan(&context.toolstack).map(|()| Value::Void)
    }),
    ("PIF.reconfigure_ip", reconfigure_ip),
    ("PIF.reconfigure_ipv6", reconfigure_ipv6),
];

fn plug(context: &Context, args: &Args<'_>) -> Reply {
    let pif = args.to("self");
    host_network::change(context, |t| {
        if !t.get("PIF", &pif)?.to("bond_slave_of").is_null() {
            return Err(errors::CANNOT_PLUG_BOND_SLAVE.with([pif.as_str()]));
        }
        host_network::set_unplugged(t, &pif, false)?;
        Ok(Value::Void)
    })
}

/// Refuses to take away an interface that others need.
fn unneeded(t: &Transaction<'_>, pif: &Ref) -> Result<(), ApiError> {
    let object = t.get("PIF", pif)?;
    let this = [pif.as_str()];
    if object.bool("management") {
        return Err(errors::PIF_IS_MANAGEMENT_INTERFACE.with(this));
    }
    if !object.refs("VLAN_slave_of").is_empty() {
        return Err(errors::PIF_VLAN_STILL_EXISTS.with(this));
    }
    host_network::without_guests(t.objects(), pif)
}

fn unplug(context: &Context, args: &Args<'_>) -> Reply {
    let pif = args.to("self");
    host_network::change(context, |t| {
        if t.get("PIF", &pif)?.bool("disallow_unplug") {
            return Err(errors::PIF_DOES_NOT_ALLOW_UNPLUG.with([pif.as_str()]));
        }
        unneeded(t, &pif)?;
        host_network::set_unplugged(t, &pif, true)?;
        Ok(Value::Void)
    })
}

fn introduce(context: &Context, args: &Args<'_>) -> Reply {
    context.toolstack.look("host", &args.to("host"), |_, _| ())?;
    if !args.bool("managed") {
        let reason = "cards that the toolstack does not configure need no PIF";
        return Err(errors::VALUE_NOT_SUPPORTED.with(["managed", "false", reason]));
    }
    host_network::introduce(context, args.text("MAC"), args.text("device")).map(Value::Ref)
}

fn forget(context: &Context, args: &Args<'_>) -> Reply {
    let pif = args.to("self");
    host_network::change(context, |t| {
        let object = t.get("PIF", &pif)?;
        let (mac, this) = (object.text("MAC").to_owned(), [pif.as_str()]);
        if !object.bool("physical") {
            return Err(errors::PIF_IS_NOT_PHYSICAL.with(this));
        }
        if !object.to("bond_slave_of").is_null() {
            return Err(errors::PIF_ALREADY_BONDED.with(this));
        }
        if !object.refs("tunnel_transport_PIF_of").is_empty() {
            return Err(errors::PIF_TUNNEL_STILL_EXISTS.with(this));
        }
        unneeded(t, &pif)?;
        host_network::set_unplugged(t, &pif, false)?;
        host_network::set_forgotten(t, &mac, true);
        host_network::remove_interface(t, &pif)?;
        Ok(Value::Void)
    })
}

fn manage_through_bridge(context: &Context, args: &Args<'_>) -> Reply {
    let name = args.text("interface");
    let pif = context.store().read(|objects| {
        let named = |pif: &&Object| {
            let bridge = objects.find(&pif.to("network")).map(|network| network.text("bridge"));
            bridge == Some(name) || (pif.text("device") == name && pif.int("VLAN") < 0)
        };
        objects.all("PIF").find(named).map(|pif| pif.reference().clone())
    });
    let pif = pif.ok_or_else(|| errors::INVALID_VALUE.with(["interface", name]))?;
    host_network::manage_through(&context.toolstack, &pif).map(|()| Value::Void)
}

fn manage_through_network(context: &Context, args: &Args<'_>) -> Reply {
    let network = args.to("network");
    let pifs = context.toolstack.look("network", &network, |network, _| network.refs("PIFs"))?;
    let pif = pifs.first().ok_or_else(|| {
        let reason = "the host has no interface in it";
        errors::VALUE_NOT_SUPPORTED.with(["network", network.as_str(), reason])
    })?;
    host_network::manage_through(&context.toolstack, pif).map(|()| Value::Void)
}

fn address(name: &str, text: &str) -> Result<Ipv4Addr, ApiError> {
    text.parse().map_err(|_| errors::INVALID_VALUE.with([name, text]))
}

/// The prefix length of a netmask.
fn prefix(netmask: &str) -> Result<u32, ApiError> {
    let bits = u32::from(address("netmask", netmask)?);
    if bits.leading_ones() + bits.trailing_zeros() != 32 {
        return Err(errors::INVALID_VALUE.with(["netmask", netmask]));
    }
    Ok(bits.leading_ones())
}

/// Replaces those of one family among name servers by the ones of a list.
fn name_servers(servers: &mut Vec<String>, ipv6: bool, text: &str) -> Result<(), ApiError> {
    servers.retain(|server| server.contains(':') != ipv6);
    for server in host_network::servers(text) {
        if server.parse::<IpAddr>().is_err() {
            return Err(errors::INVALID_VALUE.with(["DNS", &server]));
        }
        if !servers.contains(&server) {
            servers.push(server);
        }
    }
    Ok(())
}

/// How the interface gets its addresses now.
fn addressing(context: &Context, args: &Args<'_>) -> Result<Addressing, ApiError> {
    context.toolstack.look("PIF", &args.to("self"), |pif, _| host_network::addressing_of(pif))
}

fn reconfigure_ip(context: &Context, args: &Args<'_>) -> Reply {
    let mut addressing = addressing(context, args)?;
    addressing.ipv4 = match args.text("mode") {
        "DHCP" => IpMode::Dhcp,
        "Static" => {
            let gateway = args.text("gateway").to_owned();
            if !gateway.is_empty() {
                address("gateway", &gateway)?;
            }
            let prefix = prefix(args.text("netmask"))?;
            IpMode::Static {
                address: format!("{}/{prefix}", address("IP", args.text("IP"))?),
                gateway: (!gateway.is_empty()).then_some(gateway),
            }
        }
        _ => IpMode::None,
    };
    name_servers(&mut addressing.dns, false, args.text("DNS"))?;
    host_network::reconfigure(context, &args.to("self"), &addressing)?;
    Ok(Value::Void)
}

fn reconfigure_ipv6(context: &Context, args: &Args<'_>) -> Reply {
    let mut addressing = addressing(context, args)?;
    addressing.ipv6 = match args.text("mode") {
        "DHCP" => Ipv6Mode::Dhcp,
        "Autoconf" => Ipv6Mode::Autoconf,
        "Static" => {
            let invalid = |name, text: &str| errors::INVALID_VALUE.with([name, text]);
            let address = args.text("IPv6").to_owned();
            let good = address.split_once('/').is_some_and(|(ip, prefix)| {
                ip.parse::<Ipv6Addr>().is_ok()
                    && prefix.parse::<u8>().is_ok_and(|bits| (1..=128).contains(&bits))
            });
            let gateway = Some(args.text("gateway").to_owned()).filter(|text| !text.is_empty());
            match &gateway {
                _ if !good => return Err(invalid("IPv6", &address)),
                Some(text) if text.parse::<Ipv6Addr>().is_err() => {
                    return Err(invalid("gateway", text));
                }
                _ => Ipv6Mode::Static { address, gateway },
            }
        }
        _ => Ipv6Mode::None,
    };
    name_servers(&mut addressing.dns, true, args.text("DNS"))?;
    host_network::reconfigure(context, &args.to("self"), &addressing)?;
    Ok(Value::Void)
}

#[cfg(test)]
mod tests {
    use super::prefix;

    #[test]
    fn netmasks() {
        assert_eq!(prefix("255.255.255.0"), Ok(24));
        assert_eq!(prefix("255.255.255.255"), Ok(32));
        assert_eq!(prefix("0.0.0.0"), Ok(0));
        assert!(prefix("255.0.255.0").is_err());
        assert!(prefix("24").is_err());
    }
}
