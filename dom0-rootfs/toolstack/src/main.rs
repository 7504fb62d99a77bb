// SPDX-License-Identifier: MIT OR Apache-2.0
//! The XenAPI daemon's command line.

use std::io::{IsTerminal, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use appliance_model::handover::HANDOVER_PATH;
use clap::Parser;
use network::OvsBackend;
use tokio::signal::unix::{SignalKind, signal};
use toolstack::api;
use toolstack::auth::HostAccounts;
use toolstack::daemon::{Daemon, Places};
use toolstack::dom0::{self, Dom0, HostPrograms};
use toolstack::hardware::Machine;
use toolstack::prompt::Prompt;
use toolstack::simulate::Simulation;
use toolstack::toolstack::{BootFiles, Files, Outside, SAMPLING, TRIAL};
use toolstack::{notify, program, records, startup};
use xenops::{Deadlines, Worker};

/// Threads for work that blocks: a VM that is shut down cleanly holds one until it has ended.
const BLOCKING_THREADS: usize = 256;

/// How long work under way may go on once the daemon was told to end.
const LAST_MOMENT: Duration = Duration::from_secs(5);

/// New entries of the journal, each in a line.
const JOURNAL: &[&str] = &["--follow", "--lines=0", "--output=json", "--no-pager"];

/// The XenAPI daemon.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// Run a made-up host instead of this one: any machine, no root
    #[arg(long)]
    simulate: bool,
    /// Address and port of HTTPS [default: [::]:443, which is IPv4 too, simulated 127.0.0.1:8443]; simulated it is
    /// the first line of output, with the port that was found for port 0
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
    /// Password on the made-up host: root's, and that of its users ann and bob
    #[arg(long, default_value = "xenith", requires = "simulate")]
    password: String,
    /// Database file [default: /var/lib/xenith/state.db, simulated in a folder that goes at the end]
    #[arg(long, value_name = "FILE")]
    database: Option<PathBuf>,
    /// Folder of the TLS key and certificate [default: beside the database]
    #[arg(long, value_name = "FOLDER")]
    tls: Option<PathBuf>,
    /// Socket for local clients [default: /run/xenith/xapi.sock, simulated none]
    #[arg(long, value_name = "FILE")]
    socket: Option<PathBuf>,
    /// Print what a database says of its host as JSON, and end; the file is written to, as by a daemon
    #[arg(long, value_name = "FILE", exclusive = true)]
    inspect: Option<PathBuf>,
    /// Send the host's log to this host as syslog over UDP, and end when the journal does
    #[arg(long, value_name = "HOST", exclusive = true)]
    forward_log: Option<String>,
    /// Program that talks to Xen
    #[arg(long, value_name = "FILE", default_value = Worker::PROGRAM)]
    worker: PathBuf,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    if let Some(database) = &options.inspect {
        println!("{}", serde_json::to_string(&records::inspect(database)?)?);
        return Ok(());
    }
    if let Some(destination) = &options.forward_log {
        let mut journal = program::follow("journalctl", JOURNAL)?;
        return dom0::forward(&mut journal, destination);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()
        .context("starting threads")?;
    let result = runtime.block_on(run(options));
    // Work under way gets a moment; what is left is found out at the next start.
    runtime.shutdown_timeout(LAST_MOMENT);
    result
}

async fn run(options: Options) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("watching signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("watching signals")?;
    // Kept until the end: the folder of a simulation without a database goes with it.
    let (daemon, _folder) =
        if options.simulate { simulated(&options).await? } else { (real(&options).await?, None) };
    let address = daemon.address()?;
    tracing::info!(%address, "listening");
    let toolstack = daemon.toolstack.clone();
    let serving = tokio::spawn(daemon.serve());
    if options.simulate {
        // Port 0 is any that is free, so whoever asked for it must hear which.
        println!("https://{address}");
    }
    print!("{}", notify::line());
    std::io::stdout().flush().context("writing to standard output")?;
    if !options.simulate {
        notify::ready();
    }
    tokio::select! {
        _ = terminate.recv() => tracing::info!("told to end"),
        _ = interrupt.recv() => tracing::info!("interrupted"),
        ended = serving => ended.context("serving")?,
    }
    let power = toolstack.power.clone();
    let ending = tokio::task::spawn_blocking(move || power.is_ending()).await;
    if ending.context("asking whether the host goes down")?.unwrap_or_else(|error| {
        tracing::error!("{error:#}");
        false
    }) {
        tracing::info!("the host goes down: shutting down its VMs");
        let toolstack = toolstack.clone();
        // It is served meanwhile: guests are waited for, and clients see them end.
        let ended = tokio::task::spawn_blocking(move || api::end_with_host(&toolstack));
        if let Err(error) = ended.await.context("shutting down the VMs")? {
            tracing::error!(%error, "VMs are cut off with the host");
        }
    }
    let saved = tokio::task::spawn_blocking(move || toolstack.metrics.save());
    saved.await.context("writing figures to disk")?;
    Ok(())
}

async fn real(options: &Options) -> Result<Daemon> {
    let database = options.database.clone();
    let database = database.unwrap_or_else(|| "/var/lib/xenith/state.db".into());
    let handover = startup::read_handover(HANDOVER_PATH.as_ref())?;
    let worker = Worker::start(options.worker.clone(), Vec::new(), Deadlines::default())
        .context("starting the hypervisor worker")?;
    let outside = Outside {
        hypervisor: Arc::new(worker),
        drivers: storage::host_drivers(),
        network: Arc::new(OvsBackend::new(Arc::new(network::Host))),
        accounts: Arc::new(HostAccounts::default()),
        power: Arc::new(program::Systemd),
        machine: Machine::new("/".into()),
        dom0: Dom0::new("/".into(), Arc::new(HostPrograms)),
        boot: BootFiles::default(),
        prompt: Prompt::of_host(),
        files: Files::default(),
        sampling: Some(SAMPLING),
        trial: TRIAL,
    };
    let places = Places {
        tls: tls(options, &database),
        database,
        listen: options.listen.unwrap_or_else(everywhere),
        socket: Some(options.socket.clone().unwrap_or_else(|| "/run/xenith/xapi.sock".into())),
    };
    Daemon::start(&places, outside, handover).await
}

/// Every address of this host. IPv6 can be switched off on the kernel command line.
fn everywhere() -> SocketAddr {
    match Path::new("/proc/net/if_inet6").exists() {
        true => (Ipv6Addr::UNSPECIFIED, 443).into(),
        false => (Ipv4Addr::UNSPECIFIED, 443).into(),
    }
}

async fn simulated(options: &Options) -> Result<(Daemon, Option<tempfile::TempDir>)> {
    // Paths of a made-up host's disks are made of it, and a start refuses relative ones.
    let database = options.database.as_ref().map(std::path::absolute).transpose();
    let database = database.context("finding the database's folder")?;
    let (folder, kept) = match database.as_ref().and_then(|path| path.parent()) {
        Some(folder) => (folder.join("simulation"), None),
        None => {
            let folder = tempfile::tempdir().context("making a folder for the simulation")?;
            (folder.path().to_owned(), Some(folder))
        }
    };
    let simulation = Simulation::new(&folder, &options.password, true)?;
    let database = database.unwrap_or_else(|| folder.join("state.db"));
    let places = Places {
        tls: tls(options, &database),
        database,
        listen: options.listen.unwrap_or_else(|| ([127, 0, 0, 1], 8443).into()),
        socket: options.socket.clone(),
    };
    let handover = simulation.handover.clone();
    Ok((Daemon::start(&places, simulation.into_outside(), handover).await?, kept))
}

fn tls(options: &Options, database: &std::path::Path) -> PathBuf {
    options.tls.clone().unwrap_or_else(|| database.with_file_name("tls"))
}
