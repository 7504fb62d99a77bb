// SPDX-License-Identifier: MIT OR Apache-2.0
//! Objects for what the machine is made of, brought up to date at each start.

use std::collections::BTreeMap;

use xapi_model::{Class, DateTime, Ref, Value, classes};
use xenops::HostInfo;

use super::{Machine, PciDevice, UsbDevice};
use crate::store::{Object, Transaction};

/// Brings all of them up to date.
pub fn record(t: &mut Transaction<'_>, host: &Ref, machine: &Machine, info: &HostInfo) {
    cpus(t, host, machine, info);
    let said = machine.bios_strings();
    let said = said.iter().map(|(key, text)| (*key, text.as_str()));
    t.set(host, "bios_strings", Value::string_map(said));
    let devices = machine.pci();
    let objects = pci(t, host, &devices);
    let cards: Vec<(&PciDevice, &Ref)> = devices
        .iter()
        .filter(|device| device.is_display())
        .filter_map(|device| Some((device, objects.get(&device.address)?)))
        .collect();
    gpus(t, host, &cards);
    crashes(t, host, machine);
    record_usb(t, host, &machine.usb());
}

/// Objects of a class by a key that each of them has; those without a place any more are removed.
fn kept(
    t: &mut Transaction<'_>,
    class: &'static Class,
    key: impl Fn(&Object) -> String,
    wanted: &[String],
) -> BTreeMap<String, Ref> {
    let all = t.objects().all(class.name);
    let all: Vec<(String, Ref)> = all.map(|o| (key(o), o.reference().clone())).collect();
    let mut kept = BTreeMap::new();
    for (key, reference) in all {
        if !wanted.contains(&key) || kept.contains_key(&key) {
            t.remove(&reference);
        } else {
            kept.insert(key, reference);
        }
    }
    for key in wanted {
        if !kept.contains_key(key) {
            let made = t.create(class, vec![]);
            kept.insert(key.clone(), made);
        }
    }
    kept
}

fn cpus(t: &mut Transaction<'_>, host: &Ref, machine: &Machine, info: &HostInfo) {
    let kind = machine.cpu_kind();
    let numbers: Vec<String> = (0..info.cpus).map(|number| number.to_string()).collect();
    let all = kept(t, &classes::HOST_CPU, |cpu| cpu.int("number").to_string(), &numbers);
    for (number, cpu) in &all {
        t.set(cpu, "host", host);
        t.set(cpu, "number", number.parse::<i64>().unwrap_or_default());
        t.set(cpu, "vendor", kind.vendor.as_str());
        t.set(cpu, "speed", i64::from(info.cpu_mhz));
        t.set(cpu, "modelname", info.cpu_model.as_str());
        t.set(cpu, "family", kind.family);
        t.set(cpu, "model", kind.model);
        t.set(cpu, "stepping", kind.stepping.as_str());
        t.set(cpu, "flags", kind.flags.as_str());
    }
}

fn pci(t: &mut Transaction<'_>, host: &Ref, devices: &[PciDevice]) -> BTreeMap<String, Ref> {
    let addresses: Vec<String> = devices.iter().map(|device| device.address.clone()).collect();
    let all = kept(t, &classes::PCI, |pci| pci.text("pci_id").to_owned(), &addresses);
    for device in devices {
        let Some(pci) = all.get(&device.address) else { continue };
        let [vendor_name, device_name, subsystem_name] = &device.names;
        t.set(pci, "host", host);
        for (field, text) in [
            ("pci_id", device.address.as_str()),
            ("class_id", &device.class),
            ("class_name", device.class_name()),
            ("vendor_id", &device.vendor),
            ("vendor_name", vendor_name),
            ("device_id", &device.device),
            ("device_name", device_name),
            ("subsystem_vendor_id", &device.subsystem_vendor),
            ("subsystem_vendor_name", subsystem_name),
            ("subsystem_device_id", &device.subsystem_device),
            ("driver_name", &device.driver),
        ] {
            t.set(pci, field, text);
        }
        let beside = devices.iter().filter(|other| device.is_beside(other));
        let beside = beside.filter_map(|other| all.get(&other.address)).map(Value::from);
        t.set(pci, "dependencies", Value::Set(beside.collect()));
    }
    all
}

fn gpus(t: &mut Transaction<'_>, host: &Ref, cards: &[(&PciDevice, &Ref)]) {
    let wanted: Vec<String> = cards.iter().map(|(_, pci)| pci.to_string()).collect();
    let all = kept(t, &classes::PGPU, |card| card.to("PCI").to_string(), &wanted);
    for (device, pci) in cards {
        let Some(card) = all.get(pci.as_str()) else { continue };
        let group = group(t, device);
        t.set(card, "PCI", *pci);
        t.set(card, "host", host);
        t.set(card, "GPU_group", group);
        t.set(card, "is_system_display_device", device.boot_display);
    }
}

/// The group of cards like this one.
fn group(t: &mut Transaction<'_>, device: &PciDevice) -> Ref {
    let kind = format!("{}/{}", device.vendor, device.device);
    let types = Value::strings([kind.as_str()]);
    let known = t.objects().all("GPU_group").find(|group| *group.get("GPU_types") == types);
    if let Some(group) = known.map(|group| group.reference().clone()) {
        return group;
    }
    let [vendor, name, _] = &device.names;
    let label = match name.as_str() {
        "" => format!("Group of {kind} GPUs"),
        name => format!("Group of {vendor} {name} GPUs"),
    };
    t.create(&classes::GPU_GROUP, vec![("name_label", label.into()), ("GPU_types", types)])
}

/// Brings the objects of USB devices up to date; each new one is in a group of its own, as on XenServer.
pub fn record_usb(t: &mut Transaction<'_>, host: &Ref, devices: &[UsbDevice]) {
    let keys: Vec<String> = devices.iter().map(UsbDevice::key).collect();
    let key = |usb: &Object| {
        ["path", "vendor_id", "product_id", "serial"].map(|field| usb.text(field)).join("/")
    };
    let before: Vec<Ref> = t.objects().all("PUSB").map(|usb| usb.to("USB_group")).collect();
    let all = kept(t, &classes::PUSB, key, &keys);
    for device in devices {
        let Some(usb) = all.get(&device.key()) else { continue };
        t.set(usb, "host", host);
        for (field, text) in [
            ("path", device.path.as_str()),
            ("vendor_id", &device.vendor),
            ("vendor_desc", &device.vendor_name),
            ("product_id", &device.product),
            ("product_desc", &device.product_name),
            ("serial", &device.serial),
            ("version", &device.version),
            ("description", &device.description()),
        ] {
            t.set(usb, field, text);
        }
        t.set(usb, "speed", device.speed);
        if t.objects().find(usb).is_some_and(|usb| usb.to("USB_group").is_null()) {
            let label = format!("Group of {}:{} USBs", device.vendor, device.product);
            let group = t.create(&classes::USB_GROUP, vec![("name_label", label.into())]);
            t.set(usb, "USB_group", group);
        }
    }
    // Groups that were made for devices go with them.
    for group in before {
        if t.objects().find(&group).is_some_and(|group| group.refs("PUSBs").is_empty()) {
            t.remove(&group);
        }
    }
}

fn crashes(t: &mut Transaction<'_>, host: &Ref, machine: &Machine) {
    let found = machine.crashes();
    let times: Vec<String> = found.iter().map(|crash| DateTime(crash.time).to_string()).collect();
    let key = |crash: &Object| crash.get("timestamp").text();
    let all = kept(t, &classes::HOST_CRASHDUMP, key, &times);
    for crash in &found {
        let time = DateTime(crash.time);
        let Some(object) = all.get(&time.to_string()) else { continue };
        t.set(object, "host", host);
        t.set(object, "timestamp", time);
        t.set(object, "size", i64::try_from(crash.size).unwrap_or(i64::MAX));
    }
}
