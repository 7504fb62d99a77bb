// SPDX-License-Identifier: MIT OR Apache-2.0
//! The interface that the host is managed through: made once, as the installer left it.

use appliance_model::handover::{self, BondHash, BondMode, Management};
use network::{Addressing, PhysicalNic};
use xapi_model::{ApiError, Ref, Value, classes, errors};

use super::{addressing, card_of, free_bridge, record_derived_metrics, record_interface};
use crate::store::{Object, Objects, Transaction};
use crate::toolstack::Toolstack;

/// Key of `Bond.other_config` with the MAC addresses of all cards that belong to it, the one that
/// the kernel finds late too.
const MEMBERS: &str = "xenith-members";

/// Key of `Bond.properties`.
const HASH: &str = "hashing_algorithm";

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
            pif = match bond_there(t.objects(), bond) {
                Some(master) => master,
                None => make_bond(t, &pifs, bond)?,
            };
        }
        // A host that was installed again may have had another one.
        let own = cards.first().map(|nic| nic.mtu);
        let mtu = management.and_then(|management| management.mtu).or(own);
        let changes = mtu.is_some_and(|mtu| {
            t.get("PIF", &pif).is_ok_and(|pif| pif.int("MTU") != i64::from(mtu))
        });
        if let Some(mtu) = mtu.filter(|_| changes) {
            let network = t.get("PIF", &pif)?.to("network");
            for reference in pifs.iter().chain([&pif, &network]) {
                t.set(reference, "MTU", i64::from(mtu));
            }
            // Its bridge may have been made with another one.
            t.set(&pif, "currently_attached", false);
        }
        if let Some(tag) = management.and_then(|management| management.vlan) {
            pif = match vlan_there(t.objects(), &pif, tag) {
                Some(untagged) => untagged,
                None => make_vlan(t, &pif, tag)?,
            };
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

/// The names that the API has for the mode of a bond and for what it chooses a link by, if it does.
fn words(bond: &handover::Bond) -> (&'static str, Option<&'static str>) {
    let mode = match bond.mode {
        BondMode::ActiveBackup => "active-backup",
        BondMode::BalanceSlb => "balance-slb",
        BondMode::Lacp => "lacp",
    };
    let hash = match bond.hash {
        BondHash::TcpudpPorts => "tcpudp_ports",
        BondHash::SrcMac => "src_mac",
    };
    (mode, (bond.mode == BondMode::Lacp).then_some(hash))
}

/// Whether a bond is the one that is wanted, its first card too.
fn is_wanted(bond: &Object, wanted: &handover::Bond) -> bool {
    let members = wanted.members.join(",");
    let there = bond.entry("other_config", MEMBERS).unwrap_or_default();
    let (mode, hash) = words(wanted);
    there.eq_ignore_ascii_case(&members)
        && bond.text("mode") == mode
        && bond.entry("properties", HASH) == hash
}

/// The interface of the bond that is wanted, if it is there from before.
fn bond_there(objects: &Objects, wanted: &handover::Bond) -> Option<Ref> {
    objects.all("Bond").find(|bond| is_wanted(bond, wanted)).map(|bond| bond.to("master"))
}

/// The interface of a VLAN, if it is there from before.
fn vlan_there(objects: &Objects, tagged: &Ref, tag: u16) -> Option<Ref> {
    let is = |vlan: &&Object| vlan.to("tagged_PIF") == *tagged && vlan.int("tag") == i64::from(tag);
    objects.all("VLAN").find(is).map(|vlan| vlan.to("untagged_PIF"))
}

/// Makes way for the interface that the installer left for a host whose objects are from before: no
/// interface is marked any more, and bonds other than the one that is wanted are dissolved.
pub fn forget(t: &mut Transaction<'_>, wanted: Option<&Management>) {
    let bond = wanted.and_then(|management| management.bond.as_ref());
    let others = t.objects().all("Bond").filter(|there| bond.is_none_or(|b| !is_wanted(there, b)));
    let others: Vec<Ref> = others.map(|bond| bond.reference().clone()).collect();
    let pifs = t.objects().all("PIF");
    let pifs: Vec<(Ref, bool)> =
        pifs.map(|pif| (pif.reference().clone(), pif.bool("management"))).collect();
    for (pif, management) in &pifs {
        // No bridge of before is there.
        t.set(pif, "currently_attached", false);
        if *management {
            t.set(pif, "management", false);
            for (name, value) in addressing::fields(&Addressing::default()) {
                t.set(pif, name, value);
            }
        }
    }
    for bond in &others {
        dissolve(t, bond);
    }
}

/// Leaves the first card of a bond in its place, in the network where guests are and below the VLANs.
fn dissolve(t: &mut Transaction<'_>, bond: &Ref) {
    let Ok(object) = t.get("Bond", bond) else { return };
    let (master, primary, slaves) =
        (object.to("master"), object.to("primary_slave"), object.refs("slaves"));
    for slave in &slaves {
        t.set(slave, "bond_slave_of", Ref::null());
        t.set(slave, "currently_attached", false);
    }
    swap_networks(t, &master, &primary);
    let vlans = t.objects().all("VLAN").filter(|vlan| vlan.to("tagged_PIF") == master);
    let vlans: Vec<(Ref, Ref)> =
        vlans.map(|vlan| (vlan.reference().clone(), vlan.to("untagged_PIF"))).collect();
    for (vlan, untagged) in vlans {
        t.set(&vlan, "tagged_PIF", &primary);
        for (name, value) in inherited(t, &primary).unwrap_or_default() {
            t.set(&untagged, name, value);
        }
    }
    let Ok(object) = t.get("PIF", &master) else { return };
    let (metrics, network) = (object.to("metrics"), object.to("network"));
    for gone in [bond, &master, &metrics] {
        t.remove(gone);
    }
    if t.get("network", &network).is_ok_and(|network| network.refs("VIFs").is_empty()) {
        t.remove(&network);
    }
}

/// Each of two interfaces gets the network of the other; guests stay in theirs.
fn swap_networks(t: &mut Transaction<'_>, one: &Ref, other: &Ref) {
    let network = |pif: &Ref| t.get("PIF", pif).map(|pif| pif.to("network"));
    let (Ok(first), Ok(second)) = (network(one), network(other)) else { return };
    t.set(one, "network", second);
    t.set(other, "network", first);
}

fn make_bond(
    t: &mut Transaction<'_>,
    cards: &[Ref],
    bond: &handover::Bond,
) -> Result<Ref, ApiError> {
    let primary = cards.first().cloned().unwrap_or_else(Ref::null);
    let (mode, hash) = words(bond);
    let properties = hash.map(|hash| (HASH, hash));
    let mut fields = inherited(t, &primary)?;
    fields.retain(|(name, _)| *name != "device");
    fields.push(("device", "bond0".into()));
    let bridge = free_bridge(t.objects(), "xapi");
    let master = record_interface(t, "bond0", bridge, fields);
    let object = t.create(
        &classes::BOND,
        vec![
            ("master", master.clone().into()),
            ("primary_slave", primary.clone().into()),
            ("mode", Value::Enum(mode)),
            ("properties", Value::string_map(properties)),
            ("other_config", Value::string_map([(MEMBERS, bond.members.join(","))])),
        ],
    );
    for card in cards {
        t.set(card, "bond_slave_of", &object);
        t.set(card, "currently_attached", false);
    }
    keep_guests(t, &master, &primary, cards);
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

/// On a host that was there before guests may be in the networks of the cards, which have no bridge now:
/// the first one's becomes the bond's, and guests of the others move there.
fn keep_guests(t: &mut Transaction<'_>, master: &Ref, primary: &Ref, cards: &[Ref]) {
    let guests = |t: &Transaction<'_>, pif: &Ref| {
        let network = t.get("PIF", pif).map(|pif| pif.to("network"));
        let network = network.and_then(|network| t.get("network", &network));
        network.map(|network| network.refs("VIFs")).unwrap_or_default()
    };
    if !guests(t, primary).is_empty() {
        swap_networks(t, master, primary);
    }
    let Ok(network) = t.get("PIF", master).map(|pif| pif.to("network")) else { return };
    for vif in cards.iter().flat_map(|card| guests(t, card)).collect::<Vec<_>>() {
        t.set(&vif, "network", &network);
    }
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
