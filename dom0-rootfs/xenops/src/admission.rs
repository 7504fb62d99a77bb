// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether a new domain's memory fits.
//!
//! Dom0 has a fixed size, and guests that shall give memory back have been asked to before, so the
//! answer is the hypervisor's free memory minus what domains that are being built have not taken yet.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::XenopsError;
use crate::hypervisor::{DomainSpec, GuestKind};

/// Granule of the answer: Xen hands out 2 MiB pages where it can.
const ROUND_KIB: u64 = 2 * 1024;
/// What libxl sets aside for a PV domain beside its memory.
const PV_EXTRA_KIB: u64 = 1024;
/// The same for a PVH or HVM domain.
const HVM_EXTRA_KIB: u64 = 2048;
/// Left to Xen for its own structures: grant tables, event channels, page lists.
const XEN_RESERVE_KIB: u64 = 4 * 1024;

/// KiB of the hypervisor's free memory that building `spec` takes.
///
/// The memory itself, libxl's extra, and for PVH and HVM the pool of nested page tables
/// (`libxl_get_required_paging_memory`: 1 MiB for each virtual CPU, 8 KiB for each MiB).
pub fn needed_kib(spec: &DomainSpec) -> u64 {
    let extra = match spec.kind {
        GuestKind::Pv(_) => PV_EXTRA_KIB,
        GuestKind::Pvh(_) | GuestKind::Hvm { .. } => {
            let paging = 4 * (256 * u64::from(spec.vcpus_max) + 2 * spec.memory_max_kib / 1024);
            paging.saturating_add(HVM_EXTRA_KIB)
        }
    };
    spec.memory_kib.saturating_add(extra).checked_next_multiple_of(ROUND_KIB).unwrap_or(u64::MAX)
}

/// Lets domains in as long as their memory is there, several builders at a time.
#[derive(Debug, Default)]
pub struct Admission {
    /// KiB promised to domains that are being built now.
    building: Mutex<u64>,
    done: Condvar,
}

impl Admission {
    /// Admits a domain that needs `needed_kib`, or says how much is free. `free_kib` asks the
    /// hypervisor. Where only the others being built stand in the way, waits for them: what
    /// they were promised may be counted twice, once taken already.
    pub fn admit(
        &self,
        needed_kib: u64,
        mut free_kib: impl FnMut() -> Result<u64, XenopsError>,
    ) -> Result<Admitted<'_>, XenopsError> {
        let mut building = self.lock();
        loop {
            let free = free_kib()?.saturating_sub(XEN_RESERVE_KIB);
            if needed_kib <= free.saturating_sub(*building) {
                *building += needed_kib;
                return Ok(Admitted { admission: self, kib: needed_kib });
            }
            if *building == 0 || needed_kib > free {
                return Err(XenopsError::NotEnoughMemory { needed_kib, free_kib: free });
            }
            building = self.done.wait(building).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        self.building.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A promise of memory; held until the domain is built or has failed.
#[derive(Debug)]
pub struct Admitted<'a> {
    admission: &'a Admission,
    kib: u64,
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        *self.admission.lock() -= self.kib;
        self.admission.done.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn needs_more_than_its_memory() {
        assert_eq!(needed_kib(&testing::pv()), (64 + 2) << 10);
        // 64 MiB, 2 MiB of extra, 2 vCPUs and 64 MiB of page tables: 68.5 MiB, rounded up.
        assert_eq!(needed_kib(&testing::pvh()), 70 << 10);
        let monster = DomainSpec { memory_kib: u64::MAX, ..testing::pv() };
        assert_eq!(needed_kib(&monster), u64::MAX);
    }

    #[test]
    fn promises_count() {
        let admission = Admission::default();
        let free = || Ok(100 << 10);
        let first = admission.admit(60 << 10, free).unwrap();
        assert_eq!(
            admission.admit(97 << 10, free).unwrap_err(),
            XenopsError::NotEnoughMemory { needed_kib: 97 << 10, free_kib: 96 << 10 }
        );
        drop(first);
        assert!(admission.admit(96 << 10, free).is_ok());
    }

    #[test]
    fn waits_for_builders_that_may_have_taken_theirs_already() {
        let admission = Admission::default();
        let first = admission.admit(60 << 10, || Ok(100 << 10)).unwrap();
        let (asked, was_asked) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let second = scope.spawn(|| {
                admission
                    .admit(60 << 10, || {
                        asked.send(()).unwrap();
                        Ok(100 << 10)
                    })
                    .map(|admitted| admitted.kib)
            });
            was_asked.recv().unwrap();
            drop(first);
            was_asked.recv().unwrap();
            assert_eq!(second.join().unwrap(), Ok(60 << 10));
        });
    }
}
