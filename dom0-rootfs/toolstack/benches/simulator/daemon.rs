// SPDX-License-Identifier: MIT OR Apache-2.0
//! The daemon as a process of its own.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::Signal;
use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};

use crate::client::Client;

/// What the daemon says when it serves: its address, and that it is ready.
const LINES: usize = 2;

/// A daemon that serves until it is dropped.
pub struct Daemon {
    child: Child,
    url: String,
    /// From its start to the moment that it served.
    pub began: Duration,
}

impl Daemon {
    /// Over a made-up host whose files are in `folder`. Its own words are lost.
    #[expect(clippy::disallowed_methods, reason = "the program is the one that is measured")]
    pub fn start(folder: &Path) -> Result<Daemon> {
        let begun = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_xenith-toolstack"))
            .args(["--simulate", "--listen", "127.0.0.1:0", "--database"])
            .arg(folder.join("state.db"))
            .env("RUST_LOG", "off")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting the daemon")?;
        let output = child.stdout.take().context("hearing the daemon")?;
        let said = BufReader::new(output).lines().take(LINES).collect::<Result<Vec<_>, _>>();
        let said = said.context("hearing the daemon")?;
        anyhow::ensure!(said.len() == LINES, "the daemon ended at once: {}", child.wait()?);
        Ok(Daemon { child, url: said[0].clone(), began: begun.elapsed() })
    }

    /// The same, with one processor of its own; this program has all others from now on.
    pub fn start_on_one_core(folder: &Path) -> Result<Daemon> {
        let daemon = Daemon::start(folder)?;
        let ours = sched_getaffinity(None).context("asking for this program's processors")?;
        let mut one = CpuSet::new();
        let mut others = ours;
        if let Some(first) = (0..CpuSet::MAX_CPU).find(|cpu| ours.is_set(*cpu)) {
            one.set(first);
            // On a machine with one there is nothing to part.
            if ours.count() > 1 {
                others.unset(first);
            }
        }
        for thread in fs::read_dir(format!("/proc/{}/task", daemon.child.id()))? {
            let id =
                thread?.file_name().to_string_lossy().parse().context("reading a thread's id")?;
            sched_setaffinity(Pid::from_raw(id), &one).context("pinning the daemon")?;
        }
        sched_setaffinity(None, &others).context("pinning this program")?;
        Ok(daemon)
    }

    /// A client that is logged in.
    pub fn login(&self) -> Result<Client> {
        Client::login(&self.url)
    }

    /// Seconds of processor time that it has used.
    pub fn cpu_seconds(&self) -> Result<f64> {
        let stat = self.proc("stat")?;
        let fields: Vec<&str> =
            stat.rsplit_once(')').map_or(Vec::new(), |(_, rest)| rest.split_whitespace().collect());
        // utime and stime of proc_pid_stat(5).
        let ticks: u64 =
            [11, 12].into_iter().filter_map(|at| fields.get(at)?.parse::<u64>().ok()).sum();
        Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
    }

    /// Memory that it holds now, in MiB.
    pub fn resident_mib(&self) -> Result<f64> {
        let status = self.proc("status")?;
        let kib =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next());
        let kib: f64 = kib.context("no VmRSS")?.parse().context("reading VmRSS")?;
        Ok(kib / 1024.0)
    }

    /// How many descriptors it has open.
    pub fn descriptors(&self) -> Result<f64> {
        let path = format!("/proc/{}/fd", self.child.id());
        let all = fs::read_dir(&path).with_context(|| format!("reading {path}"))?;
        Ok(all.count() as f64)
    }

    fn proc(&self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.child.id());
        fs::read_to_string(&path).with_context(|| format!("reading {path}"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // As systemd does it.
        let _ = rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.child),
            Signal::TERM,
        );
        let _ = self.child.wait();
    }
}
