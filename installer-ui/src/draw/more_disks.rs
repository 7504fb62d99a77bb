// SPDX-License-Identifier: MIT OR Apache-2.0
//! The screen with the disks beside the system disk.

use installer_core::discovery::Disk;
use installer_core::size::Size;
use widgets::Body;

use super::disk::details;
use crate::state::{PURPOSES, State};

/// Disks that fit on the screen.
const SHOWN: usize = 8;

pub(super) fn body(state: &State) -> Body {
    let mut body = Body::default();
    let Some(found) = &state.found else { return body };
    body.text("What are the other disks for? EVERYTHING on used ones will be lost.");
    body.gap();
    let disks = state.form.more_disks(found);
    let selected = state.form.more.min(disks.len().saturating_sub(1));
    let first = (selected + 1).saturating_sub(SHOWN);
    for (index, disk) in disks.iter().enumerate().skip(first).take(SHOWN) {
        body.choice(index == selected, &line(state, disk, index == selected));
    }
    if disks.len() > SHOWN {
        body.text(&format!("  ({} of {})", selected + 1, disks.len()));
    }
    body.gap();
    if let Some(disk) = disks.get(selected) {
        let model = disk.model.as_deref().unwrap_or("unknown model");
        body.text(&format!("{}: {model}", disk.path.display()));
        details(&mut body, disk, "Only for storage");
    }
    while body.lines.len() < 13 {
        body.gap();
    }
    if state.form.has_storage_disks(found) {
        let rest = if state.form.only_more { "unused" } else { "guests' storage too" };
        body.text(&format!("Rest of the system disk: {rest} (u changes it)"));
        body.wrapped("Storage is one group over its disks: the loss of one can lose all in it.");
        body.gap();
    }
    body.wrapped(
        "A mirror (software RAID 1) starts and runs the host though either disk is gone; what the \
         larger disk has more stays unused.",
    );
    body
}

fn line(state: &State, disk: &Disk, selected: bool) -> String {
    let purpose = state.form.purpose(disk);
    let word = PURPOSES.iter().find(|(_, known)| *known == purpose).map_or("", |(word, _)| *word);
    let path = disk.path.display().to_string();
    let size = Size(disk.size).to_string();
    match selected {
        true => format!("{path:<14} {size:>8}  < {word} >"),
        false => format!("{path:<14} {size:>8}    {word}"),
    }
}
