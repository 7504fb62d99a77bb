// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory of guests that run: how much each is asked to have.
//!
//! A VM has between its `memory_dynamic_min` and its `memory_dynamic_max`. While there is enough for
//! all, each has its most. Otherwise all have the same part of what lies between their least and
//! their most, as XenServer divides it. Guests give memory back by their balloon drivers, by and by.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use xapi_model::{ApiError, Ref, errors};
use xenops::{DomId, XenopsError, needed_kib};

use crate::failure;
use crate::store::Objects;
use crate::toolstack::{Context, Toolstack};
use crate::vm::plan::Plan;
use crate::vm::stop;

/// Memory is handed out in steps of this, in KiB.
const STEP_KIB: u64 = 1024;
/// Left free beside what a start needs, in KiB: what Xen keeps for itself, and roundings.
const SPARE_KIB: u64 = 8 * 1024;
/// A guest is where it should be when it is no further off, in KiB.
const NEAR_KIB: u64 = 4 * 1024;
/// How long guests may give nothing back until they are no longer waited for.
const STUCK: Duration = Duration::from_secs(10);
/// How long a client waits for a guest to have what it should, as on XenServer.
const LONGEST: Duration = Duration::from_secs(256);
/// How often is looked.
const LOOK: Duration = Duration::from_millis(200);

/// Between these a guest's memory may be, in KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    least: u64,
    most: u64,
}

impl Range {
    fn of(bytes: (i64, i64)) -> Range {
        let (least, most) = (in_kib(bytes.0), in_kib(bytes.1));
        Range { least, most: most.max(least) }
    }
}

/// Divides `pot` KiB, in whole steps. With less than the least of all, each gets its least.
fn shares(pot: u64, ranges: &[Range]) -> Vec<u64> {
    let least: u64 = ranges.iter().map(|range| range.least).sum();
    let between: u64 = ranges.iter().map(|range| range.most - range.least).sum();
    let spread = pot.saturating_sub(least);
    let share = |range: &Range| {
        if spread >= between {
            return range.most;
        }
        let part = u128::from(spread) * u128::from(range.most - range.least) / u128::from(between);
        let part = u64::try_from(part).unwrap_or_default();
        range.least + part / STEP_KIB * STEP_KIB
    };
    ranges.iter().map(share).collect()
}

/// A guest whose memory may be changed.
struct Guest {
    vm: Ref,
    domain: DomId,
    /// What it has, in KiB.
    has: u64,
    range: Range,
}

/// What a VM that runs should have: its domain and range, if that is one.
fn range(objects: &Objects, vm: &Ref) -> Option<(DomId, Range)> {
    let vm = objects.find(vm)?;
    let (least, most) = (vm.int("memory_dynamic_min"), vm.int("memory_dynamic_max"));
    let target = vm.int("memory_target");
    let runs = vm.text("power_state") == "Running" && !vm.bool("is_control_domain");
    let changes = least < most || target != most;
    let domain = stop::domain(vm).filter(|_| runs && changes)?;
    Some((domain, Range::of((least, most))))
}

/// Nobody else changes how much memory guests have as long as it is there.
#[must_use]
pub struct Room<'a>(#[expect(dead_code, reason = "it is held")] Option<MutexGuard<'a, ()>>);

fn hold(toolstack: &Toolstack) -> MutexGuard<'_, ()> {
    toolstack.memory.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failed(error: &XenopsError) -> ApiError {
    errors::INTERNAL_ERROR.with([failure::chain(error)])
}

/// Guests whose memory may be changed.
fn ranges(toolstack: &Toolstack) -> Vec<(Ref, DomId, Range)> {
    toolstack.store.read(|objects| {
        let vms = objects.all("VM").map(|vm| vm.reference().clone());
        vms.filter_map(|vm| range(objects, &vm).map(|(domain, range)| (vm, domain, range)))
            .collect()
    })
}

/// Memory that no domain has, and the guests whose memory may be changed now.
fn look(toolstack: &Toolstack) -> Result<(u64, Vec<Guest>), ApiError> {
    let hypervisor = &toolstack.hypervisor;
    let ranges = ranges(toolstack);
    let free = hypervisor.host().map_err(|e| failed(&e))?.memory_free_kib;
    if ranges.is_empty() {
        return Ok((free, Vec::new()));
    }
    let domains = hypervisor.domains().map_err(|e| failed(&e))?;
    let guests = ranges.into_iter().filter_map(|(vm, domain, range)| {
        let info = domains.iter().find(|info| info.id == domain)?;
        let lives = !info.paused && info.shutdown.is_none();
        lives.then_some(Guest { vm, domain, has: info.memory_kib, range })
    });
    Ok((free, guests.collect()))
}

/// Asks a guest to have `kib` KiB, unless something is being done with its VM, and records that.
fn ask(toolstack: &Toolstack, guest: &Guest, kib: u64) {
    let lock = toolstack.lock_of(&guest.vm);
    // In this order locks are taken: VM, then memory. So nobody is waited for.
    let Ok(_held) = lock.try_lock() else { return };
    let bytes = crate::vdis::bytes(kib.saturating_mul(1024));
    let same = toolstack.store.read(|objects| match range(objects, &guest.vm) {
        Some((domain, _)) if domain == guest.domain => {
            objects.find(&guest.vm).is_some_and(|vm| vm.int("memory_target") == bytes)
        }
        _ => true,
    });
    if same {
        return;
    }
    let asked = toolstack.hypervisor.set_memory_target(guest.domain, kib);
    let recorded = asked.map_err(|e| failed(&e)).and_then(|()| {
        toolstack.store.write(|t| {
            t.get("VM", &guest.vm)?;
            t.set(&guest.vm, "memory_target", bytes);
            Ok(())
        })
    });
    if let Err(error) = recorded {
        tracing::warn!(%error, vm = %guest.vm, kib, "changing the memory of a guest");
    }
}

/// Gives each guest its share of what there is. Does nothing while room is being made: whoever does
/// that divides what is left afterwards.
pub fn balance(toolstack: &Toolstack) {
    if ranges(toolstack).is_empty() {
        return;
    }
    let Ok(_held) = toolstack.memory.try_lock() else { return };
    let result = look(toolstack).map(|(free, guests)| {
        let ranges: Vec<Range> = guests.iter().map(|guest| guest.range).collect();
        let pot = pot(free, &guests);
        for (guest, kib) in guests.iter().zip(shares(pot, &ranges)) {
            ask(toolstack, guest, kib);
        }
    });
    if let Err(error) = result {
        tracing::warn!(%error, "dividing memory among guests");
    }
}

/// What guests may have together.
fn pot(free: u64, guests: &[Guest]) -> u64 {
    free.saturating_sub(SPARE_KIB) + guests.iter().map(|guest| guest.has).sum::<u64>()
}

/// Memory that is free, or that guests would give back, in KiB.
pub fn available_kib(toolstack: &Toolstack) -> Result<u64, ApiError> {
    let (free, guests) = look(toolstack)?;
    let back = |guest: &Guest| guest.has.saturating_sub(guest.range.least);
    Ok(free + guests.iter().map(back).sum::<u64>())
}

/// Decides how much memory a VM starts with and has other guests give back what it needs. Whether
/// that was enough the hypervisor says, when the domain is built; until then the room is to be kept.
pub fn make_room<'a>(
    toolstack: &'a Toolstack,
    vm: &Ref,
    plan: &mut Plan,
) -> Result<Room<'a>, ApiError> {
    let own = toolstack.look("VM", vm, |vm, _| {
        let kib = in_kib(vm.int("memory_target"));
        let had = Range { least: kib, most: kib };
        match vm.text("power_state") {
            // Its image has this much.
            "Suspended" if kib > 0 => had,
            _ => Range::of((vm.int("memory_dynamic_min"), vm.int("memory_dynamic_max"))),
        }
    })?;
    plan.spec.memory_kib = own.most;
    if own.least == own.most && ranges(toolstack).is_empty() {
        return Ok(Room(None));
    }
    let held = hold(toolstack);
    let beside = needed_kib(&plan.spec).saturating_sub(plan.spec.memory_kib);
    let mut waited = Waited::new();
    loop {
        let (free, guests) = look(toolstack)?;
        let mut ranges: Vec<Range> = guests.iter().map(|guest| guest.range).collect();
        ranges.push(own);
        let mut shares = shares(pot(free, &guests).saturating_sub(beside), &ranges);
        plan.spec.memory_kib = shares.pop().unwrap_or(own.most);
        let needed = needed_kib(&plan.spec);
        if needed + SPARE_KIB <= free || guests.is_empty() {
            return Ok(Room(Some(held)));
        }
        for (guest, kib) in guests.iter().zip(&shares) {
            ask(toolstack, guest, *kib);
        }
        let too_much: u64 =
            guests.iter().zip(&shares).map(|(guest, kib)| guest.has.saturating_sub(*kib)).sum();
        if waited.is_vain(too_much) {
            return Ok(Room(Some(held)));
        }
    }
}

fn in_kib(bytes: i64) -> u64 {
    u64::try_from(bytes).unwrap_or_default() / 1024
}

/// Lets a guest that is to be suspended keep what it has, and records how much that is: its image has
/// this much. The caller holds the VM's lock.
pub fn hold_still(toolstack: &Arc<Toolstack>, vm: &Ref) -> Result<(), ApiError> {
    let _held = hold(toolstack);
    let Some((domain, _)) = toolstack.store.read(|objects| range(objects, vm)) else {
        return Ok(());
    };
    let domains = toolstack.hypervisor.domains().map_err(|e| failed(&e))?;
    let Some(info) = domains.into_iter().find(|info| info.id == domain) else { return Ok(()) };
    let held = toolstack.hypervisor.set_memory_target(domain, info.memory_kib);
    held.map_err(|e| failure::xenops(&e, vm))?;
    toolstack.store.write(|t| {
        t.get("VM", vm)?;
        t.set(vm, "memory_target", crate::vdis::bytes(info.memory_kib.saturating_mul(1024)));
        Ok(())
    })
}

/// Whether a guest has what it should.
pub fn has_target(toolstack: &Toolstack, vm: &Ref) -> Result<bool, ApiError> {
    let (domain, target) =
        toolstack.look("VM", vm, |vm, _| (stop::domain(vm), vm.int("memory_target")))?;
    let Some(domain) = domain else { return Ok(true) };
    let domains = toolstack.hypervisor.domains().map_err(|e| failed(&e))?;
    let info = domains.into_iter().find(|info| info.id == domain);
    Ok(info.is_none_or(|info| info.memory_kib.abs_diff(in_kib(target)) <= NEAR_KIB))
}

/// Waits until a guest has what it should.
pub fn wait_for_target(context: &Context, vm: &Ref) -> Result<(), ApiError> {
    let cancel = context.cancellable()?;
    let begun = Instant::now();
    while !has_target(&context.toolstack, vm)? {
        context.check_cancelled(&cancel)?;
        if begun.elapsed() >= LONGEST {
            return Err(errors::VM_MEMORY_TARGET_WAIT_TIMEOUT.with([vm.as_str()]));
        }
        pause();
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "Xen has no event for a balloon that moves")]
fn pause() {
    thread::sleep(LOOK);
}

/// A wait that goes on as long as it leads to something.
struct Waited {
    least: u64,
    since: Instant,
}

impl Waited {
    fn new() -> Waited {
        Waited { least: u64::MAX, since: Instant::now() }
    }

    /// Waits a moment; true if what is missing has not become less for long.
    fn is_vain(&mut self, missing: u64) -> bool {
        if missing < self.least {
            *self = Waited { least: missing, since: Instant::now() };
        }
        if missing == 0 || self.since.elapsed() >= STUCK {
            return true;
        }
        pause();
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(least: u64, most: u64) -> Range {
        Range { least: least * STEP_KIB, most: most * STEP_KIB }
    }

    fn mib(pot: u64, ranges: &[Range]) -> Vec<u64> {
        shares(pot * STEP_KIB, ranges).into_iter().map(|kib| kib / STEP_KIB).collect()
    }

    #[test]
    fn all_have_the_same_part_of_what_is_between() {
        let ranges = [range(100, 200), range(100, 400), range(64, 64)];
        assert_eq!(mib(1000, &ranges), [200, 400, 64]);
        assert_eq!(mib(664, &ranges), [200, 400, 64]);
        assert_eq!(mib(464, &ranges), [150, 250, 64]);
        assert_eq!(mib(264, &ranges), [100, 100, 64]);
        assert_eq!(mib(10, &ranges), [100, 100, 64], "nobody has less than the least");
        assert_eq!(mib(10, &[]), [0u64; 0]);
    }

    #[test]
    fn shares_never_add_up_to_more_than_there_is() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..10_000 {
            let ranges: Vec<Range> = (0..random.usize(1..6))
                .map(|_| {
                    let least = random.u64(0..1 << 34);
                    Range { least, most: least + random.u64(0..1 << 34) }
                })
                .collect();
            let least: u64 = ranges.iter().map(|range| range.least).sum();
            let pot = least + random.u64(0..1 << 35);
            let shares = shares(pot, &ranges);
            assert!(shares.iter().sum::<u64>() <= pot);
            for (share, range) in shares.iter().zip(&ranges) {
                assert!((range.least..=range.most).contains(share));
            }
        }
    }

    #[test]
    fn limits_that_are_none_make_no_range() {
        assert_eq!(Range::of((-5, 2048)), Range { least: 0, most: 2 });
        assert_eq!(Range::of((4096, 1024)), Range { least: 4, most: 4 });
    }
}
