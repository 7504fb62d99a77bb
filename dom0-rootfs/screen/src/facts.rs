// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is shown of a host, made of its objects.

mod network;

use crate::mirror::{Mirror, Record};

pub use network::Interface;

/// Everything that is shown of a host. Texts are printable ASCII.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Reference to the host.
    pub host: String,
    /// Its name.
    pub name: String,
    /// Xenith's version.
    pub version: String,
    /// Xen's.
    pub xen: String,
    /// Name of the pool; may be empty.
    pub pool: String,
    /// How many CPUs it has, and which.
    pub cpus: String,
    /// Memory of the machine in bytes.
    pub memory: u64,
    /// Memory that no domain has, in bytes.
    pub free: u64,
    /// SHA-256 of the certificate for clients, with colons.
    pub fingerprint: String,
    /// The management interface first.
    pub interfaces: Vec<Interface>,
    /// By name.
    pub storage: Vec<Storage>,
    /// By name; no templates, no snapshots, not Dom0.
    pub vms: Vec<Vm>,
    /// The newest messages, newest first.
    pub alerts: Vec<String>,
}

/// An SR.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Storage {
    /// Its name.
    pub name: String,
    /// Its driver.
    pub kind: String,
    /// Bytes in all.
    pub size: u64,
    /// Bytes used.
    pub used: u64,
    /// The host is connected to it.
    pub attached: bool,
}

/// A virtual machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vm {
    /// Reference to it.
    pub reference: String,
    /// Its uuid.
    pub uuid: String,
    /// Its name.
    pub name: String,
    /// `Running` and the like.
    pub state: String,
    /// Memory that it has now, or will have, in bytes.
    pub memory: u64,
    /// Virtual CPUs that it has now, or will have.
    pub vcpus: u64,
    /// What may be done with it now.
    pub allowed: Vec<String>,
    /// Uuid of its text console, while it has one.
    pub console: Option<String>,
}

/// How many messages are kept.
const ALERTS: usize = 2;

impl Facts {
    /// None until the host is there.
    pub fn of(mirror: &Mirror) -> Option<Facts> {
        let (reference, host) = mirror.all("host").next()?;
        let metrics = mirror.get("host_metrics", &text(host, "metrics"));
        let number = |name| metrics.map_or(0, |metrics| number(metrics, name));
        let cpu = |key| entry(host, "cpu_info", key);
        let pool = mirror.all("pool").next();
        Some(Facts {
            host: reference.to_owned(),
            name: ascii(&text(host, "name_label")),
            version: ascii(&entry(host, "software_version", "product_version")),
            xen: ascii(&entry(host, "software_version", "xen")),
            pool: pool.map(|(_, pool)| ascii(&text(pool, "name_label"))).unwrap_or_default(),
            cpus: ascii(format!("{} x {}", cpu("cpu_count"), cpu("modelname")).trim()),
            memory: number("memory_total"),
            free: number("memory_free"),
            fingerprint: fingerprint(mirror),
            interfaces: network::interfaces(mirror),
            storage: storage(mirror),
            vms: vms(mirror),
            alerts: alerts(mirror),
        })
    }
}

fn fingerprint(mirror: &Mirror) -> String {
    let own = mirror.all("certificate").find(|(_, record)| text(record, "type") == "host");
    own.map(|(_, record)| ascii(&text(record, "fingerprint_sha256"))).unwrap_or_default()
}

fn storage(mirror: &Mirror) -> Vec<Storage> {
    let attached = |sr: &str| {
        let mut pbds = mirror.all("pbd");
        pbds.any(|(_, pbd)| text(pbd, "SR") == sr && truth(pbd, "currently_attached"))
    };
    let srs = mirror.all("sr").map(|(reference, record)| Storage {
        name: ascii(&text(record, "name_label")),
        kind: ascii(&text(record, "type")),
        size: number(record, "physical_size"),
        used: number(record, "physical_utilisation"),
        attached: attached(reference),
    });
    let mut srs: Vec<Storage> = srs.collect();
    srs.sort_by(|a, b| a.name.cmp(&b.name));
    srs
}

fn vms(mirror: &Mirror) -> Vec<Vm> {
    let other = ["is_a_template", "is_a_snapshot", "is_control_domain"];
    let real = mirror.all("vm").filter(|(_, vm)| !other.iter().any(|field| truth(vm, field)));
    let vms = real.map(|(reference, record)| {
        let metrics = mirror.get("vm_metrics", &text(record, "metrics"));
        let live = |name| metrics.map(|metrics| number(metrics, name)).filter(|n| *n > 0);
        let state = ascii(&text(record, "power_state"));
        let runs = state != "Halted" && state != "Suspended";
        let mut consoles = mirror.all("console").filter(|_| runs);
        Vm {
            reference: reference.to_owned(),
            uuid: text(record, "uuid"),
            name: ascii(&text(record, "name_label")),
            memory: live("memory_actual")
                .filter(|_| runs)
                .unwrap_or_else(|| number(record, "memory_dynamic_max")),
            vcpus: live("VCPUs_number")
                .filter(|_| runs)
                .unwrap_or_else(|| number(record, "VCPUs_at_startup")),
            allowed: texts(record, "allowed_operations"),
            console: consoles.find_map(|(_, console)| {
                let its = text(console, "VM") == reference;
                (its && text(console, "protocol") == "vt100").then(|| text(console, "uuid"))
            }),
            state,
        }
    });
    let mut vms: Vec<Vm> = vms.collect();
    vms.sort_by(|a, b| (&a.name, &a.uuid).cmp(&(&b.name, &b.uuid)));
    vms
}

fn alerts(mirror: &Mirror) -> Vec<String> {
    let mut all: Vec<(String, String)> = mirror
        .all("message")
        .map(|(_, message)| {
            let body = text(message, "body");
            let body = body.split(" (uuid:").next().unwrap_or_default();
            (text(message, "timestamp"), format!("{}: {}", text(message, "name"), body))
        })
        .collect();
    all.sort_by(|a, b| b.cmp(a));
    let newest = all.into_iter().take(ALERTS);
    newest.map(|(at, what)| ascii(&format!("{} {what}", moment(&at)))).collect()
}

/// `20261130T01:12:39Z` as `11-30 01:12`, which is UTC.
fn moment(at: &str) -> String {
    match (at.get(4..6), at.get(6..8), at.get(9..14)) {
        (Some(month), Some(day), Some(time)) => format!("{month}-{day} {time}"),
        _ => at.to_owned(),
    }
}

/// What a terminal shows without doing anything.
fn ascii(text: &str) -> String {
    text.chars().map(|c| if (' '..='~').contains(&c) { c } else { '?' }).collect()
}

fn text(record: &Record, field: &str) -> String {
    record.get(field).map(|value| value.text()).unwrap_or_default()
}

fn truth(record: &Record, field: &str) -> bool {
    record.get(field).and_then(|value| value.as_bool()).unwrap_or_default()
}

/// The wire has integers as text.
fn number(record: &Record, field: &str) -> u64 {
    text(record, field).parse().unwrap_or_default()
}

fn texts(record: &Record, field: &str) -> Vec<String> {
    let all = record.get(field).and_then(|value| value.as_set()).unwrap_or_default();
    all.iter().map(|value| value.text()).collect()
}

fn entry(record: &Record, field: &str, key: &str) -> String {
    let entry = record.get(field).and_then(|value| value.as_map()).and_then(|map| map.get(key));
    entry.map(|value| value.text()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
