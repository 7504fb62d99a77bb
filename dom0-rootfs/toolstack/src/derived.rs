// SPDX-License-Identifier: MIT OR Apache-2.0
//! Fields that follow from others, worked out in every transaction: `allowed_operations`.

use std::collections::BTreeSet;

use xapi_model::{Ref, Value};

use crate::store::{Object, Objects, Transaction};
use crate::vdis;
use crate::vm::{appliance, device_operation, disk_users, operation};

/// Works out what follows from the objects that a transaction has touched.
pub fn derive(t: &mut Transaction<'_>) {
    let affected = if t.is_rebuilt() { all(t.objects()) } else { affected(t) };
    for reference in affected {
        let Some(object) = t.objects().find(&reference) else { continue };
        let allowed = match object.class().name {
            "VM" => operation::allowed(object),
            "VDI" => vdi(t.objects(), object),
            "VBD" | "VIF" => device_operation::allowed(t.objects(), object),
            "SR" => sr(t.objects(), object),
            "VM_appliance" => appliance::allowed(t.objects(), object),
            "host" => host(object),
            "network" => names(&["attaching"]),
            _ => continue,
        };
        t.set_live(&reference, "allowed_operations", allowed);
    }
}

/// Classes whose objects have allowed operations.
const CLASSES: &[&str] = &["VM", "VDI", "VBD", "VIF", "SR", "VM_appliance", "host", "network"];

fn all(objects: &Objects) -> Vec<Ref> {
    let all = CLASSES.iter().flat_map(|class| objects.all(class));
    all.map(|object| object.reference().clone()).collect()
}

/// Objects whose allowed operations may not be what they were.
fn affected(t: &Transaction<'_>) -> Vec<Ref> {
    let mut affected: BTreeSet<Ref> = BTreeSet::new();
    for reference in t.touched() {
        let now = t.objects().find(&reference);
        for object in now.into_iter().chain(t.before(&reference)) {
            affected.insert(reference.clone());
            neighbours(t.objects(), object, &mut affected);
        }
    }
    affected.into_iter().collect()
}

/// Objects whose allowed operations depend on this one.
fn neighbours(objects: &Objects, object: &Object, affected: &mut BTreeSet<Ref>) {
    match object.class().name {
        "VM" => {
            let vbds = object.refs("VBDs");
            affected.extend(vbds.iter().filter_map(|vbd| Some(objects.find(vbd)?.to("VDI"))));
            affected.extend(vbds);
            affected.extend(object.refs("VIFs"));
            affected.insert(object.to("appliance"));
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

/// Operations that only some kinds of SR can do, and the feature (`SM.features`) that says so.
const FEATURES: &[(&str, &str)] = &[
    ("clone", "VDI_CLONE"),
    ("resize", "VDI_RESIZE"),
    ("resize_online", "VDI_RESIZE_ONLINE"),
    ("snapshot", "VDI_SNAPSHOT"),
    ("destroy", "VDI_DELETE"),
    ("vdi_create", "VDI_CREATE"),
    ("vdi_destroy", "VDI_DELETE"),
    ("vdi_resize", "VDI_RESIZE"),
    ("vdi_clone", "VDI_CLONE"),
    ("vdi_snapshot", "VDI_SNAPSHOT"),
];

/// Those of the operations that an SR of this kind can do.
fn supported(objects: &Objects, sr: &Object, operations: &[&'static str]) -> Value {
    let driver = objects.all("SM").find(|sm| sm.text("type") == sr.text("type"));
    let features = driver.and_then(|sm| sm.get("features").as_map());
    let can = |operation: &&&'static str| {
        let needed = FEATURES.iter().find(|(name, _)| name == *operation);
        needed.is_none_or(|(_, feature)| features.is_some_and(|f| f.contains_key(*feature)))
    };
    let able: Vec<&'static str> = operations.iter().filter(can).copied().collect();
    names(&able)
}

fn vdi(objects: &Objects, vdi: &Object) -> Value {
    let sr = objects.find(&vdi.to("SR"));
    let there = sr.filter(|sr| attached(objects, sr));
    let vbds = vdi.refs("VBDs");
    let attached = vbds.iter().filter_map(|vbd| objects.find(vbd));
    let attached = attached.filter(|vbd| vbd.bool("currently_attached"));
    // A checkpoint's are attached to nothing that runs or goes on.
    let of_snapshot =
        |vbd: &Object| objects.find(&vbd.to("VM")).is_some_and(|vm| vm.bool("is_a_snapshot"));
    let used = attached.filter(|vbd| !of_snapshot(vbd)).count() > 0;
    match (there, used) {
        (Some(sr), false) => {
            let all = ["clone", "copy", "resize", "resize_online", "snapshot", "destroy", "forget"];
            supported(objects, sr, &all)
        }
        (None, false) => names(&["forget"]),
        (Some(sr), true) => {
            let users = disk_users::with_domain(objects, vdi.reference());
            // A VM that has it stands still for the one; a suspended one's stays as it is.
            let still = |vm: &Ref| {
                objects.find(vm).is_some_and(|vm| operation::obstacle(vm, "snapshot").is_none())
            };
            let (copied, grown) = (
                users.len() < 2 && users.iter().all(still),
                !users.is_empty() && !vdis::held(objects, vdi.reference(), None),
            );
            let copying: &[_] = if copied { &["clone", "snapshot"] } else { &[] };
            let growing: &[_] = if grown { &["resize", "resize_online"] } else { &[] };
            supported(objects, sr, &[copying, growing].concat())
        }
        (None, true) => names(&[]),
    }
}

fn sr(objects: &Objects, sr: &Object) -> Value {
    if attached(objects, sr) {
        // XenServer does not name vdi_copy and vdi_forget either: older clients, whose enumerations lack them,
        // cannot read the record then.
        let all = [
            "scan",
            "update",
            "unplug",
            "vdi_create",
            "vdi_destroy",
            "vdi_resize",
            "vdi_clone",
            "vdi_snapshot",
            "pbd_create",
        ];
        return supported(objects, sr, &all);
    }
    if sr.refs("PBDs").is_empty() {
        names(&["forget", "pbd_create"])
    } else {
        names(&["forget", "destroy", "plug", "pbd_create", "pbd_destroy"])
    }
}

fn host(host: &Object) -> Value {
    if host.bool("enabled") {
        names(&["provision", "vm_start", "vm_resume"])
    } else if host.refs("resident_VMs").len() <= 1 {
        names(&["evacuate", "shutdown", "reboot", "enable"])
    } else {
        names(&["enable"])
    }
}
