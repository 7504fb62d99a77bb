// SPDX-License-Identifier: MIT OR Apache-2.0
//! What libxl reports, read from its JSON.
//!
//! libxl leaves fields out that have their default, which is 0, false or the nil uuid.

use serde::Deserialize;
use uuid::Uuid;

use crate::hypervisor::{DomId, DomainInfo, HostInfo, ShutdownReason};

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

/// `cpuinfo` is the text of `/proc/cpuinfo`.
pub(crate) fn host(physical: &Physinfo, version: &Version, cpuinfo: &str) -> HostInfo {
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown", |(_, model)| model.trim());
    let free = physical.free_pages + physical.scrub_pages;
    HostInfo {
        xen_version: format!(
            "{}.{}{}",
            version.xen_version_major, version.xen_version_minor, version.xen_version_extra
        ),
        capabilities: version.capabilities.split_whitespace().map(str::to_owned).collect(),
        cpus: physical.nr_cpus,
        cpu_model: model.to_owned(),
        cpu_mhz: physical.cpu_khz / 1000,
        memory_total_kib: physical.total_pages * PAGE_KIB,
        memory_free_kib: free.saturating_sub(physical.outstanding_pages) * PAGE_KIB,
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

    #[test]
    fn host_facts_are_put_together() {
        let physical = Physinfo {
            nr_cpus: 2,
            cpu_khz: 2_596_128,
            total_pages: 524_000,
            free_pages: 1000,
            scrub_pages: 24,
            outstanding_pages: 24,
            cap_hvm: true,
        };
        let version = Version {
            xen_version_major: 4,
            xen_version_minor: 20,
            xen_version_extra: ".3".into(),
            capabilities: "xen-3.0-x86_64 hvm-3.0-x86_64 ".into(),
        };
        let cpuinfo = "processor\t: 0\nmodel name\t: QEMU Virtual CPU version 2.5+\n";
        let host = host(&physical, &version, cpuinfo);
        assert_eq!(host.xen_version, "4.20.3");
        assert_eq!(host.cpu_model, "QEMU Virtual CPU version 2.5+");
        assert_eq!((host.memory_free_kib, host.cpu_mhz), (4000, 2596));
        assert_eq!(host.capabilities.len(), 2);
    }
}
