// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a decoded call to its answer: existence, session, role, parameters, handler.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use xapi_model::{
    ApiError, Call, Described, Kind, Ref, Reply, Role, Value, catalogue, coerce, errors,
};

use crate::toolstack::{Args, Context, Peer, Toolstack};
use crate::{api, audit, event, generated, rbac, task};

/// How long the answer to a wrong password takes.
const WRONG_PASSWORD: Duration = Duration::from_millis(500);

/// Logins at a time.
static LOGINS: Semaphore = Semaphore::const_new(4);

/// Answers a call.
pub async fn call(toolstack: &Arc<Toolstack>, peer: &Peer, call: Call) -> Reply {
    let (method, mut params) = (call.method, call.params);
    if method == "system.listMethods" {
        return Ok(Value::strings(methods()));
    }
    let (message, asynchronous) = find(&method)?;
    let mut context = Context {
        toolstack: toolstack.clone(),
        session: Ref::null(),
        role: Role::ReadOnly,
        task: None,
        peer: peer.clone(),
    };
    if message.session {
        let given = if params.is_empty() { Value::Void } else { params.remove(0) };
        let given = given.as_str().unwrap_or_default();
        context.role = toolstack.session(given)?.1;
        context.session = Ref::new(given);
        rbac::check(context.role, message)
            .map_err(|denied| audit::denied(&context, message, &[], denied))?;
    }
    let params = typed(message, params)?;
    rbac::check_key(context.role, message, &params)
        .map_err(|denied| audit::denied(&context, message, &params, denied))?;
    if let Some(handler) = event::handler(&message.full_name()) {
        let entry = audit::Entry::of(&context, message, &params);
        let reply = handler(context, params).await;
        if let Some(entry) = entry {
            entry.ended(toolstack, &reply);
        }
        return reply;
    }
    if asynchronous {
        return spawn(context, message, params).await;
    }
    // Threads are not for those who wait to have a password checked.
    let turn = match message.session {
        true => None,
        false => LOGINS.acquire().await.ok(),
    };
    let reply = blocking(move || run(&context, message, params)).await;
    drop(turn);
    if let Err(error) = &reply
        && error.is(&errors::SESSION_AUTHENTICATION_FAILED)
    {
        tokio::time::sleep(WRONG_PASSWORD).await;
    }
    reply
}

/// The message of this name, and whether its `Async.` form was asked for.
fn find(method: &str) -> Result<(&'static Described, bool), ApiError> {
    let unknown = || errors::MESSAGE_METHOD_UNKNOWN.with([method]);
    // An official sample calls it so.
    let name = if method == "event_from" { "event.from" } else { method };
    let (name, asynchronous) = match name.strip_prefix("Async.") {
        Some(name) => (name, true),
        None => (name, false),
    };
    let message = catalogue().find(name).ok_or_else(unknown)?;
    if asynchronous && !message.asynchronous {
        return Err(unknown());
    }
    Ok((message, asynchronous))
}

/// Every name that can be called.
pub fn methods() -> Vec<String> {
    let mut all = vec!["system.listMethods".to_owned()];
    for message in catalogue().all() {
        let name = message.full_name();
        if message.asynchronous {
            all.push(format!("Async.{name}"));
        }
        all.push(name);
    }
    all.sort();
    all
}

/// Gives the parameters their types and fills in those left out.
fn typed(message: &Described, params: Vec<Value>) -> Result<Vec<Value>, ApiError> {
    let described = &message.params;
    if params.len() < message.required() || params.len() > described.len() {
        // As clients count: with the session.
        let extra = usize::from(message.session);
        let expected = (message.required() + extra).to_string();
        let received = (params.len() + extra).to_string();
        let words = [message.full_name(), expected, received];
        return Err(errors::MESSAGE_PARAMETER_COUNT_MISMATCH.with(words));
    }
    let mut typed = Vec::with_capacity(described.len());
    let mut params = params.into_iter();
    for param in described {
        let value = match (params.next(), param.default) {
            (Some(value), _) => coerce(&param.ty, value).map_err(|mismatch| {
                let place = format!("{}{}", param.name, mismatch.at);
                errors::FIELD_TYPE_ERROR.with([place, mismatch.expected])
            })?,
            (None, Some(default)) => default.value(&param.ty),
            (None, None) => param.ty.zero(),
        };
        typed.push(value);
    }
    Ok(typed)
}

fn run(context: &Context, message: &'static Described, params: Vec<Value>) -> Reply {
    let entry = audit::Entry::of(context, message, &params);
    let args = Args::new(&message.params, params);
    let reply = match message.kind {
        Kind::Own(_) | Kind::Create | Kind::Destroy => api::carry_out(context, message, &args),
        _ => generated::call(context, message, &args),
    };
    if let Some(entry) = entry {
        entry.ended(&context.toolstack, &reply);
    }
    reply
}

/// Makes a task, begins the work and answers the task at once.
async fn spawn(mut context: Context, message: &'static Described, params: Vec<Value>) -> Reply {
    let toolstack = context.toolstack.clone();
    let task = {
        let (toolstack, user) = (toolstack.clone(), context.user());
        blocking(move || {
            let host = toolstack.host();
            let task = task::of_call(&toolstack.store, &host, message)?;
            toolstack.task_owners.note(&toolstack.store, &task, &user);
            Ok(task.into())
        })
        .await?
    };
    let Value::Ref(reference) = task.clone() else { return Ok(task) };
    context.task = Some(reference.clone());
    tokio::spawn(async move {
        let reply = blocking(move || run(&context, message, params)).await;
        let finished = tokio::task::spawn_blocking(move || {
            let (store, cancels) = (&toolstack.store, &toolstack.cancels);
            task::finish(store, cancels, &reference, &message.result, &reply);
        });
        if let Err(error) = finished.await {
            tracing::error!(%error, "ending a task");
        }
    });
    Ok(task)
}

/// Runs what blocks on a thread for it, which the runtime refuses once the daemon ends. In the
/// appliance a panic ends the daemon: nobody knows what a handler that failed so had in hand, while a
/// start of the daemon finds everything out anew.
pub async fn blocking(work: impl FnOnce() -> Reply + Send + 'static) -> Reply {
    match tokio::task::spawn_blocking(work).await {
        Ok(reply) => reply,
        Err(error) => {
            tracing::error!(%error, "a handler failed");
            Err(errors::INTERNAL_ERROR.with([error.to_string()]))
        }
    }
}
