// SPDX-License-Identifier: MIT OR Apache-2.0
//! Interfaces on top of others: VLANs and tunnels.

use xapi_model::{ApiError, Ref, Value, classes, errors};

use super::management::inherited;
use super::{record_derived_metrics, record_interface_in, remove_interface};
use crate::store::{Objects, Transaction};

/// Bytes that the headers of a tunnel need: VXLAN over IPv4 (RFC 7348) has the longest.
const TUNNEL_HEADERS: i64 = 50;

/// A network must have no interface of this host yet.
pub fn free_network(objects: &Objects, network: &Ref) -> Result<(), ApiError> {
    match objects.get("network", network)?.refs("PIFs").first() {
        Some(pif) => Err(errors::NETWORK_ALREADY_CONNECTED.with([network.as_str(), pif.as_str()])),
        None => Ok(()),
    }
}

/// No guest may be in the network of an interface now.
pub fn without_guests(objects: &Objects, pif: &Ref) -> Result<(), ApiError> {
    let network = objects.get("network", &objects.get("PIF", pif)?.to("network"))?;
    let vifs = network.refs("VIFs");
    let mut vifs = vifs.iter().filter_map(|vif| objects.find(vif));
    match vifs.find(|vif| vif.bool("currently_attached")) {
        Some(vif) => {
            Err(errors::VIF_IN_USE.with([network.reference().as_str(), vif.reference().as_str()]))
        }
        None => Ok(()),
    }
}

/// Makes the interface for a VLAN of another one, in a network.
pub fn vlan(
    t: &mut Transaction<'_>,
    tagged: &Ref,
    tag: i64,
    network: &Ref,
) -> Result<Ref, ApiError> {
    if !(1..=4094).contains(&tag) {
        return Err(errors::VLAN_TAG_INVALID.with([tag]));
    }
    let pif = t.get("PIF", tagged)?;
    let this = [tagged.as_str()];
    if !pif.to("VLAN_master_of").is_null() {
        return Err(errors::PIF_IS_VLAN.with(this));
    }
    if !pif.to("bond_slave_of").is_null() {
        return Err(errors::CANNOT_ADD_VLAN_TO_BOND_SLAVE.with(this));
    }
    if !pif.refs("tunnel_access_PIF_of").is_empty() {
        return Err(errors::IS_TUNNEL_ACCESS_PIF.with(this));
    }
    let vlans = pif.refs("VLAN_slave_of");
    if vlans.iter().filter_map(|vlan| t.objects().find(vlan)).any(|vlan| vlan.int("tag") == tag) {
        return Err(errors::PIF_VLAN_EXISTS.with(this));
    }
    free_network(t.objects(), network)?;
    let mut fields = inherited(t, tagged)?;
    fields.push(("VLAN", tag.into()));
    let untagged = record_interface_in(t, network, fields);
    let vlan = t.create(
        &classes::VLAN,
        vec![
            ("tagged_PIF", tagged.into()),
            ("untagged_PIF", untagged.clone().into()),
            ("tag", tag.into()),
        ],
    );
    t.set(&untagged, "VLAN_master_of", &vlan);
    record_derived_metrics(t);
    Ok(vlan)
}

/// Removes the interface of a VLAN.
pub fn separate(t: &mut Transaction<'_>, vlan: &Ref) -> Result<(), ApiError> {
    let untagged = t.get("VLAN", vlan)?.to("untagged_PIF");
    if t.get("PIF", &untagged)?.bool("management") {
        return Err(errors::PIF_IS_MANAGEMENT_INTERFACE.with([untagged.as_str()]));
    }
    without_guests(t.objects(), &untagged)?;
    t.remove(vlan);
    remove_interface(t, &untagged)
}

/// Puts the VLANs and tunnels of an interface onto another one.
pub fn move_vlans(t: &mut Transaction<'_>, from: &Ref, to: &Ref) -> Result<(), ApiError> {
    let (vlans, tunnels) = {
        let pif = t.get("PIF", from)?;
        (pif.refs("VLAN_slave_of"), pif.refs("tunnel_transport_PIF_of"))
    };
    let below = inherited(t, to)?;
    for vlan in &vlans {
        let untagged = t.get("VLAN", vlan)?.to("untagged_PIF");
        for (name, value) in below.iter().filter(|(name, _)| ["MAC", "device"].contains(name)) {
            t.set(&untagged, name, value.clone());
        }
        t.set(vlan, "tagged_PIF", to);
    }
    for tunnel in &tunnels {
        t.set(tunnel, "transport_PIF", to);
    }
    Ok(())
}

/// Makes the interface for a tunnel over another one, in a network.
pub fn tunnel(
    t: &mut Transaction<'_>,
    transport: &Ref,
    network: &Ref,
    protocol: Value,
) -> Result<Ref, ApiError> {
    let pif = t.get("PIF", transport)?;
    let this = [transport.as_str()];
    if !pif.refs("tunnel_access_PIF_of").is_empty() {
        return Err(errors::IS_TUNNEL_ACCESS_PIF.with(this));
    }
    let modes = ["ip_configuration_mode", "ipv6_configuration_mode"];
    if modes.iter().all(|mode| pif.text(mode) == "None") {
        return Err(errors::TRANSPORT_PIF_NOT_CONFIGURED.with(this));
    }
    free_network(t.objects(), network)?;
    let mtu = (pif.int("MTU") - TUNNEL_HEADERS).min(t.get("network", network)?.int("MTU"));
    let number = (0..).find(|number| {
        let name = format!("tunnel{number}");
        !t.objects().all("PIF").any(|pif| pif.text("device") == name)
    });
    let device = format!("tunnel{}", number.unwrap_or_default());
    let mut fields = inherited(t, transport)?;
    fields.retain(|(name, _)| *name == "host");
    fields.extend([("device", device.into()), ("MTU", mtu.into())]);
    // Guests are told this size, so that wrapped frames fit.
    t.set(network, "MTU", mtu);
    let access = record_interface_in(t, network, fields);
    let status = Value::string_map([("active", "false")]);
    let fields = vec![
        ("access_PIF", access.into()),
        ("transport_PIF", transport.into()),
        ("status", status),
        ("protocol", protocol),
    ];
    Ok(t.create(&classes::TUNNEL, fields))
}

/// Removes the interface of a tunnel.
pub fn untunnel(t: &mut Transaction<'_>, tunnel: &Ref) -> Result<(), ApiError> {
    let access = t.get("tunnel", tunnel)?.to("access_PIF");
    without_guests(t.objects(), &access)?;
    t.remove(tunnel);
    remove_interface(t, &access)
}
