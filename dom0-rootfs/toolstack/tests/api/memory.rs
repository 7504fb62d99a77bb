// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory of guests that changes while they run.

use crate::common::{Client, Served, Wire, eventually};
use xapi_model::Value;
use xenops::{DomId, Hypervisor as _, Manners};

const MIB: i64 = 1 << 20;

fn limits(client: &Client, vm: &str, [static_min, dynamic_min, dynamic_max, static_max]: [i64; 4]) {
    let mut params: Vec<Value> = vec![vm.into()];
    params.extend(
        [static_min, static_max, dynamic_min, dynamic_max].map(|mib| Value::Int(mib * MIB)),
    );
    client.ok("VM.set_memory_limits", params);
}

fn host(client: &Client) -> String {
    client.ok("host.get_all", vec![]).as_set().unwrap()[0].text()
}

fn start(client: &Client, vm: &str) {
    client.ok("VM.start", vec![vm.into(), false.into(), false.into()]);
}

/// What a domain has, in MiB.
fn has(served: &Served, domain: u32) -> i64 {
    let domains = served.hypervisor.domains().unwrap();
    let found = domains.into_iter().find(|found| found.id == DomId(domain)).unwrap();
    i64::try_from(found.memory_kib / 1024).unwrap()
}

fn target(client: &Client, vm: &str) -> i64 {
    let target = client.ok("VM.get_memory_target", vec![vm.into()]);
    target.text().parse::<i64>().unwrap() / MIB
}

#[test]
fn guests_share_what_there_is() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let (first, second) = (client.make_vm("first").vm, client.make_vm("second").vm);
    limits(&client, &first, [64, 1024, 4096, 4096]);
    limits(&client, &second, [64, 2048, 4096, 4096]);
    start(&client, &first);
    assert_eq!((has(&served, 1), target(&client, &first)), (4096, 4096));
    let error = client.err(
        "VM.set_memory_dynamic_range",
        vec![first.as_str().into(), Value::Int(1024 * MIB), Value::Int(5000 * MIB)],
    );
    assert_eq!(error.code, "MEMORY_CONSTRAINT_VIOLATION");

    // There are 7424 MiB for guests.
    client.ok("VM.assert_can_boot_here", vec![second.as_str().into(), host(&client).into()]);
    start(&client, &second);
    let (one, other) = (has(&served, 1), has(&served, 2));
    assert_eq!((target(&client, &first), target(&client, &second)), (one, other));
    assert!((7200..7424).contains(&(one + other)), "{one} + {other}");
    let part = |has: i64, least: i64| (has - least) * 100 / (4096 - least);
    assert_eq!(part(one, 1024), part(other, 2048), "{one} and {other}");

    // One that wants nothing but what it has is left alone.
    let third = client.make_vm("third").vm;
    limits(&client, &third, [64, 1024, 1024, 1024]);
    start(&client, &third);
    assert_eq!(has(&served, 3), 1024);
    assert!(has(&served, 1) < one && has(&served, 2) < other);
    assert!(has(&served, 1) >= 1024 && has(&served, 2) >= 2048);

    // More than all can give.
    let fourth = client.make_vm("fourth").vm;
    limits(&client, &fourth, [64, 5000, 5000, 5000]);
    let error =
        client.err("VM.assert_can_boot_here", vec![fourth.as_str().into(), host(&client).into()]);
    assert_eq!(error.code, "HOST_NOT_ENOUGH_FREE_MEMORY");
    let error = client.err("VM.start", vec![fourth.into(), false.into(), false.into()]);
    assert_eq!(error.code, "HOST_NOT_ENOUGH_FREE_MEMORY");

    // What one had others get again.
    client.ok("VM.hard_shutdown", vec![second.as_str().into()]);
    assert_eq!(target(&client, &second), 0);
    client.ok("VM.hard_shutdown", vec![third.into()]);
    eventually("the first has its most again", || has(&served, 1) == 4096);
}

#[test]
fn a_guest_follows_its_limits() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let vm = client.make_vm("guest").vm;
    limits(&client, &vm, [64, 512, 512, 1024]);
    start(&client, &vm);
    assert_eq!(has(&served, 1), 512);
    let two = |min: i64, max: i64| vec![vm.as_str().into(), Value::Int(min), Value::Int(max)];
    client.ok("VM.set_memory_dynamic_range", two(128 * MIB, 1024 * MIB));
    assert_eq!((has(&served, 1), target(&client, &vm)), (1024, 1024));
    client.ok("VM.set_memory_target_live", vec![vm.as_str().into(), Value::Int(256 * MIB)]);
    client.ok("VM.wait_memory_target_live", vec![vm.as_str().into()]);
    assert_eq!((has(&served, 1), target(&client, &vm)), (256, 256));

    // A guest is suspended with what it has, and has that when it goes on.
    client.ok("VM.set_memory_dynamic_range", two(128 * MIB, 300 * MIB));
    client.ok("VM.suspend", vec![vm.as_str().into()]);
    assert_eq!(target(&client, &vm), 300);
    client.ok("VM.resume", vec![vm.as_str().into(), false.into(), false.into()]);
    assert_eq!(has(&served, 2), 300);

    let uuid = client.text("VM.get_uuid", vec![vm.as_str().into()]).parse().unwrap();
    served.hypervisor.set_manners(uuid, Manners::Ignores);
    client.ok("VM.set_memory_target_live", vec![vm.as_str().into(), Value::Int(128 * MIB)]);
    assert_eq!((has(&served, 2), target(&client, &vm)), (300, 128));
    assert_eq!(client.ok("VM.get_cooperative", vec![vm.as_str().into()]), false.into());
    let all = client.ok("host.get_uncooperative_resident_VMs", vec![host(&client).into()]);
    assert_eq!(all.as_set().unwrap()[0].text(), vm);
    let task = client.text("Async.VM.wait_memory_target_live", vec![vm.as_str().into()]);
    client.ok("task.cancel", vec![task.as_str().into()]);
    assert_eq!(client.ended(&task)["status"].text(), "cancelled");
    client.ok("VM.hard_shutdown", vec![vm.into()]);
}
