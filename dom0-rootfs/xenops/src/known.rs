// SPDX-License-Identifier: MIT OR Apache-2.0
//! Domains as last seen, and what happened to them since: the worker turns lists into events
//! with it, the daemon bridges the death of a worker.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::hypervisor::{DomId, DomainInfo, Event, EventKind, ShutdownReason};

/// The domains as last seen.
#[derive(Debug, Default)]
pub(crate) struct Known {
    domains: BTreeMap<DomId, Domain>,
    /// Found missing by comparison, so the worker's own word on it would be the second.
    found_gone: BTreeSet<DomId>,
}

#[derive(Debug, Clone, Copy)]
struct Domain {
    uuid: Uuid,
    shutdown: Option<ShutdownReason>,
}

impl Known {
    /// A domain was built.
    pub(crate) fn built(&mut self, id: DomId, uuid: Uuid) {
        self.found_gone.remove(&id);
        self.domains.insert(id, Domain { uuid, shutdown: None });
    }

    /// The worker reports something: the event with what is known added, or none if watchers
    /// have been told.
    pub(crate) fn reported(&mut self, event: Event) -> Option<Event> {
        let known = self.domains.get(&event.domain).copied();
        let uuid = event.uuid.or(known.map(|domain| domain.uuid));
        match event.kind {
            EventKind::Shutdown(reason) => {
                if known.is_some_and(|domain| domain.shutdown == Some(reason)) {
                    return None;
                }
                if let Some(uuid) = uuid {
                    self.domains.insert(event.domain, Domain { uuid, shutdown: Some(reason) });
                }
            }
            EventKind::GuestData => {}
            EventKind::Death => {
                self.domains.remove(&event.domain);
                if self.found_gone.remove(&event.domain) {
                    return None;
                }
            }
        }
        Some(Event { uuid, ..event })
    }

    /// A new worker's first list: the events that were missed.
    pub(crate) fn compare(&mut self, list: &[DomainInfo]) -> Vec<Event> {
        let mut events = Vec::new();
        let old = std::mem::take(&mut self.domains);
        self.found_gone.clear();
        for (id, domain) in &old {
            let same = |now: &DomainInfo| now.id == *id && now.uuid == domain.uuid;
            if !list.iter().any(same) {
                self.found_gone.insert(*id);
                let uuid = Some(domain.uuid);
                events.push(Event { domain: *id, uuid, kind: EventKind::Death });
            }
        }
        for now in list {
            let before = old.get(&now.id).filter(|domain| domain.uuid == now.uuid);
            self.domains.insert(now.id, Domain { uuid: now.uuid, shutdown: now.shutdown });
            self.found_gone.remove(&now.id);
            if let (Some(before), Some(reason)) = (before, now.shutdown)
                && before.shutdown != Some(reason)
            {
                let kind = EventKind::Shutdown(reason);
                events.push(Event { domain: now.id, uuid: Some(now.uuid), kind });
            }
        }
        events
    }
}
