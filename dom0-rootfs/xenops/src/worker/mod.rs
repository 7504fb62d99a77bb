// SPDX-License-Identifier: MIT OR Apache-2.0
//! The daemon's side of the worker process.
//!
//! libxl forks, runs programs, takes over SIGCHLD and ends the process when it has lost track;
//! none of that may happen to the daemon. So libxl lives in a process of its own, and this is a
//! [`Hypervisor`] that sends it requests over a socket. A worker that dies, or that overruns a
//! deadline and is killed for it, is replaced; what was under way fails with
//! [`XenopsError::WorkerLost`], what a half-built domain left behind is removed, and watchers are
//! told what they missed.

mod frame;
mod launch;
mod protocol;
mod server;
mod supervisor;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;
use std::time::Duration;

use uuid::Uuid;

use crate::error::XenopsError;
use crate::hypervisor::{
    Created, DomId, DomainInfo, DomainSpec, Event, HostInfo, Hypervisor, ShutdownRequest,
};
use launch::{Launch, Program};
use protocol::{Answer, Request};
pub use server::{OPERATIONS, ServeError, answer_once, serve};
use supervisor::Shared;

/// How long an operation may take before the worker is killed for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deadlines {
    /// Questions about the host and its domains.
    pub question: Duration,
    /// Building a domain.
    pub create: Duration,
    /// Pause, unpause, requests to a guest.
    pub control: Duration,
    /// Removing a domain.
    pub destroy: Duration,
}

impl Default for Deadlines {
    /// Far above what a healthy host needs, software emulation included.
    fn default() -> Deadlines {
        Deadlines {
            question: Duration::from_secs(30),
            create: Duration::from_secs(180),
            control: Duration::from_secs(60),
            destroy: Duration::from_secs(120),
        }
    }
}

impl Deadlines {
    fn of(&self, request: &Request) -> Duration {
        match request {
            Request::Host | Request::Domains => self.question,
            Request::Create(_) => self.create,
            Request::Unpause(_) | Request::Pause(_) | Request::Shutdown(..) => self.control,
            Request::Destroy(_) => self.destroy,
        }
    }
}

/// The hypervisor as the daemon has it.
#[derive(Debug)]
pub struct Worker {
    shared: Arc<Shared>,
    deadlines: Deadlines,
    supervisor: Option<JoinHandle<()>>,
}

impl Worker {
    /// Where the appliance keeps the worker program.
    pub const PROGRAM: &'static str = "/usr/libexec/xenith/xenops-worker";

    /// Starts `program` with `arguments`, and starts it again whenever it ends, until this is
    /// dropped. A program that cannot be started shows in the calls.
    pub fn start(
        program: impl Into<PathBuf>,
        arguments: Vec<String>,
        deadlines: Deadlines,
    ) -> Result<Worker, XenopsError> {
        Worker::launch(Box::new(Program { path: program.into(), arguments }), deadlines)
    }

    fn launch(launch: Box<dyn Launch>, deadlines: Deadlines) -> Result<Worker, XenopsError> {
        let shared = Arc::new(Shared::default());
        let supervisor = supervisor::start(Arc::clone(&shared), launch)
            .map_err(|error| XenopsError::failed("starting the worker's supervisor", error))?;
        Ok(Worker { shared, deadlines, supervisor: Some(supervisor) })
    }

    fn call(&self, request: Request) -> Result<Answer, XenopsError> {
        let deadline = self.deadlines.of(&request);
        self.shared.call(request, deadline)
    }

    fn perform(&self, request: Request) -> Result<(), XenopsError> {
        let doing = request.doing();
        match self.call(request)? {
            Answer::Done => Ok(()),
            other => Err(mixed_up(doing, &other)),
        }
    }

    fn find(&self, uuid: Uuid) -> Result<Option<DomId>, XenopsError> {
        let found = self.domains()?.into_iter().find(|domain| domain.uuid == uuid);
        Ok(found.map(|domain| domain.id))
    }

    /// Removes what a worker that died left of a domain that it was building.
    fn remove_leftover(&self, uuid: Uuid, lost: XenopsError) -> XenopsError {
        let removed = self.find(uuid).and_then(|found| match found {
            Some(id) => self.destroy(id),
            None => Ok(()),
        });
        match (removed, lost) {
            (Err(error), XenopsError::WorkerLost { doing, detail }) => XenopsError::WorkerLost {
                doing,
                detail: format!("{detail}; what it left behind is still there: {error}"),
            },
            (_, lost) => lost,
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.shared.stop();
        if let Some(supervisor) = self.supervisor.take() {
            // A supervisor that panicked has said so on standard error.
            let _ = supervisor.join();
        }
    }
}

fn mixed_up(doing: String, answer: &Answer) -> XenopsError {
    XenopsError::failed(doing, format!("the worker answered something else: {answer:?}"))
}

impl Hypervisor for Worker {
    fn host(&self) -> Result<HostInfo, XenopsError> {
        match self.call(Request::Host)? {
            Answer::Host(info) => Ok(info),
            other => Err(mixed_up(Request::Host.doing(), &other)),
        }
    }

    fn domains(&self) -> Result<Vec<DomainInfo>, XenopsError> {
        match self.call(Request::Domains)? {
            Answer::Domains(list) => Ok(list),
            other => Err(mixed_up(Request::Domains.doing(), &other)),
        }
    }

    fn create(&self, spec: &DomainSpec) -> Result<Created, XenopsError> {
        let _building = self.shared.building(spec.uuid)?;
        // Asked before, so that a leftover found afterwards is certainly ours.
        if self.find(spec.uuid)?.is_some() {
            return Err(XenopsError::AlreadyExists(spec.uuid));
        }
        let request = Request::Create(Box::new(spec.clone()));
        let doing = request.doing();
        match self.call(request) {
            Ok(Answer::Created(created)) => Ok(created),
            Ok(other) => Err(mixed_up(doing, &other)),
            Err(lost @ XenopsError::WorkerLost { .. }) => {
                Err(self.remove_leftover(spec.uuid, lost))
            }
            Err(error) => Err(error),
        }
    }

    fn unpause(&self, domain: DomId) -> Result<(), XenopsError> {
        self.perform(Request::Unpause(domain))
    }

    fn pause(&self, domain: DomId) -> Result<(), XenopsError> {
        self.perform(Request::Pause(domain))
    }

    fn request_shutdown(&self, domain: DomId, how: ShutdownRequest) -> Result<(), XenopsError> {
        self.perform(Request::Shutdown(domain, how))
    }

    fn destroy(&self, domain: DomId) -> Result<(), XenopsError> {
        let request = || Request::Destroy(domain);
        match self.perform(request()) {
            // Safe to repeat: once more with the new worker.
            Err(XenopsError::WorkerLost { .. }) => self.perform(request()),
            result => result,
        }
    }

    fn watch(&self) -> Result<Receiver<Event>, XenopsError> {
        let (sender, receiver) = mpsc::channel();
        self.shared.watch(sender);
        Ok(receiver)
    }
}
