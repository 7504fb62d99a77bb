// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can be done on this machine.

use widgets::Body;

use crate::state::{Choice, State};

pub(super) fn body(state: &State) -> Body {
    let mut body = Body::default();
    body.text("What do you want to do?");
    body.gap();
    for (index, choice) in Choice::ALL.iter().enumerate() {
        body.choice(index == state.choice, choice.title());
    }
    body.gap();
    if let Some(choice) = Choice::ALL.get(state.choice) {
        body.wrapped(choice.about());
    }
    body
}
