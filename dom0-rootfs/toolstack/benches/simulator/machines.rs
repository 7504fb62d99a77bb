// SPDX-License-Identifier: MIT OR Apache-2.0
//! VMs to measure with, each with a disk and a network card.

use std::ops::Range;
use std::path::Path;

use anyhow::Result;
use toolstack::database::SqliteDatabase;
use toolstack::derived;
use toolstack::store::{Object, Objects, Store, Transaction};
use xapi_model::{ApiError, Ref, Value, classes, errors};

use crate::client::Client;
use crate::daemon::Daemon;

/// What VMs are made from.
const TEMPLATE: &str = "Linux PVH (own boot loader)";
/// Bytes of a disk.
const DISK: i64 = 64 << 20;

/// Starts a daemon and ends it, so that its database has a host, and writes VMs into that, called by
/// their numbers. Their disks have no contents: only their records are of use.
pub fn make(folder: &Path, numbers: Range<usize>) -> Result<()> {
    drop(Daemon::start(folder)?);
    let database = SqliteDatabase::open(&folder.join("state.db"))?;
    let store = Store::open(Box::new(database), derived::derive)?;
    store.write(|t| {
        let template = named(t.objects(), "VM", TEMPLATE)?.clone();
        let sr = first(t.objects(), "SR")?;
        let network = first(t.objects(), "network")?;
        for number in numbers {
            let vm = copy(t, &template, &name(number));
            let vdi = vec![
                ("name_label", format!("disk of {number}").into()),
                ("SR", Value::from(&sr)),
                ("virtual_size", DISK.into()),
                ("type", Value::Enum("user")),
                ("managed", true.into()),
            ];
            let vdi = t.create(&classes::VDI, vdi);
            let vbd = vec![
                ("VM", Value::from(&vm)),
                ("VDI", vdi.into()),
                ("userdevice", "0".into()),
                ("mode", Value::Enum("RW")),
                ("type", Value::Enum("Disk")),
                ("bootable", true.into()),
            ];
            t.create(&classes::VBD, vbd);
            let vif = vec![
                ("VM", vm.into()),
                ("network", Value::from(&network)),
                ("device", "0".into()),
                ("MAC", format!("52:54:00:00:{:02x}:{:02x}", number >> 8, number & 0xff).into()),
                ("MTU", 1500_i64.into()),
            ];
            t.create(&classes::VIF, vif);
        }
        Ok::<_, ApiError>(())
    })?;
    Ok(())
}

fn copy(t: &mut Transaction<'_>, template: &Object, name: &str) -> Ref {
    let metrics = t.create(&classes::VM_METRICS, vec![]);
    let own = ["uuid", "name_label", "is_a_template", "is_default_template", "metrics"];
    let record = template.record();
    let kept = record.entries().filter(|(field, _)| {
        let mirrors = classes::VM.field(field).is_some_and(|(_, field)| field.mirrors.is_some());
        !mirrors && !own.contains(field)
    });
    let mut fields: Vec<_> = kept.map(|(field, value)| (field, value.clone())).collect();
    fields.extend([("name_label", name.into()), ("metrics", metrics.into())]);
    t.create(&classes::VM, fields)
}

fn named<'a>(
    objects: &'a Objects,
    class: &'static str,
    name: &str,
) -> Result<&'a Object, ApiError> {
    let found = objects.all(class).find(|object| object.text("name_label") == name);
    found.ok_or_else(|| errors::INTERNAL_ERROR.with([format!("no {class} is called {name}")]))
}

fn first(objects: &Objects, class: &'static str) -> Result<Ref, ApiError> {
    let found = objects.all(class).next().map(|object| object.reference().clone());
    found.ok_or_else(|| errors::INTERNAL_ERROR.with([format!("there is no {class}")]))
}

/// A VM that can be started, made as clients do it.
pub fn make_whole(client: &Client) -> Result<Value> {
    let vm = client.call("VM.clone", vec![client.named("VM", TEMPLATE)?, "whole".into()])?;
    client.call("VM.provision", vec![vm.clone()])?;
    let sr = client.call("SR.get_all", vec![])?;
    let vdi = client.create(
        "VDI",
        [
            ("name_label", "whole".into()),
            ("SR", sr.as_set().and_then(|all| all.first()).cloned().unwrap_or(Value::Void)),
            ("virtual_size", DISK.into()),
            ("type", "user".into()),
        ],
    )?;
    client.create(
        "VBD",
        [
            ("VM", vm.clone()),
            ("VDI", vdi),
            ("userdevice", "0".into()),
            ("mode", "RW".into()),
            ("type", "Disk".into()),
            ("bootable", true.into()),
            ("empty", false.into()),
        ],
    )?;
    let network = client.named("network", "Pool-wide network associated with eth0")?;
    client.create(
        "VIF",
        [
            ("VM", vm.clone()),
            ("network", network),
            ("device", "0".into()),
            ("MAC", "".into()),
            ("MTU", "1500".into()),
        ],
    )?;
    Ok(vm)
}

/// What the VM of a number is called.
pub fn name(number: usize) -> String {
    format!("machine {number}")
}
