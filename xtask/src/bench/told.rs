// SPDX-License-Identifier: MIT OR Apache-2.0
//! Figures that another program of this workspace measures, and tells in a file.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::{Context, Figure};
use crate::program::Cargo;

/// A figure as those programs write it.
#[derive(Debug, Deserialize)]
struct Told {
    /// The end-to-end case that it is of.
    case: Option<String>,
    /// With its unit behind the last comma: `Dom0 memory used, MiB`.
    name: String,
    value: f64,
}

/// Runs a program that takes `--figures FILE`, for the bench of this name.
pub fn run(
    bench: &'static str,
    context: &Context,
    program: Cargo,
    figures: &mut Vec<Figure>,
) -> Result<()> {
    let folder = &context.pipeline.output;
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let file = folder.join(format!("bench-{bench}.json"));
    if file.exists() {
        fs::remove_file(&file).with_context(|| format!("removing {}", file.display()))?;
    }
    // Standard output is for the figures.
    match program.args(["--figures"]).args([&file]).output() {
        Ok(said) => {
            eprint!("{}", String::from_utf8_lossy(&said));
            figures.extend(read(bench, &file)?);
            Ok(())
        }
        Err(error) => {
            // What was told before the failure is not lost; no file says no more than that.
            figures.extend(read(bench, &file).unwrap_or_default());
            Err(error)
        }
    }
}

fn read(bench: &'static str, file: &Path) -> Result<Vec<Figure>> {
    let text = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let figures: Vec<Told> =
        serde_json::from_str(&text).with_context(|| format!("reading {}", file.display()))?;
    if figures.is_empty() {
        bail!("{} has no figure", file.display());
    }
    Ok(figures.into_iter().map(|told| figure(bench, told)).collect())
}

fn figure(bench: &'static str, told: Told) -> Figure {
    let (name, unit) = told.name.rsplit_once(", ").unwrap_or((&told.name, ""));
    let figure = Figure::new(bench, name, told.value, unit);
    match told.case {
        Some(case) => figure.of_case(case),
        None => figure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(bench: &'static str, text: &str) -> Result<Vec<Figure>> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("figures.json");
        fs::write(&file, text).unwrap();
        read(bench, &file)
    }

    #[test]
    fn figures_meet_their_limits() {
        let text = r#"[
            {"case": "bench-live", "name": "toolstack ready, CPU s", "value": 120.5},
            {"case": "bench-live", "name": "Dom0 memory used, MiB", "value": 300},
            {"case": "bench-guest", "name": "VM.start / xl create", "value": 1.5},
            {"name": "of no case, s", "value": 2}
        ]"#;
        let figures = read_text("host", text).unwrap();
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
                ("of no case", 2.0, "s", None, false, None),
            ]
        );
    }

    #[test]
    fn no_figures_and_other_files_are_errors() {
        assert!(read_text("host", "[]").unwrap_err().to_string().contains("no figure"));
        let error = format!("{:#}", read_text("host", "[{\"name\": 1}]").unwrap_err());
        assert!(error.contains("figures.json") && error.contains("expected a string"), "{error}");
    }
}
