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

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;
use std::time::Duration;

use uuid::Uuid;

use crate::error::XenopsError;
use crate::hypervisor::{
    Button, Created, Disk, DomId, DomainInfo, DomainSpec, Event, HostInfo, Hypervisor, Nic,
    Scheduling, ShutdownRequest,
};
use crate::onlooker::{Nobody, Onlooker};
use crate::usage::Usage;
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
    /// Plugging and unplugging a device, the guest's part included.
    pub device: Duration,
    /// Writing or reading a guest's whole memory.
    pub image: Duration,
}

impl Default for Deadlines {
    /// Far above what a healthy host needs, software emulation included.
    fn default() -> Deadlines {
        Deadlines {
            question: Duration::from_secs(30),
            create: Duration::from_secs(180),
            control: Duration::from_secs(60),
            destroy: Duration::from_secs(120),
            device: Duration::from_secs(240),
            // A terabyte at 100 MB/s.
            image: Duration::from_secs(10_000),
        }
    }
}

impl Deadlines {
    fn of(&self, request: &Request) -> Duration {
        match request {
            Request::Host
            | Request::Domains
            | Request::Usage
            | Request::GuestData(_)
            | Request::ConsoleRing(_)
            | Request::Stop(_) => self.question,
            Request::Create(_) => self.create,
            Request::Unpause(_) | Request::Pause(_) | Request::Shutdown(..) => self.control,
            Request::Resume(_)
            | Request::SetVcpus(..)
            | Request::SetMemoryTarget(..)
            | Request::SetScheduling(..)
            | Request::Press(..)
            | Request::DebugKeys(_) => self.control,
            Request::Destroy(_) => self.destroy,
            Request::PlugDisk(..)
            | Request::UnplugDisk(..)
            | Request::PlugNic(..)
            | Request::UnplugNic(..)
            | Request::ChangeMedium(..) => self.device,
            Request::Suspend(..) | Request::Restore(..) | Request::DumpCore(..) => self.image,
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
        self.shared.call(request, deadline, &Nobody)
    }

    /// Makes a call that somebody follows.
    fn followed(&self, request: Request, onlooker: &dyn Onlooker) -> Result<Answer, XenopsError> {
        let deadline = self.deadlines.of(&request);
        self.shared.call(request, deadline, onlooker)
    }

    fn perform(&self, request: Request) -> Result<(), XenopsError> {
        let doing = request.doing();
        done(doing, self.call(request)?)
    }

    /// Builds a domain, from nothing or from an image.
    fn build(
        &self,
        uuid: Uuid,
        request: Request,
        onlooker: &dyn Onlooker,
    ) -> Result<Created, XenopsError> {
        let _building = self.shared.building(uuid)?;
        // Asked before, so that a leftover found afterwards is certainly ours.
        if self.find(uuid)?.is_some() {
            return Err(XenopsError::AlreadyExists(uuid));
        }
        let doing = request.doing();
        match self.followed(request, onlooker) {
            Ok(Answer::Created(created)) => Ok(created),
            Ok(other) => Err(mixed_up(doing, &other)),
            Err(lost @ XenopsError::WorkerLost { .. }) => Err(self.remove_leftover(uuid, lost)),
            Err(error) => Err(error),
        }
    }

    /// Makes a call that is safe to repeat: once more with the next worker.
    fn perform_again(&self, request: Request) -> Result<(), XenopsError> {
        match self.perform(request.clone()) {
            Err(XenopsError::WorkerLost { .. }) => self.perform(request),
            result => result,
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

fn done(doing: String, answer: Answer) -> Result<(), XenopsError> {
    match answer {
        Answer::Done => Ok(()),
        other => Err(mixed_up(doing, &other)),
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

    fn usage(&self) -> Result<Usage, XenopsError> {
        match self.call(Request::Usage)? {
            Answer::Usage(usage) => Ok(usage),
            other => Err(mixed_up(Request::Usage.doing(), &other)),
        }
    }

    fn create(&self, spec: &DomainSpec) -> Result<Created, XenopsError> {
        self.build(spec.uuid, Request::Create(Box::new(spec.clone())), &Nobody)
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
        self.perform_again(Request::Destroy(domain))
    }

    fn plug_disk(&self, domain: DomId, disk: &Disk) -> Result<(), XenopsError> {
        self.perform(Request::PlugDisk(domain, disk.clone()))
    }

    fn unplug_disk(&self, domain: DomId, vdev: &str, force: bool) -> Result<(), XenopsError> {
        self.perform_again(Request::UnplugDisk(domain, vdev.to_owned(), force))
    }

    fn plug_nic(&self, domain: DomId, nic: &Nic) -> Result<Vec<String>, XenopsError> {
        let request = Request::PlugNic(domain, nic.clone());
        let doing = request.doing();
        match self.call(request)? {
            Answer::Links(links) => Ok(links),
            other => Err(mixed_up(doing, &other)),
        }
    }

    fn unplug_nic(&self, domain: DomId, devid: u32, force: bool) -> Result<(), XenopsError> {
        self.perform_again(Request::UnplugNic(domain, devid, force))
    }

    fn change_medium(
        &self,
        domain: DomId,
        vdev: &str,
        source: Option<&Path>,
    ) -> Result<(), XenopsError> {
        let source = source.map(Path::to_owned);
        self.perform_again(Request::ChangeMedium(domain, vdev.to_owned(), source))
    }

    fn suspend(
        &self,
        domain: DomId,
        image: &Path,
        onlooker: &dyn Onlooker,
    ) -> Result<(), XenopsError> {
        let request = Request::Suspend(domain, image.to_owned());
        let doing = request.doing();
        match self.followed(request, onlooker).and_then(|answer| done(doing, answer)) {
            Err(lost @ XenopsError::WorkerLost { .. }) => {
                // Whatever it had come to, the guest runs on.
                if let Err(error) = self.resume(domain) {
                    tracing::error!(%error, domain = domain.0, "after a worker died suspending it");
                }
                Err(lost)
            }
            result => result,
        }
    }

    fn resume(&self, domain: DomId) -> Result<(), XenopsError> {
        self.perform_again(Request::Resume(domain))
    }

    fn restore(
        &self,
        spec: &DomainSpec,
        image: &Path,
        onlooker: &dyn Onlooker,
    ) -> Result<Created, XenopsError> {
        let request = Request::Restore(Box::new(spec.clone()), image.to_owned());
        self.build(spec.uuid, request, onlooker)
    }

    fn set_vcpus(&self, domain: DomId, count: u32) -> Result<(), XenopsError> {
        self.perform_again(Request::SetVcpus(domain, count))
    }

    fn set_memory_target(&self, domain: DomId, kib: u64) -> Result<(), XenopsError> {
        self.perform_again(Request::SetMemoryTarget(domain, kib))
    }

    fn set_scheduling(&self, domain: DomId, scheduling: Scheduling) -> Result<(), XenopsError> {
        self.perform_again(Request::SetScheduling(domain, scheduling))
    }

    fn press(&self, domain: DomId, button: Button) -> Result<(), XenopsError> {
        self.perform(Request::Press(domain, button))
    }

    fn guest_data(&self, domain: DomId) -> Result<BTreeMap<String, String>, XenopsError> {
        let request = Request::GuestData(domain);
        let doing = request.doing();
        match self.call(request)? {
            Answer::GuestData(data) => Ok(data),
            other => Err(mixed_up(doing, &other)),
        }
    }

    fn console_ring(&self, clear: bool) -> Result<String, XenopsError> {
        let request = Request::ConsoleRing(clear);
        let doing = request.doing();
        match self.call(request)? {
            Answer::Text(text) => Ok(text),
            other => Err(mixed_up(doing, &other)),
        }
    }

    fn send_debug_keys(&self, keys: &str) -> Result<(), XenopsError> {
        self.perform(Request::DebugKeys(keys.to_owned()))
    }

    fn dump_core(&self, domain: DomId, file: &Path) -> Result<(), XenopsError> {
        self.perform(Request::DumpCore(domain, file.to_owned()))
    }

    fn watch(&self) -> Result<Receiver<Event>, XenopsError> {
        let (sender, receiver) = mpsc::channel();
        self.shared.watch(sender);
        Ok(receiver)
    }
}
