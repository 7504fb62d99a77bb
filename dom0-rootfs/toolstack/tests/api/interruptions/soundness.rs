// SPDX-License-Identifier: MIT OR Apache-2.0
//! What has to be true between operations, whatever became of them.

use std::collections::{BTreeMap, BTreeSet};

use toolstack::store::{Object, Objects};
use xapi_model::{Type, Value};
use xenops::{DomId, Hypervisor as _};

use super::host::{Host, Run};

/// Kinds of notes of what is under way.
const UNDER_WAY: [&str; 7] =
    ["device/", "ending/", "held/", "suspended/", "unfinished/", "volume/", "repository/"];

/// Classes of what an operation leaves as it was unless it takes effect.
const KEPT: [&str; 10] =
    ["VM", "VDI", "VBD", "VIF", "SR", "PBD", "network", "crashdump", "console", "VMSS"];

/// Fields that tell of the moment.
const MOMENTARY: [&str; 9] = [
    "allowed_operations",
    "current_operations",
    "physical_utilisation",
    "physical_size",
    "virtual_allocation",
    "last_run_time",
    // An attempt to start tells of the host, too.
    "memory_overhead",
    "domarch",
    "snapshot_time",
];

/// What objects say, as far as it lasts.
pub type Told = BTreeMap<String, BTreeMap<String, Value>>;

/// What is there.
pub fn told(run: &Run) -> Told {
    run.toolstack.store.read(|objects| {
        let all = KEPT.iter().flat_map(|class| objects.all(class));
        let lasting = |object: &Object| {
            let mut fields = object.record().to_map();
            fields.retain(|name, _| !MOMENTARY.contains(&name.as_str()));
            for set in fields.values_mut() {
                if let Value::Set(items) = set {
                    items.sort_by_key(Value::text);
                }
            }
            (format!("{} {}", object.class().name, object.reference()), fields)
        };
        all.map(lasting).collect()
    })
}

/// What is told otherwise now, in words.
pub fn difference(before: &Told, after: &Told) -> Vec<String> {
    let mut all = Vec::new();
    for name in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
        match (before.get(name), after.get(name)) {
            (Some(before), Some(after)) => {
                for (field, value) in before.iter().filter(|(f, v)| after.get(*f) != Some(v)) {
                    all.push(format!("{name} {field}: {value:?} became {:?}", after[field]));
                }
            }
            (Some(_), None) => all.push(format!("{name} is gone")),
            _ => all.push(format!("{name} is new: {:?}", after.get(name))),
        }
    }
    all
}

/// Everything that is wrong now.
pub fn problems(host: &Host, run: &Run) -> Vec<String> {
    let mut all = Vec::new();
    run.toolstack.store.read(|objects| {
        references(objects, &mut all);
        under_way(objects, &mut all);
        disks(host, objects, &mut all);
        guests(host, objects, &mut all);
    });
    all
}

/// Nothing refers to what is not there.
fn references(objects: &Objects, all: &mut Vec<String>) {
    for object in KEPT.iter().flat_map(|class| objects.all(class)) {
        for field in object.class().fields {
            let targets = match (&field.ty, object.get(field.name)) {
                (Type::Ref(_), Value::Ref(target)) if !target.is_null() => vec![target.clone()],
                (Type::Set(_), Value::Set(_)) => object.refs(field.name),
                _ => Vec::new(),
            };
            // A snapshot may outlive what it is of.
            let outlives = ["snapshot_of", "parent"].contains(&field.name);
            for target in targets.iter().filter(|t| objects.find(t).is_none() && !outlives) {
                all.push(format!("{} {}: no {target}", object.class().name, field.name));
            }
        }
        if object.class().field("missing").is_some() && object.bool("missing") {
            all.push(format!("{} is missing", object.text("name_label")));
        }
    }
}

/// Nothing is under way.
fn under_way(objects: &Objects, all: &mut Vec<String>) {
    for object in ["VM", "VBD", "VIF"].iter().flat_map(|class| objects.all(class)) {
        for operation in object.map("current_operations") {
            all.push(format!("{} {operation:?} is under way", object.class().name));
        }
    }
    for task in objects.all("task").filter(|task| task.text("status") == "pending") {
        all.push(format!("task {} is pending", task.text("name_label")));
    }
    for (note, value) in UNDER_WAY.iter().flat_map(|kind| objects.notes(kind)) {
        all.push(format!("note {note} {value}"));
    }
    let domains: BTreeSet<String> =
        objects.notes("domain/").map(|(key, _)| key["domain/".len()..].to_owned()).collect();
    let alive = objects.all("VM").filter(|vm| is_alive(vm)).map(|vm| vm.uuid().to_owned());
    let alive: BTreeSet<String> = alive.collect();
    if domains != alive {
        all.push(format!("notes of domains {domains:?} where {alive:?} run"));
    }
}

fn is_alive(vm: &Object) -> bool {
    ["Running", "Paused"].contains(&vm.text("power_state")) && !vm.bool("is_control_domain")
}

/// Storage has the VDIs that there are objects of, and each is somebody's.
fn disks(host: &Host, objects: &Objects, all: &mut Vec<String>) {
    let files = host.drivers[0].files();
    let known: BTreeSet<String> =
        objects.all("VDI").map(|vdi| format!("{}.raw", vdi.uuid())).collect();
    let more: Vec<_> = files.difference(&known).collect();
    let less: Vec<_> = known.difference(&files).collect();
    if !more.is_empty() || !less.is_empty() {
        all.push(format!("storage has {more:?} that have no object, and lacks {less:?}"));
    }
    for vdi in objects.all("VDI") {
        let image = objects.all("VM").any(|vm| vm.to("suspend_VDI") == *vdi.reference());
        let is_somebodys =
            image || !vdi.refs("VBDs").is_empty() || !vdi.refs("crash_dumps").is_empty();
        // Those that a client makes by themselves have a name.
        if !is_somebodys && !vdi.text("name_label").starts_with("free") {
            all.push(format!("VDI {:?} {} is nobody's", vdi.text("name_label"), vdi.text("type")));
        }
    }
    for sr in objects.all("SR") {
        for pbd in sr.refs("PBDs").iter().filter_map(|pbd| objects.find(pbd)) {
            if !pbd.bool("currently_attached") && sr.text("name_label") != "loose" {
                all.push(format!("SR {} is detached", sr.text("name_label")));
            }
        }
    }
    let folders = std::fs::read_dir(host.folder().join("sr")).unwrap();
    let folders: BTreeSet<String> =
        folders.map(|f| f.unwrap().file_name().to_string_lossy().into_owned()).collect();
    let srs: BTreeSet<String> = objects.all("SR").map(|sr| sr.uuid().to_owned()).collect();
    if folders != srs {
        all.push(format!("there are SRs {folders:?}, known are {srs:?}"));
    }
}

/// Xen has the domains that VMs run in, with what they need, and nothing else.
fn guests(host: &Host, objects: &Objects, all: &mut Vec<String>) {
    let domains = host.hypervisor.domains().unwrap();
    let there: BTreeMap<String, i64> = domains
        .iter()
        .filter(|domain| domain.id != DomId(0))
        .map(|domain| (domain.uuid.to_string(), i64::from(domain.id.0)))
        .collect();
    let alive: Vec<&Object> = objects.all("VM").filter(|vm| is_alive(vm)).collect();
    let known = alive.iter().map(|vm| (vm.uuid().to_owned(), vm.int("domid"))).collect();
    if there != known {
        all.push(format!("there are domains {there:?}, known are {known:?}"));
    }
    for domain in domains.iter().filter(|domain| domain.id != DomId(0)) {
        let vm = objects.by_uuid("VM", &domain.uuid.to_string());
        let paused = vm.is_some_and(|vm| vm.text("power_state") == "Paused");
        if paused != domain.paused || domain.shutdown.is_some() {
            all.push(format!("domain {domain:?} is of a VM that is paused: {paused}"));
        }
    }
    let (mut disks, mut links) = (BTreeSet::new(), BTreeSet::new());
    for vm in &alive {
        let mut plugged = BTreeSet::new();
        for vbd in vm.refs("VBDs").iter().filter_map(|vbd| objects.find(vbd)) {
            if vbd.bool("currently_attached") {
                plugged.insert(vbd.text("device").to_owned());
                disks.extend(objects.find(&vbd.to("VDI")).map(|vdi| vdi.uuid().to_owned()));
            }
        }
        let spec =
            u32::try_from(vm.int("domid")).ok().and_then(|id| host.hypervisor.spec(DomId(id)));
        let spec = spec.map(|spec| spec.disks.into_iter().map(|disk| disk.vdev).collect());
        if spec.as_ref() != Some(&plugged) {
            all.push(format!("a domain has disks {spec:?}, its VM {plugged:?}"));
        }
        let hvm = vm.text("domain_type") == "hvm";
        for vif in vm.refs("VIFs").iter().filter_map(|vif| objects.find(vif)) {
            let link = format!("vif{}.{}", vm.int("domid"), vif.text("device"));
            if vif.bool("currently_attached") {
                links.extend(hvm.then(|| format!("{link}-emu")));
                links.insert(link);
            }
        }
    }
    let active = host.drivers.iter().flat_map(|driver| driver.activated());
    let active: BTreeSet<String> = active.map(|vdi| vdi.to_string()).collect();
    if active != disks {
        all.push(format!("VDIs {active:?} are active, {disks:?} are plugged in"));
    }
    let ports: BTreeSet<String> = host.network.ports().into_keys().collect();
    if ports != links {
        all.push(format!("links {ports:?} are in bridges, VMs have {links:?}"));
    }
    for (class, field) in [("VBD", "currently_attached"), ("VIF", "currently_attached")] {
        for device in objects.all(class).filter(|device| device.bool(field)) {
            let vm = objects.find(&device.to("VM"));
            if vm.is_some_and(|vm| vm.text("power_state") == "Halted") {
                all.push(format!("a {class} of a halted VM is attached"));
            }
        }
    }
    for vm in objects.all("VM").filter(|vm| vm.text("power_state") == "Suspended") {
        if objects.find(&vm.to("suspend_VDI")).is_none() {
            all.push(format!("{} has lost its memory", vm.text("name_label")));
        }
    }
    for console in objects.all("console") {
        if objects.find(&console.to("VM")).is_none_or(|vm| !is_alive(vm)) {
            all.push("there is a console of a VM that does not run".into());
        }
    }
}
