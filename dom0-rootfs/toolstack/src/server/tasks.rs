// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tasks of requests that are no calls: the client's, which the query names, or new ones.

use hyper::Response;
use hyper::header::HeaderValue;
use xapi_model::{ApiError, Ref, Reply, Role, Type, Value, errors};

use super::Body;
use super::request::Query;
use super::transfer::named;
use crate::task::{self, Cancel};
use crate::toolstack::Context;

/// A task that a context was given.
pub(super) struct Begun {
    /// Says when it is to stop.
    pub(super) cancel: Cancel,
    /// Whether it is the client's, who learns the outcome from it.
    pub(super) clients: bool,
}

/// The task of the client's that the query names, if that is under way and not driven by somebody else.
pub(super) fn claimed(context: &Context, query: &Query) -> Option<Ref> {
    let name = query.get("task_id")?;
    let (user, owners) = (context.user(), &context.toolstack.task_owners);
    context.store().read(|objects| {
        let task = named(objects, "task", name).ok()?;
        let object = objects.find(&task)?;
        let free = !task::is_servers(object) && object.text("status") == "pending";
        let own = context.role.may(Role::PoolOperator) || owners.is(&task, &user);
        (free && own).then_some(task)
    })
}

/// Gives a context its task: the client's, or a new one.
pub(super) fn begin(context: &mut Context, query: &Query, label: &str) -> Result<Begun, ApiError> {
    let known = claimed(context, query);
    let clients = known.is_some();
    let task = match known {
        Some(task) => task,
        None => {
            let (toolstack, user) = (&context.toolstack, context.user());
            let task = task::create(&toolstack.store, &toolstack.host(), label, "")?;
            toolstack.task_owners.note(&toolstack.store, &task, &user);
            task
        }
    };
    context.task = Some(task);
    Ok(Begun { cancel: context.cancellable()?, clients })
}

/// Ends the task, as the work ended.
pub(super) fn finish(context: &Context, result: &Type, reply: &Reply) {
    if let Err(error) = reply {
        tracing::info!(%error, "a transfer failed");
    }
    if let Some(task) = &context.task {
        task::finish(context.store(), &context.toolstack.cancels, task, result, reply);
    }
}

/// Ends the task of a request that is answered at once, if it has one, as the answer is.
pub(super) fn answered(context: &Context, response: Response<Body>) -> Response<Body> {
    let status = response.status();
    let reply = match status.is_client_error() || status.is_server_error() {
        false => Ok(Value::Void),
        true => Err(errors::INTERNAL_ERROR.with([format!("the answer was HTTP {status}")])),
    };
    finish(context, &Type::Void, &reply);
    with_task(response, context.task.clone())
}

/// Names the task of an answer, as XAPI does.
pub(super) fn with_task(mut response: Response<Body>, task: Option<Ref>) -> Response<Body> {
    let value = task.and_then(|task| HeaderValue::from_str(task.as_str()).ok());
    if let Some(value) = value {
        response.headers_mut().insert("task-id", value);
    }
    response
}
