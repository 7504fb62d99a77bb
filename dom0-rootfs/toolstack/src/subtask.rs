// SPDX-License-Identifier: MIT OR Apache-2.0
//! Parts of a task: one for each message that a message works through.

use std::sync::Arc;

use xapi_model::{ApiError, Described, Ref, Reply, Type, catalogue, errors};

use crate::task;
use crate::toolstack::{Context, Toolstack};

/// A part that has not begun. Without a task to be a part of it is the work alone.
pub struct Part {
    /// Of the part.
    context: Context,
    task: Option<Pending>,
}

/// The task of a part, until it has ended.
struct Pending {
    toolstack: Arc<Toolstack>,
    task: Ref,
    result: &'static Type,
}

impl Part {
    /// Makes a part that will carry out this message.
    pub fn of(context: &Context, message: &str) -> Result<Part, ApiError> {
        let described: Option<&'static Described> = catalogue().find(message);
        let message = described.ok_or_else(|| errors::MESSAGE_METHOD_UNKNOWN.with([message]))?;
        let Some(whole) = &context.task else {
            return Ok(Part { context: context.clone(), task: None });
        };
        let toolstack = context.toolstack.clone();
        let task = task::part_of(&toolstack.store, whole, message)?;
        toolstack.task_owners.note(&toolstack.store, &task, &context.user());
        let context = Context { task: Some(task.clone()), ..context.clone() };
        Ok(Part { context, task: Some(Pending { toolstack, task, result: &message.result }) })
    }

    /// Does the work of the part, which ends with it.
    pub fn run(self, work: impl FnOnce(&Context) -> Reply) -> Reply {
        let reply = work(&self.context);
        if let Some(pending) = self.task {
            pending.end(&reply);
        }
        reply
    }
}

impl Pending {
    fn end(&self, reply: &Reply) {
        let (store, cancels) = (&self.toolstack.store, &self.toolstack.cancels);
        task::finish(store, cancels, &self.task, self.result, reply);
    }
}

impl Drop for Pending {
    /// One that was never begun ends as the whole was cancelled.
    fn drop(&mut self) {
        let task = self.toolstack.look("task", &self.task, |task, _| {
            (task.text("status") == "pending").then(|| task.reference().clone())
        });
        if let Ok(Some(task)) = task {
            self.end(&Err(errors::TASK_CANCELLED.with([task.as_str()])));
        }
    }
}
