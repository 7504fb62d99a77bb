// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the machine and its domains have used, in counters that only grow while a domain lives.

use uuid::Uuid;

use crate::hypervisor::DomId;

/// What [`crate::Hypervisor::usage`] tells.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Usage {
    /// Time that each physical CPU had nothing to do since Xen started, in nanoseconds. It is Xen's
    /// own account of its idle virtual CPUs, so it is exact.
    pub cpus_idle_ns: Vec<u64>,
    /// Memory of the machine in KiB.
    pub memory_total_kib: u64,
    /// Memory that no domain has, in KiB.
    pub memory_free_kib: u64,
    /// Dom0's load of the last minute, in hundredths; none if it cannot be read.
    pub load_hundredths: Option<u32>,
    /// Memory that programs in Dom0 could still get, in KiB; none if it cannot be read.
    pub dom0_available_kib: Option<u64>,
    /// Network cards of the host.
    pub cards: Vec<LinkUsage>,
    /// Every domain, Dom0 among them.
    pub domains: Vec<DomainUsage>,
}

/// What a domain has used.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DomainUsage {
    /// Its number.
    pub id: DomId,
    /// Its uuid, which is the VM's; nil for Dom0.
    pub uuid: Uuid,
    /// Paused by the toolstack.
    pub paused: bool,
    /// Memory in KiB.
    pub memory_kib: u64,
    /// Virtual CPUs online.
    pub online: u32,
    /// Of these the ones that run, or could if there were a CPU for them.
    pub runnable: u32,
    /// Time that each virtual CPU ran, in nanoseconds.
    pub vcpus_ns: Vec<u64>,
    /// Block devices whose traffic is known.
    pub disks: Vec<DiskUsage>,
    /// Network interfaces.
    pub nics: Vec<NicUsage>,
}

/// What a domain has done with a block device.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DiskUsage {
    /// Name in the guest: `xvda`.
    pub vdev: String,
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub written_bytes: u64,
    /// Requests to read.
    pub reads: u64,
    /// Requests to write.
    pub writes: u64,
}

/// What went over a network interface, as its owner sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Traffic {
    /// Bytes received.
    pub received_bytes: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Packets that could not be received.
    pub receive_errors: u64,
    /// Packets that could not be sent.
    pub send_errors: u64,
}

/// A network interface of a domain.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct NicUsage {
    /// Device number in the guest: 0, 1, ….
    pub devid: u32,
    /// As the guest sees it.
    pub traffic: Traffic,
}

/// A network card of the host.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LinkUsage {
    /// Its name: `eth0`.
    pub name: String,
    /// As the host sees it.
    pub traffic: Traffic,
}
