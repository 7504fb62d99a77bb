// SPDX-License-Identifier: MIT OR Apache-2.0
//! Fields that follow from others, worked out in every transaction: `allowed_operations`.

use std::collections::BTreeSet;

use xapi_model::{Ref, Value};

use crate::store::{Object, Objects, Transaction};
use crate::vm::{device_operation, operation};

/// Works out what follows from the objects that a transaction has touched.
pub fn derive(t: &mut Transaction<'_>) {
    let mut affected: BTreeSet<Ref> = BTreeSet::new();
    for reference in t.touched() {
        let now = t.objects().find(&reference);
        for object in now.into_iter().chain(t.before(&reference)) {
            affected.insert(reference.clone());
            neighbours(t.objects(), object, &mut affected);
        }
    }
    for reference in affected {
        let Some(object) = t.objects().find(&reference) else { continue };
        let allowed = match object.class().name {
            "VM" => operation::allowed(object),
            "VDI" => vdi(t.objects(), object),
            "VBD" | "VIF" => device_operation::allowed(t.objects(), object),
            "SR" => sr(t.objects(), object),
            "host" => host(object),
            "network" => names(&["attaching"]),
            _ => continue,
        };
        t.set_live(&reference, "allowed_operations", allowed);
    }
}

/// Objects whose allowed operations depend on this one.
fn neighbours(objects: &Objects, object: &Object, affected: &mut BTreeSet<Ref>) {
    match object.class().name {
        "VM" => {
            affected.extend(object.refs("VBDs"));
            affected.extend(object.refs("VIFs"));
        }
        "VBD" => {
            affected.extend([object.to("VM"), object.to("VDI")]);
        }
        "VDI" => affected.extend([object.to("SR")]),
        "PBD" => {
            let sr = object.to("SR");
            affected.extend(objects.find(&sr).map(|sr| sr.refs("VDIs")).unwrap_or_default());
            affected.insert(sr);
        }
        _ => {}
    }
}

fn names(names: &[&'static str]) -> Value {
    Value::Set(names.iter().map(|name| Value::Enum(name)).collect())
}

fn attached(objects: &Objects, sr: &Object) -> bool {
    let pbds = sr.refs("PBDs");
    pbds.iter().filter_map(|p| objects.find(p)).any(|p| p.bool("currently_attached"))
}

fn vdi(objects: &Objects, vdi: &Object) -> Value {
    let there = objects.find(&vdi.to("SR")).is_some_and(|sr| attached(objects, sr));
    let vbds = vdi.refs("VBDs");
    let used =
        vbds.iter().filter_map(|vbd| objects.find(vbd)).any(|v| v.bool("currently_attached"));
    match (there, used) {
        (true, false) => names(&["clone", "copy", "resize", "snapshot", "destroy", "forget"]),
        (false, false) => names(&["forget"]),
        (_, true) => names(&[]),
    }
}

fn sr(objects: &Objects, sr: &Object) -> Value {
    if attached(objects, sr) {
        return names(&[
            "scan",
            "update",
            "unplug",
            "vdi_create",
            "vdi_destroy",
            "vdi_resize",
            "vdi_clone",
            "vdi_snapshot",
            "vdi_copy",
            "vdi_forget",
            "pbd_create",
        ]);
    }
    if sr.refs("PBDs").is_empty() {
        names(&["forget", "pbd_create"])
    } else {
        names(&["forget", "destroy", "plug", "pbd_create", "pbd_destroy"])
    }
}

fn host(host: &Object) -> Value {
    if host.bool("enabled") {
        names(&["provision", "vm_start"])
    } else if host.refs("resident_VMs").len() <= 1 {
        names(&["shutdown", "reboot", "enable"])
    } else {
        names(&["enable"])
    }
}
