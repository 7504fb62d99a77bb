// SPDX-License-Identifier: MIT OR Apache-2.0
//! `task`.

use xapi_model::{ApiError, DateTime, Ref, Reply, Value, errors};

use super::Entry;
use crate::toolstack::{Args, Context};
use crate::{rbac, task};

pub(super) const HANDLERS: &[Entry] = &[
    ("task.create", create),
    ("task.destroy", destroy),
    ("task.cancel", cancel),
    ("task.set_status", set_status),
    ("task.set_progress", |context, args| set(context, args, "progress")),
    ("task.set_result", |context, args| set(context, args, "result")),
    ("task.set_error_info", |context, args| set(context, args, "error_info")),
];

fn create(context: &Context, args: &Args<'_>) -> Reply {
    let host = context.toolstack.host();
    let label = args.text("label");
    if task::is_servers_label(label) {
        return Err(errors::INVALID_VALUE.with(["label", label]));
    }
    let made = task::create(context.store(), &host, label, args.text("description"))?;
    context.toolstack.task_owners.note(context.store(), &made, &context.user());
    Ok(made.into())
}

/// Refuses what is done to a task of somebody else.
fn own(context: &Context, task: &Ref) -> Result<(), ApiError> {
    let toolstack = &context.toolstack;
    toolstack.look("task", task, |_, _| ())?;
    let (permission, needed) = rbac::OTHERS_TASKS;
    if context.role.may(needed) || toolstack.task_owners.is(task, &context.user()) {
        return Ok(());
    }
    Err(rbac::denied(permission, needed))
}

fn destroy(context: &Context, args: &Args<'_>) -> Reply {
    own(context, &args.to("self"))?;
    context.store().write(|t| {
        t.get("task", &args.to("self"))?;
        t.remove(&args.to("self"));
        Ok(Value::Void)
    })
}

fn cancel(context: &Context, args: &Args<'_>) -> Reply {
    let task = args.to("task");
    own(context, &task)?;
    let pending = context.toolstack.look("task", &task, |t, _| t.text("status") == "pending")?;
    if !pending || !context.toolstack.cancels.cancel(&task) {
        return Err(errors::OPERATION_NOT_ALLOWED.with(["the task cannot be cancelled now"]));
    }
    Ok(Value::Void)
}

/// Sets a field of a task that the client itself drives. Those of `Async.` are the server's.
fn set(context: &Context, args: &Args<'_>, field: &str) -> Reply {
    let this = args.to("self");
    own(context, &this)?;
    context.store().write(|t| {
        let object = t.get("task", &this)?;
        if task::is_servers(object) {
            return Err(errors::OPERATION_NOT_ALLOWED.with(["the server drives this task"]));
        }
        t.set_live(&this, field, args.get("value").clone());
        Ok(Value::Void)
    })
}

fn set_status(context: &Context, args: &Args<'_>) -> Reply {
    set(context, args, "status")?;
    let pending = args.text("value") == "pending";
    context.store().write(|t| {
        if !pending {
            t.set_live(&args.to("self"), "finished", DateTime::now());
        }
        Ok(Value::Void)
    })
}
