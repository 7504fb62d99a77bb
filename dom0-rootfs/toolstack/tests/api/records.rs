// SPDX-License-Identifier: MIT OR Apache-2.0
//! What records say where other clients go by it.

use crate::common::{Served, Wire};

#[test]
fn operations_of_an_sr_are_those_that_older_clients_know() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let srs = client.ok("SR.get_all_records", vec![]);
    for sr in srs.as_map().unwrap().values() {
        let allowed = sr.as_map().unwrap()["allowed_operations"].as_set().unwrap().to_vec();
        assert!(allowed.contains(&"vdi_create".into()));
        assert!(!allowed.contains(&"vdi_copy".into()) && !allowed.contains(&"vdi_forget".into()));
    }
}
