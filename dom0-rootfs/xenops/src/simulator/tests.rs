// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tests of the simulator.

use std::fs::File;
use std::io::Read;

use super::*;
use crate::onlooker::Nobody;
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

#[test]
fn devices_come_and_go() {
    let xen = Simulator::default();
    let spec = testing::pvh();
    let id = xen.create(&spec).unwrap().domain;
    xen.unpause(id).unwrap();
    let disk = Disk { vdev: "xvdb".into(), ..spec.disks[0].clone() };
    xen.plug_disk(id, &disk).unwrap();
    assert!(matches!(xen.plug_disk(id, &disk), Err(XenopsError::BadSpec { .. })));
    let nic = Nic { devid: 1, mac: "00:16:3e:01:02:04".into(), mtu: 1500, rate: None };
    assert_eq!(xen.plug_nic(id, &nic).unwrap(), ["vif1.1"]);
    let now = xen.spec(id).unwrap();
    assert_eq!((now.disks.len(), now.nics.len()), (2, 2));
    for (manners, rejected) in [(Manners::KeepsDevices, true), (Manners::Ignores, false)] {
        xen.set_manners(spec.uuid, manners);
        for error in [xen.unplug_disk(id, "xvdb", false), xen.unplug_nic(id, 1, false)] {
            match error.unwrap_err() {
                XenopsError::DetachRejected { .. } => assert!(rejected),
                XenopsError::DetachTimedOut { .. } => assert!(!rejected),
                other => panic!("{other}"),
            }
        }
    }
    xen.unplug_disk(id, "xvdb", true).unwrap();
    xen.unplug_disk(id, "xvdb", false).unwrap();
    xen.set_manners(spec.uuid, Manners::Obeys);
    xen.unplug_nic(id, 1, false).unwrap();
    assert_eq!(xen.spec(id).unwrap(), spec);
}

#[test]
fn media_change_in_emulated_drives_only() {
    let xen = Simulator::default();
    let id = xen.create(&testing::hvm()).unwrap().domain;
    xen.change_medium(id, "xvdd", Some(Path::new("/dev/loop1"))).unwrap();
    assert_eq!(xen.spec(id).unwrap().disks[1].source, Some("/dev/loop1".into()));
    xen.change_medium(id, "xvdd", None).unwrap();
    assert!(xen.change_medium(id, "xvda", None).is_err());
    let other = xen.create(&testing::pvh()).unwrap().domain;
    assert!(xen.change_medium(other, "xvda", None).is_err());
}

#[test]
fn a_guest_is_suspended_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image");
    File::create(&path).unwrap().set_len(1 << 20).unwrap();
    let xen = Simulator::default();
    let events = xen.watch().unwrap();
    let spec = testing::pvh();
    let id = xen.create(&spec).unwrap().domain;
    assert_eq!(
        xen.suspend(id, &path, &Nobody),
        Err(XenopsError::SuspendTimedOut(id)),
        "it is paused"
    );
    xen.unpause(id).unwrap();
    let ran = |xen: &Simulator| xen.domains().unwrap().pop().unwrap().cpu_time_ns;
    let before = (0..5).fold(0, |_, _| ran(&xen));
    assert!(matches!(xen.restore(&spec, &path, &Nobody), Err(XenopsError::BadImage { .. })));
    xen.suspend(id, &path, &Nobody).unwrap();
    assert_eq!(kinds(&events), [EventKind::Shutdown(ShutdownReason::Suspend)]);
    xen.resume(id).unwrap();
    xen.resume(id).unwrap();
    assert_eq!(xen.domains().unwrap().pop().unwrap().shutdown, None);
    xen.suspend(id, &path, &Nobody).unwrap();
    xen.destroy(id).unwrap();
    let bigger = DomainSpec { memory_kib: 128 << 10, memory_max_kib: 128 << 10, ..spec.clone() };
    assert!(matches!(xen.restore(&bigger, &path, &Nobody), Err(XenopsError::BadImage { .. })));
    let restored = xen.restore(&spec, &path, &Nobody).unwrap().domain;
    assert_ne!(restored, id);
    assert!(ran(&xen) > before, "its clock goes on");
    assert_eq!(xen.restore(&spec, &path, &Nobody), Err(XenopsError::AlreadyExists(spec.uuid)));
}

#[test]
fn virtual_cpus_come_and_go() {
    let xen = Simulator::default();
    let id = xen.create(&testing::pvh()).unwrap().domain;
    xen.set_vcpus(id, 2).unwrap();
    assert_eq!(xen.domains().unwrap().pop().unwrap().vcpus, 2);
    for count in [0, 3] {
        assert!(matches!(xen.set_vcpus(id, count), Err(XenopsError::BadSpec { .. })));
    }
}

#[test]
fn guests_give_memory_back_and_take_what_there_is() {
    let xen = Simulator::default();
    let free = || xen.host().unwrap().memory_free_kib;
    let spec = DomainSpec { memory_max_kib: 128 << 10, ..testing::pvh() };
    let id = xen.create(&spec).unwrap().domain;
    let before = free();
    xen.set_memory_target(id, 32 << 10).unwrap();
    assert_eq!(xen.domains().unwrap().pop().unwrap().memory_kib, 32 << 10);
    assert_eq!(free(), before + (32 << 10));
    xen.set_memory_target(id, 128 << 10).unwrap();
    assert_eq!(xen.domains().unwrap().pop().unwrap().memory_kib, 128 << 10);
    let more = xen.set_memory_target(id, 256 << 10);
    assert!(matches!(more, Err(XenopsError::BadSpec { .. })), "more than it can ever have");
    xen.set_manners(spec.uuid, Manners::Ignores);
    xen.set_memory_target(id, 64 << 10).unwrap();
    assert_eq!(xen.domains().unwrap().pop().unwrap().memory_kib, 128 << 10);
}

#[test]
fn agents_are_heard() {
    let xen = Simulator::default();
    let events = xen.watch().unwrap();
    let id = xen.create(&testing::pvh()).unwrap().domain;
    xen.guest_says(id, "data/os_name", "Linux").unwrap();
    xen.guest_says(id, "device/vbd/1", "x").unwrap();
    assert_eq!(kinds(&events), [EventKind::GuestData; 2]);
    let said = xen.guest_data(id).unwrap();
    assert_eq!(said.into_iter().collect::<Vec<_>>(), [("data/os_name".into(), "Linux".into())]);
}
