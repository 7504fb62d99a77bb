// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does what a VM's settings ask for when its guest ends.

use std::sync::mpsc::Receiver;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use anyhow::Context as _;
use tokio::runtime::Handle;
use xapi_model::{ApiError, DateTime, Ref, Value};
use xenops::{DomId, Event, EventKind, ShutdownReason};

use super::operation::under_way;
use super::{crash_dump, start, stop};
use crate::alerts::{self, OfGuest};
use crate::failure;
use crate::guest;
use crate::memory;
use crate::store::Object;
use crate::toolstack::{Context, Toolstack};

/// A guest that crashes sooner than this after its start, in seconds, is not started again.
const CRASH_LOOP: i64 = 120;
/// How often the end of a guest is dealt with until it is given up.
const TRIES: usize = 3;
/// Pause before another try, also to watch the hypervisor.
const AGAIN: Duration = Duration::from_secs(1);

/// Watches domains as long as the daemon runs. Returns once watching has begun.
pub fn begin(toolstack: &Arc<Toolstack>) -> anyhow::Result<()> {
    let events = toolstack.hypervisor.watch().context("asking for events")?;
    // The thread does not keep the daemon's inside alive.
    let (weak, handle) = (Arc::downgrade(toolstack), Handle::current());
    let watch = std::thread::Builder::new().name("watcher".into());
    watch.spawn(move || watch_on(&weak, &handle, events)).context("starting a thread")?;
    Ok(())
}

fn watch_on(toolstack: &Weak<Toolstack>, handle: &Handle, mut events: Receiver<Event>) {
    loop {
        while let Ok(event) = events.recv() {
            let Some(toolstack) = toolstack.upgrade() else { return };
            if event.kind != EventKind::GuestData {
                handle.spawn_blocking(move || on_event(&toolstack, &event));
            } else if toolstack.guest_news.heard(event.domain) {
                handle.spawn_blocking(move || guest::listen(&toolstack, event.domain));
            }
        }
        // The hypervisor's side ended the watch. What happened meanwhile is found out from the list
        // of domains.
        std::thread::park_timeout(AGAIN);
        let Some(toolstack) = toolstack.upgrade() else { return };
        match toolstack.hypervisor.watch() {
            Ok(again) => events = again,
            Err(error) => tracing::error!(%error, "watching domains"),
        }
        let compared = handle.spawn_blocking(move || {
            if let Err(error) = crate::reconcile::domains(&toolstack) {
                tracing::error!(%error, "comparing with the domains that exist");
            }
        });
        drop(compared);
    }
}

/// What becomes of a VM whose guest has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Halt,
    Restart,
    /// It stays for an inspection.
    Preserve,
}

fn on_event(toolstack: &Arc<Toolstack>, event: &Event) {
    let result = match event.kind {
        EventKind::Shutdown(reason) => ended(toolstack, event.domain, Some(reason)),
        EventKind::Death => {
            let done = ended(toolstack, event.domain, None);
            // Others may have what it had.
            memory::balance(toolstack);
            done
        }
        EventKind::GuestData => Ok(()),
    };
    if let Err(error) = result {
        tracing::error!(%error, domain = event.domain.0, "after the end of a guest");
    }
}

/// The VM that has this domain.
fn owner(toolstack: &Toolstack, domain: DomId) -> Option<Ref> {
    toolstack.store.read(|objects| {
        let mut vms = objects.all("VM");
        let owner =
            vms.find(|vm| stop::domain(vm) == Some(domain) && !vm.bool("is_control_domain"));
        owner.map(|vm| vm.reference().clone())
    })
}

/// Deals with a domain whose guest has ended (`reason`) or that is gone (none).
pub fn ended(
    toolstack: &Arc<Toolstack>,
    domain: DomId,
    reason: Option<ShutdownReason>,
) -> Result<(), ApiError> {
    let Some(vm) = owner(toolstack, domain) else { return Ok(()) };
    let lock = toolstack.lock_of(&vm);
    let _held = lock.lock().unwrap_or_else(PoisonError::into_inner);
    // Somebody else may have ended or restarted it while this waited for the lock.
    if owner(toolstack, domain).as_ref() != Some(&vm) {
        return Ok(());
    }
    if reason == Some(ShutdownReason::Suspend) {
        // Whoever suspended it has let go of the lock: what is still suspended was given up.
        let resumed = toolstack.hypervisor.resume(domain);
        return resumed.map_err(|e| failure::xenops(&e, &vm));
    }
    let (fate, told) = toolstack.look("VM", &vm, |vm, objects| {
        let started = objects.find(&vm.to("metrics")).map(|m| m.get("start_time").clone());
        let started = match started {
            Some(Value::DateTime(time)) => time,
            _ => DateTime::EPOCH,
        };
        let age = DateTime::now().0 - started.0;
        let fate = reason.map_or(Fate::Halt, |reason| fate(vm, reason, age));
        (fate, reason.and_then(|reason| told(vm, reason)))
    })?;
    tracing::info!(%vm, domain = domain.0, ?reason, ?fate, "a guest has ended");
    if let Some(ShutdownReason::Crash | ShutdownReason::Watchdog) = reason
        && toolstack
            .look("VM", &vm, |vm, _| vm.text("actions_after_crash").starts_with("coredump_"))?
        && let Err(error) = crash_dump::keep(toolstack, &vm, domain)
    {
        // The VM goes on without it.
        tracing::error!(%error, %vm, "keeping the memory of a guest that crashed");
    }
    let done = settle(toolstack, &vm, fate);
    if let Some(what) = told {
        alerts::of_guest(&toolstack.store, &vm, what);
    }
    done
}

fn settle(toolstack: &Arc<Toolstack>, vm: &Ref, fate: Fate) -> Result<(), ApiError> {
    match fate {
        Fate::Preserve => toolstack.store.write(|t| {
            t.set(vm, "power_state", Value::Enum("Paused"));
            Ok(())
        }),
        Fate::Halt => tear_down(toolstack, vm),
        Fate::Restart => {
            tear_down(toolstack, vm)?;
            start::start(&Context::myself(toolstack), vm, false)
        }
    }
}

/// Nobody else would try again: whoever asked the guest to end waits for this.
fn tear_down(toolstack: &Arc<Toolstack>, vm: &Ref) -> Result<(), ApiError> {
    for _ in 1..TRIES {
        match stop::tear_down(toolstack, vm) {
            Ok(()) => return Ok(()),
            Err(error) => tracing::error!(%error, %vm, "removing the domain of a guest that ended"),
        }
        std::thread::park_timeout(AGAIN);
    }
    stop::tear_down(toolstack, vm)
}

/// What people are told of; whoever asked the guest to end tells of it himself.
fn told(vm: &Object, reason: ShutdownReason) -> Option<OfGuest> {
    let asked = under_way(
        vm,
        &["clean_shutdown", "shutdown", "hard_shutdown", "clean_reboot", "hard_reboot"],
    );
    match reason {
        ShutdownReason::Crash | ShutdownReason::Watchdog => Some(OfGuest::Crash),
        ShutdownReason::PowerOff if !asked => Some(OfGuest::Shutdown),
        ShutdownReason::Reboot if !asked => Some(OfGuest::Reboot),
        _ => None,
    }
}

fn fate(vm: &Object, reason: ShutdownReason, age: i64) -> Fate {
    if under_way(vm, &["clean_shutdown", "shutdown", "hard_shutdown"]) {
        return Fate::Halt;
    }
    if under_way(vm, &["clean_reboot"]) {
        return Fate::Restart;
    }
    let action = match reason {
        ShutdownReason::PowerOff => vm.text("actions_after_shutdown"),
        ShutdownReason::Reboot => vm.text("actions_after_reboot"),
        ShutdownReason::Crash | ShutdownReason::Watchdog => vm.text("actions_after_crash"),
        ShutdownReason::Suspend => "preserve",
    };
    let crashed = matches!(reason, ShutdownReason::Crash | ShutdownReason::Watchdog);
    match action {
        "preserve" => Fate::Preserve,
        _ if crashed && age < CRASH_LOOP => Fate::Halt,
        "restart" | "coredump_and_restart" | "rename_restart" => Fate::Restart,
        _ => Fate::Halt,
    }
}
