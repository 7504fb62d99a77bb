// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tests of the simulator.

use std::io::Read;

use super::*;
use crate::testing;

fn oops() -> XenopsError {
    XenopsError::failed("building domain 9", "out of luck")
}

fn kinds(events: &Receiver<Event>) -> Vec<EventKind> {
    events.try_iter().map(|event| event.kind).collect()
}

#[test]
fn a_guest_lives_and_ends() {
    let xen = Simulator::default();
    let events = xen.watch().unwrap();
    let spec = testing::pvh();
    let created = xen.create(&spec).unwrap();
    assert_eq!(created.links, [["vif1.0"]]);
    let info = |xen: &Simulator| xen.domains().unwrap().pop().unwrap();
    assert!(info(&xen).paused);
    assert_eq!(info(&xen).uuid, spec.uuid);
    xen.unpause(created.domain).unwrap();
    assert!(!info(&xen).paused);
    xen.request_shutdown(created.domain, ShutdownRequest::PowerOff).unwrap();
    assert_eq!(info(&xen).shutdown, Some(ShutdownReason::PowerOff));
    xen.destroy(created.domain).unwrap();
    xen.destroy(created.domain).unwrap();
    assert_eq!(kinds(&events), [EventKind::Shutdown(ShutdownReason::PowerOff), EventKind::Death]);
    assert_eq!(xen.domains().unwrap().len(), 1);
    assert_eq!(xen.unpause(created.domain), Err(XenopsError::NoSuchDomain(created.domain)));
}

#[test]
fn numbers_are_never_used_again() {
    let xen = Simulator::default();
    let first = xen.create(&testing::pv()).unwrap().domain;
    xen.destroy(first).unwrap();
    assert_ne!(xen.create(&testing::pv()).unwrap().domain, first);
}

#[test]
fn memory_is_accounted_for() {
    let xen = Simulator::default();
    let before = xen.host().unwrap().memory_free_kib;
    let spec =
        DomainSpec { memory_kib: before / 2 + 1, memory_max_kib: before / 2 + 1, ..testing::pv() };
    let id = xen.create(&spec).unwrap().domain;
    assert_eq!(xen.host().unwrap().memory_free_kib, before - needed_kib(&spec));
    let second = DomainSpec { uuid: Uuid::from_u128(7), ..spec.clone() };
    assert!(matches!(xen.create(&second), Err(XenopsError::NotEnoughMemory { .. })));
    xen.destroy(id).unwrap();
    assert_eq!(xen.host().unwrap().memory_free_kib, before);
    assert!(xen.create(&second).is_ok());
}

#[test]
fn one_domain_for_one_uuid() {
    let xen = Simulator::default();
    let spec = testing::pvh();
    xen.create(&spec).unwrap();
    assert_eq!(xen.create(&spec), Err(XenopsError::AlreadyExists(spec.uuid)));
}

#[test]
fn a_guest_may_ignore_requests_and_crash() {
    let xen = Simulator::default();
    let events = xen.watch().unwrap();
    let spec = testing::hvm();
    let id = xen.create(&spec).unwrap().domain;
    xen.unpause(id).unwrap();
    xen.set_manners(spec.uuid, Manners::Ignores);
    xen.request_shutdown(id, ShutdownRequest::Reboot).unwrap();
    assert_eq!(kinds(&events), []);
    xen.guest_ends(id, ShutdownReason::Crash).unwrap();
    xen.guest_ends(id, ShutdownReason::PowerOff).unwrap();
    assert_eq!(kinds(&events), [EventKind::Shutdown(ShutdownReason::Crash)]);
    xen.guest_vanishes(id).unwrap();
    assert_eq!(kinds(&events), [EventKind::Death]);
}

#[test]
fn named_calls_fail_once_and_have_no_effect() {
    let xen = Simulator::default();
    xen.fail(Call::Create, 2, oops());
    let spec = testing::pvh();
    let id = xen.create(&spec).unwrap().domain;
    xen.destroy(id).unwrap();
    assert_eq!(xen.create(&spec), Err(oops()));
    assert_eq!(xen.domains().unwrap().len(), 1);
    assert!(xen.create(&spec).is_ok());
}

#[test]
fn any_call_can_be_made_to_fail() {
    let xen = Simulator::default();
    xen.fail_any(2, oops());
    xen.fail_any(2, oops());
    assert!(xen.host().is_ok());
    assert_eq!(xen.domains(), Err(oops()));
    assert_eq!(xen.host(), Err(oops()));
    assert!(xen.host().is_ok());
    assert_eq!(xen.calls(), [Call::Host, Call::Domains, Call::Host, Call::Host]);
}

#[test]
fn a_console_says_something() {
    let xen = Simulator::new(SimulatedHost { consoles: true, ..SimulatedHost::default() });
    let spec = testing::pvh();
    let created = xen.create(&spec).unwrap();
    let mut terminal = std::fs::File::open(created.console.unwrap()).unwrap();
    xen.unpause(created.domain).unwrap();
    let mut text = [0; 256];
    let length = terminal.read(&mut text).unwrap();
    let text = String::from_utf8_lossy(&text[..length]);
    assert!(text.contains(&spec.name), "{text:?}");
}

#[test]
fn dom0_cannot_be_destroyed() {
    assert!(Simulator::default().destroy(DomId(0)).is_err());
}
