// SPDX-License-Identifier: MIT OR Apache-2.0
//! Examples that the tests of this crate share.

use uuid::Uuid;

use crate::hypervisor::{
    DirectBoot, Disk, DiskController, DomainSpec, Firmware, GuestKind, HostInfo, Nic, Scheduling,
};
use crate::platform::Platform;

pub(crate) fn host() -> HostInfo {
    HostInfo {
        xen_version: "4.20.3".into(),
        capabilities: vec!["xen-3.0-x86_64".into(), "hvm-3.0-x86_64".into()],
        cpus: 2,
        sockets: 1,
        threads_per_core: 1,
        nodes: 1,
        cpu_model: "example".into(),
        cpu_mhz: 2000,
        memory_total_kib: 4 << 20,
        memory_free_kib: 3 << 20,
        hvm: true,
    }
}

pub(crate) fn direct() -> DirectBoot {
    DirectBoot {
        kernel: "/boot/guest/vmlinux".into(),
        ramdisk: None,
        cmdline: "console=hvc0".into(),
    }
}

pub(crate) fn pvh() -> DomainSpec {
    let uuid = Uuid::from_u128(0x8d3f_0c6e_47b1_4a52_9e0d_0000_0000_0001);
    DomainSpec {
        uuid,
        name: uuid.to_string(),
        kind: GuestKind::Pvh(direct()),
        memory_kib: 64 << 10,
        memory_max_kib: 64 << 10,
        vcpus: 1,
        vcpus_max: 2,
        scheduling: Scheduling::default(),
        affinity: Vec::new(),
        disks: vec![Disk {
            vdev: "xvda".into(),
            source: Some("/dev/loop0".into()),
            read_only: false,
            cdrom: false,
            data: std::collections::BTreeMap::new(),
        }],
        nics: vec![Nic { devid: 0, mac: "00:16:3e:01:02:03".into(), mtu: 1500, rate: None }],
        xenstore: Default::default(),
    }
}

pub(crate) fn pv() -> DomainSpec {
    let uuid = Uuid::from_u128(0x8d3f_0c6e_47b1_4a52_9e0d_0000_0000_0002);
    DomainSpec { uuid, name: uuid.to_string(), kind: GuestKind::Pv(direct()), ..pvh() }
}

pub(crate) fn hvm() -> DomainSpec {
    let uuid = Uuid::from_u128(0x8d3f_0c6e_47b1_4a52_9e0d_0000_0000_0003);
    let mut spec = DomainSpec {
        uuid,
        name: uuid.to_string(),
        kind: GuestKind::Hvm {
            smbios: [("system_manufacturer".to_owned(), "Us".to_owned())].into(),
            boot_order: "dc".into(),
            firmware: Firmware::Bios,
            disk_controller: DiskController::Ahci,
            platform: Platform::default(),
        },
        ..pvh()
    };
    spec.disks.push(Disk {
        vdev: "xvdd".into(),
        source: None,
        read_only: true,
        cdrom: true,
        data: std::collections::BTreeMap::new(),
    });
    spec
}

/// Reproducible noise (xorshift) for tests that spoil good input.
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) fn new(seed: u64) -> Noise {
        Noise(seed)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }

    /// `clean` with a few bytes changed, removed or added.
    pub(crate) fn spoil(&mut self, clean: &[u8]) -> Vec<u8> {
        let mut dirty = clean.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(dirty.len());
            match self.below(4) {
                0 => dirty.truncate(at),
                1 => dirty.insert(at.min(dirty.len()), self.below(256) as u8),
                2 if !dirty.is_empty() => drop(dirty.remove(at)),
                _ if !dirty.is_empty() => dirty[at] ^= 1 << self.below(8),
                _ => {}
            }
        }
        dirty
    }
}
