// SPDX-License-Identifier: MIT OR Apache-2.0
//! Guests' ports in the bridges of Open vSwitch.

use serde_json::{Value, json};

use crate::error::NetworkError;
use crate::ovsdb::{Rows, map, rows, select, wait_for_any};
use crate::program::System;

/// Puts a link into a bridge and waits until the switch has it, or says why it does not take it. A port of this name may be left from a guest
/// of an earlier boot, in any bridge: it goes.
pub(crate) fn add(
    system: &dyn System,
    bridge: &str,
    link: &str,
    ids: &[(String, String)],
) -> Result<(), NetworkError> {
    let doing = format!("plugging {link} into {bridge}");
    let failed = |detail: String| NetworkError::Failed { doing: doing.clone(), detail };
    let (place, left) = Place::find(system, bridge, link).map_err(failed)?;
    let place = place.ok_or_else(|| failed(format!("there is no bridge {bridge}")))?;
    let mut operations = removal(&left);
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
    // The kernel has it from then on; the switch has more to do before it tells of its work. One that was a
    // port before may be it still.
    if left.is_empty() && system.joined(link).map_err(|error| failed(error.to_string()))? {
        return Ok(());
    }
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
    let mut found = system.transact(&[select("Port", named(link), &["_uuid"])]).map_err(failed)?;
    match rows(&mut found[0]) {
        left if left.is_empty() => Ok(()),
        left => system.transact(&removal(&left)).map(drop).map_err(failed),
    }
}

/// What takes ports out of their bridges. They and their interfaces go with the last bridge that
/// has them: their tables are no roots (RFC 7047, section 3.2).
fn removal(ports: &[Value]) -> Vec<Value> {
    let remove = |port: &Value| {
        json!({
            "op": "mutate", "table": "Bridge", "where": [["ports", "includes", port["_uuid"]]],
            "mutations": [["ports", "delete", port["_uuid"]]],
        })
    };
    ports.iter().map(remove).collect()
}

/// Where ports of a bridge are.
struct Place {
    /// Row of the bridge.
    bridge: Value,
    /// The VLAN tag of its ports, if it is one within another bridge.
    tag: Option<Value>,
}

impl Place {
    /// That of a bridge, if it exists, and the ports that a link is.
    fn find(
        system: &dyn System,
        bridge: &str,
        link: &str,
    ) -> Result<(Option<Place>, Rows), String> {
        let within = json!([["name", "==", bridge], ["fake_bridge", "==", true]]);
        let mut found = system.transact(&[
            select("Bridge", named(bridge), &["_uuid"]),
            select("Port", within, &["_uuid", "tag"]),
            select("Port", named(link), &["_uuid"]),
        ])?;
        let left = rows(&mut found[2]);
        if let Some(row) = rows(&mut found[0]).first() {
            return Ok((Some(Place { bridge: row["_uuid"].clone(), tag: None }), left));
        }
        let ports = rows(&mut found[1]);
        let Some(port) = ports.first() else { return Ok((None, left)) };
        let around = json!([["ports", "includes", port["_uuid"]]]);
        let mut found = system.transact(&[select("Bridge", around, &["_uuid"])])?;
        let bridge = rows(&mut found[0]).first().map(|row| row["_uuid"].clone());
        Ok((bridge.map(|bridge| Place { bridge, tag: Some(port["tag"].clone()) }), left))
    }
}

/// The condition that a row is called so.
fn named(name: &str) -> Value {
    json!([["name", "==", name]])
}
