// SPDX-License-Identifier: MIT OR Apache-2.0
//! `host.call_plugin`: programs of the administrator's own.
//!
//! As on XenServer a plugin is a program in a folder of Dom0. Its one argument is an XML-RPC call: the
//! function's name, the session, and a map of texts; what it prints is an XML-RPC answer.

use xapi_model::{Call, Reply, Value, errors, xmlrpc};

use super::Entry;
use crate::program;
use crate::toolstack::{Args, Context};

pub(super) const HANDLERS: &[Entry] = &[("host.call_plugin", call_plugin)];

fn call_plugin(context: &Context, args: &Args<'_>) -> Reply {
    context.toolstack.look("host", &args.to("host"), |_, _| ())?;
    let name = args.text("plugin");
    let missing = || errors::XENAPI_MISSING_PLUGIN.with([name]);
    // A name, and not a way to another folder.
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
        return Err(missing());
    }
    let path = context.toolstack.plugins.join(name);
    let program = path.to_str().filter(|_| path.is_file()).ok_or_else(missing)?;
    let session = Value::from(&context.session);
    let call =
        Call { method: args.text("fn").into(), params: vec![session, args.get("args").clone()] };
    let failed = |problem: String| errors::XENAPI_PLUGIN_FAILURE.with([name, &problem]);
    let said = program::run_quietly(program, &[&xmlrpc::encode_call(&call)])
        .map_err(|error| failed(format!("{error:#}")))?;
    let said = String::from_utf8(said).map_err(|error| failed(error.to_string()))?;
    let answer = xmlrpc::decode_reply(said.trim());
    let answer = answer.map_err(|error| failed(format!("its answer: {error}")))?;
    answer.map(|value| Value::String(value.text()))
}
