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

/// What cases with virtual machines want, all of it.
#[derive(clap::Args)]
struct Machines {
    /// Folder of unpacked emulator packages.
    #[arg(long, required = false)]
    emulator: PathBuf,
    /// The ISO under test.
    #[arg(long, required = false)]
    iso: PathBuf,
    /// The folder for netboot under test; only its own cases want it.
    #[arg(long)]
    netboot: Option<PathBuf>,
    /// The build's tools tree, which the test guests' disk is made with.
    #[arg(long, required = false)]
    tools: PathBuf,
    /// Folder with Dom0's kernel and root image, which the test guests' disk is made of.
    #[arg(long, required = false)]
    rootfs: PathBuf,
}

/// End-to-end tests of the ISO in QEMU, and of the toolstack over a made-up host.
#[derive(Parser)]
struct Cli {
    /// Folder of unpacked packages with clients of the API.
    #[arg(long)]
    clients: PathBuf,
    #[command(flatten)]
    machines: Option<Machines>,
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

/// The toolstack's daemon, which cargo builds into the folder of this program.
const TOOLSTACK: &str = "xenith-toolstack";

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
        emulator: PathBuf::new(),
        clients: absolute(&cli.clients)?,
        toolstack: beside_this(TOOLSTACK)?,
        iso: PathBuf::new(),
        netboot: None,
        guest_disk: absolute(&cli.work.join("guest.img"))?,
        guest_boot: PathBuf::new(),
        xenapi: PathBuf::new(),
        work: absolute(&cli.work)?,
        accelerator: Accelerator::Tcg,
    };
    match &cli.machines {
        Some(machines) => {
            lab.emulator = absolute(&machines.emulator)?;
            lab.iso = absolute(&machines.iso)?;
            lab.netboot = machines.netboot.as_ref().map(absolute).transpose()?;
            let parts = Parts {
                tools: absolute(&machines.tools)?,
                kernel: absolute(&machines.rootfs.join("vmlinuz"))?,
                root_image: absolute(&machines.rootfs.join("root.img"))?,
            };
            lab.guest_boot = lab.folder("guest")?;
            guest::write_disk(&parts, &lab.guest_boot, &lab.guest_disk)
                .context("making the test guests' disk")?;
        }
        None => {
            let wanting = chosen.iter().find(|case| cases::needs_machines(case.name));
            if let Some(case) = wanting {
                anyhow::bail!("{} wants --emulator, --iso, --tools and --rootfs", case.name);
            }
        }
    }
    lab.xenapi = e2e::clients::install_python(&lab, e2e::clients::NEWEST)?;
    let outcomes = runner::run(&lab, &chosen, cli.jobs);
    let failed = outcomes.iter().filter(|outcome| outcome.error.is_some()).count();
    if let Some(path) = &cli.figures {
        runner::write_figures(path, &outcomes)?;
    }
    println!("{} passed, {failed} failed", outcomes.len() - failed);
    Ok(failed == 0 && !outcomes.is_empty())
}

fn beside_this(program: &str) -> Result<PathBuf> {
    let this = std::env::current_exe().context("finding this program")?;
    Ok(this.with_file_name(program))
}
