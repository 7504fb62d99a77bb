// SPDX-License-Identifier: MIT OR Apache-2.0
//! `host`: figures of a running host, which the end-to-end cases `bench-…` measure in virtual
//! machines.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::{Bench, Context, Figure};
use crate::test;

/// See the module.
pub const BENCH: Bench = Bench {
    name: "host",
    about: "figures of a running host, from the end-to-end cases bench-… (of the profile ci)",
    expensive: true,
    run,
};

/// What the cases are called.
const CASES: &str = "bench-";

/// A figure as the end-to-end program writes it.
#[derive(Debug, Deserialize)]
struct CaseFigure {
    case: String,
    /// With its unit behind the last comma: `Dom0 memory used, MiB`.
    name: String,
    value: f64,
}

fn run(context: &Context, figures: &mut Vec<Figure>) -> Result<()> {
    let file = context.pipeline.output.join("bench-host.json");
    if file.exists() {
        fs::remove_file(&file).with_context(|| format!("removing {}", file.display()))?;
    }
    let cases = test::end_to_end(&context.options.sources)?;
    // One at a time: figures must not be those of two machines that share a processor.
    let cases = cases.args(["--jobs", "1", CASES, "--figures"]).args([&file]);
    // Standard output is for the figures.
    match cases.output() {
        Ok(said) => {
            eprint!("{}", String::from_utf8_lossy(&said));
            figures.extend(read(&file)?);
            Ok(())
        }
        Err(error) => {
            // What one case told is not lost when another failed; no file says no more than that.
            figures.extend(read(&file).unwrap_or_default());
            Err(error)
        }
    }
}

fn read(file: &Path) -> Result<Vec<Figure>> {
    let text = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let figures: Vec<CaseFigure> =
        serde_json::from_str(&text).with_context(|| format!("reading {}", file.display()))?;
    if figures.is_empty() {
        bail!("no case {CASES}… told a figure");
    }
    Ok(figures.into_iter().map(figure).collect())
}

fn figure(told: CaseFigure) -> Figure {
    let (name, unit) = told.name.rsplit_once(", ").unwrap_or((&told.name, ""));
    Figure::new(BENCH.name, name, told.value, unit).of_case(told.case)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Vec<Figure>> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("figures.json");
        fs::write(&file, text).unwrap();
        read(&file)
    }

    #[test]
    fn figures_of_cases_meet_their_limits() {
        let text = r#"[
            {"case": "bench-live", "name": "toolstack ready, CPU s", "value": 120.5},
            {"case": "bench-live", "name": "Dom0 memory used, MiB", "value": 300},
            {"case": "bench-guest", "name": "VM.start / xl create", "value": 1.5}
        ]"#;
        let figures = read_text(text).unwrap();
        let seen: Vec<_> = figures
            .iter()
            .map(|f| (&*f.name, f.value, &*f.unit, f.limit, f.missed, f.case.as_deref()))
            .collect();
        let (live, guest) = (Some("bench-live"), Some("bench-guest"));
        assert_eq!(
            seen,
            [
                ("toolstack ready", 120.5, "CPU s", Some(110.0), true, live),
                ("Dom0 memory used", 300.0, "MiB", Some(300.0), false, live),
                ("VM.start / xl create", 1.5, "", None, false, guest),
            ]
        );
    }

    #[test]
    fn no_figures_and_other_files_are_errors() {
        assert!(read_text("[]").unwrap_err().to_string().contains("bench-"));
        let error = format!("{:#}", read_text("[{\"case\": 1}]").unwrap_err());
        assert!(error.contains("figures.json") && error.contains("expected a string"), "{error}");
    }
}
