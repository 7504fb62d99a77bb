// SPDX-License-Identifier: MIT OR Apache-2.0
//! Guests' ports in the bridges of Open vSwitch.

use serde_json::{Value, json};

use crate::error::NetworkError;
use crate::ovsdb::{map, rows, select, wait_for_any};
use crate::program::System;

/// Puts a link into a bridge and waits until the switch has it. A port of this name may be left from a guest
/// of an earlier boot, in any bridge: it goes.
pub(crate) fn add(
    system: &dyn System,
    bridge: &str,
    link: &str,
    ids: &[(String, String)],
) -> Result<(), NetworkError> {
    let doing = format!("plugging {link} into {bridge}");
    let failed = |detail: String| NetworkError::Failed { doing: doing.clone(), detail };
    let place = Place::find(system, bridge).map_err(failed)?;
    let place = place.ok_or_else(|| failed(format!("there is no bridge {bridge}")))?;
    let mut operations = removal(system, link).map_err(failed)?;
    let ids = map(ids.iter().map(|(key, value)| (&**key, &**value)));
    let mut port = json!({"name": link, "interfaces": ["named-uuid", "interface"]});
    if let Some(tag) = place.tag {
        port["tag"] = tag;
    }
    operations.extend([
        json!({
            "op": "insert", "table": "Interface", "uuid-name": "interface",
            "row": {"name": link, "external_ids": ids},
        }),
        json!({"op": "insert", "table": "Port", "uuid-name": "port", "row": port}),
        json!({
            "op": "mutate", "table": "Bridge", "where": [["_uuid", "==", place.bridge]],
            "mutations": [["ports", "insert", ["named-uuid", "port"]]],
        }),
    ]);
    system.transact(&operations).map_err(failed)?;
    let mut taken = system
        .transact(&[
            wait_for_any("Interface", named(link), "ofport"),
            select("Interface", named(link), &["ofport", "error"]),
        ])
        .map_err(failed)?;
    match rows(&mut taken[1]).first() {
        Some(row) if row["ofport"] != -1 => Ok(()),
        Some(row) => Err(failed(row["error"].as_str().unwrap_or("the switch refuses it").into())),
        None => Err(failed("the port is gone again".to_owned())),
    }
}

/// Takes a link out of whatever bridge it is in.
pub(crate) fn remove(system: &dyn System, link: &str) -> Result<(), NetworkError> {
    let failed =
        |detail: String| NetworkError::Failed { doing: format!("unplugging {link}"), detail };
    let operations = removal(system, link).map_err(failed)?;
    match operations.is_empty() {
        true => Ok(()),
        false => system.transact(&operations).map(drop).map_err(failed),
    }
}

/// What takes the port of a link out of its bridge. It and its interface go with the last bridge that
/// has it: their tables are no roots (RFC 7047, section 3.2).
fn removal(system: &dyn System, link: &str) -> Result<Vec<Value>, String> {
    let mut found = system.transact(&[select("Port", named(link), &["_uuid"])])?;
    let remove = |port: &Value| {
        json!({
            "op": "mutate", "table": "Bridge", "where": [["ports", "includes", port["_uuid"]]],
            "mutations": [["ports", "delete", port["_uuid"]]],
        })
    };
    Ok(rows(&mut found[0]).iter().map(remove).collect())
}

/// Where ports of a bridge are.
struct Place {
    /// Row of the bridge.
    bridge: Value,
    /// The VLAN tag of its ports, if it is one within another bridge.
    tag: Option<Value>,
}

impl Place {
    /// That of a bridge, if it exists.
    fn find(system: &dyn System, bridge: &str) -> Result<Option<Place>, String> {
        let within = json!([["name", "==", bridge], ["fake_bridge", "==", true]]);
        let mut found = system.transact(&[
            select("Bridge", named(bridge), &["_uuid"]),
            select("Port", within, &["_uuid", "tag"]),
        ])?;
        if let Some(row) = rows(&mut found[0]).first() {
            return Ok(Some(Place { bridge: row["_uuid"].clone(), tag: None }));
        }
        let ports = rows(&mut found[1]);
        let Some(port) = ports.first() else { return Ok(None) };
        let around = json!([["ports", "includes", port["_uuid"]]]);
        let mut found = system.transact(&[select("Bridge", around, &["_uuid"])])?;
        let bridge = rows(&mut found[0]).first().map(|row| row["_uuid"].clone());
        Ok(bridge.map(|bridge| Place { bridge, tag: Some(port["tag"].clone()) }))
    }
}

/// The condition that a row is called so.
fn named(name: &str) -> Value {
    json!([["name", "==", name]])
}
