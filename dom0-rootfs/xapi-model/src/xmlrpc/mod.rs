// SPDX-License-Identifier: MIT OR Apache-2.0
//! XML-RPC: calls, answers, faults.

mod decode;
mod encode;

pub use decode::{decode_call, decode_reply, decode_value};
pub use encode::{encode_call, encode_fault, encode_reply, encode_value};
