// SPDX-License-Identifier: MIT OR Apache-2.0
//! No bytes make the XML-RPC decoder panic; what it accepts, it decodes the same after encoding.
#![no_main]

use libfuzzer_sys::fuzz_target;
use xapi_model::xmlrpc;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = xmlrpc::decode_reply(text);
    if let Ok(call) = xmlrpc::decode_call(text) {
        assert!(xmlrpc::decode_call(&xmlrpc::encode_call(&call)).is_ok());
    }
});
