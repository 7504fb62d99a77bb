// SPDX-License-Identifier: MIT OR Apache-2.0
//! The interface that the host is managed through: made once, as the installer left it.

use appliance_model::handover::{self, BondHash, BondMode, Management};
use network::PhysicalNic;
use xapi_model::{ApiError, Ref, Value, classes, errors};

use super::{addressing, card_of, free_bridge, record_derived_metrics, record_interface};
use crate::store::Transaction;
use crate::toolstack::Toolstack;

/// Key of `Bond.other_config` with the MAC addresses of all cards that belong to it, the one that
/// the kernel finds late too.
const MEMBERS: &str = "xenith-members";

/// Makes and marks the interface that the host is managed through, if none is marked yet.
pub(super) fn choose(
    toolstack: &Toolstack,
    nics: &[PhysicalNic],
    management: Option<&Management>,
) -> Result<(), ApiError> {
    if toolstack.store.read(|objects| objects.all("PIF").any(|pif| pif.bool("management"))) {
        return Ok(());
    }
    let cards = cards(nics, management);
    toolstack.store.write(|t| {
        let pifs = cards.iter().filter_map(|nic| card_of(t.objects(), nic));
        let pifs: Vec<Ref> = pifs.map(|pif| pif.reference().clone()).collect();
        let Some(mut pif) = pifs.first().cloned() else { return Ok(()) };
        if let Some(bond) = management.and_then(|management| management.bond.as_ref()) {
            pif = make_bond(t, &pifs, bond)?;
        }
        if let Some(mtu) = management.and_then(|management| management.mtu) {
            let network = t.get("PIF", &pif)?.to("network");
            for reference in pifs.iter().chain([&pif, &network]) {
                t.set(reference, "MTU", i64::from(mtu));
            }
            // Its bridge may have been made with another one.
            t.set(&pif, "currently_attached", false);
        }
        if let Some(tag) = management.and_then(|management| management.vlan) {
            pif = make_vlan(t, &pif, tag)?;
        }
        t.set(&pif, "management", true);
        for (name, value) in addressing::fields(&addressing::of_handover(management)) {
            t.set(&pif, name, value);
        }
        record_derived_metrics(t);
        Ok(())
    })
}

/// The cards that the host is managed through: those of the handover that are there, else the first.
fn cards<'a>(nics: &'a [PhysicalNic], management: Option<&Management>) -> Vec<&'a PhysicalNic> {
    let named = management.map(|management| match &management.bond {
        Some(bond) => bond.members.clone(),
        None => vec![management.mac.clone()],
    });
    let mut found = Vec::new();
    for mac in named.iter().flatten() {
        match nics.iter().find(|nic| nic.mac.eq_ignore_ascii_case(mac)) {
            Some(nic) => found.push(nic),
            None => tracing::error!(mac, "a management card is not there"),
        }
    }
    if found.is_empty() {
        found.extend(nics.first());
    }
    found
}

/// Fields that an interface has from the one below it.
pub(super) fn inherited(
    t: &Transaction<'_>,
    below: &Ref,
) -> Result<Vec<(&'static str, Value)>, ApiError> {
    let below = t.get("PIF", below)?;
    Ok(["MAC", "MTU", "host", "device"].map(|name| (name, below.get(name).clone())).to_vec())
}

fn make_bond(
    t: &mut Transaction<'_>,
    cards: &[Ref],
    bond: &handover::Bond,
) -> Result<Ref, ApiError> {
    let primary = cards.first().cloned().unwrap_or_else(Ref::null);
    let mode = match bond.mode {
        BondMode::ActiveBackup => "active-backup",
        BondMode::BalanceSlb => "balance-slb",
        BondMode::Lacp => "lacp",
    };
    let hash = match bond.hash {
        BondHash::TcpudpPorts => "tcpudp_ports",
        BondHash::SrcMac => "src_mac",
    };
    let properties = [("hashing_algorithm", hash)];
    let properties = properties.into_iter().filter(|_| bond.mode == BondMode::Lacp);
    let mut fields = inherited(t, &primary)?;
    fields.retain(|(name, _)| *name != "device");
    fields.push(("device", "bond0".into()));
    let bridge = free_bridge(t.objects(), "xapi");
    let master = record_interface(t, "bond0", bridge, fields);
    let object = t.create(
        &classes::BOND,
        vec![
            ("master", master.clone().into()),
            ("primary_slave", primary.into()),
            ("mode", Value::Enum(mode)),
            ("properties", Value::string_map(properties)),
            ("other_config", Value::string_map([(MEMBERS, bond.members.join(","))])),
        ],
    );
    for card in cards {
        t.set(card, "bond_slave_of", &object);
        t.set(card, "currently_attached", false);
    }
    Ok(master)
}

/// Manages the host through another interface, which must have a way to get an address.
pub fn choose_other(toolstack: &Toolstack, pif: &Ref) -> Result<(), ApiError> {
    toolstack.store.write(|t| {
        let object = t.get("PIF", pif)?;
        if !object.to("bond_slave_of").is_null() {
            return Err(errors::CANNOT_PLUG_BOND_SLAVE.with([pif.as_str()]));
        }
        let modes = ["ip_configuration_mode", "ipv6_configuration_mode"];
        if modes.iter().all(|mode| object.text(mode) == "None") {
            return Err(errors::PIF_HAS_NO_NETWORK_CONFIGURATION.with([pif.as_str()]));
        }
        let all: Vec<Ref> = t.objects().all("PIF").map(|p| p.reference().clone()).collect();
        for other in &all {
            t.set(other, "management", other == pif);
        }
        Ok(())
    })?;
    super::refresh(toolstack);
    Ok(())
}

fn make_vlan(t: &mut Transaction<'_>, tagged: &Ref, tag: u16) -> Result<Ref, ApiError> {
    let mut fields = inherited(t, tagged)?;
    fields.push(("VLAN", i64::from(tag).into()));
    let label = format!("VLAN {tag} on {}", t.get("PIF", tagged)?.text("device"));
    let bridge = free_bridge(t.objects(), "xapi");
    let untagged = record_interface(t, &label, bridge, fields);
    let vlan = t.create(
        &classes::VLAN,
        vec![
            ("tagged_PIF", tagged.into()),
            ("untagged_PIF", untagged.clone().into()),
            ("tag", i64::from(tag).into()),
        ],
    );
    t.set(&untagged, "VLAN_master_of", vlan);
    Ok(untagged)
}

/// Puts a card that is new into the bond that waits for it.
pub(super) fn join(t: &mut Transaction<'_>, card: &Ref) {
    let Ok(mac) = t.get("PIF", card).map(|card| card.text("MAC").to_lowercase()) else { return };
    let waits = t.objects().all("Bond").find(|bond| {
        let members = bond.entry("other_config", MEMBERS).unwrap_or_default().to_lowercase();
        members.split(',').any(|member| member == mac)
    });
    let Some(bond) = waits else { return };
    let (bond, master) = (bond.reference().clone(), bond.to("master"));
    tracing::info!(mac, "a card joins its bond");
    t.set(card, "bond_slave_of", bond);
    // The bond is made again, with it.
    t.set(&master, "currently_attached", false);
}
