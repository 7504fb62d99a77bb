// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which figures there are: names, units and limits as XAPI has them.

use std::collections::BTreeMap;

use rrd::{Kind, Source};
use xenops::{DomainUsage, Traffic, Usage};

/// What a source says now, and what is known of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Said {
    pub(super) source: Source,
    /// Its unit, in XAPI's words.
    pub(super) units: &'static str,
    /// What it is.
    pub(super) doc: String,
    /// It is recorded without having been asked for.
    pub(super) standard: bool,
    /// What it says: a figure, or a counter.
    pub(super) value: f64,
}

impl Said {
    fn new(name: impl Into<String>, units: &'static str, doc: impl Into<String>, v: f64) -> Said {
        let (min, max) = (0.0, f64::INFINITY);
        let source = Source { name: name.into(), kind: Kind::Gauge, min, max, inverse: false };
        Said { source, units, doc: doc.into(), standard: true, value: v }
    }

    /// The figure is how much the value grows in a second.
    fn counted(mut self) -> Said {
        self.source.kind = Kind::Derive;
        self
    }

    /// The part of the time for which something is busy.
    fn fraction(mut self) -> Said {
        self.source.max = 1.0;
        self.counted()
    }

    /// The value counts the time that is idle.
    fn inverse(mut self) -> Said {
        self.source.inverse = true;
        self
    }

    /// Recorded once somebody asks for it.
    fn optional(mut self) -> Said {
        self.standard = false;
        self
    }
}

/// What went to and from an SR since the daemon started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct SrTraffic {
    pub(super) read_bytes: u64,
    pub(super) written_bytes: u64,
    pub(super) reads: u64,
    pub(super) writes: u64,
}

const BYTES: &str = "B/s";
const ERRORS: &str = "err/s";
const FRACTION: &str = "(fraction)";
const REQUESTS: &str = "requests/s";
const MIB: f64 = (1 << 20) as f64;

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

fn traffic(said: &mut Vec<Said>, prefix: &str, what: &str, of: &Traffic) {
    let bytes = |suffix: &str, doc: &str, value: u64| {
        Said::new(format!("{prefix}_{suffix}"), BYTES, format!("Bytes {doc} {what}"), value as f64)
            .counted()
    };
    let errors = |suffix: &str, doc: &str, value: u64| {
        let name = format!("{prefix}_{suffix}_errors");
        Said::new(name, ERRORS, format!("{doc} {what}"), value as f64).counted().optional()
    };
    said.push(bytes("rx", "received on", of.received_bytes));
    said.push(bytes("tx", "sent on", of.sent_bytes));
    said.push(errors("rx", "Packets not received on", of.receive_errors));
    said.push(errors("tx", "Packets not sent on", of.send_errors));
}

/// The figures of the host. `srs`: traffic by the beginning of the SR's uuid. `daemon_kib`: memory of the daemon.
pub(super) fn of_host(
    usage: &Usage,
    srs: &BTreeMap<String, SrTraffic>,
    daemon_kib: Option<u64>,
) -> Vec<Said> {
    let mut said = Vec::new();
    for (cpu, idle) in usage.cpus_idle_ns.iter().enumerate() {
        let doc = format!("Time that CPU {cpu} is busy");
        let one = Said::new(format!("cpu{cpu}"), FRACTION, doc, seconds(*idle));
        said.push(one.fraction().inverse());
    }
    let cpus = usage.cpus_idle_ns.len().max(1) as f64;
    if !usage.cpus_idle_ns.is_empty() {
        let idle: f64 = usage.cpus_idle_ns.iter().map(|idle| seconds(*idle)).sum();
        let doc = "Time that a CPU is busy, mean of all";
        said.push(Said::new("cpu_avg", FRACTION, doc, idle / cpus).fraction().inverse());
    }
    let kib = |name: &str, doc: &str, value: u64| Said::new(name, "KiB", doc, value as f64);
    said.push(kib("memory_total_kib", "Memory of the host", usage.memory_total_kib));
    said.push(kib("memory_free_kib", "Memory that no VM has", usage.memory_free_kib));
    if let Some(load) = usage.load_hundredths {
        said.push(Said::new("loadavg", FRACTION, "Dom0's load", f64::from(load) / 100.0));
    }
    if let Some(daemon) = daemon_kib {
        said.push(kib("xapi_memory_usage_kib", "Memory of the XenAPI daemon", daemon));
    }
    let runnable: u32 = usage.domains.iter().map(|domain| domain.runnable).sum();
    let running = usage.domains.iter().filter(|domain| !domain.paused).count();
    let runnable = f64::from(runnable);
    let doc = "Virtual CPUs that run or could, for each CPU";
    said.push(Said::new("hostload", FRACTION, doc, runnable / cpus));
    said.push(Said::new("running_vcpus", "count", "Virtual CPUs that run or could", runnable));
    let doc = "Domains that are not paused, Dom0 among them";
    said.push(Said::new("running_domains", "count", doc, running as f64));
    let mut all = Traffic::default();
    for card in &usage.cards {
        all.received_bytes = all.received_bytes.saturating_add(card.traffic.received_bytes);
        all.sent_bytes = all.sent_bytes.saturating_add(card.traffic.sent_bytes);
        let (prefix, what) = (format!("pif_{}", card.name), format!("network card {}", card.name));
        traffic(&mut said, &prefix, &what, &card.traffic);
    }
    let doc = |what: &str| format!("Bytes {what} all network cards");
    for (name, what, value) in [
        ("pif_aggr_rx", "received on", all.received_bytes),
        ("pif_aggr_tx", "sent on", all.sent_bytes),
    ] {
        said.push(Said::new(name, BYTES, doc(what), value as f64).counted());
    }
    for (sr, of) in srs {
        let throughput = |what: &str, bytes: u64| {
            let name = format!("io_throughput_{what}_{sr}");
            let doc = format!("Traffic of VMs with the SR {sr}: {what}");
            Said::new(name, "MiB/s", doc, bytes as f64 / MIB).counted()
        };
        let requests = |what: &str, count: u64| {
            let doc = format!("Requests of VMs to the SR {sr}: {what}");
            Said::new(format!("iops_{what}_{sr}"), REQUESTS, doc, count as f64).counted()
        };
        said.push(throughput("read", of.read_bytes));
        said.push(throughput("write", of.written_bytes));
        said.push(throughput("total", of.read_bytes.saturating_add(of.written_bytes)));
        said.push(requests("read", of.reads));
        said.push(requests("write", of.writes));
        said.push(requests("total", of.reads.saturating_add(of.writes)));
    }
    said
}

/// The figures of a VM. `free_kib`: memory that is free within it.
pub(super) fn of_vm(domain: &DomainUsage, free_kib: Option<u64>) -> Vec<Said> {
    let mut said = Vec::new();
    for (cpu, ran) in domain.vcpus_ns.iter().enumerate() {
        let doc = format!("Time that virtual CPU {cpu} runs");
        said.push(Said::new(format!("cpu{cpu}"), FRACTION, doc, seconds(*ran)).fraction());
    }
    if domain.online > 0 {
        let ran: f64 = domain.vcpus_ns.iter().map(|ran| seconds(*ran)).sum();
        let doc = "Time that a virtual CPU runs, mean of those online";
        let mean = ran / f64::from(domain.online);
        said.push(Said::new("cpu_usage", FRACTION, doc, mean).fraction());
    }
    let memory = domain.memory_kib as f64 * 1024.0;
    said.push(Said::new("memory", "B", "Memory that it has", memory));
    if let Some(free) = free_kib {
        let doc = "Memory that is free, as its agent says";
        said.push(Said::new("memory_internal_free", "KiB", doc, free as f64));
    }
    for disk in &domain.disks {
        let vdev = &disk.vdev;
        let bytes = |what: &str, value: u64| {
            let doc = format!("Bytes on the device {vdev}: {what}");
            Said::new(format!("vbd_{vdev}_{what}"), BYTES, doc, value as f64).counted()
        };
        let requests = |what: &str, value: u64| {
            let doc = format!("Requests to the device {vdev}: {what}");
            Said::new(format!("vbd_{vdev}_iops_{what}"), REQUESTS, doc, value as f64).counted()
        };
        said.push(bytes("read", disk.read_bytes));
        said.push(bytes("write", disk.written_bytes));
        said.push(requests("read", disk.reads));
        said.push(requests("write", disk.writes));
    }
    for nic in &domain.nics {
        let what = format!("virtual network interface {}", nic.devid);
        traffic(&mut said, &format!("vif_{}", nic.devid), &what, &nic.traffic);
    }
    said
}
