// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pool`.

use xapi_model::Value;

use super::Entry;

pub(super) const HANDLERS: &[Entry] = &[
    // Every change was on disk before it was answered.
    ("pool.sync_database", |_, _| Ok(Value::Void)),
];
