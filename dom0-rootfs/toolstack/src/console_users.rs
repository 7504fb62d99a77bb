// SPDX-License-Identifier: MIT OR Apache-2.0
//! How many people use a VM's consoles.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use xapi_model::Ref;

/// Uses of VMs' consoles under way.
#[derive(Debug, Clone, Default)]
pub struct ConsoleUsers(Arc<Mutex<BTreeMap<Ref, usize>>>);

/// A use of a VM's console; ends when it is dropped.
#[derive(Debug)]
pub struct ConsoleUse {
    users: ConsoleUsers,
    vm: Ref,
}

impl ConsoleUsers {
    /// Begins a use; none if `alone` and somebody uses one already.
    pub fn begin(&self, vm: &Ref, alone: bool) -> Option<ConsoleUse> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.entry(vm.clone()).or_default();
        if alone && *count > 0 {
            return None;
        }
        *count += 1;
        Some(ConsoleUse { users: self.clone(), vm: vm.clone() })
    }
}

impl Drop for ConsoleUse {
    fn drop(&mut self) {
        let mut all = self.users.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = all.get_mut(&self.vm) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.vm);
            }
        }
    }
}
