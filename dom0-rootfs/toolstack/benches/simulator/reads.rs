// SPDX-License-Identifier: MIT OR Apache-2.0
//! Short reads of several clients, with the daemon on one processor.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::Figures;
use crate::daemon::Daemon;

/// Clients side by side.
const CLIENTS: usize = 8;
/// How long they read before it counts, and then.
const WARM_UP: Duration = Duration::from_secs(1);
const COUNTED: Duration = Duration::from_secs(5);

pub fn measure(figures: &mut Figures) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let daemon = Daemon::start_on_one_core(folder.path())?;
    let (reads, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let rate = thread::scope(|scope| {
        let clients: Vec<_> =
            (0..CLIENTS).map(|_| scope.spawn(|| read(&daemon, &reads, &over))).collect();
        crate::pass(WARM_UP);
        let (begun, before) = (Instant::now(), reads.load(Ordering::Relaxed));
        crate::pass(COUNTED);
        let counted = reads.load(Ordering::Relaxed) - before;
        let rate = counted as f64 / begun.elapsed().as_secs_f64();
        over.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().map_err(|_| anyhow!("a client panicked"))??;
        }
        anyhow::Ok(rate)
    })?;
    figures.push(("a read of 8 clients, µs".into(), 1e6 / rate));
    Ok(())
}

fn read(daemon: &Daemon, reads: &AtomicU64, over: &AtomicBool) -> Result<()> {
    let client = daemon.login()?;
    let vm = client.named("VM", "Linux PVH (own boot loader)")?;
    while !over.load(Ordering::Relaxed) {
        client.fetch("VM.get_name_label", vec![vm.clone()])?;
        reads.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
