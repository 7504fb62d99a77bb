// SPDX-License-Identifier: MIT OR Apache-2.0
//! The thread that starts workers and reads what they say, and the state it shares with callers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::error::XenopsError;
use crate::events::Watchers;
use crate::hypervisor::Event;
use crate::known::Known;
use crate::onlooker::Onlooker;
use crate::worker::frame::{self, FrameError};
use crate::worker::launch::Launch;
use crate::worker::protocol::{Answer, Call, FromWorker, Lane, Request};
use crate::worker::server::OPERATIONS;

/// Pause before the second of several starts in a row that came to nothing; doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How long a new worker may take until it is ready.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long a worker that closed its socket may take to end, so that its status is known.
const GRACE: Duration = Duration::from_secs(2);
/// How often a call that waits looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(500);
/// The supervisor's own question to a new worker.
const FIRST_LIST: u64 = 0;

/// What callers and the supervisor share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The socket of the worker, ready or not.
    link: Option<Arc<UnixStream>>,
    /// It takes calls.
    ready: bool,
    /// It has answered one.
    useful: bool,
    /// Why the last start came to nothing, until one succeeds.
    failure: Option<String>,
    /// Why the worker was killed, if we did it.
    killed_because: Option<String>,
    last_id: u64,
    calls: BTreeMap<u64, Pending>,
    building: BTreeSet<Uuid>,
    known: Known,
    watchers: Watchers,
    stopping: bool,
}

#[derive(Debug)]
struct Pending {
    request: Request,
    /// Bytes of an image that it has written or read.
    moved: u64,
    result: Option<Result<Answer, XenopsError>>,
}

impl State {
    fn operations(&self) -> usize {
        let running = |call: &&Pending| call.request.lane() == Lane::Operations;
        self.calls.values().filter(running).count()
    }

    /// Asks the worker to stop a call, which is answered in any case.
    fn send_stop(&mut self, id: u64) {
        let Some(link) = self.link.clone() else { return };
        self.last_id += 1;
        let call = Call { id: self.last_id, request: Request::Stop(id) };
        if let Err(error) = frame::send(&mut &*link, &call) {
            tracing::debug!(%error, "asking the hypervisor worker to stop a call");
        }
    }

    fn tell(&mut self, events: impl IntoIterator<Item = Event>) {
        for event in events {
            self.watchers.tell(event);
        }
    }
}

/// A claim to be the only builder of a VM's domain.
#[derive(Debug)]
pub(super) struct Building<'a> {
    shared: &'a Shared,
    uuid: Uuid,
}

impl Drop for Building<'_> {
    fn drop(&mut self) {
        self.shared.lock().building.remove(&self.uuid);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn watch(&self, sender: Sender<Event>) {
        self.lock().watchers.add(sender);
    }

    pub(super) fn building(&self, uuid: Uuid) -> Result<Building<'_>, XenopsError> {
        match self.lock().building.insert(uuid) {
            true => Ok(Building { shared: self, uuid }),
            false => Err(XenopsError::AlreadyExists(uuid)),
        }
    }

    pub(super) fn stop(&self) {
        let mut state = self.lock();
        state.stopping = true;
        hang_up(&mut state, "is being stopped".into());
        self.changed.notify_all();
    }

    /// Sends a request and waits for its answer. The deadline counts from when it is sent.
    pub(super) fn call(
        &self,
        request: Request,
        limit: Duration,
        onlooker: &dyn Onlooker,
    ) -> Result<Answer, XenopsError> {
        let doing = request.doing();
        let lost = |detail: String| XenopsError::WorkerLost { doing: doing.clone(), detail };
        let mut state = self.lock();
        let link = loop {
            if state.stopping {
                return Err(lost("is being stopped".into()));
            }
            if let Some(failure) = &state.failure {
                return Err(lost(failure.clone()));
            }
            let turn = request.lane() == Lane::Questions || state.operations() < OPERATIONS;
            match &state.link {
                Some(link) if state.ready && turn => break Arc::clone(link),
                _ => {
                    let woken = self.changed.wait_timeout(state, LOOK);
                    drop(woken.unwrap_or_else(PoisonError::into_inner));
                    // Nothing of it has begun.
                    if onlooker.stop() {
                        return Err(XenopsError::Stopped { doing });
                    }
                    state = self.lock();
                }
            }
        };
        state.last_id += 1;
        let id = state.last_id;
        let call = Call { id, request: request.clone() };
        // Under the lock, so that frames do not mix; a few small frames fit into any socket buffer.
        if let Err(error) = frame::send(&mut &*link, &call) {
            if let FrameError::TooLong(_) | FrameError::Garbage(_) = error {
                return Err(XenopsError::failed(doing, error));
            }
            // The worker is gone: the supervisor reads the same and answers every pending call.
            tracing::debug!(%error, "sending to the hypervisor worker failed");
        }
        state.calls.insert(id, Pending { request, moved: 0, result: None });
        let deadline = Instant::now() + limit;
        let (mut told, mut stopped) = (0, false);
        loop {
            if let Some(result) = state.calls.get_mut(&id).and_then(|call| call.result.take()) {
                state.calls.remove(&id);
                self.changed.notify_all();
                return result;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                // The supervisor ends the worker and answers this call with the others.
                hang_up(&mut state, format!("did not answer within {} s", limit.as_secs_f32()));
                state = self.wait(state);
            } else {
                let woken = self.changed.wait_timeout(state, left.min(LOOK));
                state = woken.unwrap_or_else(PoisonError::into_inner).0;
            }
            let moved = state.calls.get(&id).map_or(told, |call| call.moved);
            // Whoever looks on has locks of its own.
            drop(state);
            if moved != told {
                told = moved;
                onlooker.moved(moved);
            }
            let stop = !stopped && onlooker.stop();
            state = self.lock();
            if stop {
                stopped = true;
                state.send_stop(id);
            }
        }
    }

    /// The worker has ended: answers all that waited for it.
    fn lose(&self, ended: String) {
        let mut state = self.lock();
        state.link = None;
        state.ready = false;
        let detail = state.killed_because.take().unwrap_or(ended);
        match state.stopping {
            true => tracing::info!("the hypervisor worker has ended"),
            false => {
                tracing::error!(%detail, calls = state.calls.len(), "the hypervisor worker is lost")
            }
        }
        for call in state.calls.values_mut().filter(|call| call.result.is_none()) {
            let doing = call.request.doing();
            call.result = Some(Err(XenopsError::WorkerLost { doing, detail: detail.clone() }));
        }
        self.changed.notify_all();
    }

    fn hear(&self, message: FromWorker, link: &Arc<UnixStream>) -> Result<(), FrameError> {
        let mut state = self.lock();
        match message {
            FromWorker::Ready => {
                let call = Call { id: FIRST_LIST, request: Request::Domains };
                frame::send(&mut &**link, &call)?;
            }
            FromWorker::Answer { id: FIRST_LIST, result } => {
                // Only now, so that whoever calls finds the events of before delivered.
                if let Ok(Answer::Domains(list)) = result {
                    let missed = state.known.compare(&list);
                    state.tell(missed);
                }
                link.set_read_timeout(None).map_err(FrameError::Io)?;
                state.ready = true;
                state.failure = None;
            }
            FromWorker::Answer { id, result } => {
                state.useful = true;
                let Some(call) = state.calls.get_mut(&id) else { return Ok(()) };
                if let (
                    Request::Create(spec) | Request::Restore(spec, _),
                    Ok(Answer::Created(created)),
                ) = (&call.request, &result)
                {
                    let (id, uuid) = (created.domain, spec.uuid);
                    call.result = Some(result);
                    state.known.built(id, uuid);
                } else {
                    call.result = Some(result);
                }
            }
            FromWorker::Moved { id, bytes } => {
                if let Some(call) = state.calls.get_mut(&id) {
                    call.moved = bytes;
                }
            }
            FromWorker::Event(event) => {
                let news = state.known.reported(event);
                state.tell(news);
            }
        }
        self.changed.notify_all();
        Ok(())
    }

    /// Waits before the next start; false when there shall be none.
    fn pause(&self, length: Duration) -> bool {
        let until = Instant::now() + length;
        let mut state = self.lock();
        while !state.stopping {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            let woken = self.changed.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        false
    }

    fn failed_to_start(&self, why: String) {
        tracing::error!(%why, "starting the hypervisor worker failed");
        let mut state = self.lock();
        state.link = None;
        state.failure = Some(why);
        self.changed.notify_all();
    }

    /// A worker was started; false when it is not wanted any more.
    fn welcome(&self, link: &Arc<UnixStream>) -> bool {
        let mut state = self.lock();
        state.killed_because = None;
        state.useful = false;
        state.link = Some(Arc::clone(link));
        !state.stopping
    }

    /// Whether the socket was closed from this side.
    fn hung_up(&self) -> bool {
        self.lock().killed_because.is_some()
    }

    /// Whether the worker became ready, and whether it answered a call.
    fn merits(&self) -> (bool, bool) {
        let state = self.lock();
        (state.ready, state.useful)
    }
}

/// Closes the socket: the supervisor then ends the worker by its process id and starts another.
fn hang_up(state: &mut State, why: String) {
    if let Some(link) = state.link.take() {
        state.killed_because = Some(why);
        // It fails only if the worker has hung up already.
        let _ = link.shutdown(Shutdown::Both);
    }
}

/// Starts the thread that keeps a worker running.
pub(super) fn start(
    shared: Arc<Shared>,
    launch: Box<dyn Launch>,
) -> std::io::Result<JoinHandle<()>> {
    thread::Builder::new().name("xenops-worker".into()).spawn(move || keep(&shared, launch))
}

fn keep(shared: &Shared, mut launch: Box<dyn Launch>) {
    let mut fruitless = 0;
    loop {
        let useful = run_one(shared, &mut *launch);
        fruitless = if useful { 0 } else { fruitless + 1 };
        let pause = match fruitless {
            0 => Duration::ZERO,
            n => LONGEST_PAUSE.min(FIRST_PAUSE * (1 << (n - 1).min(10))),
        };
        if !shared.pause(pause) {
            return;
        }
    }
}

/// Starts a worker and listens until it is gone: whether it was of use.
fn run_one(shared: &Shared, launch: &mut dyn Launch) -> bool {
    let (socket, mut peer) = match launch.launch() {
        Ok(launched) => launched,
        Err(error) => {
            shared.failed_to_start(format!("cannot be started: {error}"));
            return false;
        }
    };
    let link = Arc::new(socket);
    let broken = match shared.welcome(&link) {
        true => listen(shared, &link).err(),
        false => None,
    };
    let grace = if shared.hung_up() { Duration::ZERO } else { GRACE };
    let ended = match (peer.end(grace), broken) {
        (ended, Some(error)) => format!("{ended} ({error})"),
        (ended, None) => ended,
    };
    let (ready, useful) = shared.merits();
    match ready {
        true => shared.lose(ended),
        false => shared.failed_to_start(format!("{ended} before it was ready")),
    }
    useful
}

/// Reads until the worker closes its end, or says what cannot be understood.
fn listen(shared: &Shared, link: &Arc<UnixStream>) -> Result<(), FrameError> {
    link.set_read_timeout(Some(START_LIMIT)).map_err(FrameError::Io)?;
    while let Some(message) = frame::receive::<FromWorker>(&mut &**link)? {
        shared.hear(message, link)?;
    }
    Ok(())
}
