// SPDX-License-Identifier: MIT OR Apache-2.0
//! `host`: figures of a running host, which the end-to-end cases `bench-…` measure in virtual
//! machines.

use anyhow::Result;

use super::{Bench, Context, Figure, told};
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

fn run(context: &Context, figures: &mut Vec<Figure>) -> Result<()> {
    let cases = test::end_to_end(&context.options.sources)?;
    // One at a time: figures must not be those of two machines that share a processor.
    let cases = cases.args(["--jobs", "1", CASES]);
    told::run(BENCH.name, context, cases, figures)
}
