// SPDX-License-Identifier: MIT OR Apache-2.0
//! `message`.

use xapi_model::{ApiError, DateTime, Ref, Reply, Value, classes, errors};

use super::{Entry, records};
use crate::alerts;
use crate::store::Object;
use crate::toolstack::{Args, Context};

pub(super) const HANDLERS: &[Entry] = &[
    ("message.create", create),
    ("message.destroy", |context, args| records::destroy(context, args, "message")),
    ("message.destroy_many", destroy_many),
    ("message.destroy_all", destroy_all),
    ("message.get", |context, args| {
        let (class, object, since) = (args.text("cls"), args.text("obj_uuid"), time(args, "since"));
        Ok(records(context, |message| {
            message.text("cls") == class
                && message.text("obj_uuid") == object
                && happened(message) >= since
        }))
    }),
    ("message.get_since", |context, args| {
        let since = time(args, "since");
        Ok(records(context, |message| happened(message) >= since))
    }),
];

fn time(args: &Args<'_>, name: &str) -> DateTime {
    match args.get(name) {
        Value::DateTime(time) => *time,
        _ => DateTime::EPOCH,
    }
}

fn happened(message: &Object) -> DateTime {
    match message.get("timestamp") {
        Value::DateTime(time) => *time,
        _ => DateTime::EPOCH,
    }
}

fn records(context: &Context, wanted: impl Fn(&Object) -> bool) -> Value {
    context.store().read(|objects| {
        let wanted = objects.all("message").filter(|message| wanted(message));
        Value::Map(wanted.map(|m| (m.reference().to_string(), m.record().into())).collect())
    })
}

fn create(context: &Context, args: &Args<'_>) -> Reply {
    let (class, uuid) = (args.text("cls"), args.text("obj_uuid"));
    let known = classes::find(class).map(|class| class.name);
    context.store().write(|t| {
        let there = known.is_some_and(|class| t.objects().by_uuid(class, uuid).is_some());
        if !there {
            return Err(errors::UUID_INVALID.with([class, uuid]));
        }
        let message = alerts::Alert {
            name: args.text("name"),
            priority: args.int("priority"),
            class: args.get("cls").clone(),
            uuid,
            body: args.text("body").to_owned(),
        };
        Ok(message.record(t).into())
    })
}

fn destroy_many(context: &Context, args: &Args<'_>) -> Reply {
    let messages = args.get("messages").as_set().unwrap_or_default();
    let messages: Vec<Ref> = messages.iter().filter_map(Value::as_ref).cloned().collect();
    context.store().write(|t| {
        for message in &messages {
            t.get("message", message)?;
            t.remove(message);
        }
        Ok(Value::Void)
    })
}

fn destroy_all(context: &Context, args: &Args<'_>) -> Reply {
    let filters = args.get("filters").as_map().cloned().unwrap_or_default();
    let invalid = |key: &str, text: &str| errors::INVALID_VALUE.with([key, text]);
    let (mut after, mut before, mut priority) = (None, None, None);
    for (key, value) in &filters {
        let text = value.text();
        let moment = || DateTime::parse(&text).ok_or_else(|| invalid(key, &text));
        match key.as_str() {
            "after" => after = Some(moment()?),
            "before" => before = Some(moment()?),
            "priority" => priority = Some(text.parse::<i64>().map_err(|_| invalid(key, &text))?),
            _ => return Err(invalid("filters", key)),
        }
    }
    context.store().write(|t| {
        let fits = |message: &&Object| {
            after.is_none_or(|after| happened(message) > after)
                && before.is_none_or(|before| happened(message) < before)
                && priority.is_none_or(|priority| message.int("priority") == priority)
        };
        let all = t.objects().all("message").filter(fits);
        let all: Vec<Ref> = all.map(|message| message.reference().clone()).collect();
        all.iter().for_each(|message| t.remove(message));
        Ok::<_, ApiError>(Value::Void)
    })
}
