// SPDX-License-Identifier: MIT OR Apache-2.0
//! The installation while it runs, and how it ended.

use installer_core::events::Step;
use widgets::Body;

use crate::state::State;

/// Columns of the bar.
const BAR: u64 = 60;

pub(super) fn body(state: &State) -> Body {
    let mut body = Body::default();
    let run = &state.run;
    if let Some(plan) = &state.plan {
        body.text(&format!("Installing on {}", plan.disk_names()));
    }
    body.gap();
    for step in run.steps.iter().copied() {
        let title = step.title();
        let line = if run.done.contains(&step) {
            format!("[done] {title}")
        } else if run.current == Some(step) {
            match run.percent() {
                Some(percent) => format!("[{percent:>3}%] {title}"),
                None => format!("[ .. ] {title}"),
            }
        } else {
            format!("[    ] {title}")
        };
        match run.current == Some(step) {
            true => body.bold(&line),
            false => body.text(&line),
        }
    }
    body.gap();
    bar(&mut body, run.overall());
    body.text(&run.pace().map(|pace| format!("This step: {pace}")).unwrap_or_default());
    body.text(&format!("{} s so far. Please do not switch off.", run.elapsed.as_secs()));
    body
}

pub(super) fn bar(body: &mut Body, percent: u64) {
    let filled = usize::try_from(percent * BAR / 100).unwrap_or(0);
    let width = usize::try_from(BAR).unwrap_or(0);
    body.text(&format!("[{:.<width$}] {percent:>3}%", "#".repeat(filled)));
}

pub(super) fn success(state: &State) -> Body {
    let mut body = Body::default();
    body.bold("The installation is complete.");
    body.gap();
    if let Some(plan) = &state.plan {
        body.text(&format!("{} is on {}.", plan.hostname, plan.disk_names()));
        body.gap();
    }
    body.wrapped(
        "Remove the installation medium (USB stick, CD), then press Enter to restart into the \
         host. The console there shows its address; log in as root.",
    );
    body.gap();
    body.text(&format!("It took {} seconds.", state.run.elapsed.as_secs()));
    body
}

pub(super) fn failure(state: &State) -> Body {
    let mut body = Body::default();
    let run = &state.run;
    let step = run.current.map_or("the installation", Step::title);
    body.bold(&format!("The installation failed while {step}."));
    body.gap();
    body.wrapped(run.error.as_deref().unwrap_or("no reason was given"));
    body.gap();
    if let Some(disk) = state.plan.as_ref().and_then(|plan| run.disk_state(plan)) {
        body.wrapped(&disk.to_string());
        body.gap();
    }
    body.wrapped(
        "Try again looks at the machine anew and asks everything again, with what you typed. \
         The log tells each program that was run; v saves it on a stick or another machine.",
    );
    body
}
