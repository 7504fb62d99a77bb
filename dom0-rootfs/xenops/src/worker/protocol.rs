// SPDX-License-Identifier: MIT OR Apache-2.0
//! What daemon and worker say to each other. Both come out of one build: there is one version.

use serde::{Deserialize, Serialize};

use crate::error::XenopsError;
use crate::hypervisor::{Created, DomId, DomainInfo, DomainSpec, Event, HostInfo, ShutdownRequest};

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
    Create(Box<DomainSpec>),
    Unpause(DomId),
    Pause(DomId),
    Shutdown(DomId, ShutdownRequest),
    Destroy(DomId),
}

/// Worker to daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FromWorker {
    /// The worker is connected to the hypervisor and listens. Always the first message.
    Ready,
    /// The answer to one call, in no particular order.
    Answer { id: u64, result: Result<Answer, XenopsError> },
    /// Something happened to a domain.
    Event(Event),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    Host(HostInfo),
    Domains(Vec<DomainInfo>),
    Created(Created),
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
            Request::Host | Request::Domains => Lane::Questions,
            _ => Lane::Operations,
        }
    }

    /// A lower-case gerund with its object.
    pub(crate) fn doing(&self) -> String {
        match self {
            Request::Host => "reading the host's facts".into(),
            Request::Domains => "listing the domains".into(),
            Request::Create(spec) => format!("building the domain of VM {}", spec.uuid),
            Request::Unpause(id) => format!("unpausing domain {}", id.0),
            Request::Pause(id) => format!("pausing domain {}", id.0),
            Request::Shutdown(id, _) => format!("asking domain {} to end", id.0),
            Request::Destroy(id) => format!("destroying domain {}", id.0),
        }
    }
}
