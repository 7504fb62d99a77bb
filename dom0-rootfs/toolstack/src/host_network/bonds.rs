// SPDX-License-Identifier: MIT OR Apache-2.0
//! Several cards that act as one.

use std::collections::BTreeMap;

use xapi_model::{ApiError, Ref, Value, classes, errors};

use super::addressing;
use super::management::inherited;
use super::vlans::{free_network, move_vlans};
use super::{record_derived_metrics, record_interface_in, remove_interface};
use crate::store::Transaction;

/// The only property, and its values.
const HASH: &str = "hashing_algorithm";
const HASHES: [&str; 2] = ["tcpudp_ports", "src_mac"];

/// Properties that a bond of this mode has, of those that are given.
pub fn properties(mode: &str, given: &BTreeMap<String, Value>) -> Result<Value, ApiError> {
    for (name, value) in given {
        let value = value.text();
        let known = name == HASH && mode == "lacp" && HASHES.contains(&value.as_str());
        if !known {
            return Err(errors::INVALID_VALUE.with([format!("properties:{name}"), value]));
        }
    }
    let hash = given.get(HASH).map_or_else(|| HASHES[0].to_owned(), Value::text);
    let all = [(HASH, hash)];
    Ok(Value::string_map(all.into_iter().filter(|_| mode == "lacp")))
}

/// A bond to be.
pub struct Wanted {
    /// Its network.
    pub network: Ref,
    /// Its cards.
    pub members: Vec<Ref>,
    /// MAC address of the card that comes first; empty: the management interface, or the first.
    pub mac: String,
    /// `Bond.mode`.
    pub mode: &'static str,
    /// `Bond.properties`.
    pub properties: Value,
}

/// Makes a bond, which takes the place of its cards: their VLANs, guests and addresses are its own.
pub fn bond(t: &mut Transaction<'_>, wanted: &Wanted) -> Result<Ref, ApiError> {
    let Wanted { network, members, .. } = wanted;
    if members.len() < 2 || members.iter().enumerate().any(|(n, pif)| members[..n].contains(pif)) {
        return Err(errors::PIF_BOND_NEEDS_MORE_MEMBERS.bare());
    }
    for member in members {
        let pif = t.get("PIF", member)?;
        if !pif.to("bond_slave_of").is_null() {
            return Err(errors::PIF_ALREADY_BONDED.with([member.as_str()]));
        }
        if !pif.bool("physical") {
            return Err(errors::PIF_IS_NOT_PHYSICAL.with([member.as_str()]));
        }
    }
    let vlans = members.iter().filter_map(|pif| t.objects().find(pif));
    let vlans =
        vlans.flat_map(|pif| pif.refs("VLAN_slave_of").into_iter().map(move |vlan| (pif, vlan)));
    let mut tags: Vec<i64> = Vec::new();
    for (pif, vlan) in vlans {
        let tag = t.get("VLAN", &vlan)?.int("tag");
        if tags.contains(&tag) {
            return Err(errors::PIF_VLAN_EXISTS.with([pif.reference().as_str()]));
        }
        tags.push(tag);
    }
    free_network(t.objects(), network)?;
    let primary = primary(t, wanted)?;
    let used = |name: &str| t.objects().all("PIF").any(|pif| pif.text("device") == name);
    let number = (0..).find(|number| !used(&format!("bond{number}"))).unwrap_or(0);
    let mut fields = inherited(t, &primary)?;
    fields.retain(|(name, _)| *name != "device");
    fields.push(("device", format!("bond{number}").into()));
    let mtu = t.get("PIF", &primary)?.get("MTU").clone();
    let master = record_interface_in(t, network, fields);
    t.set(network, "MTU", mtu);
    let bond = t.create(
        &classes::BOND,
        vec![
            ("master", (&master).into()),
            ("primary_slave", (&primary).into()),
            ("mode", Value::Enum(wanted.mode)),
            ("properties", wanted.properties.clone()),
        ],
    );
    hand_over(t, &primary, &master)?;
    for member in members {
        move_vlans(t, member, &master)?;
        move_guests(t, member, &master)?;
        t.set(member, "bond_slave_of", &bond);
        t.set(member, "currently_attached", false);
    }
    record_derived_metrics(t);
    Ok(bond)
}

fn primary(t: &Transaction<'_>, wanted: &Wanted) -> Result<Ref, ApiError> {
    let members = || wanted.members.iter().filter_map(|pif| t.objects().find(pif));
    let chosen = match wanted.mac.as_str() {
        "" => members().find(|pif| pif.bool("management")).or_else(|| members().next()),
        mac => members().find(|pif| pif.text("MAC").eq_ignore_ascii_case(mac)),
    };
    chosen.map(|pif| pif.reference().clone()).ok_or_else(|| {
        let reason = "it must be that of one of the cards";
        errors::VALUE_NOT_SUPPORTED.with(["MAC", &wanted.mac, reason])
    })
}

/// Gives the addresses of one interface, and the host's management, to another one.
fn hand_over(t: &mut Transaction<'_>, from: &Ref, to: &Ref) -> Result<(), ApiError> {
    let pif = t.get("PIF", from)?;
    let (management, own) = (pif.get("management").clone(), addressing::of_pif(pif));
    t.set(to, "management", management);
    t.set(from, "management", false);
    for (name, value) in addressing::fields(&own) {
        t.set(to, name, value);
    }
    for (name, value) in addressing::fields(&network::Addressing::default()) {
        t.set(from, name, value);
    }
    Ok(())
}

fn move_guests(t: &mut Transaction<'_>, from: &Ref, to: &Ref) -> Result<(), ApiError> {
    let (from, to) = (t.get("PIF", from)?.to("network"), t.get("PIF", to)?.to("network"));
    for vif in t.get("network", &from)?.refs("VIFs") {
        t.set(&vif, "network", &to);
    }
    Ok(())
}

/// Takes a bond apart: its first card takes its place.
pub fn unbond(t: &mut Transaction<'_>, bond: &Ref) -> Result<(), ApiError> {
    let object = t.get("Bond", bond)?;
    let (master, primary) = (object.to("master"), object.to("primary_slave"));
    let slaves = object.refs("slaves");
    for slave in &slaves {
        t.set(slave, "bond_slave_of", Ref::null());
    }
    hand_over(t, &master, &primary)?;
    move_vlans(t, &master, &primary)?;
    move_guests(t, &master, &primary)?;
    t.remove(bond);
    remove_interface(t, &master)
}
