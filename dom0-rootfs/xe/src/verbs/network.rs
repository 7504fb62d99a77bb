// SPDX-License-Identifier: MIT OR Apache-2.0
//! VLANs, bonds, tunnels and the management interface, where XenServer's parameters differ from the
//! messages'.

use xapi_model::{Value, classes};

use super::{Verb, plain};
use crate::api::{Api, text};
use crate::failure::Failure;
use crate::output::Output;
use crate::params::Params;
use crate::parse;

pub(super) static VERBS: &[Verb] = &[
    plain(
        "vlan-create",
        &["pif-uuid", "vlan", "network-uuid"],
        &[],
        &["VLAN.create"],
        "Makes an interface for a VLAN of another interface; prints that of the new one.",
        |api, params, out| {
            let vlan = make(api, params, "VLAN.create", "pif-uuid", "vlan")?;
            let records = api.records(&classes::VLAN)?;
            let pif = records.get(&vlan).map(|vlan| text(vlan, "untagged_PIF"));
            let uuid = api.uuid_of("PIF", &pif.unwrap_or_default())?;
            out.value(&uuid)
        },
    ),
    plain(
        "pool-vlan-create",
        &["pif-uuid", "vlan", "network-uuid"],
        &[],
        &["pool.create_VLAN_from_PIF"],
        "Makes an interface for a VLAN on every host.",
        pool_vlan,
    ),
    plain(
        "bond-create",
        &["network-uuid", "pif-uuids"],
        &["mac", "mode", "properties:"],
        &["Bond.create"],
        "Makes a bond of cards, given as uuids with commas between them.",
        bond,
    ),
    plain(
        "bond-set-mode",
        &["uuid", "mode"],
        &[],
        &["Bond.set_mode"],
        "Changes how the cards of a bond share the work: balance-slb, active-backup or lacp.",
        |api, params, _| {
            let bond = api.reference("Bond", params.require("uuid")?)?;
            api.act("Bond.set_mode", [bond, params.require("mode")?.into()]).map(drop)
        },
    ),
    plain(
        "tunnel-create",
        &["pif-uuid", "network-uuid"],
        &["protocol"],
        &["tunnel.create"],
        "Makes a tunnel over an interface, for a network: gre or vxlan.",
        tunnel,
    ),
    plain(
        "pif-introduce",
        &["host-uuid", "mac"],
        &["device"],
        &["PIF.introduce"],
        "Makes known a network card that was forgotten.",
        |api, params, out| {
            let host = api.reference("host", params.require("host-uuid")?)?;
            let device = params.get("device").unwrap_or_default();
            let call = [host, params.require("mac")?.into(), device.into()];
            let made = api.act("PIF.introduce", call)?;
            let uuid = api.uuid_of("PIF", &made.text())?;
            out.value(&uuid)
        },
    ),
    plain(
        "host-management-reconfigure",
        &["pif-uuid"],
        &[],
        &["host.management_reconfigure"],
        "Manages a host through another of its interfaces.",
        |api, params, _| {
            let pif = api.reference("PIF", params.require("pif-uuid")?)?;
            api.act("host.management_reconfigure", [pif]).map(drop)
        },
    ),
    plain(
        "host-set-hostname-live",
        &["host-uuid", "host-name"],
        &[],
        &["host.set_hostname_live"],
        "Changes a host's name, now and for ever.",
        |api, params, _| {
            let host = api.reference("host", params.require("host-uuid")?)?;
            api.act("host.set_hostname_live", [host, params.require("host-name")?.into()]).map(drop)
        },
    ),
];

fn make(
    api: &mut Api,
    params: &Params,
    method: &str,
    pif: &str,
    tag: &str,
) -> Result<String, Failure> {
    let pif = api.reference("PIF", params.require(pif)?)?;
    let tag = parse::integer(tag, params.require(tag)?)?;
    let network = api.reference("network", params.require("network-uuid")?)?;
    Ok(api.act(method, [pif, Value::Int(tag), network])?.text())
}

fn pool_vlan(api: &mut Api, params: &Params, out: &mut Output<'_>) -> Result<(), Failure> {
    let pif = api.reference("PIF", params.require("pif-uuid")?)?;
    let network = api.reference("network", params.require("network-uuid")?)?;
    let tag = parse::integer("vlan", params.require("vlan")?)?;
    let made = api.act("pool.create_VLAN_from_PIF", [pif, network, Value::Int(tag)])?;
    for pif in made.as_set().unwrap_or_default() {
        let uuid = api.uuid_of("PIF", &pif.text())?;
        out.value(&uuid)?;
    }
    Ok(())
}

fn bond(api: &mut Api, params: &Params, out: &mut Output<'_>) -> Result<(), Failure> {
    let network = api.reference("network", params.require("network-uuid")?)?;
    let mut cards = Vec::new();
    for uuid in params.require("pif-uuids")?.split(',') {
        cards.push(api.reference("PIF", uuid)?);
    }
    let call = [
        network,
        Value::Set(cards),
        params.get("mac").unwrap_or_default().into(),
        params.get("mode").unwrap_or("balance-slb").into(),
        Value::string_map(params.map("properties")),
    ];
    let made = api.act("Bond.create", call)?;
    let uuid = api.uuid_of("Bond", &made.text())?;
    out.value(&uuid)
}

fn tunnel(api: &mut Api, params: &Params, out: &mut Output<'_>) -> Result<(), Failure> {
    let pif = api.reference("PIF", params.require("pif-uuid")?)?;
    let network = api.reference("network", params.require("network-uuid")?)?;
    let protocol = params.get("protocol").unwrap_or("gre");
    let made = api.act("tunnel.create", [pif, network, protocol.into()])?;
    let uuid = api.uuid_of("tunnel", &made.text())?;
    out.value(&uuid)
}
