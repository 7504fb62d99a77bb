// SPDX-License-Identifier: MIT OR Apache-2.0
//! The port of a VM's interface in its bridge: who it is, and what passes.

use network::{Guard, GuestPort, Identity};
use xapi_model::Value;

use crate::store::{Object, Objects};

/// The port of a VIF as its objects want it.
pub fn of_vif(objects: &Objects, vif: &Object) -> GuestPort {
    let vm = objects.find(&vif.to("VM")).map(Object::uuid).unwrap_or_default();
    let ids = [("xs-vm-uuid", vm), ("xs-vif-uuid", vif.uuid()), ("attached-mac", vif.text("MAC"))];
    GuestPort {
        ids: ids.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        guard: guard(objects, vif),
    }
}

/// What passes a VIF.
pub fn guard(objects: &Objects, vif: &Object) -> Guard {
    let mode = match vif.text("locking_mode") {
        "network_default" => {
            let network = objects.find(&vif.to("network"));
            network.map(|network| network.text("default_locking_mode")).unwrap_or_default()
        }
        mode => mode,
    };
    match mode {
        "disabled" => Guard::Closed,
        "locked" => Guard::Only(Identity {
            mac: vif.text("MAC").to_owned(),
            ipv4: addresses(vif.get("ipv4_allowed")),
            ipv6: addresses(vif.get("ipv6_allowed")),
        }),
        _ => Guard::Open,
    }
}

/// Addresses of a set; what is none was refused when it was set.
fn addresses<T: std::str::FromStr>(set: &Value) -> Vec<T> {
    let texts = set.as_set().unwrap_or_default().iter().filter_map(Value::as_str);
    texts.filter_map(|text| text.parse().ok()).collect()
}
