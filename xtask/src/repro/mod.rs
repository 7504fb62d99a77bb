// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask repro`: the same image from another folder, cache, umask and order of names.

mod compare;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result, bail};
use appliance_model::Digest;
use isobuild::assemble::Iso;
use isobuild::graph;
use isobuild::report::{Outcome, Report};
use isobuild::store::{Store, remove_tree};
use walkdir::WalkDir;

use crate::pipeline::{BuildOptions, Pipeline, SourceOptions};

/// How thorough.
#[derive(Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    build: BuildOptions,
    /// Take the hypervisor, its tools and the tools tree from the first build instead of making
    /// them again.
    #[arg(long)]
    quick: bool,
}

impl Options {
    /// The quick comparison of a profile.
    pub fn quick(profile: &str, sources: &SourceOptions) -> Self {
        let build = BuildOptions { profile: profile.to_owned(), sources: sources.clone() };
        Self { build, quick: true }
    }
}

/// Not made again by `--quick`.
const SEEDS: &[&str] = &["tools", "xen", "xen-tools"];

/// Builds once as always and once from a copy of the repository with an empty cache, and compares
/// artifact by artifact.
pub fn run(options: &Options) -> Result<()> {
    let first = Pipeline::new(&options.build.sources)?;
    let profile = first.profile(&options.build.profile)?;
    // Targets are in the report even when nothing above them had to be built.
    let targets = graph::needed(&first.recipes(&profile)?, &Iso::recipe_name(&profile.name))?;
    let targets: Vec<&str> = targets.iter().map(|name| &**name).collect();
    let first_report = first.build(&profile, &targets)?;

    let folder = first.output.join("repro");
    if folder.exists() {
        remove_tree(&folder).context("removing the last comparison")?;
    }
    let copy = folder.join("a different/place");
    copy_repository(&first.repository, &copy)
        .with_context(|| format!("copying the repository to {}", copy.display()))?;
    let store = Store::at(&folder.join("cache")).context("making an empty cache")?;
    share_downloads(&first.store, &store)?;
    if options.quick {
        for seed in SEEDS {
            share_artifact(&first.store, &store, &first_report, seed)?;
        }
    }
    let second = Pipeline::elsewhere(&first, copy, folder.join("output"), store)?;
    // The one the sandbox sets is what must count.
    let umask = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let second_report = second.build(&profile, &targets);
    rustix::process::umask(umask);
    let second_report = second_report?;

    let mut compared = 0;
    for step in &second_report.steps {
        if step.outcome == Outcome::Cached {
            continue;
        }
        let before = first_report
            .steps
            .iter()
            .find(|other| other.name == step.name)
            .with_context(|| format!("{} was built only the second time", step.name))?;
        if before.key != step.key {
            let lines = |store: &Store, key: &Digest| {
                store.record(&step.name, key).map(|record| record.inputs).unwrap_or_default()
            };
            let (here, there) = (lines(&first.store, &before.key), lines(&second.store, &step.key));
            bail!(
                "{} has another key in another folder: {}",
                step.name,
                compare::inputs(&here, &there)
            );
        }
        if let Some(difference) = compare::folders(&before.folder, &step.folder)? {
            bail!("{} is not reproducible: {difference}", step.name);
        }
        eprintln!("  {} is the same, {} bytes", step.name, step.bytes);
        compared += 1;
    }
    if compared == 0 {
        bail!("nothing was built the second time");
    }
    remove_tree(&folder).context("removing the comparison")?;
    eprintln!("{compared} artifacts are bit for bit the same");
    Ok(())
}

/// Copies what a checkout has, in reverse order of names so that folders list differently.
pub fn copy_repository(from: &Path, to: &Path) -> Result<()> {
    let skipped = |name: &str, depth| depth == 1 && (name == "target" || name == ".git");
    let entries = WalkDir::new(from)
        .sort_by(|a, b| b.file_name().cmp(a.file_name()))
        .into_iter()
        .filter_entry(|e| !skipped(&e.file_name().to_string_lossy(), e.depth()));
    for entry in entries {
        let entry = entry?;
        let target = to.join(entry.path().strip_prefix(from)?);
        if entry.file_type().is_dir() {
            fs::create_dir_all(&target)?;
        } else if entry.file_type().is_symlink() {
            symlink(fs::read_link(entry.path())?, &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

/// Shows the downloads of the store `from` in the empty one `to`, and the claims: who writes an
/// object in one of them must have claimed it in both.
pub fn share_downloads(from: &Store, to: &Store) -> Result<()> {
    ["objects", "locks"].iter().try_for_each(|name| share_folder(from, to, name))
}

/// Puts the folder `name` of the store `from` into the place of the empty one of `to`.
pub fn share_folder(from: &Store, to: &Store, name: &str) -> Result<()> {
    let folder = to.folder().join(name);
    fs::remove_dir(&folder).context("emptying the second cache")?;
    symlink(from.folder().join(name), &folder).with_context(|| format!("sharing {name}"))
}

/// Shows in the store `to` the artifact that the report of a build into `from` names.
pub fn share_artifact(from: &Store, to: &Store, report: &Report, name: &str) -> Result<()> {
    let step = report.steps.iter().find(|step| step.name == name);
    let key: Digest = step.with_context(|| format!("{name} was not built"))?.key;
    let (source, target) = (from.artifact(name, &key), to.artifact(name, &key));
    symlink(&source, &target).with_context(|| format!("sharing {name}"))?;
    let record = |folder: &Path| {
        let mut path = folder.as_os_str().to_owned();
        path.push(".json");
        path
    };
    fs::copy(record(&source), record(&target)).with_context(|| format!("sharing {name}"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_that_one_store_has_claimed_waits_in_the_other() {
        let dir = tempfile::tempdir().unwrap();
        let store = |name: &str| Store::at(&dir.path().join(name)).unwrap();
        let (first, second) = (store("first"), store("second"));
        share_downloads(&first, &second).unwrap();
        fs::write(first.folder().join("objects/object"), "x").unwrap();
        assert_eq!(fs::read(second.folder().join("objects/object")).unwrap(), b"x");
        let (held, mut waited) = (first.claim("object", || ()).unwrap(), false);
        let _claim = second.claim("object", || {
            waited = true;
            drop(held);
        });
        assert!(waited);
    }
}
