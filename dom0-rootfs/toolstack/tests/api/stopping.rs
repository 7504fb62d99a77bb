// SPDX-License-Identifier: MIT OR Apache-2.0
//! Long work with a guest's memory tells how far it is, and is stopped: by its task, and by whoever wants the
//! VM's end.

use crate::common::{Client, Served, Wire, eventually};
use xapi_model::Value;

/// A served pool whose guests' memory moves half-way and no further.
struct Stuck {
    served: Served,
    client: Client,
    vm: String,
    disks: usize,
}

fn count(client: &Client) -> usize {
    client.ok("VDI.get_all", vec![]).as_set().unwrap().len()
}

impl Stuck {
    fn new() -> Stuck {
        let served = Served::new();
        let client = served.login(Wire::Json);
        let vm = client.make_vm("guest").vm;
        client.ok("VM.start", start_params(&vm));
        let disks = count(&client);
        served.hypervisor.set_stuck(true);
        Stuck { served, client, vm, disks }
    }

    fn params(&self, message: &str) -> Vec<Value> {
        match message {
            "resume" => start_params(&self.vm),
            "checkpoint" => vec![self.vm.as_str().into(), "kept".into()],
            _ => vec![self.vm.as_str().into()],
        }
    }

    /// Begins a message as a task and waits until half of the memory has moved.
    fn begin(&self, message: &str) -> String {
        let task = self.client.text(&format!("Async.VM.{message}"), self.params(message));
        eventually("half of the memory has moved", || {
            let progress = self.client.record("task", &task)["progress"].clone();
            matches!(progress, Value::Float(progress) if (0.3..0.7).contains(&progress))
        });
        task
    }

    /// How a task ended.
    fn ended(&self, task: &str) -> (String, Value) {
        let ended = self.client.ended(task);
        (ended["status"].text(), ended["error_info"].clone())
    }

    /// The VM is in this state, nothing is under way, and as many VDIs more are left.
    fn is(&self, state: &str, more_disks: usize) {
        assert_eq!(self.client.state(&self.vm), state);
        let record = self.client.record("VM", &self.vm);
        assert_eq!(record["current_operations"], Value::Map(Default::default()));
        eventually("its image is gone", || count(&self.client) == self.disks + more_disks);
    }
}

fn start_params(vm: &str) -> Vec<Value> {
    vec![vm.into(), false.into(), false.into()]
}

fn cancelled(task: &str) -> (String, Value) {
    ("cancelled".into(), Value::strings(["TASK_CANCELLED", task]))
}

#[test]
fn a_task_with_a_guests_memory_can_be_cancelled() {
    let stuck = Stuck::new();
    let cancel = |task: &str| stuck.client.ok("task.cancel", vec![task.into()]);
    for message in ["suspend", "checkpoint"] {
        let task = stuck.begin(message);
        cancel(&task);
        assert_eq!(stuck.ended(&task), cancelled(&task), "{message}");
        stuck.is("Running", 0);
    }
    stuck.served.hypervisor.set_stuck(false);
    stuck.client.ok("VM.suspend", stuck.params("suspend"));
    stuck.served.hypervisor.set_stuck(true);
    let task = stuck.begin("resume");
    cancel(&task);
    assert_eq!(stuck.ended(&task), cancelled(&task));
    stuck.is("Suspended", 1);
    // What nobody stops goes on to its end.
    let task = stuck.begin("resume");
    stuck.served.hypervisor.set_stuck(false);
    assert_eq!(stuck.ended(&task).0, "success");
    stuck.is("Running", 0);
}

#[test]
fn whoever_ends_a_vm_does_not_wait_for_its_memory() {
    for (message, end, state) in [
        ("suspend", "hard_shutdown", "Halted"),
        ("suspend", "hard_reboot", "Running"),
        ("checkpoint", "power_state_reset", "Halted"),
        ("resume", "hard_shutdown", "Halted"),
    ] {
        let stuck = Stuck::new();
        if message == "resume" {
            stuck.served.hypervisor.set_stuck(false);
            stuck.client.ok("VM.suspend", stuck.params("suspend"));
            stuck.served.hypervisor.set_stuck(true);
        }
        let task = stuck.begin(message);
        let allowed = stuck.client.record("VM", &stuck.vm)["allowed_operations"].clone();
        let allowed: Vec<String> = allowed.as_set().unwrap().iter().map(Value::text).collect();
        let expected: &[&str] = match message {
            "suspend" => &["hard_shutdown", "hard_reboot"],
            "resume" => &["hard_shutdown"],
            // One after the other.
            _ => &["hard_shutdown", "hard_reboot", "snapshot", "checkpoint"],
        };
        assert_eq!(allowed, expected, "{message}");
        stuck.client.ok(&format!("VM.{end}"), stuck.params(end));
        assert_eq!(stuck.ended(&task), cancelled(&task), "{message}");
        stuck.is(state, 0);
        let domains = xenops::Hypervisor::domains(&*stuck.served.hypervisor).unwrap();
        assert_eq!(domains.len(), if state == "Halted" { 1 } else { 2 }, "{message}, {end}");
    }
}
