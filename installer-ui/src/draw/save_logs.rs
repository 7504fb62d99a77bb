// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the logs go, and whether they got there.

use widgets::Body;

use crate::state::{Saving, State, WAYS};

/// Columns of a volume beside its label.
const ROOM: usize = 52;

pub(super) fn body(state: &State) -> Body {
    let mut body = Body::default();
    let logs = &state.logs;
    body.wrapped(
        "What the installer, the kernel and Xen have said since the machine was started, with an \
         inventory of the machine and the plan, as one file. Passwords are not in it.",
    );
    body.gap();
    body.toggle(logs.focus == 0, "Save to", WAYS[logs.way]);
    body.gap();
    let focused = logs.focus == 1;
    match logs.way {
        0 => volumes(&mut body, state),
        1 => {
            body.field(focused, "Target", &logs.target, false);
            body.gap();
            body.wrapped(
                "user@host:path, or scp://user@host:port/path. scp then asks here for what it \
                 needs. Without a network yet, every card is given an address by DHCP.",
            );
        }
        _ => {
            body.field(focused, "URL", &logs.url, false);
            body.gap();
            body.wrapped(
                "http:// or https://; the file\'s name is added to one that ends with /. Without \
                 a network yet, every card is given an address by DHCP.",
            );
        }
    }
    body.gap();
    match &logs.saving {
        Saving::No => body.text("Enter saves."),
        Saving::Now => body.bold("Saving ..."),
        Saving::Done(place) => {
            body.bold("Saved:");
            body.wrapped(place);
        }
        Saving::Failed(error) => {
            body.bold("The logs were not saved:");
            body.wrapped(error);
        }
    }
    body
}

fn volumes(body: &mut Body, state: &State) {
    let logs = &state.logs;
    let focused = logs.focus == 1;
    match (&logs.volumes, logs.selected()) {
        (None, _) => body.toggle(focused, "Volume", "looking ..."),
        (Some(Err(error)), _) => {
            body.toggle(focused, "Volume", "none");
            body.wrapped(error);
        }
        (Some(Ok(_)), None) => {
            body.toggle(focused, "Volume", "none");
            body.gap();
            body.wrapped(
                "No USB stick with a file system (FAT, exFAT, ext, XFS) is there, other than the \
                 installation medium. Plug one in, then press r.",
            );
        }
        (Some(Ok(all)), Some(volume)) => {
            let text: String = volume.to_string().chars().take(ROOM).collect();
            body.toggle(focused, "Volume", &text);
            body.text(&format!("{:21}{} of {}", "", logs.volume + 1, all.len()));
            body.gap();
            body.wrapped("A file is added to it; what is on it stays.");
        }
    }
}
