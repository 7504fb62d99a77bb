// SPDX-License-Identifier: MIT OR Apache-2.0
//! The bridges that networks need, out of the objects.

use network::{Bond, BondMode, Bridge, Uplink};
use xapi_model::{ApiError, errors};

use crate::store::{Object, Objects};

/// The bridges that a network needs, those below it first.
///
/// # Errors
/// `CANNOT_PLUG_BOND_SLAVE`: the network's card belongs to a bond, so that the network has no bridge.
pub fn needed(objects: &Objects, network: &Object) -> Result<Vec<Bridge>, ApiError> {
    let mut bridges = Vec::new();
    let pif = network.refs("PIFs").iter().find_map(|pif| objects.find(pif));
    let uplink = match pif {
        None => Uplink::None,
        Some(pif) if !pif.to("bond_slave_of").is_null() => {
            return Err(errors::CANNOT_PLUG_BOND_SLAVE.with([pif.reference().as_str()]));
        }
        Some(pif) => match objects.find(&pif.to("VLAN_master_of")) {
            Some(vlan) => {
                let tagged = objects.get("PIF", &vlan.to("tagged_PIF"))?;
                let below = objects.get("network", &tagged.to("network"))?;
                bridges = needed(objects, below)?;
                let tag = u16::try_from(vlan.int("tag")).unwrap_or_default();
                Uplink::Vlan { bridge: below.text("bridge").to_owned(), tag }
            }
            // Controllers put the ports of tunnels into the bridge.
            None if !pif.refs("tunnel_access_PIF_of").is_empty() => Uplink::None,
            None => untagged(objects, pif),
        },
    };
    bridges.push(Bridge {
        name: network.text("bridge").to_owned(),
        uplink,
        mtu: u32::try_from(network.int("MTU")).ok().filter(|mtu| *mtu > 0).unwrap_or(1500),
    });
    Ok(bridges)
}

fn untagged(objects: &Objects, pif: &Object) -> Uplink {
    let device = pif.text("device").to_owned();
    let bond = pif.refs("bond_master_of");
    let Some(bond) = bond.first().and_then(|bond| objects.find(bond)) else {
        return Uplink::Card(device);
    };
    let primary = bond.to("primary_slave");
    let mut slaves = bond.refs("slaves");
    slaves.sort_by_key(|slave| *slave != primary);
    let mut cards: Vec<String> = Vec::new();
    for slave in slaves.iter().filter_map(|slave| objects.find(slave)) {
        // A card that was taken out keeps its name here, which another one may have now.
        if !cards.iter().any(|card| card == slave.text("device")) {
            cards.push(slave.text("device").to_owned());
        }
    }
    let mode = match bond.text("mode") {
        "lacp" => {
            let by_mac = bond.entry("properties", "hashing_algorithm") == Some("src_mac");
            BondMode::Lacp { by_ports: !by_mac }
        }
        "balance-slb" => BondMode::BalanceSlb,
        _ => BondMode::ActiveBackup,
    };
    Uplink::Bond(Bond { name: device, cards, mode })
}
