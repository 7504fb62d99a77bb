// SPDX-License-Identifier: MIT OR Apache-2.0
//! No text makes the parsers of package indices, dependencies and versions panic.

use isobuild::debian::{deb822, relation, version};

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(paragraphs) = deb822::parse(text) else { return };
    for paragraph in &paragraphs {
        for (_, value) in paragraph.fields() {
            let _ = relation::parse(value);
            assert_eq!(version::compare(value, value), std::cmp::Ordering::Equal);
        }
    }
}
