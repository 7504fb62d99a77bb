// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask test`: every check, cheapest first.

use std::path::PathBuf;

use anyhow::Result;
use isobuild::tools;

use crate::build::{self, artifact};
use crate::pipeline::{BuildOptions, Pipeline, SourceOptions};
use crate::program::Cargo;
use crate::{fuzz, reference, repro, tidy};

/// The profile that the end-to-end cases boot.
const PROFILE: &str = "ci";

/// How the names of the cases begin that boot over the network.
const NETBOOT: &str = "netboot-";

/// How the names of the cases begin that need no virtual machine.
const CLIENTS: &str = "clients-";

/// What to run.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Leave out what takes long: the fuzz targets, the comparison of two builds and the end-to-end
    /// cases in virtual machines.
    #[arg(long, conflicts_with = "cases")]
    fast: bool,
    /// Run the long end-to-end cases too, hours more (how many was never measured): an installation by
    /// keystrokes over the serial line whose screens are compared, installations by each way to boot the
    /// medium and to start over the network, lost networks, power cuts in every step, disks and media that
    /// fail, mirrors, disks of large sectors, and all of a guest's life.
    #[arg(long, conflicts_with_all = ["fast", "cases"])]
    full: bool,
    #[command(flatten)]
    sources: SourceOptions,
    /// End-to-end cases to run at a time.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Only the end-to-end cases whose name contains one of these; nothing else is checked.
    #[arg(value_name = "CASE")]
    cases: Vec<String>,
}

/// Stops at the first check that fails; the end-to-end cases all run.
pub fn run(options: &Options) -> Result<()> {
    if options.cases.is_empty() {
        Cargo::new("fmt").args(["--all", "--check"]).run()?;
        tidy::run()?;
        let lints = ["--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
        Cargo::new("clippy").args(lints).sources(&options.sources).run()?;
        // Of libraries: the comments on a program's options are its help, not Markdown.
        let doc = Cargo::new("doc").args(["--workspace", "--lib", "--no-deps", "--locked"]);
        doc.env("RUSTDOCFLAGS", "-D warnings").sources(&options.sources).run()?;
        Cargo::new("test").args(["--workspace", "--locked"]).sources(&options.sources).run()?;
        reference::run()?;
    }
    if options.cases.is_empty() && !options.fast {
        fuzz::brief(&options.sources)?;
        repro::run(&repro::Options::quick(PROFILE, &options.sources))?;
    }
    let clients = |case: &String| case.starts_with(CLIENTS);
    if options.fast || (!options.cases.is_empty() && options.cases.iter().all(clients)) {
        let wanted = if options.fast { vec![CLIENTS.to_owned()] } else { options.cases.clone() };
        without_machines(&options.sources)?.args(wanted).run()?;
    } else {
        let mut cases = end_to_end(&options.sources)?;
        let netboot = |case: &String| NETBOOT.starts_with(case) || case.starts_with(NETBOOT);
        if options.full || options.cases.iter().any(netboot) {
            let build_options = build_options(&options.sources);
            cases = cases.args(["--netboot"]).args([build::netboot(&build_options)?]);
        }
        if options.full {
            cases = cases.args(["--full"]);
        }
        cases.args(["--jobs", &options.jobs.to_string()]).args(&options.cases).run()?;
    }
    Ok(())
}

/// Builds what the end-to-end program wants; returns the call of it, to which options and names of
/// cases can be added.
pub fn end_to_end(sources: &SourceOptions) -> Result<Cargo> {
    let call = without_machines(sources)?;
    let build_options = build_options(sources);
    let iso = build::iso(&build_options.into())?;
    let pipeline = Pipeline::new(sources)?;
    let profile = pipeline.profile(PROFILE)?;
    let rootfs = dom0_rootfs::Rootfs::recipe_name(&profile.name);
    let report = pipeline.build(&profile, &[tools::NAME, tools::EMULATOR, &rootfs])?;
    let tree = |name| artifact(&report, name).map(|folder| folder.join(tools::ROOT));
    Ok(with(
        call,
        [
            ("--emulator", tree(tools::EMULATOR)?),
            ("--tools", tree(tools::NAME)?),
            ("--rootfs", artifact(&report, &rootfs)?.to_owned()),
            ("--iso", iso),
        ],
    ))
}

/// The same for cases that need no virtual machine.
fn without_machines(sources: &SourceOptions) -> Result<Cargo> {
    let pipeline = Pipeline::new(sources)?;
    let report = pipeline.build(&pipeline.profile(PROFILE)?, &[tools::CLIENTS])?;
    // Where cargo puts it, the end-to-end program finds it.
    Cargo::new("build").args(["--package", "toolstack", "--locked"]).sources(sources).run()?;
    let call = Cargo::new("run").sources(sources).args(["--package", "e2e", "--locked", "--"]);
    Ok(with(
        call,
        [
            ("--clients", artifact(&report, tools::CLIENTS)?.join(tools::ROOT)),
            ("--work", pipeline.output.join("e2e")),
        ],
    ))
}

fn with<const N: usize>(call: Cargo, options: [(&str, PathBuf); N]) -> Cargo {
    options.into_iter().fold(call, |call, (option, value)| call.args([option]).args([value]))
}

fn build_options(sources: &SourceOptions) -> BuildOptions {
    BuildOptions { profile: PROFILE.into(), sources: sources.clone() }
}
