// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pool`.

use xapi_model::{ApiError, Reply, Value, errors};

use super::Entry;
use crate::store::{Object, Objects};
use crate::toolstack::{Args, Context};

pub(super) const HANDLERS: &[Entry] = &[
    // Every change was on disk before it was answered.
    ("pool.sync_database", |_, _| Ok(Value::Void)),
    ("pool.get_license_state", |context, args| {
        context.toolstack.look("pool", &args.to("self"), |_, objects| {
            let edition = objects.all("host").next().map_or("", |host| host.text("edition"));
            Value::string_map([("edition", edition), ("expiry", "never")])
        })
    }),
    ("pool.detect_nonhomogeneous_external_auth", |context, args| {
        context.toolstack.look("pool", &args.to("pool"), |_, objects| {
            let kinds: Vec<&str> =
                objects.all("host").map(|host| host.text("external_auth_type")).collect();
            match kinds.windows(2).all(|pair| pair[0] == pair[1]) {
                true => Ok(Value::Void),
                false => Err(errors::POOL_AUTH_NONHOMOGENEOUS.bare()),
            }
        })?
    }),
    ("pool.ha_compute_max_host_failures_to_tolerate", |context, _| {
        let tolerated = |objects: &Objects| {
            let mut vms = objects.all("VM").filter(|vm| vm.bool("ha_always_run"));
            tolerated(objects, vms.next().is_some())
        };
        Ok(Value::Int(context.store().read(tolerated)))
    }),
    ("pool.ha_compute_hypothetical_max_host_failures_to_tolerate", |context, args| {
        let vms = args.get("configuration").as_map().cloned().unwrap_or_default();
        let protected = vms.values().any(|priority| priority.as_str() == Some("restart"));
        Ok(Value::Int(context.store().read(|objects| tolerated(objects, protected))))
    }),
    ("pool.ha_failover_plan_exists", |context, args| {
        let most = super::call(context, "pool.ha_compute_max_host_failures_to_tolerate", vec![])?;
        Ok(Value::Bool(most.as_int().is_some_and(|most| args.int("n") <= most)))
    }),
    ("pool.ha_compute_vm_failover_plan", failover_plan),
];

/// How many hosts may fail: the VMs of one that fails need another one, and where there are none that
/// need one all may.
fn tolerated(objects: &Objects, protected: bool) -> i64 {
    let hosts = i64::try_from(objects.all("host").count()).unwrap_or(i64::MAX);
    if protected { hosts - 1 } else { hosts }
}

fn failover_plan(context: &Context, args: &Args<'_>) -> Reply {
    let references = |name: &str| {
        let all = args.get(name).as_set().unwrap_or_default();
        all.iter().filter_map(Value::as_ref).cloned().collect::<Vec<_>>()
    };
    let (failed, vms) = (references("failed_hosts"), references("failed_vms"));
    context.store().read(|objects| {
        failed.iter().try_for_each(|host| objects.get("host", host).map(drop))?;
        let works = |host: &&Object| host.bool("enabled") && !failed.contains(host.reference());
        let target = objects.all("host").find(works);
        let mut plan = std::collections::BTreeMap::new();
        for vm in &vms {
            objects.get("VM", vm)?;
            let outcome = match target {
                Some(host) => ("host", host.reference().as_str()),
                None => ("error_code", errors::NO_HOSTS_AVAILABLE.name),
            };
            plan.insert(vm.to_string(), Value::string_map([outcome]));
        }
        Ok::<_, ApiError>(Value::Map(plan))
    })
}
