// SPDX-License-Identifier: MIT OR Apache-2.0
//! `event`, but for the messages that wait.

use xapi_model::{Ref, Reply, Value, classes, errors};

use super::Entry;
use crate::event;
use crate::store::Objects;
use crate::toolstack::{Args, Context};

pub(super) const HANDLERS: &[Entry] = &[
    ("event.inject", inject),
    ("event.register", register),
    ("event.unregister", unregister),
    ("event.get_current_id", |context, _| {
        let newest = context.store().read(Objects::generation);
        Ok(Value::Int(i64::try_from(newest).unwrap_or(i64::MAX)))
    }),
];

fn inject(context: &Context, args: &Args<'_>) -> Reply {
    let reference = Ref::new(args.text("ref"));
    let name = args.text("class");
    let class = classes::find(name)
        .ok_or_else(|| errors::HANDLE_INVALID.with([name, reference.as_str()]))?;
    context.store().write(|t| {
        t.get(class.name, &reference)?;
        t.touch(&reference);
        Ok(())
    })?;
    Ok(context.store().read(Objects::token).to_string().into())
}

fn classes_of(args: &Args<'_>) -> Vec<String> {
    args.get("classes").as_set().unwrap_or_default().iter().map(Value::text).collect()
}

fn register(context: &Context, args: &Args<'_>) -> Reply {
    let classes = classes_of(args);
    event::check_subscriptions(&classes)?;
    let newest = context.store().read(Objects::token);
    context.toolstack.sessions.change(&context.session, |session| {
        let (all, _) = session.registered.get_or_insert((Vec::new(), newest));
        all.extend(classes);
        all.sort();
        all.dedup();
    });
    Ok(Value::Void)
}

fn unregister(context: &Context, args: &Args<'_>) -> Reply {
    let classes = classes_of(args);
    context.toolstack.sessions.change(&context.session, |session| {
        if let Some((all, _)) = &mut session.registered {
            all.retain(|class| !classes.contains(class) && !classes.iter().any(|c| c == "*"));
            if all.is_empty() {
                session.registered = None;
            }
        }
    });
    Ok(Value::Void)
}
