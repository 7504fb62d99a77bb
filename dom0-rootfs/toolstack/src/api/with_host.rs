// SPDX-License-Identifier: MIT OR Apache-2.0
//! VMs that start and end with their host.
//!
//! Which start is said where XenServer says it: `auto_poweron` in the pool's `other_config` and in the
//! VM's (`xapi-autostart-vms` of xen-api). All that run when the host goes down are shut down.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use xapi_model::{ApiError, Ref, Value, errors};

use super::appliance::all_at_once;
use crate::alerts::Alert;
use crate::store::{Object, Objects};
use crate::subtask::Part;
use crate::toolstack::{Context, Toolstack};

/// Key of `other_config`, of the pool for all and of each VM.
const KEY: &str = "auto_poweron";
/// How long starts that fail are tried again: storage and its servers may come later than the host.
const STARTS: Duration = Duration::from_secs(300);
/// How long after that shutdowns begin: a message of its own has its patience with one guest.
const ENDS: Duration = Duration::from_secs(300);
/// Before what failed is tried again.
const PAUSE: Duration = Duration::from_secs(5);
/// Priority of a VM that does not run though it should.
const NOT_RUNNING: i64 = 3;

/// VMs of one order, and the seconds to wait after them.
type Orders = BTreeMap<i64, (Vec<Ref>, u64)>;

/// Starts the VMs that are to run whenever their host does, those of the lowest order first, and leaves a
/// message where one could not be. Blocks.
pub fn start_with_host(toolstack: &Arc<Toolstack>) {
    start_within(toolstack, STARTS);
}

fn start_within(toolstack: &Arc<Toolstack>, patience: Duration) {
    let context = Context::myself(toolstack);
    let begun = Instant::now();
    loop {
        let orders = toolstack.store.read(to_start);
        if orders.is_empty() {
            return;
        }
        each_order(&context, orders, "VM.start", &[false.into(), false.into()]);
        let left = toolstack.store.read(to_start);
        if begun.elapsed() + PAUSE < patience && !left.is_empty() {
            thread::park_timeout(PAUSE);
            continue;
        }
        for vm in left.into_values().flat_map(|(vms, _)| vms) {
            tell(toolstack, &vm);
        }
        return;
    }
}

/// Shuts down all VMs that run, those of the highest order first; whoever does not end by itself in time is
/// switched off. Blocks until none runs.
///
/// # Errors
/// Some run on.
pub fn end_with_host(toolstack: &Arc<Toolstack>) -> Result<(), ApiError> {
    let context = Context::myself(toolstack);
    let begun = Instant::now();
    loop {
        let orders = toolstack.store.read(to_end);
        if orders.is_empty() {
            return Ok(());
        }
        if begun.elapsed() >= ENDS {
            let left = orders.into_values().flat_map(|(vms, _)| vms).map(|vm| vm.to_string());
            return Err(errors::HOST_IN_USE.with(
                [context.toolstack.host().to_string(), "VM".to_owned()].into_iter().chain(left),
            ));
        }
        each_order(&context, orders, "VM.shutdown", &[]);
        if !toolstack.store.read(to_end).is_empty() {
            // Something else is being done with one.
            thread::park_timeout(PAUSE);
        }
    }
}

/// Sends a message to all, with those of one order at once.
fn each_order(context: &Context, orders: Orders, message: &str, flags: &[Value]) {
    let count = orders.len();
    for (done, (vms, delay)) in orders.into_values().enumerate() {
        let parts = vms.into_iter().map(|vm| Ok((vm, Part::of(context, message)?)));
        match parts.collect::<Result<Vec<_>, ApiError>>() {
            Ok(parts) => drop(all_at_once(message, parts, flags)),
            Err(error) => tracing::error!(%error, message, "with the host"),
        }
        if done + 1 < count {
            thread::park_timeout(Duration::from_secs(delay));
        }
    }
}

fn to_start(objects: &Objects) -> Orders {
    let asked = |object: &Object| object.entry("other_config", KEY) == Some("true");
    if !objects.all("pool").any(asked) {
        return Orders::new();
    }
    let vms = vms(objects).filter(|vm| asked(vm) && vm.text("power_state") == "Halted");
    by_order(vms, 1, "start_delay")
}

fn to_end(objects: &Objects) -> Orders {
    let runs = |vm: &&Object| ["Running", "Paused"].contains(&vm.text("power_state"));
    by_order(vms(objects).filter(runs), -1, "shutdown_delay")
}

fn vms(objects: &Objects) -> impl Iterator<Item = &Object> {
    let guest = |vm: &&Object| !vm.bool("is_a_template") && !vm.bool("is_control_domain");
    objects.all("VM").filter(guest)
}

fn by_order<'a>(vms: impl Iterator<Item = &'a Object>, sign: i64, delay: &str) -> Orders {
    let mut orders = Orders::new();
    for vm in vms {
        let (all, longest) = orders.entry(sign * vm.int("order")).or_default();
        all.push(vm.reference().clone());
        *longest = (*longest).max(u64::try_from(vm.int(delay)).unwrap_or_default());
    }
    orders
}

fn tell(toolstack: &Toolstack, vm: &Ref) {
    let told = toolstack.store.write(|t| {
        let object = t.get("VM", vm)?;
        let (name, uuid) = (object.text("name_label").to_owned(), object.uuid().to_owned());
        let body = format!("VM '{name}' could not be started with its host (uuid: {uuid})");
        let class = Value::Enum("VM");
        Alert { name: "VM_NOT_STARTED", priority: NOT_RUNNING, class, uuid: &uuid, body }.record(t);
        Ok::<_, ApiError>(())
    });
    if let Err(error) = told {
        tracing::error!(%error, %vm, "recording that it was not started");
    }
}
