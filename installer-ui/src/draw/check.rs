// SPDX-License-Identifier: MIT OR Apache-2.0
//! The check of the medium.

use installer_core::medium::Checked;
use installer_core::pace::Pace;
use installer_core::size::Size;
use widgets::{Body, WIDTH, wrap};

use super::progress;

/// Lines of findings that fit.
const SHOWN: usize = 12;

pub(super) fn running(pace: &Pace) -> Body {
    let mut body = Body::default();
    body.text("Reading every file of the installation medium ...");
    body.gap();
    progress::bar(&mut body, pace.percent());
    body.gap();
    if pace.total > 0 {
        body.text(&pace.to_string());
    }
    body
}

pub(super) fn ended(result: &Result<Checked, String>, scroll: usize) -> Body {
    let mut body = Body::default();
    match result {
        Ok(Checked::Whole { bytes }) => {
            body.bold("The medium is whole.");
            body.gap();
            body.text(&format!("{} were read, all as they were built.", Size(*bytes)));
        }
        Ok(Checked::Damaged(findings)) => {
            body.bold("The medium is damaged. Nothing can be installed from it.");
            body.gap();
            let lines = findings.iter().flat_map(|finding| wrap(&format!("- {finding}"), WIDTH));
            let lines: Vec<String> = lines.collect();
            body.window(&lines, scroll, SHOWN);
            body.gap();
            body.wrapped(
                "Write the medium again, and check it again. If it fails again, use another one.",
            );
        }
        Ok(Checked::Stopped) => body.text("The check was stopped."),
        Err(error) => {
            body.bold("The medium could not be checked.");
            body.gap();
            body.wrapped(error);
        }
    }
    body
}
