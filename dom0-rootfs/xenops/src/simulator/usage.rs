// SPDX-License-Identifier: MIT OR Apache-2.0
//! Made-up figures: what the simulated machine and its guests have used.
//!
//! They follow from the seconds that passed alone. By itself each look lets [`PAUSE`] seconds pass,
//! [`super::Simulator::pass`] lets others.

use uuid::Uuid;

use super::{SimulatedHost, State};
use crate::hypervisor::{DomId, DomainSpec, HostInfo};
use crate::usage::{DiskUsage, DomainUsage, LinkUsage, NicUsage, Traffic, Usage};
use crate::vdev::Vdev;

/// Seconds between two looks.
const PAUSE: u64 = 5;

/// Made-up time.
#[derive(Debug, Default)]
pub(super) struct Passed {
    seconds: u64,
    /// Seconds to pass with the next look, if somebody said so.
    next: Option<u64>,
}

impl Passed {
    pub(super) fn pass(&mut self, seconds: u64) {
        self.next = Some(self.next.unwrap_or(0) + seconds);
    }
}

/// Nanoseconds that something took that is busy for `percent` of the time.
fn busy_ns(seconds: u64, percent: u64) -> u64 {
    seconds * 10_000_000 * percent
}

pub(super) fn usage(state: &mut State, host: &SimulatedHost, info: &HostInfo) -> Usage {
    let pause = state.usage.next.take().unwrap_or(PAUSE);
    state.usage.seconds += pause;
    let seconds = state.usage.seconds;
    let mut domains = vec![DomainUsage {
        id: DomId(0),
        uuid: Uuid::nil(),
        paused: false,
        memory_kib: host.dom0_kib,
        online: 1,
        runnable: 1,
        vcpus_ns: vec![busy_ns(seconds, 10)],
        disks: Vec::new(),
        nics: Vec::new(),
    }];
    for (id, domain) in &mut state.domains {
        let runs = !domain.paused && domain.shutdown.is_none();
        if runs {
            domain.ran += pause;
        }
        domains.push(guest(*id, &domain.spec, domain.paused, runs, domain.ran));
    }
    let cpus = 0..u64::from(host.cpus);
    let card = |name: &str, rate: u64| LinkUsage {
        name: name.to_owned(),
        traffic: traffic(seconds, rate, rate / 2),
    };
    Usage {
        // The first is busy for a fifth of the time, each further one for a tenth more.
        cpus_idle_ns: cpus.map(|cpu| busy_ns(seconds, 80_u64.saturating_sub(10 * cpu))).collect(),
        memory_total_kib: info.memory_total_kib,
        memory_free_kib: info.memory_free_kib,
        load_hundredths: Some(25),
        dom0_available_kib: Some(host.dom0_kib / 2),
        cards: vec![card("eth0", 20_000), card("eth1", 200)],
        domains,
    }
}

fn guest(id: DomId, spec: &DomainSpec, paused: bool, runs: bool, ran: u64) -> DomainUsage {
    // The first virtual CPU is busy for half of the time, each further one for less.
    let vcpus = 0..u64::from(spec.vcpus);
    let disks = spec.disks.iter().filter(|disk| disk.source.is_some());
    let disks = disks.filter_map(|disk| {
        let place = u64::from(Vdev::parse(&disk.vdev)?.position()) + 1;
        Some(DiskUsage {
            vdev: disk.vdev.clone(),
            read_bytes: ran * 40_960 * place,
            written_bytes: ran * 8192 * place,
            reads: ran * 10 * place,
            writes: ran * 2 * place,
        })
    });
    let nics = spec.nics.iter().map(|nic| NicUsage {
        devid: nic.devid,
        traffic: traffic(ran, 1000 * (u64::from(nic.devid) + 1), 3000),
    });
    DomainUsage {
        id,
        uuid: spec.uuid,
        paused,
        memory_kib: spec.memory_kib,
        online: spec.vcpus,
        runnable: if runs { 1 } else { 0 },
        vcpus_ns: vcpus.map(|vcpu| busy_ns(ran, 50 / (vcpu + 1))).collect(),
        disks: disks.collect(),
        nics: nics.collect(),
    }
}

fn traffic(seconds: u64, received: u64, sent: u64) -> Traffic {
    Traffic {
        received_bytes: seconds * received,
        sent_bytes: seconds * sent,
        receive_errors: 0,
        send_errors: 0,
    }
}

#[cfg(test)]
mod tests {
    use crate::hypervisor::Hypervisor;
    use crate::simulator::Simulator;
    use crate::testing;

    #[test]
    fn figures_move_while_a_guest_runs() {
        let xen = Simulator::default();
        let created = xen.create(&testing::pvh()).unwrap();
        let guest = || xen.usage().unwrap().domains.pop().unwrap();
        let paused = guest();
        assert_eq!((paused.id, paused.paused, paused.vcpus_ns[0]), (created.domain, true, 0));
        xen.unpause(created.domain).unwrap();
        assert_eq!(guest().vcpus_ns, [2_500_000_000]);
        xen.pass(1);
        xen.pass(1);
        let later = guest();
        assert_eq!(later.vcpus_ns, [3_500_000_000]);
        assert_eq!((later.disks[0].vdev.as_str(), later.disks[0].read_bytes), ("xvda", 7 * 40_960));
        assert_eq!((later.nics[0].devid, later.nics[0].traffic.received_bytes), (0, 7000));
        let usage = xen.usage().unwrap();
        assert_eq!(usage.cpus_idle_ns.len(), 4);
        assert!(usage.cpus_idle_ns[0] > usage.cpus_idle_ns[3]);
        assert_eq!(usage.cards[0].traffic.received_bytes, 17 * 20_000);
    }
}
