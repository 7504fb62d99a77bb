// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs cases, a few at a time, and says which failed and where their logs are.

use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::json;

use crate::lab::Lab;

/// What a case learns on its way: figures for the report.
#[derive(Debug, Default)]
pub struct Figures(Mutex<Vec<(String, f64)>>);

impl Figures {
    /// Notes a figure under a name with its unit: `toolstack ready, CPU s`.
    pub fn note(&self, name: impl Into<String>, value: f64) {
        self.0.lock().expect("figures").push((name.into(), value));
    }

    fn take(&self) -> Vec<(String, f64)> {
        std::mem::take(&mut self.0.lock().expect("figures"))
    }
}

/// An end-to-end test.
pub struct Case {
    /// Unique name, also its folder's.
    pub name: &'static str,
    /// One line for `--list`.
    pub about: &'static str,
    /// Does it; its files go into the folder.
    pub run: fn(&Lab, &Path, &Figures) -> Result<()>,
}

/// What became of a case.
#[derive(Debug)]
pub struct Outcome {
    /// The case's name.
    pub name: &'static str,
    /// Wall time.
    pub took: Duration,
    /// Figures it noted.
    pub figures: Vec<(String, f64)>,
    /// Why it failed.
    pub error: Option<String>,
}

/// Runs `cases`, `jobs` at a time, in their order.
pub fn run(lab: &Lab, cases: &[&Case], jobs: usize) -> Vec<Outcome> {
    let next = Mutex::new(cases.iter());
    let outcomes = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let Some(case) = next.lock().expect("cases").next() else { return };
                    eprintln!("case {} …", case.name);
                    let outcome = run_one(lab, case);
                    report(lab, &outcome);
                    outcomes.lock().expect("outcomes").push(outcome);
                }
            });
        }
    });
    outcomes.into_inner().expect("outcomes")
}

/// Writes all figures: `[{"case": …, "name": …, "value": …}]`.
pub fn write_figures(path: &Path, outcomes: &[Outcome]) -> Result<()> {
    let figures = outcomes.iter().flat_map(|outcome| {
        let each = outcome.figures.iter();
        each.map(|(name, value)| json!({ "case": outcome.name, "name": name, "value": value }))
    });
    let text = serde_json::to_string_pretty(&figures.collect::<Vec<_>>())?;
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

fn run_one(lab: &Lab, case: &Case) -> Outcome {
    let began = Instant::now();
    let figures = Figures::default();
    let result = lab.folder(case.name).and_then(|folder| {
        (case.run)(lab, &folder, &figures)?;
        remove_images(&folder)
    });
    Outcome {
        name: case.name,
        took: began.elapsed(),
        figures: figures.take(),
        error: result.err().map(|error| format!("{error:#}")),
    }
}

/// Disk images of a case that passed are of no more use; its logs stay.
fn remove_images(folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ext| ext == "img") {
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn report(lab: &Lab, outcome: &Outcome) {
    let seconds = outcome.took.as_secs();
    match &outcome.error {
        None => eprintln!("case {} passed in {seconds} s", outcome.name),
        Some(error) => eprintln!(
            "case {} FAILED after {seconds} s: {error}\n  logs: {}",
            outcome.name,
            lab.work.join(outcome.name).display()
        ),
    }
    for (name, value) in &outcome.figures {
        eprintln!("  {name}: {value:.1}");
    }
}
