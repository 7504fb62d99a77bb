// SPDX-License-Identifier: MIT OR Apache-2.0
//! What will and will not work on this machine.

use installer_core::hardware::Severity;
use widgets::Body;

use crate::state::{HARDWARE_SHOWN, State};

pub(super) fn body(state: &State) -> Body {
    let mut body = Body::default();
    body.bold(match (state.findings(Severity::Refusal), state.findings(Severity::Warning)) {
        (0, 0) => "Everything on this machine will work.",
        (0, _) => "A host can be installed here. What is marked [warn] will not work as it is.",
        _ => "Nothing can be installed here, for the reasons marked [STOP].",
    });
    body.gap();
    body.window(&state.hardware_lines(), state.scroll, HARDWARE_SHOWN);
    body
}
