// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the daemon takes, over a made-up host and real connections:
//! `cargo bench -p toolstack --bench simulator`.
//!
//! Judges nothing; `cargo xtask bench simulator` holds the figures against their limits.

mod client;
mod cycles;
mod daemon;
mod machines;
mod reads;
mod records;
mod size;
mod start;
mod waiting;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;
use serde_json::{Value, json};

/// Measures the daemon over a made-up host.
#[derive(Debug, Parser)]
struct Options {
    /// Write the figures to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    figures: Option<PathBuf>,
    /// What cargo says to every bench.
    #[arg(long, hide = true)]
    bench: bool,
    /// Only what has one of these in its name [default: all].
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

/// Figures by name with their unit: `wall of VM.start, ms`.
type Figures = Vec<(String, f64)>;

/// Something to measure.
type Measure = (&'static str, fn(&mut Figures) -> Result<()>);

const MEASURES: &[Measure] = &[
    ("reads", reads::measure),
    ("waiting", waiting::measure),
    ("records", records::measure),
    ("start", start::measure),
    ("size", size::measure),
    ("cycles", cycles::measure),
];

fn main() -> Result<()> {
    let options = Options::parse();
    let names = &options.names;
    let wanted = |name: &str| names.is_empty() || names.iter().any(|word| name.contains(&**word));
    let mut figures = Figures::new();
    for (name, measure) in MEASURES.iter().filter(|(name, _)| wanted(name)) {
        eprintln!("measuring {name}");
        let known = figures.len();
        measure(&mut figures).with_context(|| format!("measuring {name}"))?;
        for (name, value) in &figures[known..] {
            println!("{name}: {value:.2}");
        }
    }
    if let Some(file) = &options.figures {
        let all: Vec<Value> =
            figures.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        let text = serde_json::to_string_pretty(&all)?;
        fs::write(file, text).with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(())
}

/// Lets time pass that something is counted in.
#[expect(clippy::disallowed_methods, reason = "figures are taken over time")]
fn pass(time: Duration) {
    std::thread::sleep(time);
}

/// The one in the middle, of an odd number.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
