// SPDX-License-Identifier: MIT OR Apache-2.0
//! `simulator`: what the toolstack takes over a made-up host, by the bench `simulator` of its crate.

use anyhow::Result;

use super::{Bench, Context, Figure, told};
use crate::program::Cargo;

/// See the module.
pub const BENCH: Bench = Bench {
    name: "simulator",
    about: "the toolstack's answers, start-up and memory, over a made-up host",
    expensive: true,
    run,
};

fn run(context: &Context, figures: &mut Vec<Figure>) -> Result<()> {
    let bench = ["--package", "toolstack", "--bench", "simulator", "--locked", "--"];
    let program = Cargo::new("bench").sources(&context.options.sources).args(bench);
    told::run(BENCH.name, context, program, figures)
}
