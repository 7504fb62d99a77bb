// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask fuzz`: the readers of what comes from outside, over inputs that libFuzzer makes up by
//! the code that they reach.

mod figures;
mod program;
mod run;
mod target;

use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;

use anyhow::{Context as _, Result, bail};
use isobuild::tools;

use crate::build::artifact;
use crate::pipeline::{Pipeline, SourceOptions};
pub use program::FuzzProgram;
use run::{Outcome, Runner};
use target::Target;

/// The profile whose pipeline is used; none of its packages is in the program.
const PROFILE: &str = "default";
/// Targets at a time.
const JOBS: usize = 2;
/// Seconds for each target among all other checks.
const BRIEF: u32 = 3;
/// Seconds that the target which always ends with a finding may take; it is found within a few.
const ALARM_SECONDS: u32 = 120;

/// What to run.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// How long to look at each target. What was found of the code before is kept and gone on from.
    #[arg(long, default_value_t = 60, value_name = "N")]
    seconds: u32,
    /// Targets to run at a time.
    #[arg(long, default_value_t = JOBS)]
    jobs: usize,
    /// Only hand this file to the target, as an earlier run left it.
    #[arg(long, value_name = "FILE", conflicts_with = "seconds")]
    input: Option<PathBuf>,
    /// List the targets and stop.
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    sources: SourceOptions,
    /// Targets, by their names in the list [default: all].
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
}

/// Runs the targets that were asked for; what is found is an error, after all have run.
pub fn run(options: &Options) -> Result<()> {
    let known = target::read()?;
    if options.list {
        let width = known.iter().map(|target| target.name.len()).max().unwrap_or_default();
        known.iter().for_each(|t| println!("{:width$}  {}", t.name, t.about));
        return Ok(());
    }
    let targets = target::chosen(known, &options.targets)?;
    let pipeline = Pipeline::new(&options.sources)?;
    let runner = runner(&pipeline)?;
    match (&options.input, targets.as_slice()) {
        (None, targets) => all(&runner, targets, options.seconds, options.jobs),
        (Some(file), [target]) => runner.hand(target, file),
        (Some(_), _) => bail!("--input is for one target: name it"),
    }
}

/// Runs every target for a moment, once the first has shown that findings are found.
pub fn brief(sources: &SourceOptions) -> Result<()> {
    let pipeline = Pipeline::new(sources)?;
    let runner = runner(&pipeline)?;
    let alarm = Target::alarm();
    match runner.run(&alarm, ALARM_SECONDS)? {
        Outcome::Finding(finding) => fs::remove_file(&finding.file)
            .with_context(|| format!("removing {}", finding.file.display()))?,
        Outcome::Nothing(figures) => bail!(
            "fuzzing would find nothing: the target {} found nothing in {figures}; \
             its log is {}",
            alarm.name,
            runner.log(&alarm).display()
        ),
    }
    all(&runner, &target::read()?, BRIEF, JOBS)
}

/// Builds the program.
fn runner(pipeline: &Pipeline) -> Result<Runner<'_>> {
    let profile = pipeline.profile(PROFILE)?;
    let report = pipeline.build(&profile, &[tools::NAME, program::NAME])?;
    Ok(Runner {
        pipeline,
        tools: artifact(&report, tools::NAME)?.join(tools::ROOT),
        program: artifact(&report, program::NAME)?.join(program::NAME),
    })
}

/// Runs each target, `jobs` at a time, and tells what came of it.
fn all(runner: &Runner<'_>, targets: &[Target], seconds: u32, jobs: usize) -> Result<()> {
    let next = Mutex::new(targets.iter());
    let findings = Mutex::new(Vec::new());
    let work = || -> Result<()> {
        loop {
            let Some(target) = next.lock().map_err(poisoned)?.next() else { return Ok(()) };
            runner.pipeline.interrupt.check()?;
            match runner.run(target, seconds)? {
                Outcome::Nothing(figures) => {
                    runner.pipeline.reporter.line(&format!("  {:18} {figures}", target.name));
                }
                Outcome::Finding(finding) => {
                    runner.pipeline.reporter.line(&format!("  {:18} {finding}", target.name));
                    findings.lock().map_err(poisoned)?.push(target.name.clone());
                }
            }
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.max(1)).map(|_| scope.spawn(work)).collect();
        let join = |worker: thread::ScopedJoinHandle<'_, Result<()>>| {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        workers.into_iter().try_for_each(join)
    })?;
    let findings = findings.into_inner().map_err(poisoned)?;
    match findings.len() {
        0 => Ok(()),
        n => {
            bail!("{n} of {} fuzz targets found something: {}", targets.len(), findings.join(", "))
        }
    }
}

fn poisoned<T>(_: std::sync::PoisonError<T>) -> anyhow::Error {
    anyhow::anyhow!("another target's thread ended in the middle of its report")
}
