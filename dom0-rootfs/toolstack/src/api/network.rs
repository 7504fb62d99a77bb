// SPDX-License-Identifier: MIT OR Apache-2.0
//! `network`.

use std::collections::BTreeMap;

use network::{Bridge, Uplink};
use xapi_model::{ApiError, Ref, Reply, Value, classes, errors};

use super::{Entry, blob};
use crate::store::Transaction;
use crate::toolstack::{Args, Context};
use crate::vm::operation::under_way;
use crate::{failure, guards};

pub(super) const HANDLERS: &[Entry] = &[
    ("network.create", create),
    ("network.destroy", destroy),
    ("network.set_default_locking_mode", set_default_locking_mode),
];

fn create(context: &Context, args: &Args<'_>) -> Reply {
    let mut record = args.get("args").as_map().cloned().unwrap_or_default();
    // Records of some clients have a 0 where nobody chose.
    record.retain(|name, value| name != "MTU" || value.as_int().is_none_or(|mtu| mtu > 0));
    let network = context.store().write(|t| make(t, &record))?;
    if let Err(error) = bridge(context, &network) {
        context.store().write(|t| {
            t.remove(&network);
            Ok(())
        })?;
        return Err(error);
    }
    Ok(network.into())
}

/// Makes a network without an uplink from a client's record; its bridge is made afterwards ([`bridge`]).
pub(crate) fn make(
    t: &mut Transaction<'_>,
    record: &BTreeMap<String, Value>,
) -> Result<Ref, ApiError> {
    let bridge = record.get("bridge").and_then(Value::as_str).unwrap_or_default();
    if let Some(value) = record.get("MTU") {
        guards::mtu(value)?;
    }
    let used = |name: &str| t.objects().all("network").any(|n| n.text("bridge") == name);
    let bridge = if bridge.is_empty() {
        let names = (0..).map(|number| format!("xapi{number}"));
        names.into_iter().find(|name| !used(name)).unwrap_or_default()
    } else if used(bridge) {
        return Err(errors::DB_UNIQUENESS_CONSTRAINT_VIOLATION.with(["network", "bridge", bridge]));
    } else {
        bridge.to_owned()
    };
    let taken = ["name_label", "name_description", "MTU", "other_config", "tags"];
    let mut fields: Vec<(&str, Value)> =
        taken.into_iter().filter_map(|name| Some((name, record.get(name)?.clone()))).collect();
    fields.push(("bridge", bridge.into()));
    Ok(t.create(&classes::NETWORK, fields))
}

/// Makes the bridge of such a network.
pub(crate) fn bridge(context: &Context, network: &Ref) -> Result<(), ApiError> {
    let bridge = context.toolstack.look("network", network, |network, _| Bridge {
        name: network.text("bridge").to_owned(),
        uplink: Uplink::None,
        mtu: u32::try_from(network.int("MTU")).unwrap_or(1500),
    })?;
    context.toolstack.network.ensure_bridge(&bridge).map_err(|e| failure::network(&e))
}

/// Operations of a VM that plug its interfaces.
const PLUGGING: &[&str] =
    &["start", "start_on", "resume", "resume_on", "clean_reboot", "hard_reboot"];

/// Interfaces that follow it keep what they have until they are plugged again, so none may be in use, nor
/// about to be: what plugs one has read the mode already.
fn set_default_locking_mode(context: &Context, args: &Args<'_>) -> Reply {
    let (network, mode) = (args.to("network"), args.get("value").clone());
    context.store().write(|t| {
        let vifs = t.get("network", &network)?.refs("VIFs");
        let in_use = vifs.into_iter().find(|vif| {
            t.objects().find(vif).is_some_and(|vif| {
                let follows = vif.text("locking_mode") == "network_default";
                let vm = t.objects().find(&vif.to("VM"));
                let comes = !vif.map("current_operations").is_empty()
                    || vm.is_some_and(|vm| under_way(vm, PLUGGING));
                follows && (vif.bool("currently_attached") || comes)
            })
        });
        if let Some(vif) = in_use {
            return Err(errors::VIF_IN_USE.with([network.as_str(), vif.as_str()]));
        }
        t.set(&network, "default_locking_mode", mode);
        Ok(Value::Void)
    })
}

fn destroy(context: &Context, args: &Args<'_>) -> Reply {
    let network = args.to("self");
    let bridge = context.store().read(|objects| {
        let object = objects.get("network", &network)?;
        let list = |refs: Vec<Ref>| refs.iter().map(Ref::to_string).collect::<Vec<_>>();
        if !object.refs("PIFs").is_empty() {
            return Err(errors::NETWORK_CONTAINS_PIF.with(list(object.refs("PIFs"))));
        }
        if !object.refs("VIFs").is_empty() {
            return Err(errors::NETWORK_CONTAINS_VIF.with(list(object.refs("VIFs"))));
        }
        Ok(object.text("bridge").to_owned())
    })?;
    context.toolstack.network.remove_bridge(&bridge).map_err(|e| failure::network(&e))?;
    context.store().write(|t| {
        // A VIF may have come meanwhile; then the bridge is made again at the VM's next start.
        if !t.get("network", &network)?.refs("VIFs").is_empty() {
            return Err(errors::NETWORK_CONTAINS_VIF.with([network.as_str()]));
        }
        blob::remove_all(t, &network);
        t.remove(&network);
        Ok(Value::Void)
    })
}
