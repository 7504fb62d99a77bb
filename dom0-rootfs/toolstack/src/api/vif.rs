// SPDX-License-Identifier: MIT OR Apache-2.0
//! `VIF`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::PoisonError;

use uuid::Uuid;
use xapi_model::{ApiError, Ref, Reply, Role, Value, classes, errors};

use super::Entry;
use super::vbd::alone;
use crate::host_network;
use crate::store::{Object, Transaction};
use crate::toolstack::{Args, Context, Toolstack};
use crate::vm::device_operation::DeviceOperation;
use crate::vm::operation::not_busy;
use crate::vm::{devices, hotplug, port, stop};
use crate::{failure, guards, rbac};

pub(super) const HANDLERS: &[Entry] = &[
    ("VIF.create", |context, args| {
        let record = args.get("args").as_map().cloned().unwrap_or_default();
        may_guard(context, &record)?;
        context.store().write(|t| make(t, &record).map(Value::Ref))
    }),
    ("VIF.destroy", destroy),
    ("VIF.plug", |context, args| {
        let vif = args.to("self");
        let _operation = DeviceOperation::begin(context, "VIF", &vif, "plug")?;
        alone(context, "VIF", &vif, || hotplug::plug_nic(&context.toolstack, &vif))?;
        Ok(Value::Void)
    }),
    ("VIF.unplug", |context, args| unplug(context, args, false)),
    ("VIF.unplug_force", |context, args| unplug(context, args, true)),
    ("VIF.move", move_to),
    ("VIF.set_locking_mode", set_locking_mode),
    ("VIF.set_ipv4_allowed", |context, args| set_allowed(context, args, "ipv4_allowed")),
    ("VIF.add_ipv4_allowed", |context, args| add_allowed(context, args, "ipv4_allowed")),
    ("VIF.remove_ipv4_allowed", |context, args| remove_allowed(context, args, "ipv4_allowed")),
    ("VIF.set_ipv6_allowed", |context, args| set_allowed(context, args, "ipv6_allowed")),
    ("VIF.add_ipv6_allowed", |context, args| add_allowed(context, args, "ipv6_allowed")),
    ("VIF.remove_ipv6_allowed", |context, args| remove_allowed(context, args, "ipv6_allowed")),
];

/// Whoever may not change what passes a VIF makes none that leaves what its network says.
fn may_guard(context: &Context, record: &BTreeMap<String, Value>) -> Result<(), ApiError> {
    let chosen = |field: &str| match record.get(field) {
        Some(Value::Set(set)) => !set.is_empty(),
        Some(value) => value.text() != "network_default",
        None => false,
    };
    let chooses = ["locking_mode", "ipv4_allowed", "ipv6_allowed"].into_iter().any(chosen);
    if chooses && !context.role.may(Role::PoolOperator) {
        return Err(rbac::denied("vif.set_locking_mode", Role::PoolOperator));
    }
    Ok(())
}

/// A new MAC address: locally administered, for one station.
pub(super) fn new_mac() -> String {
    let random = Uuid::new_v4().into_bytes();
    let bytes = [(random[0] & 0xfc) | 0x02, random[1], random[2], random[3], random[4], random[5]];
    bytes.map(|byte| format!("{byte:02x}")).join(":")
}

/// A MAC address in its usual form, of one station.
fn mac(text: &str) -> Result<String, ApiError> {
    let parts: Vec<&str> = text.split([':', '-']).collect();
    let well_formed = parts.len() == 6
        && parts.iter().all(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit()));
    if !well_formed || text == "00:00:00:00:00:00" {
        return Err(errors::MAC_INVALID.with([text]));
    }
    let first = parts.first().and_then(|first| u8::from_str_radix(first, 16).ok());
    if let Some(first) = first.filter(|first| first & 1 == 1) {
        // Switches drop what such a station sends.
        let single = format!("{:02x}:{}", first & !1, parts[1..].join(":"));
        let reason = format!("it is the address of a group of stations; {single} is that of one");
        return Err(errors::MAC_INVALID.with([text, &reason]));
    }
    Ok(parts.join(":").to_lowercase())
}

/// Makes a VIF from a client's record.
pub(crate) fn make(
    t: &mut Transaction<'_>,
    record: &BTreeMap<String, Value>,
) -> Result<Ref, ApiError> {
    let reference =
        |name: &str| record.get(name).and_then(Value::as_ref).cloned().unwrap_or_else(Ref::null);
    let text = |name: &str| record.get(name).and_then(Value::as_str).unwrap_or_default();
    let (vm, network) = (reference("VM"), reference("network"));
    t.get("network", &network)?;
    let vm_object = t.get("VM", &vm)?;
    // A VM that runs gets it by `plug`, or at its next start.
    let free = devices::free_nics(t.objects(), vm_object);
    let number = match text("device") {
        "" | "autodetect" => free.first().copied(),
        name => {
            let number = devices::nic_number(name);
            let number = number.ok_or_else(|| errors::INVALID_DEVICE.with([name]))?;
            free.contains(&number).then_some(number)
        }
    };
    let number = number.ok_or_else(|| errors::DEVICE_ALREADY_EXISTS.with([text("device")]))?;
    let (address, made_up) = match text("MAC") {
        "" => (new_mac(), true),
        given => (mac(given)?, false),
    };
    let taken =
        ["MTU", "other_config", "qos_algorithm_type", "qos_algorithm_params", "locking_mode"];
    let mut fields: Vec<(&str, Value)> =
        taken.into_iter().filter_map(|name| Some((name, record.get(name)?.clone()))).collect();
    for field in ["ipv4_allowed", "ipv6_allowed"] {
        let given = record.get(field).and_then(Value::as_set).unwrap_or_default();
        let normal = given.iter().map(|text| allowed(field, &text.text()));
        let normal = normal.collect::<Result<BTreeSet<_>, _>>()?;
        fields.push((field, Value::Set(normal.into_iter().map(Value::from).collect())));
    }
    for (field, value) in &fields {
        if field.starts_with("qos_") {
            guards::limit(field, value)?;
        }
    }
    fields.extend([
        ("device", number.to_string().into()),
        ("VM", vm.into()),
        ("network", network.into()),
        ("MAC", address.into()),
        ("MAC_autogenerated", made_up.into()),
    ]);
    Ok(t.create(&classes::VIF, fields))
}

fn destroy(context: &Context, args: &Args<'_>) -> Reply {
    let vif = args.to("self");
    context.store().write(|t| {
        if t.get("VIF", &vif)?.bool("currently_attached") {
            return Err(errors::OPERATION_NOT_ALLOWED.with(["the VIF is attached"]));
        }
        not_busy(t, "VIF", &vif)?;
        t.remove(&vif);
        Ok(Value::Void)
    })
}

fn unplug(context: &Context, args: &Args<'_>, force: bool) -> Reply {
    let vif = args.to("self");
    let _operation = DeviceOperation::begin(context, "VIF", &vif, "unplug")?;
    alone(context, "VIF", &vif, || hotplug::unplug_nic(&context.toolstack, &vif, force))?;
    Ok(Value::Void)
}

/// Links of a VIF in Dom0, while its VM runs.
fn links(context: &Context, vif: &Ref) -> Result<Vec<String>, ApiError> {
    context.toolstack.look("VIF", vif, |object, objects| {
        let vm = objects.get("VM", &object.to("VM"))?;
        let attached = object.bool("currently_attached");
        Ok(stop::links_of(vm, object).filter(|_| attached).unwrap_or_default())
    })?
}

fn move_to(context: &Context, args: &Args<'_>) -> Reply {
    let (vif, target) = (args.to("self"), args.to("network"));
    let toolstack = &context.toolstack;
    let bridges = toolstack.look("network", &target, |network, objects| {
        host_network::bridges_of(objects, network)
    })??;
    let vm = toolstack.look("VIF", &vif, |vif, _| vif.to("VM"))?;
    let lock = toolstack.lock_of(&vm);
    let _held = lock.lock().unwrap_or_else(PoisonError::into_inner);
    let links = links(context, &vif)?;
    if !links.is_empty() {
        for bridge in &bridges {
            toolstack.network.ensure_bridge(bridge).map_err(|e| failure::network(&e))?;
        }
    }
    let former = toolstack.store.write(|t| {
        let former = t.get("VIF", &vif)?.to("network");
        t.set(&vif, "network", &target);
        Ok(former)
    })?;
    let moved = links.iter().try_for_each(|link| put_into(toolstack, &vif, link));
    if let Err(error) = moved {
        toolstack.store.write(|t| {
            t.set(&vif, "network", &former);
            Ok(())
        })?;
        for link in &links {
            if let Err(error) = put_into(toolstack, &vif, link) {
                tracing::error!(%error, link, "putting it back into its network");
            }
        }
        return Err(error);
    }
    Ok(Value::Void)
}

/// Puts a link of a VIF into the bridge of its network; what passes may follow the network too.
fn put_into(toolstack: &Toolstack, vif: &Ref, link: &str) -> Result<(), ApiError> {
    let (bridge, port) = toolstack.look("VIF", vif, |vif, objects| {
        let network = objects.get("network", &vif.to("network"))?;
        Ok((network.text("bridge").to_owned(), port::of_vif(objects, vif)))
    })??;
    let network = &toolstack.network;
    let put = network.unplug(link).and_then(|()| {
        network.plug(&bridge, link, &port)?;
        // A link is not new here: it may have rules from before a start of the daemon.
        network.guard(link, &port.guard)
    });
    put.map_err(|e| failure::network(&e))
}

fn set_locking_mode(context: &Context, args: &Args<'_>) -> Reply {
    let mode = args.text("value").to_owned();
    change_guard(context, args, |_| Ok(("locking_mode", mode.into())))
}

/// The addresses of a field that names those that are let through, changed by `change`.
fn allow(
    context: &Context,
    args: &Args<'_>,
    field: &'static str,
    change: impl FnOnce(&mut BTreeSet<String>),
) -> Reply {
    change_guard(context, args, |vif| {
        let texts = vif.get(field).as_set().unwrap_or_default().iter().map(Value::text);
        let mut addresses = texts.collect();
        change(&mut addresses);
        let normal = addresses.iter().map(|text| allowed(field, text));
        let normal = normal.collect::<Result<BTreeSet<_>, _>>()?;
        Ok((field, Value::Set(normal.into_iter().map(Value::from).collect())))
    })
}

fn set_allowed(context: &Context, args: &Args<'_>, field: &'static str) -> Reply {
    let value = args.get("value").as_set().unwrap_or_default();
    let value = value.iter().map(Value::text).collect();
    allow(context, args, field, |addresses| *addresses = value)
}

fn add_allowed(context: &Context, args: &Args<'_>, field: &'static str) -> Reply {
    let value = args.text("value").to_owned();
    allow(context, args, field, |addresses| {
        addresses.insert(value);
    })
}

fn remove_allowed(context: &Context, args: &Args<'_>, field: &'static str) -> Reply {
    let value = allowed(field, args.text("value"));
    let value = value.unwrap_or_else(|_| args.text("value").to_owned());
    allow(context, args, field, |addresses| {
        addresses.remove(&value);
    })
}

/// An address of a field's family in its usual form: the same address is never there twice.
fn allowed(field: &str, text: &str) -> Result<String, ApiError> {
    let normal = match field {
        "ipv4_allowed" => text.parse::<Ipv4Addr>().map(|address| address.to_string()),
        _ => text.parse::<Ipv6Addr>().map(|address| address.to_string()),
    };
    normal.map_err(|_| errors::INVALID_VALUE.with([field, text]))
}

/// Sets a field of a VIF that says what passes, and has it so on a VM that runs. Where that fails the
/// field stays what it was.
fn change_guard(
    context: &Context,
    args: &Args<'_>,
    change: impl FnOnce(&Object) -> Result<(&'static str, Value), ApiError>,
) -> Reply {
    let vif = args.to("self");
    let toolstack = &context.toolstack;
    let vm = toolstack.look("VIF", &vif, |vif, _| vif.to("VM"))?;
    let lock = toolstack.lock_of(&vm);
    let _held = lock.lock().unwrap_or_else(PoisonError::into_inner);
    let (field, former) = toolstack.store.write(|t| {
        let object = t.get("VIF", &vif)?;
        let (field, value) = change(object)?;
        let former = object.get(field).clone();
        t.set(&vif, field, value);
        Ok((field, former))
    })?;
    let links = links(context, &vif)?;
    let guard = toolstack.look("VIF", &vif, |vif, objects| port::guard(objects, vif))?;
    let guarded = links.iter().try_for_each(|link| toolstack.network.guard(link, &guard));
    if let Err(error) = guarded {
        toolstack.store.write(|t| {
            t.set(&vif, field, former);
            Ok(())
        })?;
        return Err(failure::network(&error));
    }
    Ok(Value::Void)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mac_addresses() {
        let made = new_mac();
        assert_eq!(mac(&made), Ok(made.clone()));
        assert_eq!(mac("00-16-3E-aa-bb-cc"), Ok("00:16:3e:aa:bb:cc".into()));
        for bad in [
            "",
            "x",
            "01:00:00:00:00:00",
            "00:00:00:00:00:00",
            "00:16:3e:aa:bb",
            "00:16:3e:aa:bb:cc:dd",
            "00:16:3e:aa:bb:+c",
        ] {
            assert!(mac(bad).is_err(), "{bad}");
        }
    }
}
