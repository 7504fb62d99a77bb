// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a person sees on an installed host's monitor and serial line, used by keystrokes.

use std::path::Path;

use anyhow::{Context, Result};

use super::boot::LIMIT;
use crate::inner;
use crate::install::PASSWORD;
use crate::lab::Lab;
use crate::runner::{Case, Figures};
use crate::screen::Screen;
use crate::serial::Serial;
use crate::shell;

/// Only by name and in full runs.
pub fn cases() -> Vec<Case> {
    vec![Case {
        name: "life-screen",
        about: "the host's screen on its monitor and serial line: a guest, its console, a shell; on request",
        run,
    }]
}

const GUEST: &str = "web";

/// Keys that are pressed, or text that is typed, and what the monitor shows then.
const MONITOR: &[(&[&str], &str, &str)] = &[
    (&[], "", "Manage at    https://10.0.2."),
    (&["ret"], "", "management"),
    (&["esc", "down", "ret"], "", "Local storage"),
    (&["esc", "down", "ret"], "", "web                                      Halted"),
    (&["s"], "", "This needs root's password."),
    (&[], "wrong", "[*****  "),
    (&["ret"], "", "The password is wrong."),
    (&[], PASSWORD, "[*************  "),
    (&["ret"], "", "web                                      Running"),
    // A guest that has started prints nothing more by itself.
    (&["c", "ret"], "recall\n", "guest: recalls"),
    (&["ctrl+bracket_right"], "", "Xenith - proof - virtual machines"),
    (&["d"], "", "Shut down web?"),
    (&["y"], "", "web                                      Halted"),
    (&["esc", "down", "down", "ret"], "", "root@proof:"),
    (&[], "id\n", "uid=0(root)"),
    (&[], "exit\n", "> Local shell"),
    (&["end"], "", "> Lock this screen"),
    (&["ret"], "", "> Log in"),
    // Of what needs the password nothing is done without it.
    (&["up", "ret"], "", "This needs root's password."),
    (&["esc", "alt+f2"], "", "proof login:"),
];

fn run(lab: &Lab, folder: &Path, _: &Figures) -> Result<()> {
    let mut vm = inner::host(lab, folder)?;
    inner::create(lab, &mut vm.serial, GUEST, inner::PVH)?;
    for (number, (keys, typed, shown)) in MONITOR.iter().enumerate() {
        vm.keys(keys)?;
        vm.type_text(typed)?;
        let name = format!("{:02}", number + 1);
        vm.picture(&name, shown, None, LIMIT)
            .with_context(|| format!("after the keys {keys:?} and the text {typed:?}"))?;
    }
    on_serial_line(&mut vm.serial)
}

/// The same for the serial line, whose screens come when the shell there ends.
const SERIAL_LINE: &[(&str, &str)] = &[
    ("exit\n", "Manage at    https://10.0.2."),
    ("\x1b[B\x1b[B\r", "web                                      Halted"),
    ("s", "This needs root's password."),
    (PASSWORD, "[*************  "),
    ("\r", "web                                      Running"),
    // It has only begun, and would not hear that it is asked to end.
    ("f", "Switch web off?"),
    ("y", "web                                      Halted"),
    ("\x1b", "> Virtual machines"),
    ("\x1b[B\x1b[B\r", "root@proof:"),
    ("id\n", "uid=0(root)"),
    ("exit\n", "> Local shell"),
    ("\x1b[F", "> Lock this screen"),
    ("\r", "> Log in"),
];

fn on_serial_line(serial: &mut Serial) -> Result<()> {
    let mut screen = Screen::new("host");
    for (typed, shown) in SERIAL_LINE {
        serial.send(typed)?;
        screen
            .wait(serial, shown, LIMIT)
            .with_context(|| format!("after {typed:?} on the serial line"))?;
    }
    // The login prompt is behind them.
    shell::log_in(serial, PASSWORD)
}
