// SPDX-License-Identifier: MIT OR Apache-2.0
//! The daemon's side against workers that behave, die, hang and talk nonsense.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::thread;

use super::frame::{receive, send};
use super::launch::Peer;
use super::protocol::{Call, FromWorker};
use super::*;
use crate::hypervisor::{EventKind, ShutdownReason};
use crate::simulator::{self, Manners, Simulator};
use crate::testing;

type Life = Box<dyn FnOnce(UnixStream) + Send>;

/// Starts the prepared lives one after the other, then honest workers over `xen`.
struct Lives {
    prepared: Mutex<VecDeque<Life>>,
    xen: Arc<Simulator>,
}

struct Thread(UnixStream);

impl Peer for Thread {
    fn end(&mut self, _grace: Duration) -> String {
        let _ = self.0.shutdown(Shutdown::Both);
        "was a thread".into()
    }
}

impl Launch for Lives {
    fn launch(&mut self) -> io::Result<(UnixStream, Box<dyn Peer>)> {
        let (ours, theirs) = UnixStream::pair()?;
        let peer = Thread(theirs.try_clone()?);
        let remains = theirs.try_clone()?;
        let life = self.prepared.lock().unwrap().pop_front();
        let xen = Arc::clone(&self.xen);
        thread::spawn(move || {
            match life {
                Some(life) => life(theirs),
                None => drop(serve(theirs, xen)),
            }
            // A process that ends closes its socket.
            let _ = remains.shutdown(Shutdown::Both);
        });
        Ok((ours, Box::new(peer)))
    }
}

fn worker(xen: &Arc<Simulator>, lives: Vec<Life>) -> Worker {
    worker_within(xen, lives, Duration::from_secs(60))
}

fn worker_within(xen: &Arc<Simulator>, lives: Vec<Life>, limit: Duration) -> Worker {
    let lives = Lives { prepared: Mutex::new(lives.into()), xen: Arc::clone(xen) };
    let deadlines = Deadlines {
        question: limit,
        create: limit,
        control: limit,
        destroy: limit,
        device: limit,
        image: limit,
    };
    Worker::launch(Box::new(lives), deadlines).unwrap()
}

/// A worker over `xen` up to the first request that `stop` wants for itself.
fn until(
    xen: &Arc<Simulator>,
    wanted: fn(&Request) -> bool,
    stop: impl FnOnce(&mut UnixStream, &Simulator, Call) + Send + 'static,
) -> Life {
    let xen = Arc::clone(xen);
    Box::new(move |mut socket| {
        send(&mut socket, &FromWorker::Ready).unwrap();
        while let Ok(Some(call)) = receive::<Call>(&mut socket) {
            if wanted(&call.request) {
                return stop(&mut socket, &xen, call);
            }
            let result = match call.request {
                Request::Domains => xen.domains().map(Answer::Domains),
                Request::Host => xen.host().map(Answer::Host),
                other => panic!("{other:?}"),
            };
            send(&mut socket, &FromWorker::Answer { id: call.id, result }).unwrap();
        }
    })
}

fn is_create(request: &Request) -> bool {
    matches!(request, Request::Create(_))
}

#[test]
fn a_guest_lives_and_ends_through_the_socket() {
    let xen = Arc::new(Simulator::default());
    let worker = worker(&xen, vec![]);
    let events = worker.watch().unwrap();
    assert_eq!(worker.host().unwrap(), xen.host().unwrap());
    let spec = testing::pvh();
    let created = worker.create(&spec).unwrap();
    worker.unpause(created.domain).unwrap();
    worker.pause(created.domain).unwrap();
    worker.unpause(created.domain).unwrap();
    worker.request_shutdown(created.domain, ShutdownRequest::Reboot).unwrap();
    assert_eq!(events.recv().unwrap().kind, EventKind::Shutdown(ShutdownReason::Reboot));
    assert_eq!(worker.domains().unwrap().len(), 2);
    worker.destroy(created.domain).unwrap();
    let death = events.recv().unwrap();
    assert_eq!((death.kind, death.uuid), (EventKind::Death, Some(spec.uuid)));
    assert_eq!(
        worker.pause(created.domain),
        Err(XenopsError::NoSuchDomain(created.domain)),
        "errors arrive as they are"
    );
}

#[test]
fn death_in_the_middle_of_a_build_leaves_nothing_behind() {
    let xen = Arc::new(Simulator::default());
    let dies = until(&xen, is_create, |_, xen, call| {
        let Request::Create(spec) = call.request else { unreachable!() };
        xen.create(&spec).unwrap();
    });
    let worker = worker(&xen, vec![dies]);
    let error = worker.create(&testing::pvh()).unwrap_err();
    assert!(matches!(&error, XenopsError::WorkerLost { detail, .. } if detail == "was a thread"));
    assert_eq!(xen.domains().unwrap().len(), 1, "the half-built domain is gone");
    assert!(worker.create(&testing::pvh()).is_ok(), "and the next worker builds");
}

#[test]
fn an_overrun_replaces_the_worker() {
    let xen = Arc::new(Simulator::default());
    let hangs = until(&xen, is_create, |socket, _, _| {
        let _ = receive::<Call>(socket);
    });
    let worker = worker_within(&xen, vec![hangs], Duration::from_millis(200));
    let error = worker.create(&testing::pvh()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "building the domain of VM {}: the hypervisor worker did not answer within 0.2 s",
            testing::pvh().uuid
        )
    );
    assert!(worker.host().is_ok());
}

#[test]
fn nonsense_ends_the_conversation() {
    let xen = Arc::new(Simulator::default());
    let raves = until(
        &xen,
        |request| matches!(request, Request::Host),
        |socket, _, _| {
            let mut noise = testing::Noise::new(99);
            let bytes: Vec<u8> = (0..4096).map(|_| noise.below(256) as u8).collect();
            let _ = socket.write_all(&bytes);
            let _ = receive::<Call>(socket);
        },
    );
    let worker = worker(&xen, vec![raves]);
    let error = worker.host().unwrap_err();
    let XenopsError::WorkerLost { detail, .. } = error else { panic!("{error:?}") };
    assert!(detail.contains("frame"), "{detail}");
    assert!(worker.host().is_ok());
}

#[test]
fn destroy_is_repeated_with_the_next_worker() {
    let xen = Arc::new(Simulator::default());
    let id = xen.create(&testing::pvh()).unwrap().domain;
    let dies = until(&xen, |request| matches!(request, Request::Destroy(_)), |_, _, _| {});
    let worker = worker(&xen, vec![dies]);
    worker.destroy(id).unwrap();
    assert_eq!(xen.domains().unwrap().len(), 1);
}

#[test]
fn what_happens_while_no_worker_lives_is_told_once() {
    let xen = Arc::new(Simulator::default());
    let gone = xen.create(&testing::pvh()).unwrap().domain;
    let crashed = xen.create(&testing::pv()).unwrap().domain;
    let dies = until(
        &xen,
        |request| matches!(request, Request::Host),
        move |_, xen, _| {
            xen.destroy(gone).unwrap();
            xen.guest_ends(crashed, ShutdownReason::Crash).unwrap();
        },
    );
    let worker = worker(&xen, vec![dies]);
    let events = worker.watch().unwrap();
    worker.host().unwrap_err();
    worker.host().unwrap();
    let mut told: Vec<_> = events.try_iter().map(|event| (event.domain, event.kind)).collect();
    told.sort_by_key(|(domain, _)| *domain);
    assert_eq!(
        told,
        [(gone, EventKind::Death), (crashed, EventKind::Shutdown(ShutdownReason::Crash))]
    );
}

#[test]
fn a_worker_that_is_never_ready_shows_in_the_calls() {
    let xen = Arc::new(Simulator::default());
    let stillborn = || -> Life { Box::new(drop) };
    let worker = worker(&xen, vec![stillborn(), stillborn()]);
    let error = worker.host().unwrap_err();
    assert!(error.to_string().contains("before it was ready"), "{error}");
    // The third one lives.
    while let Err(error) = worker.host() {
        assert!(error.to_string().contains("before it was ready"), "{error}");
        thread::yield_now();
    }
}

#[test]
fn a_missing_program_is_named_in_the_calls() {
    let worker = Worker::start("/nonexistent/xenops-worker", vec![], Deadlines::default()).unwrap();
    let error = worker.host().unwrap_err();
    assert!(error.to_string().contains("cannot be started: No such file"), "{error}");
}

#[test]
fn one_builder_for_one_vm() {
    let xen = Arc::new(Simulator::default());
    let worker = Arc::new(worker(&xen, vec![]));
    let _building = worker.shared.building(testing::pvh().uuid).unwrap();
    let error = worker.create(&testing::pvh()).unwrap_err();
    assert_eq!(error, XenopsError::AlreadyExists(testing::pvh().uuid));
}

#[test]
fn many_callers_at_once_each_get_their_own_answer() {
    let xen = Arc::new(Simulator::default());
    let worker = worker(&xen, vec![]);
    thread::scope(|scope| {
        for caller in 0..12u128 {
            let worker = &worker;
            scope.spawn(move || {
                for round in 0..20u128 {
                    let uuid = Uuid::from_u128(1 + caller * 100 + round);
                    let spec = DomainSpec { uuid, name: uuid.to_string(), ..testing::pvh() };
                    let id = worker.create(&spec).unwrap().domain;
                    let list = worker.domains().unwrap();
                    assert!(list.iter().any(|domain| domain.id == id && domain.uuid == uuid));
                    worker.destroy(id).unwrap();
                }
            });
        }
    });
    assert_eq!(xen.domains().unwrap().len(), 1);
}

#[test]
fn guests_that_ignore_requests_do_not_hold_up_the_worker() {
    let xen = Arc::new(Simulator::default());
    let spec = testing::pvh();
    xen.set_manners(spec.uuid, Manners::Ignores);
    let worker = worker(&xen, vec![]);
    let id = worker.create(&spec).unwrap().domain;
    worker.unpause(id).unwrap();
    worker.request_shutdown(id, ShutdownRequest::PowerOff).unwrap();
    assert_eq!(worker.domains().unwrap()[1].shutdown, None);
}

#[test]
fn a_worker_that_dies_suspending_leaves_the_guest_running() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image");
    std::fs::File::create(&path).unwrap().set_len(1 << 20).unwrap();
    let xen = Arc::new(Simulator::default());
    let id = xen.create(&testing::pvh()).unwrap().domain;
    xen.unpause(id).unwrap();
    let is_suspend = |request: &Request| matches!(request, Request::Suspend(..));
    let dies = until(&xen, is_suspend, |_, xen, call| {
        let Request::Suspend(id, path) = call.request else { unreachable!() };
        xen.suspend(id, &path, &Nobody).unwrap();
    });
    let worker = worker(&xen, vec![dies]);
    let error = worker.suspend(id, &path, &Nobody).unwrap_err();
    assert!(matches!(&error, XenopsError::WorkerLost { .. }));
    assert_eq!(xen.domains().unwrap().pop().unwrap().shutdown, None, "it runs on");
    worker.suspend(id, &path, &Nobody).unwrap();
    worker.destroy(id).unwrap();
    let spec = testing::pvh();
    let restored = worker.restore(&spec, &path, &Nobody).unwrap();
    worker.set_vcpus(restored.domain, 2).unwrap();
    worker.set_memory_target(restored.domain, 32 << 10).unwrap();
    assert_eq!(xen.domains().unwrap().pop().unwrap().memory_kib, 32 << 10);
    xen.guest_says(restored.domain, "data/a", "b").unwrap();
    assert_eq!(worker.guest_data(restored.domain).unwrap()["data/a"], "b");
}

/// Wants no more once it has heard something.
#[derive(Debug, Default)]
struct Impatient(Mutex<Vec<u64>>);

impl Onlooker for Impatient {
    fn moved(&self, bytes: u64) {
        self.0.lock().unwrap().push(bytes);
    }

    fn stop(&self) -> bool {
        !self.0.lock().unwrap().is_empty()
    }
}

#[test]
fn what_moves_a_guests_memory_is_followed_and_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image");
    std::fs::File::create(&path).unwrap().set_len(1 << 20).unwrap();
    let xen = Arc::new(Simulator::default());
    let spec = testing::pvh();
    let half = spec.memory_kib * 1024 / 2;
    let worker = worker(&xen, vec![]);
    let id = worker.create(&spec).unwrap().domain;
    worker.unpause(id).unwrap();
    xen.set_stuck(true);
    let onlooker = Impatient::default();
    let error = worker.suspend(id, &path, &onlooker).unwrap_err();
    assert!(matches!(error, XenopsError::Stopped { .. }), "{error}");
    assert_eq!(*onlooker.0.lock().unwrap(), [half]);
    assert_eq!(xen.domains().unwrap().pop().unwrap().shutdown, None, "it runs on");
    xen.set_stuck(false);
    worker.suspend(id, &path, &Nobody).unwrap();
    worker.destroy(id).unwrap();
    xen.set_stuck(true);
    let onlooker = Impatient::default();
    let error = worker.restore(&spec, &path, &onlooker).unwrap_err();
    assert!(matches!(error, XenopsError::Stopped { .. }), "{error}");
    assert_eq!(*onlooker.0.lock().unwrap(), [half]);
    assert_eq!(xen.domains().unwrap().len(), 1, "nothing is left of it");
    xen.set_stuck(false);
    worker.restore(&spec, &path, &Nobody).unwrap();
}

struct Unwanted;

impl Onlooker for Unwanted {
    fn moved(&self, bytes: u64) {
        panic!("{bytes} bytes of what nobody wants");
    }

    fn stop(&self) -> bool {
        true
    }
}

#[test]
fn what_waits_for_its_turn_is_stopped_too() {
    let folder = tempfile::tempdir().unwrap();
    let xen = Arc::new(Simulator::default());
    let worker = worker(&xen, vec![]);
    let guests: Vec<_> = (0..=OPERATIONS as u128)
        .map(|number| {
            let uuid = Uuid::from_u128(number + 1);
            let spec = DomainSpec { uuid, name: uuid.to_string(), ..testing::pvh() };
            let id = worker.create(&spec).unwrap().domain;
            worker.unpause(id).unwrap();
            let path = folder.path().join(uuid.to_string());
            std::fs::File::create(&path).unwrap().set_len(1 << 20).unwrap();
            (id, path)
        })
        .collect();
    let begun = || xen.calls().iter().filter(|call| **call == simulator::Call::Suspend).count();
    xen.set_stuck(true);
    thread::scope(|scope| {
        let (last, others) = guests.split_last().unwrap();
        for (id, path) in others {
            let worker = &worker;
            scope.spawn(move || worker.suspend(*id, path, &Nobody).unwrap());
        }
        while begun() < OPERATIONS {
            thread::yield_now();
        }
        let error = worker.suspend(last.0, &last.1, &Unwanted).unwrap_err();
        assert!(matches!(error, XenopsError::Stopped { .. }), "{error}");
        assert_eq!(begun(), OPERATIONS);
        xen.set_stuck(false);
    });
}

#[test]
fn devices_come_and_go_through_the_socket() {
    let xen = Arc::new(Simulator::default());
    let worker = worker(&xen, vec![]);
    let mut spec = testing::hvm();
    let id = worker.create(&spec).unwrap().domain;
    worker.unpause(id).unwrap();
    let disk = Disk { vdev: "xvdb".into(), ..spec.disks[0].clone() };
    let nic = Nic { devid: 1, ..spec.nics[0].clone() };
    worker.plug_disk(id, &disk).unwrap();
    assert_eq!(worker.plug_nic(id, &nic).unwrap(), ["vif1.1"]);
    worker.change_medium(id, "xvdd", Some(Path::new("/dev/loop9"))).unwrap();
    worker.unplug_disk(id, "xvda", false).unwrap();
    worker.unplug_nic(id, 0, true).unwrap();
    spec.disks[1].source = Some("/dev/loop9".into());
    spec.disks = vec![spec.disks[1].clone(), disk];
    spec.nics = vec![nic];
    assert_eq!(xen.spec(id).unwrap(), spec);
}

#[test]
fn what_a_thousand_domains_have_used_comes_through() {
    let memory_kib = 128 << 20;
    let host = crate::SimulatedHost { memory_kib, ..crate::SimulatedHost::default() };
    let xen = Arc::new(Simulator::new(host));
    let worker = worker(&xen, vec![]);
    for number in 0..1000 {
        let uuid = Uuid::from_u128(number + 1);
        let spec = DomainSpec { uuid, name: uuid.to_string(), ..testing::pvh() };
        worker.unpause(xen.create(&spec).unwrap().domain).unwrap();
    }
    let usage = worker.usage().unwrap();
    assert_eq!(usage.domains.len(), 1001);
    assert_eq!(usage.domains[1000].nics[0].traffic.received_bytes, 5000);
}
