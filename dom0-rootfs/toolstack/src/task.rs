// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tasks: the outside of work that takes time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use xapi_model::{ApiError, DateTime, Described, Ref, Reply, Type, Value, classes, errors, xmlrpc};

use crate::store::{Object, Store, Transaction};

/// Ended tasks are forgotten when there are more than this many.
const ENDED: usize = 1000;
/// So many that clients made and did not end, too: everybody may make some, and nobody has to end them.
const PENDING: usize = 1000;

/// How the labels of tasks begin that the server drives.
const ASYNC: &str = "Async.";

/// Says whether somebody wants a task to stop, or the one that it is a part of.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<Wish>);

#[derive(Debug, Default)]
struct Wish {
    made: AtomicBool,
    whole: Option<Cancel>,
}

impl Cancel {
    /// Whether.
    pub fn wanted(&self) -> bool {
        self.0.made.load(Ordering::Relaxed) || self.0.whole.as_ref().is_some_and(Cancel::wanted)
    }

    fn want(&self) {
        self.0.made.store(true, Ordering::Relaxed);
    }

    fn part_of(whole: Cancel) -> Cancel {
        Cancel(Arc::new(Wish { whole: Some(whole), ..Wish::default() }))
    }
}

/// Tasks that can be cancelled now.
#[derive(Debug, Default)]
pub struct Cancels(Mutex<HashMap<Ref, Cancel>>);

impl Cancels {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Ref, Cancel>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to watch a task.
    pub fn watch(&self, store: &Store, task: &Ref) -> Result<Cancel, ApiError> {
        let whole = store.read(|objects| Some(objects.find(task)?.to("subtask_of")));
        let cancel = {
            let mut watched = self.lock();
            let whole = whole.filter(|whole| !whole.is_null());
            let whole = whole.and_then(|whole| watched.get(&whole).cloned());
            let new = || whole.map(Cancel::part_of).unwrap_or_default();
            // A wish to stop from between two steps of the work counts in the next one.
            watched.entry(task.clone()).or_insert_with(new).clone()
        };
        store.write(|t| {
            t.set_live(task, "allowed_operations", Value::Set(vec![Value::Enum("cancel")]));
            Ok(())
        })?;
        Ok(cancel)
    }

    /// Asks the task to stop; false if nothing watches.
    pub fn cancel(&self, task: &Ref) -> bool {
        self.lock().get(task).inspect(|cancel| cancel.want()).is_some()
    }

    fn forget(&self, task: &Ref) {
        self.lock().remove(task);
    }
}

/// Who began which task. Others' tasks are for pool operators alone.
#[derive(Debug, Default)]
pub struct Owners(Mutex<HashMap<Ref, String>>);

impl Owners {
    /// Remembers it; `identifier` is a session's user's.
    pub fn note(&self, store: &Store, task: &Ref, identifier: &str) {
        let mut owners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if owners.len() > 2 * ENDED {
            store.read(|objects| owners.retain(|task, _| objects.find(task).is_some()));
        }
        owners.insert(task.clone(), identifier.to_owned());
    }

    /// Whether a user began it.
    pub fn is(&self, task: &Ref, identifier: &str) -> bool {
        let owners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        owners.get(task).is_some_and(|owner| owner == identifier)
    }
}

/// Makes a pending task.
pub fn create(store: &Store, host: &Ref, label: &str, description: &str) -> Result<Ref, ApiError> {
    store.write(|t| Ok(make(t, host, label, description)))
}

fn make(t: &mut Transaction<'_>, host: &Ref, label: &str, description: &str) -> Ref {
    forget_old(t);
    t.create(
        &classes::TASK,
        vec![
            ("name_label", label.into()),
            ("name_description", description.into()),
            ("created", DateTime::now().into()),
            ("status", Value::Enum("pending")),
            ("resident_on", host.into()),
        ],
    )
}

/// Whether the server drives a task, as it does those of `Async.` calls; others are clients'.
pub fn is_servers(task: &Object) -> bool {
    is_servers_label(task.text("name_label"))
}

/// Whether a label is one of these tasks', which no client can make: they would never end.
pub fn is_servers_label(label: &str) -> bool {
    label.starts_with(ASYNC)
}

/// Makes the task of an `Async.` call.
pub fn of_call(store: &Store, host: &Ref, message: &Described) -> Result<Ref, ApiError> {
    create(store, host, &format!("{ASYNC}{}", message.full_name()), "")
}

/// Makes the task of a message that is a part of another one's work.
pub fn part_of(store: &Store, whole: &Ref, message: &Described) -> Result<Ref, ApiError> {
    store.write(|t| {
        let host = t.objects().find(whole).map_or_else(Ref::null, |whole| whole.to("resident_on"));
        let part = make(t, &host, &format!("{ASYNC}{}", message.full_name()), "");
        // Somebody may have destroyed the whole, which goes on.
        if t.get("task", whole).is_ok() {
            t.set(&part, "subtask_of", whole);
        }
        Ok(part)
    })
}

/// Sets the progress of the task that this one is a part of, to the mean of its parts'.
fn follow_part(t: &mut Transaction<'_>, part: &Ref) {
    let whole = t.objects().find(part).map_or_else(Ref::null, |part| part.to("subtask_of"));
    let Some(object) = t.objects().find(&whole) else { return };
    let parts = object.refs("subtasks");
    let done = parts.iter().filter_map(|part| t.objects().find(part)).map(|part| {
        match (part.text("status"), part.get("progress")) {
            ("pending", Value::Float(progress)) => *progress,
            _ => 1.0,
        }
    });
    let progress = done.sum::<f64>() / parts.len().max(1) as f64;
    t.set_live(&whole, "progress", progress);
}

/// Ends a task with what the call answered. A task that was destroyed meanwhile stays so.
pub fn finish(store: &Store, cancels: &Cancels, task: &Ref, result: &Type, reply: &Reply) {
    cancels.forget(task);
    let ended = store.write(|t| {
        if t.get("task", task).is_err() {
            return Ok(());
        }
        t.set_live(task, "finished", DateTime::now());
        t.set_live(task, "allowed_operations", Value::Set(vec![Value::Enum("destroy")]));
        match reply {
            Ok(value) => {
                t.set_live(task, "progress", 1.0);
                t.set_live(task, "type", result.describe());
                t.set_live(task, "result", xmlrpc::encode_value(value));
                t.set_live(task, "status", Value::Enum("success"));
            }
            Err(error) => {
                t.set_live(task, "error_info", Value::strings(error.description()));
                let cancelled = error.is(&errors::TASK_CANCELLED);
                let status = if cancelled { "cancelled" } else { "failure" };
                t.set_live(task, "status", Value::Enum(status));
            }
        }
        follow_part(t, task);
        Ok(())
    });
    if let Err(error) = ended {
        tracing::error!(%error, %task, "ending a task");
    }
}

/// Sets the progress of a task, from 0 to 1.
pub fn progress(store: &Store, task: &Ref, progress: f64) {
    let set = store.write(|t| {
        t.set_live(task, "progress", progress);
        follow_part(t, task);
        Ok(())
    });
    if let Err(error) = set {
        tracing::error!(%error, %task, "setting the progress of a task");
    }
}

fn forget_old(t: &mut Transaction<'_>) {
    let pending = |task: &Object| task.text("status") == "pending";
    forget_oldest(t, ENDED, "finished", |task| !pending(task));
    forget_oldest(t, PENDING, "created", |task| pending(task) && !is_servers(task));
}

/// Removes the oldest, by a field with a time, of more than `most` of these.
fn forget_oldest(
    t: &mut Transaction<'_>,
    most: usize,
    time: &'static str,
    these: impl Fn(&Object) -> bool,
) {
    let these = t.objects().all("task").filter(|task| these(task));
    let mut these: Vec<_> =
        these.map(|task| (task.get(time).text(), task.reference().clone())).collect();
    if these.len() > most {
        these.sort();
        for (_, reference) in &these[..these.len() - most] {
            t.remove(reference);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::MemoryDatabase;
    use crate::derived;

    #[test]
    fn tasks_that_nobody_ends_make_room_and_those_of_the_server_stay() {
        let store = Store::open(Box::new(MemoryDatabase::default()), derived::derive).unwrap();
        let make = |label: &str| create(&store, &Ref::null(), label, "").unwrap();
        let servers = make("Async.VM.start");
        for _ in 0..PENDING + 5 {
            make("of a client");
        }
        store.read(|objects| {
            assert!(objects.find(&servers).is_some());
            // With the last one, for which room was made.
            let clients = objects.all("task").filter(|task| !is_servers(task));
            assert_eq!(clients.count(), PENDING + 1);
        });
    }
}
