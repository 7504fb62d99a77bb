// SPDX-License-Identifier: MIT OR Apache-2.0
//! The only entry to the pipeline: `cargo xtask`.

mod bench;
mod build;
mod clean;
mod fuzz;
mod pipeline;
mod profiles;
mod program;
mod reference;
mod repro;
mod run;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::pipeline::{BuildOptions, LockOptions, Pipeline};

/// Builds, tests and runs the Xenith appliance.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the ISO: target/xenith/xenith-<version>-x86_64.iso.
    Iso(build::IsoOptions),
    /// Build the folder that machines boot from over the network: target/xenith/xenith-<version>-netboot.
    Netboot(BuildOptions),
    /// Run the ISO in QEMU, its serial console in this terminal.
    Run(run::Options),
    /// Build only the hypervisor and its tools.
    Hypervisor(BuildOptions),
    /// Build only Dom0: root image, kernel, initramfs.
    Rootfs(BuildOptions),
    /// Resolve every package again and write profiles/lock.toml.
    Lock(LockOptions),
    /// Build the ISO twice, in different places, and compare every artifact.
    Repro(repro::Options),
    /// Write the reference of the API as HTML pages, and xe's man page: target/xenith/xenith-<version>-reference.
    Reference,
    /// Remove results, and what the user's cache keeps if asked to.
    Clean(clean::Options),
    /// Run every check of the project.
    Test(test::Options),
    /// Look for inputs that the readers of what comes from outside do not stand, by libFuzzer.
    Fuzz(fuzz::Options),
    /// Measure what should be small or quick, and hold it against its limits.
    Bench(bench::Options),
    /// Check the repository itself: arrows between crates, headers, file lengths, unsafe code,
    /// profiles and their lock.
    Tidy,
}

fn main() -> ExitCode {
    isobuild::sandbox::enter_if_asked();
    let result = match Cli::parse().task {
        Task::Iso(options) => build::iso(&options).map(|iso| println!("{}", iso.display())),
        Task::Netboot(options) => {
            build::netboot(&options).map(|folder| println!("{}", folder.display()))
        }
        Task::Run(options) => run::run(&options),
        Task::Hypervisor(options) => build::hypervisor(&options),
        Task::Rootfs(options) => build::rootfs(&options),
        Task::Lock(options) => {
            Pipeline::new(&options.sources).and_then(|p| p.refresh_lock(&options.profiles))
        }
        Task::Reference => reference::run().map(|folder| println!("{}", folder.display())),
        Task::Repro(options) => repro::run(&options),
        Task::Clean(options) => clean::run(&options),
        Task::Test(options) => test::run(&options),
        Task::Fuzz(options) => fuzz::run(&options),
        Task::Bench(options) => bench::run(&options),
        Task::Tidy => tidy::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            if let Some(hint) = isobuild::store::full_disk_hint(error.as_ref()) {
                eprintln!("hint: {hint}");
            }
            ExitCode::FAILURE
        }
    }
}
