// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask bench`: measures what the project promises to be small or quick.
//!
//! A figure above its limit is marked and nothing more. Only what cannot be measured is an error.

mod cpu;
mod figure;
mod host;
mod install_copy;
mod iso_cold;
mod iso_noop;
mod iso_one_line;
mod iso_size;
mod iso_write;
mod limits;
mod median;
mod parts;
mod place;
mod report;
mod simulator;
mod told;

use std::fs;

use anyhow::{Context as _, Result, bail};
use appliance_model::profile::Profile;
use isobuild::interrupt::Interrupt;

use crate::pipeline::{BuildOptions, Pipeline};
use figure::Figure;
use report::Report;

/// What to measure.
#[derive(Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    build: BuildOptions,
    /// Measure the expensive ones too.
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// List what can be measured and stop.
    #[arg(long)]
    list: bool,
    /// Print JSON instead of the table.
    #[arg(long)]
    json: bool,
    /// Only what has one of these in its name [default: all that is not expensive].
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

/// One thing to measure; it gives one figure or several.
struct Bench {
    name: &'static str,
    about: &'static str,
    /// Takes many minutes, so it has to be asked for.
    expensive: bool,
    /// Adds the figures; what it has added counts even if it fails later.
    run: fn(&Context, &mut Vec<Figure>) -> Result<()>,
}

/// What a bench measures.
struct Context {
    options: BuildOptions,
    pipeline: Pipeline,
    profile: Profile,
    interrupt: Interrupt,
}

/// In the order of measuring.
const BENCHES: &[Bench] = &[
    iso_size::BENCH,
    iso_noop::BENCH,
    iso_write::BENCH,
    install_copy::BENCH,
    iso_one_line::BENCH,
    iso_cold::BENCH,
    simulator::BENCH,
    host::BENCH,
];

/// Measures what was asked for, prints it, and writes it to `target/xenith/bench.json`.
pub fn run(options: &Options) -> Result<()> {
    let chosen = choose(&options.names, options.all || options.list);
    if options.list {
        for bench in chosen {
            let mark = if bench.expensive { " (expensive)" } else { "" };
            println!("{:13} {}{mark}", bench.name, bench.about);
        }
        return Ok(());
    }
    if chosen.is_empty() {
        let names: Vec<&str> = BENCHES.iter().map(|bench| bench.name).collect();
        bail!("nothing to measure is called that; there are {}", names.join(", "));
    }
    let interrupt = Interrupt::on_signals().context("catching signals")?;
    let pipeline = Pipeline::new(&options.build.sources)?;
    let profile = pipeline.profile(&options.build.profile)?;
    let context = Context { options: options.build.clone(), pipeline, profile, interrupt };

    let mut report = Report { profile: context.profile.name.clone(), figures: Vec::new() };
    let mut failed = Vec::new();
    for bench in &chosen {
        if context.interrupt.is_set() {
            failed.push(bench.name);
            continue;
        }
        eprintln!("measuring {}", bench.name);
        // What the others measure is not lost.
        if let Err(error) = (bench.run)(&context, &mut report.figures) {
            eprintln!("error: measuring {}: {error:#}", bench.name);
            failed.push(bench.name);
        }
    }

    let json = report.json()?;
    let file = context.pipeline.output.join("bench.json");
    fs::create_dir_all(&context.pipeline.output).context("making the results' folder")?;
    fs::write(&file, &json).with_context(|| format!("writing {}", file.display()))?;
    print!("{}", if options.json { json } else { report.table() });
    if !failed.is_empty() {
        bail!("{} could not be measured", failed.join(", "));
    }
    Ok(())
}

/// Those with one of `words` in their names; without words all, or only the quick ones.
fn choose(words: &[String], all: bool) -> Vec<&'static Bench> {
    let wanted = |bench: &&Bench| match words {
        [] => all || !bench.expensive,
        words => words.iter().any(|word| bench.name.contains(&**word)),
    };
    BENCHES.iter().filter(wanted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(words: &[&str], all: bool) -> Vec<&'static str> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        choose(&words, all).into_iter().map(|bench| bench.name).collect()
    }

    #[test]
    fn expensive_ones_are_run_only_when_they_are_asked_for() {
        let quick = ["iso-size", "iso-noop", "iso-write", "install-copy", "iso-one-line"];
        assert_eq!(names(&[], false), quick);
        assert_eq!(names(&[], true).len(), BENCHES.len());
        assert_eq!(names(&["cold", "size"], false), ["iso-size", "iso-cold"]);
        assert!(names(&["nothing"], false).is_empty());
    }
}
