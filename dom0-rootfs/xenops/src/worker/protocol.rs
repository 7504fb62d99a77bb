// SPDX-License-Identifier: MIT OR Apache-2.0
//! What daemon and worker say to each other. Both come out of one build: there is one version.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::XenopsError;
use crate::hypervisor::{
    Button, Created, Disk, DomId, DomainInfo, DomainSpec, Event, HostInfo, Nic, Scheduling,
    ShutdownRequest,
};
use crate::usage::Usage;

/// Daemon to worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Call {
    /// Comes back in the answer.
    pub(crate) id: u64,
    pub(crate) request: Request,
}

/// The methods of [`crate::Hypervisor`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Request {
    Host,
    Domains,
    Usage,
    Create(Box<DomainSpec>),
    Unpause(DomId),
    Pause(DomId),
    Shutdown(DomId, ShutdownRequest),
    Destroy(DomId),
    PlugDisk(DomId, Disk),
    UnplugDisk(DomId, String, bool),
    PlugNic(DomId, Nic),
    UnplugNic(DomId, u32, bool),
    ChangeMedium(DomId, String, Option<PathBuf>),
    Suspend(DomId, PathBuf),
    Resume(DomId),
    Restore(Box<DomainSpec>, PathBuf),
    SetVcpus(DomId, u32),
    SetMemoryTarget(DomId, u64),
    SetScheduling(DomId, Scheduling),
    Press(DomId, Button),
    DumpCore(DomId, PathBuf),
    GuestData(DomId),
    ConsoleRing(bool),
    DebugKeys(String),
    /// Stops the call with this number, if it can be.
    Stop(u64),
}

/// Worker to daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FromWorker {
    /// The worker is connected to the hypervisor and listens. Always the first message.
    Ready,
    /// The answer to one call, in no particular order.
    Answer { id: u64, result: Result<Answer, XenopsError> },
    /// So many bytes of an image are written or read in the course of a call.
    Moved { id: u64, bytes: u64 },
    /// Something happened to a domain.
    Event(Event),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    Host(HostInfo),
    Domains(Vec<DomainInfo>),
    Usage(Usage),
    Created(Created),
    Links(Vec<String>),
    GuestData(BTreeMap<String, String>),
    Text(String),
    Done,
}

/// Which of the worker's threads take a request: questions never queue behind builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    Questions,
    Operations,
}

impl Request {
    pub(crate) fn lane(&self) -> Lane {
        match self {
            Request::Host
            | Request::Domains
            | Request::Usage
            | Request::GuestData(_)
            | Request::ConsoleRing(_)
            | Request::Stop(_) => Lane::Questions,
            _ => Lane::Operations,
        }
    }

    /// A lower-case gerund with its object.
    pub(crate) fn doing(&self) -> String {
        match self {
            Request::Host => "reading the host's facts".into(),
            Request::Domains => "listing the domains".into(),
            Request::Usage => "asking what domains have used".into(),
            Request::Create(spec) => format!("building the domain of VM {}", spec.uuid),
            Request::Unpause(id) => format!("unpausing domain {}", id.0),
            Request::Pause(id) => format!("pausing domain {}", id.0),
            Request::Shutdown(id, _) => format!("asking domain {} to end", id.0),
            Request::Destroy(id) => format!("destroying domain {}", id.0),
            Request::PlugDisk(id, disk) => format!("plugging {} into domain {}", disk.vdev, id.0),
            Request::UnplugDisk(id, vdev, _) => format!("unplugging {vdev} of domain {}", id.0),
            Request::PlugNic(id, nic) => {
                format!("plugging network interface {} into domain {}", nic.devid, id.0)
            }
            Request::UnplugNic(id, devid, _) => {
                format!("unplugging network interface {devid} of domain {}", id.0)
            }
            Request::ChangeMedium(id, vdev, _) => {
                format!("changing the medium in {vdev} of domain {}", id.0)
            }
            Request::Suspend(id, _) => format!("suspending domain {}", id.0),
            Request::Resume(id) => format!("resuming domain {}", id.0),
            Request::Restore(spec, _) => format!("restoring the domain of VM {}", spec.uuid),
            Request::SetVcpus(id, _) => format!("changing the virtual CPUs of domain {}", id.0),
            Request::SetMemoryTarget(id, _) => {
                format!("setting the memory target of domain {}", id.0)
            }
            Request::SetScheduling(id, _) => {
                format!("changing the share of the CPUs of domain {}", id.0)
            }
            Request::Press(id, button) => format!("pressing {button:?} of domain {}", id.0),
            Request::ConsoleRing(false) => "reading Xen's log".into(),
            Request::ConsoleRing(true) => "reading and emptying Xen's log".into(),
            Request::DebugKeys(keys) => format!("pressing the debug keys {keys:?}"),
            Request::DumpCore(id, _) => format!("dumping the memory of domain {}", id.0),
            Request::Stop(id) => format!("stopping call {id}"),
            Request::GuestData(id) => format!("reading what the guest of domain {} says", id.0),
        }
    }
}
