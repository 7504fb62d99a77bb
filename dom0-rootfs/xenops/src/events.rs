// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who is told what happens to domains.

use std::sync::mpsc::Sender;

use crate::hypervisor::Event;

/// The receivers of [`crate::Hypervisor::watch`]; those that hung up are forgotten.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    senders: Vec<Sender<Event>>,
}

impl Watchers {
    pub(crate) fn add(&mut self, sender: Sender<Event>) {
        self.senders.push(sender);
    }

    pub(crate) fn tell(&mut self, event: Event) {
        self.senders.retain(|sender| sender.send(event.clone()).is_ok());
    }
}
