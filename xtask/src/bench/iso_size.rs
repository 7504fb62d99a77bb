// SPDX-License-Identifier: MIT OR Apache-2.0
//! `iso-size`: how big the medium is.

use anyhow::{Context as _, Result};
use isobuild::assemble::Iso;

use super::{Bench, Context, Figure};
use crate::build::artifact;

/// See the module.
pub const BENCH: Bench =
    Bench { name: "iso-size", about: "size of the ISO", expensive: false, run };

fn run(context: &Context, figures: &mut Vec<Figure>) -> Result<()> {
    let name = Iso::recipe_name(&context.profile.name);
    let report = context.pipeline.build(&context.profile, &[&name])?;
    let iso = artifact(&report, &name)?.join(Iso::FILE);
    let bytes = iso.metadata().with_context(|| format!("sizing {}", iso.display()))?.len();
    // The profile that promises to be small has a limit of its own.
    let figure = if context.profile.name == "minimal" { "size of minimal" } else { "size" };
    figures.push(Figure::new(BENCH.name, figure, bytes as f64 / 1e6, "MB"));
    Ok(())
}
