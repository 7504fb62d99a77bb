// SPDX-License-Identifier: MIT OR Apache-2.0
//! `VM_group`: who is in it.

use xapi_model::{Ref, Reply, Value, errors};

use super::Entry;
use crate::store::Transaction;
use crate::toolstack::{Args, Context};

pub(super) const HANDLERS: &[Entry] =
    &[("VM.set_groups", set_groups), ("VM_group.destroy", destroy)];

/// Writes down on both sides which groups a VM is in.
pub(super) fn join(t: &mut Transaction<'_>, vm: &Ref, groups: &[Ref]) {
    let all: Vec<(Ref, Vec<Ref>)> = t
        .objects()
        .all("VM_group")
        .map(|group| (group.reference().clone(), group.refs("VMs")))
        .collect();
    for (group, mut vms) in all {
        vms.retain(|known| known != vm);
        if groups.contains(&group) {
            vms.push(vm.clone());
        }
        t.set(&group, "VMs", Value::Set(vms.into_iter().map(Value::Ref).collect()));
    }
    t.set(vm, "groups", Value::Set(groups.iter().map(Value::from).collect()));
}

fn set_groups(context: &Context, args: &Args<'_>) -> Reply {
    let vm = args.to("self");
    let groups = args.get("value").as_set().unwrap_or_default();
    let groups: Vec<Ref> = groups.iter().filter_map(Value::as_ref).cloned().collect();
    context.store().write(|t| {
        t.get("VM", &vm)?;
        groups.iter().try_for_each(|group| t.get("VM_group", group).map(drop))?;
        if groups.len() > 1 {
            return Err(errors::OPERATION_NOT_ALLOWED.with(["a VM is in one group at most"]));
        }
        join(t, &vm, &groups);
        Ok(Value::Void)
    })
}

fn destroy(context: &Context, args: &Args<'_>) -> Reply {
    let group = args.to("self");
    context.store().write(|t| {
        for vm in t.get("VM_group", &group)?.refs("VMs") {
            join(t, &vm, &[]);
        }
        t.remove(&group);
        Ok(Value::Void)
    })
}
