// SPDX-License-Identifier: MIT OR Apache-2.0
//! `VM.start` alone and while others ask for everything.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow};
use xapi_model::Value;

use crate::client::Client;
use crate::daemon::Daemon;
use crate::{Figures, machines, median};

const MACHINES: usize = 100;
/// Clients that poll, and their pause between an answer and the next call.
const CLIENTS: usize = 80;
const PAUSE: Duration = Duration::from_secs(1);
const ROUNDS: usize = 41;

pub fn measure(figures: &mut Figures) -> Result<()> {
    let folder = tempfile::tempdir()?;
    machines::make(folder.path(), 1..MACHINES)?;
    let daemon = Daemon::start(folder.path())?;
    let client = daemon.login()?;
    let vm = machines::make_whole(&client)?;
    let alone = starts(&client, &vm)?;
    let over = AtomicBool::new(false);
    let beside = thread::scope(|scope| {
        let pollers: Vec<_> = (0..CLIENTS)
            .map(|number| {
                // Not all at the same moment.
                let first = PAUSE * number as u32 / CLIENTS as u32;
                let (daemon, over) = (&daemon, &over);
                scope.spawn(move || poll(daemon, first, over))
            })
            .collect();
        crate::pass(PAUSE);
        let beside = starts(&client, &vm);
        over.store(true, Ordering::Relaxed);
        for poller in pollers {
            poller.join().map_err(|_| anyhow!("a client panicked"))??;
        }
        beside
    })?;
    figures.push(("VM.start, ms".into(), alone * 1e3));
    figures.push(("VM.start beside 80 that poll, ms".into(), beside * 1e3));
    figures.push(("VM.start beside 80 that poll / alone, x".into(), beside / alone));
    Ok(())
}

/// Seconds of a start, with a shutdown after each.
fn starts(client: &Client, vm: &Value) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        times.push(client.time("VM.start", vec![vm.clone(), false.into(), false.into()])?);
        client.call("VM.hard_shutdown", vec![vm.clone()])?;
    }
    Ok(median(times))
}

fn poll(daemon: &Daemon, first: Duration, over: &AtomicBool) -> Result<()> {
    let client = daemon.login()?;
    crate::pass(first);
    while !over.load(Ordering::Relaxed) {
        client.fetch("VM.get_all_records", vec![])?;
        crate::pass(PAUSE);
    }
    Ok(())
}
