// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whatever `other_config:perfmon` has, it is read, and what is watched is what figures can be held against; an
//! alarm repeats that one and nothing else.

use toolstack::perfmon::config::{Kind, parse};

/// The first byte says whose it is.
pub(crate) fn run(data: &[u8]) {
    let Some((kind, xml)) = data.split_first() else { return };
    let Ok(xml) = std::str::from_utf8(xml) else { return };
    let kind = match kind % 3 {
        0 => Kind::Vm,
        1 => Kind::Host,
        _ => Kind::Sr("8d3f0c6e-47b1-4a52-9e0d-000000000001".to_owned()),
    };
    for variable in parse(&kind, xml).0 {
        assert!(variable.level.is_finite() && variable.period >= 0 && variable.inhibit >= 0);
        assert!(parse(&kind, &variable.text).0.len() <= 1, "{}", variable.text);
    }
}
