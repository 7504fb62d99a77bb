// SPDX-License-Identifier: MIT OR Apache-2.0
//! Network cards of this host, their bridges and addresses.

use std::net::Ipv4Addr;

use appliance_model::handover::{AddressMode, Management};
use network::{IpMode, PhysicalNic};
use xapi_model::{ApiError, DateTime, Ref, Value, classes};

use crate::failure;
use crate::store::Transaction;
use crate::toolstack::Toolstack;

/// Note that says that the management interface was configured as the installer wants it.
const CONFIGURED: &str = "management-configured";

/// Makes a PIF and a network for a card. The first bridge is `xenbr0`.
fn record_card(t: &mut Transaction<'_>, host: &Ref, nic: &PhysicalNic) {
    let used = |name: &str| t.objects().all("network").any(|n| n.text("bridge") == name);
    let names = (0..).map(|number| format!("xenbr{number}"));
    let bridge = names.into_iter().find(|name| !used(name)).unwrap_or_default();
    let mtu = i64::from(nic.mtu);
    let network = t.create(
        &classes::NETWORK,
        vec![
            ("name_label", format!("Pool-wide network associated with {}", nic.device).into()),
            ("bridge", bridge.into()),
            ("MTU", mtu.into()),
        ],
    );
    let metrics = t.create(&classes::PIF_METRICS, vec![("last_updated", DateTime::now().into())]);
    let pif = t.create(
        &classes::PIF,
        vec![
            ("device", nic.device.as_str().into()),
            ("MAC", nic.mac.as_str().into()),
            ("MTU", mtu.into()),
            ("physical", true.into()),
            ("host", host.into()),
            ("network", network.into()),
            ("metrics", metrics.into()),
        ],
    );
    record_metrics(t, &pif, nic);
}

fn record_metrics(t: &mut Transaction<'_>, pif: &Ref, nic: &PhysicalNic) {
    let Ok(metrics) = t.get("PIF", pif).map(|pif| pif.to("metrics")) else { return };
    t.set_live(&metrics, "carrier", nic.carrier);
    t.set_live(&metrics, "speed", i64::from(nic.speed_mbit.unwrap_or(0)));
    t.set_live(&metrics, "device_name", nic.driver.as_str());
    t.set_live(&metrics, "pci_bus_path", nic.pci.as_deref().unwrap_or_default());
}

/// Makes objects for cards that are new; returns all cards.
fn find_cards(toolstack: &Toolstack) -> Result<Vec<PhysicalNic>, ApiError> {
    let nics = toolstack.network.physical().map_err(|e| failure::network(&e))?;
    let host = toolstack.host();
    toolstack.store.write(|t| {
        for nic in &nics {
            let known = t
                .objects()
                .all("PIF")
                .find(|pif| pif.bool("physical") && pif.text("MAC").eq_ignore_ascii_case(&nic.mac));
            match known.map(|pif| pif.reference().clone()) {
                // A card keeps its MAC address, not its name.
                Some(pif) => {
                    t.set(&pif, "device", nic.device.as_str());
                    record_metrics(t, &pif, nic);
                }
                None => record_card(t, &host, nic),
            }
        }
        Ok(())
    })?;
    Ok(nics)
}

/// Makes objects and bridges for cards that are new.
pub fn scan(toolstack: &Toolstack) -> Result<(), ApiError> {
    find_cards(toolstack)?;
    bring_up(toolstack);
    Ok(())
}

/// Marks the card that the host is managed through, if none is marked yet.
fn choose_management(
    toolstack: &Toolstack,
    nics: &[PhysicalNic],
    management: Option<&Management>,
) -> Result<(), ApiError> {
    if toolstack.store.read(|objects| objects.all("PIF").any(|pif| pif.bool("management"))) {
        return Ok(());
    }
    let Some(card) = management_card(nics, management) else { return Ok(()) };
    toolstack.store.write(|t| {
        let pif = t.objects().all("PIF").find(|pif| pif.text("MAC") == card.mac);
        let Some(pif) = pif.map(|pif| pif.reference().clone()) else { return Ok(()) };
        t.set(&pif, "management", true);
        for (name, value) in describe(&mode(management)) {
            t.set(&pif, name, value);
        }
        Ok(())
    })
}

/// Makes every bridge: Open vSwitch starts without any. One that fails is logged and shown as detached.
pub fn bring_up(toolstack: &Toolstack) {
    let networks = toolstack.store.read(|objects| {
        let networks = objects.all("network").map(|network| {
            let pifs = network.refs("PIFs");
            let devices = pifs.iter().filter_map(|pif| objects.find(pif));
            let devices: Vec<String> = devices.map(|pif| pif.text("device").to_owned()).collect();
            let mtu = u32::try_from(network.int("MTU")).unwrap_or(1500);
            (network.text("bridge").to_owned(), devices, mtu, pifs)
        });
        networks.collect::<Vec<_>>()
    });
    for (bridge, devices, mtu, pifs) in networks {
        let made = toolstack.network.ensure_bridge(&bridge, &devices, mtu);
        if let Err(error) = &made {
            tracing::error!(error = failure::chain(error), bridge, "making a bridge");
        }
        let recorded = toolstack.store.write(|t| {
            for pif in &pifs {
                t.set(pif, "currently_attached", made.is_ok());
            }
            Ok(())
        });
        if let Err(error) = recorded {
            tracing::error!(%error, bridge, "recording a bridge");
        }
    }
}

/// Finds new cards, makes the bridges that are missing and gives the management interface its
/// address: whatever was not possible the last time, because udev or Open vSwitch start later than
/// the daemon. Records what addresses and cables there are.
pub fn keep_up(toolstack: &Toolstack, management: Option<&Management>) {
    let found = find_cards(toolstack);
    if let Err(error) = found.and_then(|nics| choose_management(toolstack, &nics, management)) {
        tracing::error!(%error, "looking for network cards");
    }
    let down = toolstack.store.read(|objects| {
        objects.all("PIF").any(|pif| pif.bool("managed") && !pif.bool("currently_attached"))
    });
    if down {
        bring_up(toolstack);
    }
    if let Err(error) = configure_management(toolstack, management) {
        tracing::error!(%error, "configuring the management interface");
    }
    refresh(toolstack);
}

/// Whether the management interface is in its bridge.
pub fn management_is_up(toolstack: &Toolstack) -> bool {
    toolstack.store.read(|objects| {
        objects.all("PIF").any(|pif| pif.bool("management") && pif.bool("currently_attached"))
    })
}

/// The card that the host is managed through: the one of the handover, else the first.
fn management_card<'a>(
    nics: &'a [PhysicalNic],
    management: Option<&Management>,
) -> Option<&'a PhysicalNic> {
    let named = management.and_then(|management| {
        nics.iter().find(|nic| nic.mac.eq_ignore_ascii_case(&management.mac))
    });
    if let (Some(management), None) = (management, named) {
        tracing::error!(mac = management.mac, "the management card is not there");
    }
    named.or_else(|| nics.first())
}

/// How the management interface gets its address.
fn mode(management: Option<&Management>) -> IpMode {
    match management.map(|management| &management.mode) {
        None | Some(AddressMode::Dhcp) => IpMode::Dhcp,
        Some(AddressMode::Static { address, gateway, dns }) => {
            IpMode::Static { address: address.clone(), gateway: gateway.clone(), dns: dns.clone() }
        }
    }
}

/// Gives the management interface its address, once; from then on the host's network keeps it.
fn configure_management(
    toolstack: &Toolstack,
    management: Option<&Management>,
) -> Result<(), ApiError> {
    let bridge = toolstack.store.read(|objects| {
        if objects.note(CONFIGURED).is_some() {
            return None;
        }
        let pif = objects.all("PIF").find(|pif| pif.bool("management"))?;
        objects.find(&pif.to("network")).map(|network| network.text("bridge").to_owned())
    });
    let Some(bridge) = bridge else { return Ok(()) };
    let mode = mode(management);
    toolstack.network.configure_address(&bridge, &mode).map_err(|e| failure::network(&e))?;
    toolstack.store.write(|t| {
        t.set_note(CONFIGURED, Some("yes".into()));
        Ok(())
    })
}

fn netmask(prefix: u8) -> String {
    let bits = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
    Ipv4Addr::from(bits).to_string()
}

/// Records the addresses that interfaces have now.
pub fn refresh(toolstack: &Toolstack) {
    let pifs = toolstack.store.read(|objects| {
        let pifs = objects.all("PIF").filter(|pif| pif.text("ip_configuration_mode") != "None");
        pifs.filter_map(|pif| {
            let bridge = objects.find(&pif.to("network"))?.text("bridge").to_owned();
            Some((pif.reference().clone(), bridge, pif.bool("management")))
        })
        .collect::<Vec<_>>()
    });
    for (pif, bridge, management) in pifs {
        match toolstack.network.address(&bridge) {
            Err(error) => {
                tracing::warn!(error = failure::chain(&error), bridge, "asking for an address");
            }
            Ok(status) => record_address(toolstack, &pif, management, status),
        }
    }
}

fn record_address(
    toolstack: &Toolstack,
    pif: &Ref,
    management: bool,
    status: Option<network::IpStatus>,
) {
    let host = toolstack.host();
    let (address, mask, gateway) = match &status {
        None => Default::default(),
        Some(status) => (
            status.address.clone(),
            netmask(status.prefix),
            status.gateway.clone().unwrap_or_default(),
        ),
    };
    let recorded = toolstack.store.write(|t| {
        t.set(pif, "IP", address.as_str());
        t.set(pif, "netmask", mask);
        t.set(pif, "gateway", gateway);
        if management {
            t.set(&host, "address", address.as_str());
        }
        Ok(())
    });
    if let Err(error) = recorded {
        tracing::warn!(%error, %pif, "recording an address");
    }
    if management && !address.is_empty() {
        toolstack.identity.cover(&address);
    }
}

/// `PIF.ip_configuration_mode` of a mode, with the fields that go with it.
pub fn describe(mode: &IpMode) -> Vec<(&'static str, Value)> {
    match mode {
        IpMode::None => vec![("ip_configuration_mode", Value::Enum("None"))],
        IpMode::Dhcp => vec![("ip_configuration_mode", Value::Enum("DHCP"))],
        IpMode::Static { address, gateway, dns } => {
            let (address, prefix) = address.split_once('/').unwrap_or((address, "32"));
            vec![
                ("ip_configuration_mode", Value::Enum("Static")),
                ("IP", address.into()),
                ("netmask", netmask(prefix.parse().unwrap_or(32)).into()),
                ("gateway", gateway.clone().unwrap_or_default().into()),
                ("DNS", dns.join(",").into()),
            ]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::netmask;

    #[test]
    fn netmasks() {
        assert_eq!(netmask(24), "255.255.255.0");
        assert_eq!(netmask(0), "0.0.0.0");
        assert_eq!(netmask(32), "255.255.255.255");
    }
}
