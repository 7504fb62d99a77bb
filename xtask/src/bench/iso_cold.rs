// SPDX-License-Identifier: MIT OR Apache-2.0
//! `iso-cold`: everything from fetched packages, nothing built yet.
//!
//! One recipe after the other, so that the CPU time between two looks is that of one recipe.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use appliance_model::Digest;
use appliance_model::lock::LockedFile;
use isobuild::assemble::Iso;
use isobuild::fetch::{Downloader, Mirrors};
use isobuild::graph::Fetcher;
use isobuild::inputs::Inputs;
use isobuild::progress;
use isobuild::recipe::Recipe;
use isobuild::report::Outcome;

use super::place::Place;
use super::{Bench, Context, Figure, cpu};
use crate::pipeline::Pipeline;

/// See the module.
pub const BENCH: Bench = Bench {
    name: "iso-cold",
    about: "CPU time of building everything, packages fetched",
    expensive: true,
    run,
};

/// The Rust compile, which is counted by itself.
const PROGRAMS: &str = "programs";

fn run(context: &Context, figures: &mut Vec<Figure>) -> Result<()> {
    let (pipeline, profile) = (&context.pipeline, &context.profile);
    let place = Place::new(&pipeline.store)?;
    let copy = place.copy_repository(pipeline)?;
    let store = place.store(&pipeline.store, &["objects"])?;
    let cold = place.pipeline(pipeline, &copy, store)?;

    let recipes = cold.recipes(profile)?;
    let mut order = Vec::new();
    add(&mut order, &recipes, &Iso::recipe_name(&profile.name))?;
    fetch(context, &cold, &order)?;

    let (mut total, mut wall) = (0.0, 0.0);
    for recipe in order {
        let name = recipe.name();
        let before = cpu::seconds()?;
        let report = cold.build(profile, &[&name])?;
        let minutes = (cpu::seconds()? - before) / 60.0;
        let built = report.steps.iter().filter(|step| step.outcome == Outcome::Built);
        let steps: Vec<_> = built.collect();
        ensure!(
            steps.len() == 1 && steps[0].name == name && report.fetched_bytes == 0,
            "building {name} did more than that"
        );
        if name != PROGRAMS {
            total += minutes;
        }
        wall += steps[0].seconds;
        figures.push(Figure::new(BENCH.name, name.clone(), minutes, "CPU min"));
        figures.push(Figure::new(BENCH.name, format!("{name}, wall"), steps[0].seconds, "s"));
    }
    figures.push(Figure::new(BENCH.name, "all, wall", wall, "s"));
    figures.push(Figure::new(BENCH.name, "all but programs", total, "CPU min"));
    Ok(())
}

/// Adds the recipe and what it needs, needs first.
fn add<'r>(
    order: &mut Vec<&'r dyn Recipe>,
    recipes: &'r [Box<dyn Recipe>],
    name: &str,
) -> Result<()> {
    if order.iter().any(|recipe| recipe.name() == name) {
        return Ok(());
    }
    let recipe = recipes.iter().find(|recipe| recipe.name() == name);
    let recipe = recipe.with_context(|| format!("there is no recipe {name}"))?;
    for need in recipe.needs() {
        add(order, recipes, &need)?;
    }
    order.push(&**recipe);
    Ok(())
}

/// Brings every locked file of the recipes, so that no download is counted.
fn fetch(context: &Context, cold: &Pipeline, recipes: &[&dyn Recipe]) -> Result<()> {
    let lock = Arc::new(cold.lock()?);
    let mut files: BTreeMap<Digest, LockedFile> = BTreeMap::new();
    for recipe in recipes {
        let mut inputs = Inputs::new(&cold.repository, Arc::clone(&lock));
        let declared = recipe.declare(&mut inputs).map_err(anyhow::Error::from_boxed);
        declared.with_context(|| format!("collecting the inputs of {}", recipe.name()))?;
        files.extend(inputs.locked_files().clone());
    }
    let missing: Vec<LockedFile> =
        files.into_values().filter(|file| !cold.store.has_object(&file.sha256)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let sources = &context.options.sources;
    let mirrors = Mirrors::find(sources.mirror.as_deref(), Some(lock.timestamp()))
        .context("finding a Debian mirror")?;
    let reporter = progress::for_terminal();
    let interrupt = context.interrupt.clone();
    // Objects are the user's own, and so must the claims on them be.
    let user = &context.pipeline.store;
    let downloader = Downloader::new(user, mirrors, sources.offline, &*reporter, interrupt);
    downloader.fetch(&missing).map(drop).map_err(anyhow::Error::from_boxed)
}
