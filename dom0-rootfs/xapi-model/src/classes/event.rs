// SPDX-License-Identifier: MIT OR Apache-2.0
//! `event`: no objects, only messages.

use super::prelude::*;

const CLASSES: crate::message::Param =
    param("classes", STRINGS, "classes, `*` for all, or class/reference for one object");

/// Events.
pub static EVENT: Class = class(
    "event",
    "News of changes to objects.",
    &[],
    &[
        message(
            "from",
            Role::ReadOnly,
            "Waits for changes since a token; the empty token means all objects, at once. A token \
             holds in other sessions, and after the server was started anew.",
        )
        .takes(&[
            CLASSES,
            param("token", STRING, "token of the last answer, or empty"),
            param("timeout", Float, "longest wait in seconds"),
        ])
        .gives(Type::EventBatch)
        .fails(&[&EVENT_FROM_TOKEN_PARSE_FAILURE, &EVENT_SUBSCRIPTION_PARSE_FAILURE, &EVENTS_LOST])
        .sync_only(),
        message("inject", Role::ReadOnly, "Makes an event for an object that did not change.")
            .takes(&[param("class", STRING, "its class"), param("ref", STRING, "its reference")])
            .gives(STRING)
            .sync_only(),
        message("register", Role::ReadOnly, "Subscribes the session, for event.next.")
            .takes(&[CLASSES])
            .sync_only(),
        message("unregister", Role::ReadOnly, "Takes subscriptions back.")
            .takes(&[CLASSES])
            .sync_only(),
        message("next", Role::ReadOnly, "Waits for changes of what the session subscribed to.")
            .gives(Set(&Type::Record("event")))
            .fails(&[&SESSION_NOT_REGISTERED, &EVENTS_LOST])
            .sync_only(),
        message("get_current_id", Role::ReadOnly, "Number of the newest event.")
            .gives(Int)
            .sync_only(),
    ],
)
.transient()
.unlisted();
