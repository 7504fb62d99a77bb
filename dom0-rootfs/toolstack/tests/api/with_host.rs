// SPDX-License-Identifier: MIT OR Apache-2.0
//! VMs that start and end with their host.

use crate::common::{Client, Served, Wire};
use toolstack::api::{end_with_host, start_with_host};

fn vm(client: &Client, name: &str, order: i64, starts: bool) -> String {
    let vm = client.make_vm(name).vm;
    client.ok("VM.set_order", vec![vm.as_str().into(), order.into()]);
    if starts {
        let words = vec![vm.as_str().into(), "auto_poweron".into(), "true".into()];
        client.ok("VM.add_to_other_config", words);
    }
    vm
}

#[test]
fn they_start_in_their_order_where_the_pool_wants_it_and_all_end() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let (web, data) = (vm(&client, "web", 2, true), vm(&client, "data", 1, true));
    let by_hand = vm(&client, "by hand", 0, false);
    start_with_host(&served.toolstack);
    assert_eq!(client.state(&web), "Halted", "the pool does not want it");
    let pool = client.ok("pool.get_all", vec![]).as_set().unwrap()[0].clone();
    let words = vec![pool.clone(), "auto_poweron".into(), "true".into()];
    client.ok("pool.add_to_other_config", words);
    start_with_host(&served.toolstack);
    // Numbers are given in the order of starts.
    assert_eq!(client.text("VM.get_domid", vec![data.as_str().into()]), "1");
    assert_eq!(client.text("VM.get_domid", vec![web.as_str().into()]), "2");
    assert_eq!(client.state(&by_hand), "Halted");

    // All that run end, and those that cannot be asked too.
    client.ok("VM.start", vec![by_hand.as_str().into(), false.into(), false.into()]);
    client.ok("VM.pause", vec![web.as_str().into()]);
    end_with_host(&served.toolstack).unwrap();
    for vm in [&web, &data, &by_hand] {
        assert_eq!(client.state(vm), "Halted");
    }
    let asked = |call: &&xenops::Call| format!("{call:?}").contains("RequestShutdown");
    assert_eq!(served.hypervisor.calls().iter().filter(asked).count(), 2);
}
