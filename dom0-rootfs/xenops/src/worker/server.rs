// SPDX-License-Identifier: MIT OR Apache-2.0
//! The worker's side of the socket: any [`Hypervisor`], served to the daemon.

use std::collections::BTreeMap;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::error::XenopsError;
use crate::hypervisor::Hypervisor;
use crate::onlooker::{Nobody, Onlooker};
use crate::worker::frame::{self, FrameError};
use crate::worker::protocol::{Answer, Call, FromWorker, Lane, Request};

/// Operations that run at the same time.
pub const OPERATIONS: usize = 3;

/// Why the worker stopped serving, other than that the daemon went away.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The hypervisor cannot be watched or asked.
    #[error("opening the hypervisor")]
    Hypervisor(#[source] XenopsError),
    /// The daemon's socket does not work.
    #[error("talking to the daemon")]
    Socket(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<FrameError> for ServeError {
    fn from(error: FrameError) -> ServeError {
        ServeError::Socket(Box::new(error))
    }
}

/// Serves `hypervisor` on `socket` until the daemon closes its end. Operations that run at that
/// moment are not waited for: the caller exits.
pub fn serve(socket: UnixStream, hypervisor: Arc<dyn Hypervisor>) -> Result<(), ServeError> {
    let io = |error: std::io::Error| ServeError::Socket(Box::new(error));
    let mut reader = socket.try_clone().map_err(io)?;
    let writer = Arc::new(Mutex::new(socket));
    let events = hypervisor.watch().map_err(ServeError::Hypervisor)?;
    say(&writer, &FromWorker::Ready)?;
    let teller = Arc::clone(&writer);
    thread::spawn(move || {
        for event in events {
            if say(&teller, &FromWorker::Event(event)).is_err() {
                break;
            }
        }
        // The hypervisor cannot be watched any more, or the daemon is gone: end the reader below.
        let teller = teller.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = teller.shutdown(Shutdown::Both);
    });
    let wishes = Arc::new(Wishes::default());
    let questions = lane(1, &hypervisor, &writer, &wishes);
    let operations = lane(OPERATIONS, &hypervisor, &writer, &wishes);
    while let Some(call) = frame::receive::<Call>(&mut reader)? {
        // Before it waits for its turn, so that a wish finds it there too.
        wishes.begin(&call);
        let lane = match call.request.lane() {
            Lane::Questions => &questions,
            Lane::Operations => &operations,
        };
        if lane.send(call).is_err() {
            break;
        }
    }
    Ok(())
}

/// Operations with a guest's memory that wait or run, and whether they are to stop.
#[derive(Debug, Default)]
struct Wishes(Mutex<BTreeMap<u64, Arc<AtomicBool>>>);

impl Wishes {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<AtomicBool>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, call: &Call) {
        if matches!(call.request, Request::Suspend(..) | Request::Restore(..)) {
            self.lock().insert(call.id, Arc::default());
        }
    }

    /// One that is done cannot be stopped any more.
    fn stop(&self, id: u64) {
        if let Some(wish) = self.lock().get(&id) {
            wish.store(true, Ordering::Relaxed);
        }
    }
}

/// The daemon, which looks on while a call runs.
struct Daemon<'a> {
    id: u64,
    writer: &'a Mutex<UnixStream>,
    wish: Arc<AtomicBool>,
}

impl Onlooker for Daemon<'_> {
    fn moved(&self, bytes: u64) {
        // A daemon that is gone shows in the answer.
        let _ = say(self.writer, &FromWorker::Moved { id: self.id, bytes });
    }

    fn stop(&self) -> bool {
        self.wish.load(Ordering::Relaxed)
    }
}

fn lane(
    threads: usize,
    hypervisor: &Arc<dyn Hypervisor>,
    writer: &Arc<Mutex<UnixStream>>,
    wishes: &Arc<Wishes>,
) -> Sender<Call> {
    let (sender, receiver) = mpsc::channel();
    let receiver = Arc::new(Mutex::new(receiver));
    for _ in 0..threads {
        let (receiver, hypervisor, writer, wishes) =
            (Arc::clone(&receiver), Arc::clone(hypervisor), Arc::clone(writer), Arc::clone(wishes));
        thread::spawn(move || {
            while let Some(call) = next(&receiver) {
                let result = match call.request {
                    Request::Stop(id) => {
                        wishes.stop(id);
                        Ok(Answer::Done)
                    }
                    _ => {
                        let wish = wishes.lock().get(&call.id).cloned().unwrap_or_default();
                        let daemon = Daemon { id: call.id, writer: &writer, wish };
                        perform(&*hypervisor, &call.request, &daemon)
                    }
                };
                wishes.lock().remove(&call.id);
                if say(&writer, &FromWorker::Answer { id: call.id, result }).is_err() {
                    break;
                }
            }
        });
    }
    sender
}

fn next(receiver: &Mutex<Receiver<Call>>) -> Option<Call> {
    receiver.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

fn say(writer: &Mutex<UnixStream>, message: &FromWorker) -> Result<(), FrameError> {
    frame::send(&mut *writer.lock().unwrap_or_else(PoisonError::into_inner), message)
}

fn perform(
    hypervisor: &dyn Hypervisor,
    request: &Request,
    onlooker: &dyn Onlooker,
) -> Result<Answer, XenopsError> {
    match request {
        Request::Host => hypervisor.host().map(Answer::Host),
        Request::Domains => hypervisor.domains().map(Answer::Domains),
        Request::Usage => hypervisor.usage().map(Answer::Usage),
        Request::Create(spec) => hypervisor.create(spec).map(Answer::Created),
        Request::Unpause(id) => hypervisor.unpause(*id).map(|()| Answer::Done),
        Request::Pause(id) => hypervisor.pause(*id).map(|()| Answer::Done),
        Request::Shutdown(id, how) => hypervisor.request_shutdown(*id, *how).map(|()| Answer::Done),
        Request::Destroy(id) => hypervisor.destroy(*id).map(|()| Answer::Done),
        Request::PlugDisk(id, disk) => hypervisor.plug_disk(*id, disk).map(|()| Answer::Done),
        Request::UnplugDisk(id, vdev, force) => {
            hypervisor.unplug_disk(*id, vdev, *force).map(|()| Answer::Done)
        }
        Request::PlugNic(id, nic) => hypervisor.plug_nic(*id, nic).map(Answer::Links),
        Request::UnplugNic(id, devid, force) => {
            hypervisor.unplug_nic(*id, *devid, *force).map(|()| Answer::Done)
        }
        Request::ChangeMedium(id, vdev, source) => {
            hypervisor.change_medium(*id, vdev, source.as_deref()).map(|()| Answer::Done)
        }
        Request::Suspend(id, image) => {
            hypervisor.suspend(*id, image, onlooker).map(|()| Answer::Done)
        }
        Request::Resume(id) => hypervisor.resume(*id).map(|()| Answer::Done),
        Request::Restore(spec, image) => {
            hypervisor.restore(spec, image, onlooker).map(Answer::Created)
        }
        Request::SetVcpus(id, count) => hypervisor.set_vcpus(*id, *count).map(|()| Answer::Done),
        Request::SetMemoryTarget(id, kib) => {
            hypervisor.set_memory_target(*id, *kib).map(|()| Answer::Done)
        }
        Request::SetScheduling(id, scheduling) => {
            hypervisor.set_scheduling(*id, *scheduling).map(|()| Answer::Done)
        }
        Request::Press(id, button) => hypervisor.press(*id, *button).map(|()| Answer::Done),
        Request::DumpCore(id, file) => hypervisor.dump_core(*id, file).map(|()| Answer::Done),
        Request::GuestData(id) => hypervisor.guest_data(*id).map(Answer::GuestData),
        Request::ConsoleRing(clear) => hypervisor.console_ring(*clear).map(Answer::Text),
        Request::DebugKeys(keys) => hypervisor.send_debug_keys(keys).map(|()| Answer::Done),
        // Of calls, not of the hypervisor.
        Request::Stop(_) => Err(XenopsError::failed(request.doing(), "there is no other call")),
    }
}

/// Answers one request in the worker's own notation, for trying things by hand:
/// `"Domains"`, `{"Destroy":3}`, `{"Create":{…}}`.
pub fn answer_once(hypervisor: &dyn Hypervisor, request: &str) -> Result<String, XenopsError> {
    let doing = "reading the request";
    let request: Request =
        serde_json::from_str(request).map_err(|error| XenopsError::failed(doing, error))?;
    let answer = perform(hypervisor, &request, &Nobody)?;
    serde_json::to_string(&answer).map_err(|error| XenopsError::failed(request.doing(), error))
}
