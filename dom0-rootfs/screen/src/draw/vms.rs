// SPDX-License-Identifier: MIT OR Apache-2.0
//! The virtual machines.

use widgets::Body;

use super::{ROWS, cut, shown, size};
use crate::facts::Facts;
use crate::state::{State, VmRequest, vm_keys};

pub(super) fn body(state: &State) -> Body {
    let mut body = Body::default();
    let none = Facts::default();
    let all = &state.facts.as_ref().unwrap_or(&none).vms;
    body.text(&format!("  {:40} {:10} {:>10} {:>6}", "Name", "State", "Memory", "vCPUs"));
    for (index, vm) in shown(all, state.selected, ROWS) {
        let (name, memory) = (cut(&vm.name, 40), size(vm.memory));
        let line = format!("{name:40} {:10} {memory:>10} {:>6}", vm.state, vm.vcpus);
        body.choice(index == state.selected, &line);
    }
    if all.is_empty() {
        body.gap();
        body.text("There is none; xe vm-install makes one.");
    }
    body
}

/// What can be done with the selected one now.
pub(super) fn keys(state: &State) -> String {
    let Some(vm) = state.vm() else { return String::new() };
    let mut keys: Vec<String> = vm_keys(&vm.allowed)
        .map(|(key, what)| {
            let name = match what {
                VmRequest::Start => "start",
                VmRequest::Shutdown => "shut down",
                VmRequest::Reboot => "reboot",
                VmRequest::ForceOff => "force off",
            };
            format!("{key} {name}")
        })
        .collect();
    if vm.console.is_some() {
        keys.push("c console".to_owned());
    }
    keys.iter().map(|key| format!("{key}  ")).collect()
}
