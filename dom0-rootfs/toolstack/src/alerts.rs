// SPDX-License-Identifier: MIT OR Apache-2.0
//! Messages for people: what happened to VMs, whoever caused it.

use xapi_model::{ApiError, DateTime, Ref, Value, classes};

use crate::store::{Store, Transaction};

/// Most messages that are kept; the oldest go.
const MOST: usize = 5000;

/// Priority of what somebody asked for.
const ASKED_FOR: i64 = 5;
/// Priority of a crash, which may lose data of the guest.
const CRASH: i64 = 3;

/// Calls that are told of, with the message's name and what happened to the VM.
const CALLS: &[(&str, &str, &str)] = &[
    ("VM.start", "VM_STARTED", "was started"),
    ("VM.start_on", "VM_STARTED", "was started"),
    ("VM.clean_shutdown", "VM_SHUTDOWN", "was shut down"),
    ("VM.shutdown", "VM_SHUTDOWN", "was shut down"),
    ("VM.hard_shutdown", "VM_SHUTDOWN", "was stopped at once"),
    ("VM.clean_reboot", "VM_REBOOTED", "was rebooted"),
    ("VM.hard_reboot", "VM_REBOOTED", "was stopped at once and started again"),
    ("VM.pause", "VM_PAUSED", "was paused"),
    ("VM.unpause", "VM_UNPAUSED", "was let run on"),
    ("VM.suspend", "VM_SUSPENDED", "was suspended"),
    ("VM.resume", "VM_RESUMED", "was resumed"),
    ("VM.resume_on", "VM_RESUMED", "was resumed"),
    ("VM.clone", "VM_CLONED", "was cloned"),
    ("VM.snapshot", "VM_SNAPSHOTTED", "was snapshotted"),
    ("VM.checkpoint", "VM_CHECKPOINTED", "was checkpointed"),
    ("VM.revert", "VM_SNAPSHOT_REVERTED", "was reverted to a snapshot"),
];

/// What a guest did by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfGuest {
    /// It powered off.
    Shutdown,
    /// It rebooted.
    Reboot,
    /// It crashed, or its watchdog bit.
    Crash,
}

/// A message to be.
pub struct Alert<'a> {
    /// `VM_STARTED`.
    pub name: &'a str,
    /// From 1, the worst, to 5.
    pub priority: i64,
    /// `message.cls`.
    pub class: Value,
    /// Uuid of the object that it is about.
    pub uuid: &'a str,
    /// More of it.
    pub body: String,
}

impl Alert<'_> {
    /// Makes the message.
    pub fn record(self, t: &mut Transaction<'_>) -> Ref {
        let mut old: Vec<(i64, Ref)> = Vec::new();
        if t.objects().all("message").count() >= MOST {
            let time = |value: &Value| match value {
                Value::DateTime(time) => time.0,
                _ => 0,
            };
            let all = t.objects().all("message");
            old.extend(all.map(|m| (time(m.get("timestamp")), m.reference().clone())));
            old.sort();
            old.truncate(old.len() + 1 - MOST);
        }
        for (_, message) in &old {
            t.remove(message);
        }
        t.create(
            &classes::MESSAGE,
            vec![
                ("name", self.name.into()),
                ("priority", self.priority.into()),
                ("cls", self.class),
                ("obj_uuid", self.uuid.into()),
                ("timestamp", DateTime::now().into()),
                ("body", self.body.into()),
            ],
        )
    }
}

/// Tells of a call that succeeded, if it is one that is told of. A failure to do so is only logged: the
/// work is done.
pub fn of_call(store: &Store, name: &str, first: &Value) {
    let Some((_, message, happened)) = CALLS.iter().find(|(call, ..)| *call == name) else {
        return;
    };
    let Some(mut vm) = first.as_ref().cloned() else { return };
    if name == "VM.revert" {
        vm = store.read(|objects| objects.find(&vm).map_or(vm.clone(), |s| s.to("snapshot_of")));
    }
    of_vm(store, &vm, message, ASKED_FOR, happened);
}

/// Tells of what a guest did by itself.
pub fn of_guest(store: &Store, vm: &Ref, what: OfGuest) {
    match what {
        OfGuest::Shutdown => of_vm(store, vm, "VM_SHUTDOWN", ASKED_FOR, "shut down from within"),
        OfGuest::Reboot => of_vm(store, vm, "VM_REBOOTED", ASKED_FOR, "rebooted from within"),
        OfGuest::Crash => of_vm(store, vm, "VM_CRASHED", CRASH, "crashed"),
    }
}

fn of_vm(store: &Store, vm: &Ref, name: &str, priority: i64, happened: &str) {
    let told = store.write(|t| {
        let Ok(object) = t.get("VM", vm) else { return Ok(()) };
        let uuid = object.uuid().to_owned();
        let body = format!("VM '{}' {happened} (uuid: {uuid})", object.text("name_label"));
        let class = Value::Enum("VM");
        Alert { name, priority, class, uuid: &uuid, body }.record(t);
        Ok::<_, ApiError>(())
    });
    if let Err(error) = told {
        tracing::error!(%error, %vm, name, "recording a message");
    }
}
