// SPDX-License-Identifier: MIT OR Apache-2.0
//! `PIF`.

use std::net::Ipv4Addr;

use network::IpMode;
use xapi_model::{ApiError, Reply, Value, errors};

use super::Entry;
use crate::failure;
use crate::host_network;
use crate::toolstack::{Args, Context};

pub(super) const HANDLERS: &[Entry] = &[
    ("PIF.scan", |context, args| {
        context.toolstack.look("host", &args.to("host"), |_, _| ())?;
        host_network::scan(&context.toolstack).map(|()| Value::Void)
    }),
    ("PIF.reconfigure_ip", reconfigure_ip),
];

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

fn reconfigure_ip(context: &Context, args: &Args<'_>) -> Reply {
    let pif = args.to("self");
    let toolstack = &context.toolstack;
    let bridge = toolstack.look("PIF", &pif, |pif, objects| {
        objects.get("network", &pif.to("network")).map(|n| n.text("bridge").to_owned())
    })??;
    let (text, servers) = (|name| args.text(name).to_owned(), args.text("DNS"));
    let mode = match args.text("mode") {
        "DHCP" => IpMode::Dhcp,
        "Static" => {
            let gateway = text("gateway");
            if !gateway.is_empty() {
                address("gateway", &gateway)?;
            }
            let dns: Vec<String> = servers
                .split(',')
                .map(str::trim)
                .filter(|s| !s.is_empty())
                .map(str::to_owned)
                .collect();
            for server in &dns {
                address("DNS", server)?;
            }
            IpMode::Static {
                address: format!("{}/{}", address("IP", &text("IP"))?, prefix(&text("netmask"))?),
                gateway: (!gateway.is_empty()).then_some(gateway),
                dns,
            }
        }
        _ => IpMode::None,
    };
    toolstack.network.configure_address(&bridge, &mode).map_err(|e| failure::network(&e))?;
    let fixed = matches!(mode, IpMode::Static { .. });
    toolstack.store.write(|t| {
        t.set(&pif, "ip_configuration_mode", args.get("mode").clone());
        for name in ["IP", "netmask", "gateway", "DNS"] {
            t.set(&pif, name, if fixed { args.text(name) } else { "" });
        }
        Ok(())
    })?;
    host_network::refresh(toolstack);
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
