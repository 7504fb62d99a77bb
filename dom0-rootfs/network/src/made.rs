// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether Open vSwitch has a bridge as it should be. A guest's start makes sure of its bridges, and they
//! almost always are.

use serde_json::{Value, json};

use crate::backend::{Bridge, Uplink};
use crate::ovs::{Column, UPLINK_OF, bond_columns, snooping_columns};
use crate::ovsdb::{entries, map, members, rows, select};
use crate::program::System;

/// What is to be made: the bridge, with the MAC address that it shall have.
pub(crate) struct Wanted<'a> {
    /// The bridge, with an uplink of those cards that are there.
    pub(crate) bridge: &'a Bridge,
    /// The address of its uplink; none: any.
    pub(crate) mac: Option<&'a str>,
    /// Multicast goes only where somebody asked for it.
    pub(crate) snooping: bool,
}

impl Wanted<'_> {
    /// Whether nothing is left to do, or why that cannot be told.
    pub(crate) fn is_made(&self, system: &dyn System) -> Result<bool, String> {
        match &self.bridge.uplink {
            Uplink::Vlan { bridge, tag } => self.is_within(system, bridge, *tag),
            _ => self.is_whole(system),
        }
    }

    fn is_whole(&self, system: &dyn System) -> Result<bool, String> {
        let Bridge { name, uplink, mtu } = self.bridge;
        let named = json!([["name", "==", name]]);
        let marked = json!([["external_ids", "includes", map([(UPLINK_OF, &**name)])]]);
        let columns = ["fail_mode", "other_config", "mcast_snooping_enable", "ports"];
        let port_columns = [
            "_uuid",
            "name",
            "bond_mode",
            "lacp",
            "other_config",
            "bond_updelay",
            "bond_downdelay",
        ];
        let mut found = system.transact(&[
            select("Bridge", named.clone(), &columns),
            select("Interface", named, &["mtu_request"]),
            select("Port", marked.clone(), &port_columns),
            select("Interface", marked, &["name"]),
        ])?;
        let mut next = found.iter_mut().map(rows);
        let (bridges, own) = (next.next().unwrap_or_default(), next.next().unwrap_or_default());
        let (ports, cards) = (next.next().unwrap_or_default(), next.next().unwrap_or_default());
        let ([bridge], [own]) = (&*bridges, &*own) else { return Ok(false) };

        let is_itself = bridge["fail_mode"] == "standalone"
            && own["mtu_request"] == *mtu
            && entries(&bridge["other_config"]).get("hwaddr").copied() == self.mac
            && (!self.snooping || has_all(bridge, &snooping_columns(true)));
        let mut names: Vec<_> = cards.iter().filter_map(|card| card["name"].as_str()).collect();
        names.sort_unstable();
        let mut wanted: Vec<_> = uplink.cards().iter().map(String::as_str).collect();
        wanted.sort_unstable();
        let leads_out = match (&*ports, uplink.port()) {
            ([], None) => true,
            ([port], Some(name)) => {
                let columns = match uplink {
                    Uplink::Bond(bond) => bond_columns(bond.mode),
                    _ => Vec::new(),
                };
                port["name"] == name
                    && members(&bridge["ports"]).contains(&&port["_uuid"])
                    && has_all(port, &columns)
            }
            _ => false,
        };
        Ok(is_itself && names == wanted && leads_out)
    }

    fn is_within(&self, system: &dyn System, parent: &str, tag: u16) -> Result<bool, String> {
        let Bridge { name, mtu, .. } = self.bridge;
        let fake = json!([["name", "==", name], ["fake_bridge", "==", true], ["tag", "==", tag]]);
        let mut found = system.transact(&[
            select("Port", fake, &["_uuid"]),
            select("Bridge", json!([["name", "==", parent]]), &["ports"]),
            select("Interface", json!([["name", "==", name]]), &["mac", "mtu_request"]),
        ])?;
        let mut next = found.iter_mut().map(rows);
        let (ports, parents) = (next.next().unwrap_or_default(), next.next().unwrap_or_default());
        let own = next.next().unwrap_or_default();
        let ([port], [parent], [own]) = (&*ports, &*parents, &*own) else { return Ok(false) };
        Ok(members(&parent["ports"]).contains(&&port["_uuid"])
            && own["mtu_request"] == *mtu
            && own["mac"].as_str() == self.mac)
    }
}

/// Whether a row has these values.
fn has_all(row: &Value, columns: &[Column]) -> bool {
    columns.iter().all(|Column { name, key, value }| {
        let has = &row[*name];
        match key {
            Some(key) => entries(has).get(key) == Some(value),
            None => has.as_str().map_or_else(|| has.to_string(), str::to_owned) == **value,
        }
    })
}
