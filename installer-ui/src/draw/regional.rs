// SPDX-License-Identifier: MIT OR Apache-2.0
//! Keyboard, terms, and time zone.

use widgets::Body;

use crate::state::{LICENCE_SHOWN, PICK_SHOWN, Pick, State};

pub(super) fn keymap(state: &State) -> Body {
    let mut body = Body::default();
    body.text("Which keyboard does this machine have?");
    body.gap();
    let form = &state.form.regional;
    if form.there.keymaps.is_empty() {
        body.bold("This system has no keymaps (/usr/share/keymaps): it stays as it is.");
        return body;
    }
    pick(&mut body, &form.keymap, &form.keymaps());
    body.wrapped(
        "It holds from now on, and on the installed host. What is typed over a serial line or \
         SSH does not depend on it.",
    );
    body
}

pub(super) fn licence(state: &State) -> Body {
    let mut body = Body::default();
    body.window(&state.licence, state.scroll, LICENCE_SHOWN);
    body
}

pub(super) fn zone(state: &State) -> Body {
    let mut body = Body::default();
    let form = &state.form.regional;
    let regions = form.there.regions();
    match (&form.city, form.selected_region()) {
        _ if regions.is_empty() => {
            body.bold("This system has no time zones (/usr/share/zoneinfo): it shows UTC.");
        }
        (Some(city), Some(region)) => {
            body.text(&format!("In which time zone is this host? {region}, and there:"));
            body.gap();
            pick(&mut body, city, &form.cities());
        }
        _ => {
            body.text("In which time zone is this host? First the region:");
            body.gap();
            pick(&mut body, &form.region, &regions);
        }
    }
    body.wrapped("Times are shown in it. The clock itself, and XenAPI, are in UTC.");
    body
}

/// What was typed, and the names around the selected one.
fn pick(body: &mut Body, pick: &Pick, names: &[&str]) {
    body.field(true, "Search", &pick.typed, false);
    body.gap();
    let names = pick.matching(names);
    let first = (pick.selected + 1).saturating_sub(PICK_SHOWN);
    for (index, name) in names.iter().enumerate().skip(first).take(PICK_SHOWN) {
        body.choice(index == pick.selected, name);
    }
    body.text(&match names.len() {
        0 => "  (none has that in its name)".to_owned(),
        all => format!("  ({} of {all})", pick.selected + 1),
    });
    while body.lines.len() < PICK_SHOWN + 5 {
        body.gap();
    }
}
