// SPDX-License-Identifier: MIT OR Apache-2.0
//! `iso-one-line`: the ISO again after a one-line change in the toolstack.
//!
//! The change is made to a copy of the repository. The copy is built into a store of its own, which
//! has the finished artifacts of the user's and its folder of what cargo keeps.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use isobuild::assemble::Iso;
use isobuild::digest;
use isobuild::report::{Outcome, Report};
use isobuild::tools;

use super::place::Place;
use super::{Bench, Context, Figure};
use crate::build::artifact;
use crate::repro;

/// See the module.
pub const BENCH: Bench = Bench {
    name: "iso-one-line",
    about: "wall time of `iso` after a one-line change in the toolstack",
    expensive: false,
    run,
};

/// The file that is changed: part of the toolstack's library.
const FILE: &str = "dom0-rootfs/toolstack/src/startup.rs";
/// The function in it that gets another line.
const FUNCTION: &str = "pub fn start(";
const PROGRAMS: &str = "programs";
const PROGRAM: &str = "usr/sbin/xenith-toolstack";

fn run(context: &Context, figures: &mut Vec<Figure>) -> Result<()> {
    let (pipeline, profile) = (&context.pipeline, &context.profile);
    let place = Place::new(&pipeline.store)?;
    let copy = place.copy_repository(pipeline)?;
    let file = copy.join(FILE);
    let source = fs::read_to_string(&file).with_context(|| format!("reading {FILE}"))?;
    let change = |mark| {
        let text = changed(&source, mark);
        let text = text.with_context(|| format!("{FILE} has no `{FUNCTION}` to change"))?;
        fs::write(&file, text).with_context(|| format!("writing {}", file.display()))
    };

    // The unchanged copy, whose keys are those of the repository.
    let before = place.pipeline(pipeline, &copy, pipeline.store.clone())?;
    let recipes = before.recipes(profile)?;
    let names: Vec<String> = recipes.iter().map(|recipe| recipe.name()).collect();
    let of_tests = [tools::EMULATOR, tools::CLIENTS];
    let targets: Vec<&str> =
        names.iter().map(|name| &**name).filter(|name| !of_tests.contains(name)).collect();
    let report = before.build(profile, &targets)?;

    let store = place.store(&pipeline.store, &["objects", "kept", "locks"])?;
    for step in &report.steps {
        repro::share_artifact(&pipeline.store, &store, &report, &step.name)?;
    }
    let after = place.pipeline(pipeline, &copy, store)?;
    // Whatever the compiler was used for last, what it keeps is now one line away.
    change(1)?;
    let settled = after.build(profile, &[PROGRAMS])?;

    change(2)?;
    let iso = Iso::recipe_name(&profile.name);
    let begun = Instant::now();
    let report = after.build(profile, &[&iso])?;
    let wall = begun.elapsed().as_secs_f64();

    if program(&settled)? == program(&report)? {
        bail!("the changed line does not show in {PROGRAM}");
    }
    let rootfs = dom0_rootfs::Rootfs::recipe_name(&profile.name);
    figures.push(Figure::new(BENCH.name, "wall", wall, "s"));
    for step in report.steps.iter().filter(|step| step.outcome == Outcome::Built) {
        if ![PROGRAMS, &*rootfs, &*iso].contains(&&*step.name) {
            bail!("{} was built too, which such a change does not ask for", step.name);
        }
        let name = format!("{}, wall", step.name);
        figures.push(Figure::new(BENCH.name, name, step.seconds, "s"));
    }
    Ok(())
}

fn program(report: &Report) -> Result<appliance_model::Digest> {
    let path: PathBuf = artifact(report, PROGRAMS)?.join(PROGRAM);
    let (digest, _) =
        digest::of_file(&path).with_context(|| format!("hashing {}", path.display()))?;
    Ok(digest)
}

/// The source with one line more, which no compiler may leave out of the program.
fn changed(source: &str, mark: u32) -> Option<String> {
    let function = source.find(FUNCTION)?;
    let body = function + source[function..].find("{\n")? + 2;
    let (head, tail) = source.split_at(body);
    Some(format!("{head}    std::hint::black_box(\"a line that a bench added, {mark}\");\n{tail}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_toolstack_gets_one_line_more() {
        let path = crate::program::workspace_root().join(FILE);
        let source = fs::read_to_string(path).unwrap();
        let (one, two) = (changed(&source, 1).unwrap(), changed(&source, 2).unwrap());
        assert_eq!(one.lines().count(), source.lines().count() + 1);
        let differing: Vec<_> = one.lines().zip(two.lines()).filter(|(a, b)| a != b).collect();
        assert_eq!(differing.len(), 1);
        assert!(!source.contains(differing[0].0));
        assert_eq!(changed("fn other() {\n}\n", 1), None);
    }
}
