// SPDX-License-Identifier: MIT OR Apache-2.0
//! `GET /metrics`: what was used, in the text format 0.0.4 of Prometheus.
//!
//! Counters are those that the last sample saw, at most a few seconds ago, so that a scrape asks the
//! hypervisor nothing. Names follow Prometheus's advice: base units, `_total` behind counters.

use std::fmt::Write;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use xapi_model::http;
use xenops::{DomId, DomainUsage, Usage};

use super::request::{Query, session};
use super::{Body, Visit, answer, refuse};
use crate::store::{Object, Objects};
use crate::toolstack::Toolstack;

/// The format, as Prometheus calls it.
const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Answers with all figures of now.
pub(super) async fn get(
    toolstack: &Arc<Toolstack>,
    visit: &Visit,
    request: Request<Incoming>,
) -> Response<Body> {
    let query = Query::of(&request);
    let entered = match session(toolstack, visit, &request, &query, http::GET_METRICS).await {
        Ok(entered) => entered,
        Err(refused) => return *refused,
    };
    let making = tokio::task::spawn_blocking(move || {
        let toolstack = &entered.context.toolstack;
        let response = match toolstack.metrics.usage() {
            Some((usage, when)) => {
                let text = toolstack.store.read(|objects| page(objects, &usage, when));
                answer(StatusCode::OK, FORMAT, text)
            }
            None => refuse(StatusCode::SERVICE_UNAVAILABLE, "nothing was measured yet"),
        };
        entered.answer(&query, response)
    });
    match making.await {
        Ok(response) => response,
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

/// A page of figures.
#[derive(Default)]
struct Page(String);

impl Page {
    /// Begins a figure, of which values follow.
    fn figure(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a text does not fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn value(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            self.0.push(if index == 0 { '{' } else { ',' });
            let _ = write!(self.0, "{label}=\"");
            for c in text.chars() {
                match c {
                    '\\' => self.0.push_str("\\\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    c => self.0.push(c),
                }
            }
            self.0.push('"');
        }
        self.0.push_str(if labels.is_empty() { " " } else { "} " });
        let _ = writeln!(self.0, "{value}");
    }

    /// A figure with one value.
    fn one(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.figure(name, kind, help);
        self.value(name, &[], value);
    }
}

/// A domain with the VM that it is.
struct Guest<'a> {
    vm: &'a Object,
    usage: &'a DomainUsage,
    /// Memory that is free within it, in KiB.
    free_kib: Option<u64>,
}

impl Guest<'_> {
    fn labels(&self) -> [(&'static str, &str); 2] {
        [("vm", self.vm.uuid()), ("name_label", self.vm.text("name_label"))]
    }
}

const GAUGE: &str = "gauge";
const COUNTER: &str = "counter";

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

fn bytes(kib: u64) -> f64 {
    kib as f64 * 1024.0
}

fn page(objects: &Objects, usage: &Usage, when: f64) -> String {
    let mut page = Page::default();
    let help = "When these figures were taken.";
    page.one("xenith_sample_timestamp_seconds", GAUGE, help, when);
    host(&mut page, usage);
    let dom0 = objects.all("host").next().map(|host| host.to("control_domain"));
    let guests: Vec<Guest<'_>> = usage
        .domains
        .iter()
        .filter_map(|usage| {
            let vm = match usage.id {
                DomId(0) => objects.find(dom0.as_ref()?),
                _ => objects.by_uuid("VM", &usage.uuid.to_string()),
            }?;
            let agent = objects.find(&vm.to("guest_metrics"));
            let free = agent.and_then(|agent| agent.entry("memory", "free")?.parse().ok());
            Some(Guest { vm, usage, free_kib: free })
        })
        .collect();
    cpus_and_memory(&mut page, &guests);
    devices(&mut page, &guests);
    storage(&mut page, objects);
    page.0
}

fn host(page: &mut Page, usage: &Usage) {
    let name = "xenith_host_cpu_idle_seconds_total";
    page.figure(name, COUNTER, "Time that a physical CPU had nothing to do.");
    for (cpu, idle) in usage.cpus_idle_ns.iter().enumerate() {
        page.value(name, &[("cpu", &cpu.to_string())], seconds(*idle));
    }
    let memory = bytes(usage.memory_total_kib);
    page.one("xenith_host_memory_bytes", GAUGE, "Memory of the host.", memory);
    let memory = bytes(usage.memory_free_kib);
    page.one("xenith_host_memory_free_bytes", GAUGE, "Memory that no VM has.", memory);
    if let Some(load) = usage.load_hundredths {
        let load = f64::from(load) / 100.0;
        page.one("xenith_host_load1", GAUGE, "Dom0's load of the last minute.", load);
    }
    type Of = fn(&xenops::Traffic) -> u64;
    let figures: [(&str, &str, Of); 4] = [
        ("receive_bytes", "Bytes that a network card received.", |t| t.received_bytes),
        ("transmit_bytes", "Bytes that a network card sent.", |t| t.sent_bytes),
        ("receive_errors", "Packets that a network card could not receive.", |t| t.receive_errors),
        ("transmit_errors", "Packets that a network card could not send.", |t| t.send_errors),
    ];
    for (figure, help, of) in figures {
        let name = format!("xenith_host_network_{figure}_total");
        page.figure(&name, COUNTER, help);
        for card in &usage.cards {
            page.value(&name, &[("device", &card.name)], of(&card.traffic) as f64);
        }
    }
}

fn cpus_and_memory(page: &mut Page, guests: &[Guest<'_>]) {
    let name = "xenith_vm_cpu_seconds_total";
    page.figure(name, COUNTER, "Time that a virtual CPU ran.");
    for guest in guests {
        let [vm, label] = guest.labels();
        for (vcpu, ran) in guest.usage.vcpus_ns.iter().enumerate() {
            page.value(name, &[vm, label, ("vcpu", &vcpu.to_string())], seconds(*ran));
        }
    }
    let name = "xenith_vm_vcpus";
    page.figure(name, GAUGE, "Virtual CPUs online.");
    for guest in guests {
        page.value(name, &guest.labels(), f64::from(guest.usage.online));
    }
    let name = "xenith_vm_memory_bytes";
    page.figure(name, GAUGE, "Memory that a VM has.");
    for guest in guests {
        page.value(name, &guest.labels(), bytes(guest.usage.memory_kib));
    }
    let name = "xenith_vm_memory_free_bytes";
    page.figure(name, GAUGE, "Memory that is free within a VM, as its agent says.");
    for guest in guests {
        if let Some(free) = guest.free_kib {
            page.value(name, &guest.labels(), bytes(free));
        }
    }
}

fn devices(page: &mut Page, guests: &[Guest<'_>]) {
    type OfDisk = fn(&xenops::DiskUsage) -> u64;
    let figures: [(&str, &str, OfDisk); 4] = [
        ("read_bytes", "Bytes that a VM read from a disk.", |disk| disk.read_bytes),
        ("written_bytes", "Bytes that a VM wrote to a disk.", |disk| disk.written_bytes),
        ("reads", "Requests of a VM to read from a disk.", |disk| disk.reads),
        ("writes", "Requests of a VM to write to a disk.", |disk| disk.writes),
    ];
    for (figure, help, of) in figures {
        let name = format!("xenith_vm_disk_{figure}_total");
        page.figure(&name, COUNTER, help);
        for guest in guests {
            let [vm, label] = guest.labels();
            for disk in &guest.usage.disks {
                page.value(&name, &[vm, label, ("device", &disk.vdev)], of(disk) as f64);
            }
        }
    }
    type OfNic = fn(&xenops::Traffic) -> u64;
    let figures: [(&str, &str, OfNic); 4] = [
        ("receive_bytes", "Bytes that a VM received.", |t| t.received_bytes),
        ("transmit_bytes", "Bytes that a VM sent.", |t| t.sent_bytes),
        ("receive_errors", "Packets that a VM could not receive.", |t| t.receive_errors),
        ("transmit_errors", "Packets that a VM could not send.", |t| t.send_errors),
    ];
    for (figure, help, of) in figures {
        let name = format!("xenith_vm_network_{figure}_total");
        page.figure(&name, COUNTER, help);
        for guest in guests {
            let [vm, label] = guest.labels();
            for nic in &guest.usage.nics {
                let device = nic.devid.to_string();
                page.value(&name, &[vm, label, ("device", &device)], of(&nic.traffic) as f64);
            }
        }
    }
}

fn storage(page: &mut Page, objects: &Objects) {
    let figures = [
        ("xenith_sr_size_bytes", "physical_size", "Room of an SR."),
        ("xenith_sr_used_bytes", "physical_utilisation", "Room of an SR that is taken."),
        ("xenith_sr_allocated_bytes", "virtual_allocation", "Room that an SR's disks may take."),
    ];
    for (name, field, help) in figures {
        page.figure(name, GAUGE, help);
        for sr in objects.all("SR") {
            let labels = [
                ("sr", sr.uuid()),
                ("name_label", sr.text("name_label")),
                ("type", sr.text("type")),
            ];
            page.value(name, &labels, sr.int(field) as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Page;

    #[test]
    fn labels_are_escaped() {
        let mut page = Page::default();
        page.figure("xenith_x", "gauge", "Some help.");
        page.value("xenith_x", &[("a", "back\\slash \"quoted\"\nü {}"), ("b", "")], 1.5);
        page.value("xenith_x", &[], 1e21);
        assert_eq!(
            page.0,
            "# HELP xenith_x Some help.\n# TYPE xenith_x gauge\n\
             xenith_x{a=\"back\\\\slash \\\"quoted\\\"\\nü {}\",b=\"\"} 1.5\n\
             xenith_x 1000000000000000000000\n"
        );
    }
}
