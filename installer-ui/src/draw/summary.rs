// SPDX-License-Identifier: MIT OR Apache-2.0
//! The plan, and the consent below it.

use installer_core::plan::Plan;
use widgets::{Body, wrap};

use crate::state::State;

/// Lines of the plan that fit above the consent.
const SHOWN: usize = 16;

pub(super) fn body(state: &State) -> Body {
    let mut body = Body::default();
    let Some(plan) = &state.plan else { return body };
    body.window(&plan_lines(plan), state.scroll, SHOWN);
    while body.lines.len() <= SHOWN {
        body.gap();
    }
    body.text(&match plan.kept {
        None => format!("To wipe {} and install, type yes and press Enter:", plan.wiped_names()),
        Some(_) => {
            format!("To install over the host on {}, type yes and press Enter:", plan.disk_names())
        }
    });
    body.field(true, "Install?", &state.form.consent, false);
    body
}

/// The plan's lines, long ones broken with the rest below where their text begins.
fn plan_lines(plan: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    for line in plan.to_string().lines() {
        let (head, text) = line.split_at(line.floor_char_boundary(12));
        match head.is_ascii() && line.chars().count() > 76 {
            true => {
                for (index, part) in wrap(text, 64).into_iter().enumerate() {
                    let head = if index == 0 { head } else { "" };
                    lines.push(format!("{head:12}{part}"));
                }
            }
            false => lines.push(line.to_owned()),
        }
    }
    lines
}
