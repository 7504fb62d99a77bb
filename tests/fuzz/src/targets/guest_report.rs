// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whatever a guest writes into xenstore, its metrics are fields of their class, and texts that no
//! terminal takes for commands.

use toolstack::guest::reported;
use xapi_model::{Value, classes, coerce};

/// Each line is a path and, after a `=`, its value.
pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let said = text.lines().filter_map(|line| line.split_once('='));
    let said = said.map(|(path, value)| (path.to_owned(), value.to_owned())).collect();
    for (name, value) in reported(&said) {
        let (_, field) = classes::VM_GUEST_METRICS.field(name).expect("a field of its class");
        if let Value::Map(entries) = &value {
            for value in entries.values() {
                let Value::String(text) = value else { panic!("{name} has {value:?}") };
                assert!(text.chars().count() <= 1024 && !text.chars().any(char::is_control));
            }
        }
        assert!(coerce(&field.ty, value).is_ok(), "{name}");
    }
}
