// SPDX-License-Identifier: MIT OR Apache-2.0
//! The screen with the disks.

use installer_core::discovery::Disk;
use installer_core::plan::Refusal;
use installer_core::size::Size;
use widgets::{Body, wrap};

use crate::state::{STORAGE, State};

/// Disks that fit on the screen.
const SHOWN: usize = 8;

pub(super) fn body(state: &State) -> Body {
    let mut body = Body::default();
    body.text(match state.form.keep {
        true => "Which host? Its guests and their storage STAY, its system is written anew.",
        false => "On which disk? EVERYTHING on it will be lost.",
    });
    body.gap();
    let disks: Vec<&Disk> =
        state.found.as_ref().map(|found| found.candidates().collect()).unwrap_or_default();
    if disks.is_empty() {
        body.bold("There is no disk besides the installation medium.");
        return body;
    }
    let first = (state.form.disk + 1).saturating_sub(SHOWN);
    for (index, disk) in disks.iter().enumerate().skip(first).take(SHOWN) {
        body.choice(index == state.form.disk, &line(disk, state.form.keep));
    }
    if disks.len() > SHOWN {
        body.text(&format!("  ({} of {})", state.form.disk + 1, disks.len()));
    }
    body.gap();
    if let Some(disk) = disks.get(state.form.disk) {
        details(&mut body, disk, "Cannot be used");
    }
    while body.lines.len() < 17 {
        body.gap();
    }
    if !state.form.keep {
        body.toggle(true, "Guests' storage", STORAGE[state.form.storage].0);
    }
    body
}

fn line(disk: &Disk, keep: bool) -> String {
    let model = disk.model.as_deref().unwrap_or("unknown model");
    let path = disk.path.display().to_string();
    let usable = match Refusal::of(disk) {
        Some(_) => "  (cannot be used)",
        None if keep && disk.host_table.is_none() => "  (no host)",
        None => "",
    };
    let line = format!("{path:<14} {:>8}  {model}{usable}", Size(disk.size).to_string());
    line.chars().take(74).collect()
}

/// What is known of a disk; `refused` says what follows if no host can be on it.
pub(super) fn details(body: &mut Body, disk: &Disk, refused: &str) {
    if let Some(refusal) = Refusal::of(disk) {
        body.wrapped(&format!("{refused}: {refusal}."));
    }
    let serial = disk.serial.as_deref().unwrap_or("not told");
    let removable = if disk.removable { ", removable" } else { "" };
    let paths = disk.multipath.as_ref().map(|paths| format!(", {}", paths.words()));
    let paths = paths.unwrap_or_default();
    body.text(&format!("Serial {serial}, {}-byte sectors{removable}{paths}", disk.sector_size));
    let contents: Vec<String> = disk
        .contents
        .iter()
        .map(|content| format!("{} {}", content.device, content.words()))
        .collect();
    let text = match contents.is_empty() {
        true => "Nothing was recognised on it.".to_owned(),
        false => format!("On it: {}", contents.join(", ")),
    };
    for line in wrap(&text, 76).iter().take(4) {
        body.text(line);
    }
}
