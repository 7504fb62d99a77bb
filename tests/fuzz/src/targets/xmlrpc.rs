// SPDX-License-Identifier: MIT OR Apache-2.0
//! No bytes make the XML-RPC decoder panic; what it accepts, it decodes the same after encoding.

use xapi_model::xmlrpc;

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = xmlrpc::decode_reply(text);
    // What an archive's description is.
    let _ = xmlrpc::decode_value(text);
    if let Ok(call) = xmlrpc::decode_call(text) {
        assert!(xmlrpc::decode_call(&xmlrpc::encode_call(&call)).is_ok());
    }
}
