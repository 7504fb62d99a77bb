// SPDX-License-Identifier: MIT OR Apache-2.0
//! No bytes make the JSON-RPC decoder panic; what it accepts, it decodes the same after encoding.

use xapi_model::jsonrpc;

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = jsonrpc::decode_reply(text);
    if let Ok((call, _)) = jsonrpc::decode_call(text) {
        assert!(jsonrpc::decode_call(&jsonrpc::encode_call(&call, 1)).is_ok());
    }
}
