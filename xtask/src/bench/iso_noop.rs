// SPDX-License-Identifier: MIT OR Apache-2.0
//! `iso-noop`: `cargo xtask iso` when nothing has changed, without cargo's own share.

use std::fs;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use isobuild::assemble::Iso;
use isobuild::report::{Outcome, Report};

use super::{Bench, Context, Figure, median};

/// See the module.
pub const BENCH: Bench = Bench {
    name: "iso-noop",
    about: "wall time of `iso` when nothing changed",
    expensive: false,
    run,
};

const RUNS: usize = 5;

fn run(context: &Context, figures: &mut Vec<Figure>) -> Result<()> {
    let name = Iso::recipe_name(&context.profile.name);
    context.pipeline.build(&context.profile, &[&name])?;
    let mut walls = Vec::new();
    for _ in 0..RUNS {
        context.interrupt.check()?;
        let begun = Instant::now();
        iso_again(context)?;
        walls.push(begun.elapsed().as_secs_f64());
        nothing_was_built(context)?;
    }
    figures.push(Figure::new(BENCH.name, "wall", median::of(&walls), "s"));
    Ok(())
}

/// Runs this very program once more: by the name that it has for itself, as cargo may have put
/// another in its place meanwhile.
#[expect(clippy::disallowed_methods, reason = "the program is this one; program.rs runs cargo")]
fn iso_again(context: &Context) -> Result<()> {
    let mut command = Command::new("/proc/self/exe");
    command.args(["iso", "--profile", &context.options.profile]);
    if let Some(mirror) = &context.options.sources.mirror {
        command.args(["--mirror", mirror]);
    }
    if context.options.sources.offline {
        command.arg("--offline");
    }
    let output = command.output().context("starting cargo xtask iso")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("cargo xtask iso: {}\n{}", output.status, said.trim_end());
    }
    Ok(())
}

fn nothing_was_built(context: &Context) -> Result<()> {
    let path = context.pipeline.output.join("build-report.json");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let report: Report =
        serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
    match report.steps.iter().find(|step| step.outcome == Outcome::Built) {
        Some(step) => bail!("{} was built: its inputs changed during the measurement", step.name),
        None => Ok(()),
    }
}
