// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs the end-to-end cases; `cargo xtask test` builds what it needs and calls it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use e2e::cases;
use e2e::guest::{self, Parts};
use e2e::lab::Lab;
use e2e::runner;
use isobuild::emulator::Accelerator;

/// End-to-end tests of the ISO in QEMU.
#[derive(Parser)]
struct Cli {
    /// Folder of unpacked emulator packages.
    #[arg(long)]
    emulator: PathBuf,
    /// The ISO under test.
    #[arg(long)]
    iso: PathBuf,
    /// The folder for netboot under test; only its own cases want it.
    #[arg(long)]
    netboot: Option<PathBuf>,
    /// The build's tools tree, which the test guests' disk is made with.
    #[arg(long)]
    tools: PathBuf,
    /// Folder with Dom0's kernel and root image, which the test guests' disk is made of.
    #[arg(long)]
    rootfs: PathBuf,
    /// Folder with the host's own programs.
    #[arg(long)]
    programs: PathBuf,
    /// Folder for the cases' files and logs.
    #[arg(long)]
    work: PathBuf,
    /// Cases at a time.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// List the cases and stop.
    #[arg(long)]
    list: bool,
    /// All cases that judge something, the long ones too.
    #[arg(long, conflicts_with = "filters")]
    full: bool,
    /// Write the figures that cases note to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    figures: Option<PathBuf>,
    /// Only cases whose name contains one of these; those that measure (bench-…), boot over the network
    /// (netboot-…), try other disks (disks-…, multipath-…, raid-…) or faults (fault-…), need several machines
    /// (net-…), make pictures (picture-…), look at a guest's life (life-…) or at users of the host (users-…) only if it
    /// begins like theirs.
    filters: Vec<String>,
}

fn main() -> ExitCode {
    isobuild::sandbox::enter_if_asked();
    match run(Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<bool> {
    let all = cases::all();
    let chosen: Vec<_> =
        all.iter().filter(|case| cases::is_chosen(case.name, cli.full, &cli.filters)).collect();
    if cli.list {
        for case in &chosen {
            println!("{:24} {}", case.name, case.about);
        }
        return Ok(true);
    }
    let absolute = |path: &PathBuf| {
        std::path::absolute(path).with_context(|| format!("resolving {}", path.display()))
    };
    std::fs::create_dir_all(&cli.work).with_context(|| format!("making {}", cli.work.display()))?;
    let mut lab = Lab {
        emulator: absolute(&cli.emulator)?,
        iso: absolute(&cli.iso)?,
        netboot: cli.netboot.as_ref().map(absolute).transpose()?,
        programs: absolute(&cli.programs)?,
        guest_disk: absolute(&cli.work.join("guest.img"))?,
        clients: PathBuf::new(),
        work: absolute(&cli.work)?,
        accelerator: Accelerator::Tcg,
    };
    let parts = Parts {
        tools: absolute(&cli.tools)?,
        kernel: absolute(&cli.rootfs.join("vmlinuz"))?,
        root_image: absolute(&cli.rootfs.join("root.img"))?,
    };
    guest::write_disk(&parts, &lab.folder("guest")?, &lab.guest_disk)
        .context("making the test guests' disk")?;
    lab.clients = e2e::clients::install(&lab)?;
    let outcomes = runner::run(&lab, &chosen, cli.jobs);
    let failed = outcomes.iter().filter(|outcome| outcome.error.is_some()).count();
    if let Some(path) = &cli.figures {
        runner::write_figures(path, &outcomes)?;
    }
    println!("{} passed, {failed} failed", outcomes.len() - failed);
    Ok(failed == 0 && !outcomes.is_empty())
}
