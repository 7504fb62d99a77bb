// SPDX-License-Identifier: MIT OR Apache-2.0
//! `host.call_plugin` and `host.call_extension`: programs of the administrator's own.
//!
//! As on XenServer a plugin is a program in a folder of Dom0. Its one argument is an XML-RPC call: the
//! function's name, the session, and a map of texts; what it prints is an XML-RPC answer. An extension is
//! called by its name alone, with a whole call as XML-RPC on its standard input.

use std::path::Path;

use xapi_model::{Call, Reply, Value, errors, jsonrpc, xmlrpc};

use super::Entry;
use crate::program;
use crate::toolstack::{Args, Context};

pub(super) const HANDLERS: &[Entry] = &[
    ("host.call_plugin", call_plugin),
    ("host.call_extension", call_extension),
    ("host.has_extension", |context, args| {
        context.toolstack.look("host", &args.to("host"), |_, _| ())?;
        Ok(find(&context.toolstack.extensions, args.text("name")).is_some().into())
    }),
    ("pool.has_extension", |context, args| {
        context.toolstack.look("pool", &args.to("self"), |_, _| ())?;
        Ok(find(&context.toolstack.extensions, args.text("name")).is_some().into())
    }),
];

/// A program of this name in a folder. A name, and not a way to another folder.
fn find(folder: &Path, name: &str) -> Option<String> {
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
        return None;
    }
    let path = folder.join(name);
    path.to_str().filter(|_| path.is_file()).map(str::to_owned)
}

fn call_extension(context: &Context, args: &Args<'_>) -> Reply {
    context.toolstack.look("host", &args.to("host"), |_, _| ())?;
    let odd = |problem: String| errors::EXTENSION_PROTOCOL_FAILURE.with([problem]);
    let (call, _) =
        jsonrpc::decode_call(args.text("call")).map_err(|error| odd(error.to_string()))?;
    let name = call.method.as_str();
    let program = find(&context.toolstack.extensions, name);
    let program = program.ok_or_else(|| errors::MESSAGE_METHOD_UNKNOWN.with([name]))?;
    let said = program::run_with_input(&program, &["--xmlrpc"], xmlrpc::encode_call(&call));
    let said =
        said.map_err(|error| errors::INTERNAL_ERROR.with([program.clone(), format!("{error:#}")]))?;
    let answer = xmlrpc::decode_reply(String::from_utf8_lossy(&said).trim());
    answer.map_err(|error| odd(error.to_string()))?.map(|value| Value::String(value.text()))
}

fn call_plugin(context: &Context, args: &Args<'_>) -> Reply {
    context.toolstack.look("host", &args.to("host"), |_, _| ())?;
    let name = args.text("plugin");
    let missing = || errors::XENAPI_MISSING_PLUGIN.with([name]);
    let program = find(&context.toolstack.plugins, name).ok_or_else(missing)?;
    let session = Value::from(&context.session);
    let call =
        Call { method: args.text("fn").into(), params: vec![session, args.get("args").clone()] };
    let failed = |problem: String| errors::XENAPI_PLUGIN_FAILURE.with([name, &problem]);
    let said = program::run_quietly(&program, &[&xmlrpc::encode_call(&call)])
        .map_err(|error| failed(format!("{error:#}")))?;
    let said = String::from_utf8(said).map_err(|error| failed(error.to_string()))?;
    let answer = xmlrpc::decode_reply(said.trim());
    let answer = answer.map_err(|error| failed(format!("its answer: {error}")))?;
    answer.map(|value| Value::String(value.text()))
}
