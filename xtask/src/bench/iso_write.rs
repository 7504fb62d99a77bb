// SPDX-License-Identifier: MIT OR Apache-2.0
//! `iso-write`: writing the medium from its parts beside copying the finished one.
//!
//! Neither side waits for the disk: what is compared is the work, and after each turn the disk gets
//! the time that it needs, uncounted.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use isobuild::assemble::Iso;
use isobuild::digest;
use isobuild::recipe::{BuildEnv, Recipe};

use super::parts::Parts;
use super::place::Place;
use super::{Bench, Context, Figure, median};
use crate::build::artifact;

/// See the module.
pub const BENCH: Bench = Bench {
    name: "iso-write",
    about: "writing the ISO from its parts beside copying it",
    expensive: false,
    run,
};

const RUNS: usize = 5;

fn run(context: &Context, figures: &mut Vec<Figure>) -> Result<()> {
    let (pipeline, profile) = (&context.pipeline, &context.profile);
    let name = Iso::recipe_name(&profile.name);
    let recipe = pipeline.recipes(profile)?.into_iter().find(|recipe| recipe.name() == name);
    let recipe = recipe.with_context(|| format!("there is no recipe {name}"))?;
    let mut targets = recipe.needs();
    targets.push(name.clone());
    let targets: Vec<&str> = targets.iter().map(|target| &**target).collect();
    let report = pipeline.build(profile, &targets)?;
    let iso = artifact(&report, &name)?.join(Iso::FILE);

    let place = Place::new(&pipeline.store)?;
    let parts = Parts::of(&*recipe, &report, pipeline.lock()?, place.path(), &context.interrupt)?;
    let pair = Pair { recipe: &*recipe, parts, iso, copy: place.path().join("copy") };
    // The first turn brings everything into memory.
    pair.write()?;
    pair.copy()?;
    let same = digest::of_file(&pair.written()).context("hashing what was written")?.0
        == digest::of_file(&pair.iso).context("hashing the ISO")?.0;
    ensure!(same, "the parts do not make the ISO that was built of them");

    let (mut writes, mut copies) = (Vec::new(), Vec::new());
    for turn in 0..RUNS {
        context.interrupt.check()?;
        // Who goes first takes turns too.
        if turn % 2 == 0 {
            writes.push(pair.write()?);
            copies.push(pair.copy()?);
        } else {
            copies.push(pair.copy()?);
            writes.push(pair.write()?);
        }
    }
    let (write, copy) = (median::of(&writes), median::of(&copies));
    figures.extend([
        Figure::new(BENCH.name, "from parts / copy", write / copy, "x"),
        Figure::new(BENCH.name, "from parts, wall", write, "s"),
        Figure::new(BENCH.name, "copy, wall", copy, "s"),
    ]);
    Ok(())
}

/// The two ways to the same bytes.
struct Pair<'a> {
    recipe: &'a dyn Recipe,
    parts: Parts<'a>,
    iso: PathBuf,
    copy: PathBuf,
}

impl Pair<'_> {
    fn written(&self) -> PathBuf {
        self.parts.out().join(Iso::FILE)
    }

    fn write(&self) -> Result<f64> {
        timed(&self.written(), || self.recipe.build(&self.parts).map_err(anyhow::Error::from_boxed))
    }

    fn copy(&self) -> Result<f64> {
        timed(&self.copy, || Ok(fs::copy(&self.iso, &self.copy).map(drop)?))
    }
}

/// Seconds that `make` takes to make the file `path` anew.
fn timed(path: &Path, make: impl FnOnce() -> Result<()>) -> Result<f64> {
    if path.exists() {
        fs::remove_file(path).with_context(|| format!("removing {}", path.display()))?;
    }
    let begun = Instant::now();
    make().with_context(|| format!("writing {}", path.display()))?;
    let seconds = begun.elapsed().as_secs_f64();
    let settled = File::open(path).and_then(|file| file.sync_all());
    settled.with_context(|| format!("bringing {} to the disk", path.display()))?;
    Ok(seconds)
}
