// SPDX-License-Identifier: MIT OR Apache-2.0
//! What libxl reports, read from its JSON.
//!
//! libxl leaves fields out that have their default, which is 0, false or the nil uuid.

use serde::Deserialize;
use uuid::Uuid;

use super::sysfs::Sysfs;
use crate::hypervisor::{DomId, DomainInfo, HostInfo, ShutdownReason};
use crate::usage::{DomainUsage, Usage};

/// `libxl_dominfo`, as far as it matters.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Dominfo {
    uuid: Uuid,
    domid: u32,
    paused: bool,
    shutdown: bool,
    dying: bool,
    shutdown_reason: String,
    current_memkb: u64,
    cpu_time: u64,
    vcpu_online: u32,
}

/// `libxl_physinfo`, as far as it matters.
#[derive(Debug, Deserialize)]
pub(crate) struct Physinfo {
    nr_cpus: u32,
    #[serde(default)]
    threads_per_core: u32,
    #[serde(default)]
    cores_per_socket: u32,
    #[serde(default)]
    nr_nodes: u32,
    cpu_khz: u32,
    total_pages: u64,
    #[serde(default)]
    free_pages: u64,
    #[serde(default)]
    scrub_pages: u64,
    #[serde(default)]
    outstanding_pages: u64,
    #[serde(default)]
    cap_hvm: bool,
}

/// What the shim says of CPUs and domains.
#[derive(Debug, Deserialize)]
pub(crate) struct Counters {
    cpus: Vec<u64>,
    domains: Vec<DomainCounters>,
}

/// What the shim says of a domain.
#[derive(Debug, Deserialize)]
struct DomainCounters {
    domid: u32,
    uuid: Uuid,
    paused: bool,
    memory_kib: u64,
    vcpus: Vec<u64>,
    online: u32,
    runnable: u32,
}

/// `libxl_version_info`, as far as it matters.
#[derive(Debug, Deserialize)]
pub(crate) struct Version {
    #[serde(default)]
    xen_version_major: u32,
    #[serde(default)]
    xen_version_minor: u32,
    #[serde(default)]
    xen_version_extra: String,
    capabilities: String,
}

/// Xen's page, in KiB.
const PAGE_KIB: u64 = 4;

impl Physinfo {
    pub(crate) fn free_kib(&self) -> u64 {
        let free = self.free_pages + self.scrub_pages;
        free.saturating_sub(self.outstanding_pages) * PAGE_KIB
    }
}

/// The domains that live; those that are being taken apart are gone for us.
pub(crate) fn domains(list: Vec<Dominfo>) -> Vec<DomainInfo> {
    let alive = list.into_iter().filter(|info| !info.dying);
    let domains = alive.map(|info| DomainInfo {
        id: DomId(info.domid),
        uuid: info.uuid,
        paused: info.paused,
        shutdown: info.shutdown.then(|| reason(&info.shutdown_reason)),
        memory_kib: info.current_memkb,
        vcpus: info.vcpu_online,
        cpu_time_ns: info.cpu_time,
    });
    domains.collect()
}

fn reason(word: &str) -> ShutdownReason {
    match word {
        "poweroff" => ShutdownReason::PowerOff,
        "reboot" => ShutdownReason::Reboot,
        "suspend" => ShutdownReason::Suspend,
        "watchdog" => ShutdownReason::Watchdog,
        // A soft reset that nobody serves, or a reason of a newer Xen, is no orderly end.
        _ => ShutdownReason::Crash,
    }
}

/// Puts together what Xen and Dom0's kernel have counted.
pub(crate) fn usage(physical: &Physinfo, counters: Counters, sysfs: &Sysfs) -> Usage {
    let (cards, mut devices) = sysfs.devices();
    let domains = counters.domains.into_iter().map(|domain| {
        let devices = devices.remove(&domain.domid).unwrap_or_default();
        DomainUsage {
            id: DomId(domain.domid),
            uuid: domain.uuid,
            paused: domain.paused,
            memory_kib: domain.memory_kib,
            online: domain.online,
            runnable: domain.runnable,
            vcpus_ns: domain.vcpus,
            disks: devices.disks,
            nics: devices.nics,
        }
    });
    Usage {
        cpus_idle_ns: counters.cpus,
        memory_total_kib: physical.total_pages * PAGE_KIB,
        memory_free_kib: physical.free_kib(),
        load_hundredths: sysfs.load_hundredths(),
        dom0_available_kib: sysfs.available_kib(),
        cards,
        domains: domains.collect(),
    }
}

/// `cpuinfo` is the text of `/proc/cpuinfo`.
pub(crate) fn host(physical: &Physinfo, version: &Version, cpuinfo: &str) -> HostInfo {
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown", |(_, model)| model.trim());
    let threads_per_core = physical.threads_per_core.max(1);
    let per_socket = threads_per_core * physical.cores_per_socket.max(1);
    HostInfo {
        xen_version: format!(
            "{}.{}{}",
            version.xen_version_major, version.xen_version_minor, version.xen_version_extra
        ),
        capabilities: version.capabilities.split_whitespace().map(str::to_owned).collect(),
        cpus: physical.nr_cpus,
        sockets: (physical.nr_cpus / per_socket).max(1),
        threads_per_core,
        nodes: physical.nr_nodes.max(1),
        cpu_model: model.to_owned(),
        cpu_mhz: physical.cpu_khz / 1000,
        memory_total_kib: physical.total_pages * PAGE_KIB,
        memory_free_kib: physical.free_kib(),
        hvm: physical.cap_hvm,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_read_and_dying_ones_left_out() {
        // As libxl_dominfo_to_json of Xen 4.20 writes them; the first is Dom0.
        let list = serde_json::json!([
            {"running": true, "shutdown_reason": "unknown", "current_memkb": 786432,
             "cpu_time": 9, "vcpu_online": 1, "domain_type": "pv"},
            {"uuid": "8d3f0c6e-47b1-4a52-9e0d-000000000001", "domid": 1, "paused": true,
             "current_memkb": 65536, "cpu_time": 5_000_000_000u64, "vcpu_online": 1,
             "domain_type": "pvh"},
            {"uuid": "8d3f0c6e-47b1-4a52-9e0d-000000000002", "domid": 2, "dying": true},
            {"uuid": "8d3f0c6e-47b1-4a52-9e0d-000000000003", "domid": 3, "shutdown": true,
             "shutdown_reason": "reboot"},
            {"uuid": "8d3f0c6e-47b1-4a52-9e0d-000000000004", "domid": 4, "shutdown": true,
             "shutdown_reason": "soft_reset"},
        ]);
        let list = domains(serde_json::from_value(list).unwrap());
        let seen: Vec<_> = list.iter().map(|domain| (domain.id.0, domain.shutdown)).collect();
        assert_eq!(
            seen,
            [
                (0, None),
                (1, None),
                (3, Some(ShutdownReason::Reboot)),
                (4, Some(ShutdownReason::Crash)),
            ]
        );
        assert_eq!((list[1].memory_kib, list[1].cpu_time_ns), (65536, 5_000_000_000));
        assert!(list[1].paused && list[0].uuid.is_nil());
    }

    fn physical() -> Physinfo {
        Physinfo {
            nr_cpus: 8,
            threads_per_core: 2,
            cores_per_socket: 2,
            nr_nodes: 0,
            cpu_khz: 2_596_128,
            total_pages: 524_000,
            free_pages: 1000,
            scrub_pages: 24,
            outstanding_pages: 24,
            cap_hvm: true,
        }
    }

    #[test]
    fn counters_are_put_together() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("proc/net/dev", " vif1.0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n");
        // As the shim prints it.
        let counters = serde_json::json!({"cpus": [5, 6], "domains": [
            {"domid": 0, "uuid": "00000000-0000-0000-0000-000000000000", "paused": false,
             "memory_kib": 786432, "vcpus": [7], "online": 1, "runnable": 1},
            {"domid": 1, "uuid": "8d3f0c6e-47b1-4a52-9e0d-000000000001", "paused": true,
             "memory_kib": 65536, "vcpus": [8, 9], "online": 2, "runnable": 0},
        ]});
        let counters = serde_json::from_value(counters).unwrap();
        let usage = usage(&physical(), counters, &Sysfs::new(folder.path().to_owned()));
        assert_eq!((usage.cpus_idle_ns.as_slice(), usage.memory_free_kib), (&[5, 6][..], 4000));
        let [dom0, guest] = usage.domains.as_slice() else { panic!("{usage:?}") };
        assert!(dom0.uuid.is_nil() && dom0.nics.is_empty() && guest.paused);
        assert_eq!(guest.vcpus_ns, [8, 9]);
        assert_eq!((guest.nics[0].traffic.received_bytes, guest.nics[0].devid), (9, 0));
    }

    #[test]
    fn host_facts_are_put_together() {
        let version = Version {
            xen_version_major: 4,
            xen_version_minor: 20,
            xen_version_extra: ".3".into(),
            capabilities: "xen-3.0-x86_64 hvm-3.0-x86_64 ".into(),
        };
        let cpuinfo = "processor\t: 0\nmodel name\t: QEMU Virtual CPU version 2.5+\n";
        let host = host(&physical(), &version, cpuinfo);
        assert_eq!(host.xen_version, "4.20.3");
        assert_eq!(host.cpu_model, "QEMU Virtual CPU version 2.5+");
        assert_eq!((host.memory_free_kib, host.cpu_mhz), (4000, 2596));
        assert_eq!((host.sockets, host.threads_per_core, host.nodes), (2, 2, 1));
        assert_eq!(host.capabilities.len(), 2);
    }
}
