// SPDX-License-Identifier: MIT OR Apache-2.0
//! SRs, VDIs and the host's interfaces, where XenServer's parameters differ from the messages'.

use xapi_model::{Ref, Type, Value, classes};

use super::{Verb, plain};
use crate::api::{Api, text};
use crate::failure::Failure;
use crate::output::Output;
use crate::params::Params;
use crate::parse;

pub(super) static VERBS: &[Verb] = &[
    plain(
        "sr-create",
        &["name-label", "type"],
        &[
            "name-description",
            "host-uuid",
            "device-config:",
            "shared",
            "physical-size",
            "content-type",
            "sm-config:",
        ],
        &["SR.create"],
        "Makes an SR on a device of a host and connects the host to it. What the driver needs is \
         given as device-config:key=value; see sm-list for the drivers and their keys.",
        create_sr,
    ),
    plain(
        "sr-probe",
        &["type"],
        &["host-uuid", "device-config:", "sm-config:"],
        &["SR.probe"],
        "Looks for SRs of a kind, as those that sr-introduce makes known, and shows them as XML. \
         Where it looks is given as device-config:key=value; without a device on all of them.",
        probe,
    ),
    plain(
        "sr-introduce",
        &["name-label", "type", "uuid"],
        &["name-description", "shared", "content-type"],
        &["SR.introduce"],
        "Makes known an SR that exists already on its device; connect hosts with pbd-create.",
        introduce_sr,
    ),
    plain(
        "vdi-resize",
        &["uuid", "disk-size"],
        &["online"],
        &["VDI.resize", "VDI.resize_online"],
        "Makes a VDI bigger, also while VMs have it; online=true says that they may.",
        resize,
    ),
    plain(
        "vdi-clone",
        &["uuid"],
        &["new-name-label", "new-name-description", "driver-params:"],
        &["VDI.clone"],
        "Makes a new VDI with the same contents, copy on write.",
        clone,
    ),
    plain(
        "vdi-pool-migrate",
        &["uuid", "sr-uuid"],
        &["dest-img-format"],
        &["VDI.pool_migrate"],
        "Moves a VDI to another SR, unless a VM runs with it, and prints the uuid of what takes its place. \
         dest-img-format: raw or qcow2.",
        migrate,
    ),
    plain(
        "pif-reconfigure-ip",
        &["uuid", "mode"],
        &["IP", "netmask", "gateway", "DNS"],
        &["PIF.reconfigure_ip"],
        "Changes how a host's interface gets its IPv4 address: mode is none, dhcp or static.",
        reconfigure_ip,
    ),
];

fn create_sr(api: &mut Api, params: &Params, out: &mut Output<'_>) -> Result<(), Failure> {
    let host = match params.get("host-uuid") {
        Some(uuid) => api.reference("host", uuid)?,
        None => only_host(api)?,
    };
    let size = params.get("physical-size").map(|size| parse::integer("physical-size", size));
    let given = |name: &str| Value::from(params.get(name).unwrap_or_default());
    let made = api.act(
        "SR.create",
        [
            host,
            Value::string_map(params.map("device-config")),
            Value::Int(size.transpose()?.unwrap_or_default()),
            given("name-label"),
            given("name-description"),
            given("type"),
            given("content-type"),
            Value::Bool(params.flag("shared")?),
            Value::string_map(params.map("sm-config")),
        ],
    )?;
    let uuid = api.uuid_of("SR", &made.text())?;
    out.value(&uuid)
}

fn probe(api: &mut Api, params: &Params, out: &mut Output<'_>) -> Result<(), Failure> {
    let host = match params.get("host-uuid") {
        Some(uuid) => api.reference("host", uuid)?,
        None => only_host(api)?,
    };
    let call = [
        host,
        Value::string_map(params.map("device-config")),
        Value::from(params.require("type")?),
        Value::string_map(params.map("sm-config")),
    ];
    let found = api.act("SR.probe", call)?;
    out.value(found.text().trim_end())
}

/// The host, where there is one; the coordinator for what all share.
fn only_host(api: &mut Api) -> Result<Value, Failure> {
    let hosts = api.records(&classes::HOST)?;
    let mut all = hosts.keys();
    match (all.next(), all.next()) {
        (Some(one), None) => Ok(Value::Ref(Ref::new(one))),
        _ => Err(Failure::Missing("host-uuid".to_owned())),
    }
}

fn introduce_sr(api: &mut Api, params: &Params, out: &mut Output<'_>) -> Result<(), Failure> {
    let given = |name: &str| Value::from(params.get(name).unwrap_or_default());
    let names = ["uuid", "name-label", "name-description", "type", "content-type"];
    let mut call: Vec<Value> = names.iter().map(|name| given(name)).collect();
    call.push(Value::Bool(params.flag("shared")?));
    call.push(Type::STRING_MAP.zero());
    let made = api.act("SR.introduce", call)?;
    let uuid = api.uuid_of("SR", &made.text())?;
    out.value(&uuid)
}

fn resize(api: &mut Api, params: &Params, _out: &mut Output<'_>) -> Result<(), Failure> {
    let vdi = api.reference("VDI", params.require("uuid")?)?;
    let size = parse::integer("disk-size", params.require("disk-size")?)?;
    let message = match params.flag("online")? {
        true => "VDI.resize_online",
        false => "VDI.resize",
    };
    api.act(message, [vdi, Value::Int(size)]).map(drop)
}

fn migrate(api: &mut Api, params: &Params, out: &mut Output<'_>) -> Result<(), Failure> {
    let vdi = api.reference("VDI", params.require("uuid")?)?;
    let sr = api.reference("SR", params.require("sr-uuid")?)?;
    let key = "dest-img-format";
    let options = params.get(key).map(|format| (key, format));
    let moved = api.act("VDI.pool_migrate", [vdi, sr, Value::string_map(options)])?;
    let uuid = api.uuid_of("VDI", &moved.text())?;
    out.value(&uuid)
}

fn clone(api: &mut Api, params: &Params, out: &mut Output<'_>) -> Result<(), Failure> {
    let vdi = api.reference("VDI", params.require("uuid")?)?;
    let driver = Value::string_map(params.map("driver-params"));
    let made = api.act("VDI.clone", [vdi, driver])?;
    for (name, method) in [
        ("new-name-label", "VDI.set_name_label"),
        ("new-name-description", "VDI.set_name_description"),
    ] {
        if let Some(text) = params.get(name) {
            api.act(method, [made.clone(), Value::from(text)])?;
        }
    }
    let uuid = api.uuid_of("VDI", &made.text())?;
    out.value(&uuid)
}

fn reconfigure_ip(api: &mut Api, params: &Params, _out: &mut Output<'_>) -> Result<(), Failure> {
    let (pif, record) = api.by_uuid(&classes::PIF, params.require("uuid")?)?;
    let Some((_, field)) = classes::PIF.field("ip_configuration_mode") else {
        return Err(Failure::plain(format!("PIF {} has no mode", text(&record, "uuid"))));
    };
    let mode = parse::value(api, "mode", &field.ty, params.require("mode")?)?;
    let rest = ["IP", "netmask", "gateway", "DNS"];
    let rest = rest.map(|name| Value::from(params.get(name).unwrap_or_default()));
    api.act("PIF.reconfigure_ip", [pif, mode].into_iter().chain(rest)).map(drop)
}
