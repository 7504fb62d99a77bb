// SPDX-License-Identifier: MIT OR Apache-2.0
//! The recipe `fuzz`: the program with all targets and libFuzzer.

use std::fs;
use std::path::Path;

use isobuild::inputs::Inputs;
use isobuild::recipe::{BoxError, Build, Recipe};
use isobuild::rust::{Packages, TARGET};
use isobuild::store::Store;
use isobuild::tools;

/// Name of the recipe, its package, the program, and the profile that it is compiled with.
pub const NAME: &str = "fuzz";

/// Has LLVM count what runs, for libFuzzer: the flags that cargo-fuzz passes, which any compiler takes.
/// The standard library, which is compiled already, is not counted.
const COVERAGE: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// See the module. Artifact: `fuzz`, a program that runs over the tools tree.
#[derive(Debug)]
pub struct FuzzProgram {
    packages: Packages,
}

impl FuzzProgram {
    /// That of the workspace at `repository`; `store` keeps cargo's target folder. `offline`: crates
    /// are not fetched, they must be there.
    pub fn new(repository: &Path, store: &Store, offline: bool) -> Self {
        Self { packages: Packages::new(repository, store, offline, vec![NAME]) }
    }
}

impl Recipe for FuzzProgram {
    fn name(&self) -> String {
        NAME.to_owned()
    }

    fn needs(&self) -> Vec<String> {
        vec![tools::NAME.to_owned()]
    }

    fn declare(&self, inputs: &mut Inputs) -> Result<(), BoxError> {
        inputs.revision(1);
        inputs.value("coverage", COVERAGE.join(" "));
        self.packages.declare(inputs)
    }

    fn build(&self, build: &Build<'_>) -> Result<(), BoxError> {
        let cargo = self.packages.prepare(build, NAME, &[tools::NAME])?;
        build.status("compiling");
        let mut flags = cargo.rust_flags()?;
        flags.extend(COVERAGE.iter().map(|&flag| flag.to_owned()));
        let sandbox = cargo
            .sandbox(build, "target")?
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
            .env("CFLAGS", cargo.c_flags().join(" "));
        let profile = format!("--profile={NAME}");
        let program = [format!("--package={NAME}"), format!("--bin={NAME}")];
        let arguments = ["build", "--offline", "--locked", "--target", TARGET, &profile];
        let features = format!("--features={NAME}/libfuzzer");
        sandbox
            .run("cargo", arguments.into_iter().chain([&*program[0], &*program[1], &*features]))?;

        let built = cargo.target("target").join(TARGET).join(NAME).join(NAME);
        fs::copy(&built, build.out().join(NAME))
            .map_err(|error| format!("copying {}: {error}", built.display()))?;
        Ok(())
    }
}
