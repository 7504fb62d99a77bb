// SPDX-License-Identifier: MIT OR Apache-2.0
//! No parameters of a call that only looks make the daemon panic or wait for ever. What is answered can
//! be read again.
//!
//! The input is a call without its session, in JSON-RPC or XML-RPC.

use xapi_model::{jsonrpc, xmlrpc};

use crate::daemon;

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (mut call, envelope) = match (jsonrpc::decode_call(text), xmlrpc::decode_call(text)) {
        (Ok((call, envelope)), _) => (call, Some(envelope)),
        (Err(_), Ok(call)) => (call, None),
        (Err(_), Err(_)) => return,
    };
    daemon::with(|daemon| {
        call.params.insert(0, daemon.session.as_str().into());
        let reply = daemon.call(call);
        if let Some(envelope) = envelope {
            let json = jsonrpc::encode_reply(&envelope, &reply);
            assert!(jsonrpc::decode_reply(&json).is_ok(), "{json}");
        }
        let xml = xmlrpc::encode_reply(&reply);
        assert!(xmlrpc::decode_reply(&xml).is_ok(), "{xml}");
    });
}
