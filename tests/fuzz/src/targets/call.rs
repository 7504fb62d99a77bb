// SPDX-License-Identifier: MIT OR Apache-2.0
//! No parameters of a call that only looks make the daemon panic or wait for ever. What is answered can
//! be read again.
//!
//! The input is a call without its session, in JSON-RPC or XML-RPC. Chance finds no message, no number
//! of parameters and no reference: an unknown message becomes one of those that are known, parameters
//! that are missing are added, and an empty text is an object where one is asked for.

use std::sync::LazyLock;

use xapi_model::{Call, Described, Role, Type, Value, catalogue, jsonrpc, xmlrpc};

use crate::daemon::{self, Daemon};

/// One leaves objects behind, which the next inputs would be slowed down by, the other waits by the
/// machine's clock and not by the daemon's.
const NOT_CALLED: [&str; 2] = ["task.create", "VM.wait_memory_target_live"];

/// What somebody who may only look can call.
static MESSAGES: LazyLock<Vec<&Described>> = LazyLock::new(|| {
    let may = |message: &&Described| {
        let called = !NOT_CALLED.contains(&message.full_name().as_str());
        called && message.session && Role::ReadOnly.may(message.role)
    };
    catalogue().all().filter(may).collect()
});

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (call, envelope) = match (jsonrpc::decode_call(text), xmlrpc::decode_call(text)) {
        (Ok((call, envelope)), _) => (call, Some(envelope)),
        (Err(_), Ok(call)) => (call, None),
        (Err(_), Err(_)) => return,
    };
    daemon::with(|daemon| {
        let mut call = mended(call, daemon);
        let reply = daemon.in_session(|session| {
            call.params.insert(0, session.as_str().into());
            daemon.call(call)
        });
        if let Some(envelope) = envelope {
            let json = jsonrpc::encode_reply(&envelope, &reply);
            assert!(jsonrpc::decode_reply(&json).is_ok(), "{json}");
        }
        let xml = xmlrpc::encode_reply(&reply);
        assert!(xmlrpc::decode_reply(&xml).is_ok(), "{xml}");
    });
}

/// See the module.
fn mended(mut call: Call, daemon: &Daemon) -> Call {
    let known = MESSAGES.iter().find(|message| message.full_name() == call.method);
    let sum: usize = call.method.bytes().map(usize::from).sum();
    let message = known.unwrap_or(&MESSAGES[sum % MESSAGES.len()]);
    call.method = message.full_name();
    call.params.truncate(message.params.len());
    call.params.resize(call.params.len().max(message.required()), Value::from(""));
    for (value, param) in call.params.iter_mut().zip(&message.params) {
        if let Type::Ref(class) = param.ty
            && value.as_str() == Some("")
        {
            *value = daemon.any(class).into();
        }
    }
    call
}
