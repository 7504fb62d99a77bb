// SPDX-License-Identifier: MIT OR Apache-2.0
//! What clients cost that wait for an event.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use xapi_model::Value;

use crate::client::Client;
use crate::daemon::Daemon;
use crate::{Figures, machines, median};

const CLIENTS: usize = 200;
/// How long a client waits.
const WAIT: Duration = Duration::from_secs(60);
/// How long the daemon's processor time is looked at.
const COUNTED: Duration = Duration::from_secs(15);
const READS: usize = 2001;

pub fn measure(figures: &mut Figures) -> Result<()> {
    let folder = tempfile::tempdir()?;
    machines::make(folder.path(), 0..10)?;
    let daemon = Daemon::start(folder.path())?;
    let client = daemon.login()?;
    let alone = (read(&client)?, idle(&daemon)?);
    let beside = thread::scope(|scope| {
        let waiters: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| wait(&daemon))).collect();
        // They log in.
        crate::pass(Duration::from_secs(3));
        let beside = (read(&client)?, idle(&daemon)?);
        // An event ends the wait of all.
        let vm = client.named("VM", &machines::name(0))?;
        client.call("VM.set_name_description", vec![vm, "changed".into()])?;
        for waiter in waiters {
            waiter.join().map_err(|_| anyhow!("a client panicked"))??;
        }
        anyhow::Ok(beside)
    })?;
    figures.push(("a read alone, µs".into(), alone.0 * 1e6));
    figures.push(("a read beside 200 that wait, µs".into(), beside.0 * 1e6));
    figures.push(("a read beside 200 that wait / alone, x".into(), beside.0 / alone.0));
    figures.push(("idle, % of a processor".into(), alone.1 * 100.0));
    figures.push(("idle beside 200 that wait, % of a processor".into(), beside.1 * 100.0));
    Ok(())
}

/// Waits for a change of a VM; there has to be one.
fn wait(daemon: &Daemon) -> Result<()> {
    let client = daemon.login()?;
    let classes = || Value::strings(["VM"]);
    let first = client.call("event.from", vec![classes(), "".into(), 0.0.into()])?;
    let token = first.as_map().and_then(|map| map.get("token")).cloned();
    let token = token.context("event.from gave no token")?;
    let batch = client.call("event.from", vec![classes(), token, WAIT.as_secs_f64().into()])?;
    let events = batch.as_map().and_then(|map| map.get("events")?.as_set()).map(<[Value]>::len);
    anyhow::ensure!(events == Some(1), "{events:?} events came");
    Ok(())
}

fn read(client: &Client) -> Result<f64> {
    let vm = client.named("VM", &machines::name(0))?;
    let times: Result<Vec<f64>> =
        (0..READS).map(|_| client.time("VM.get_name_label", vec![vm.clone()])).collect();
    Ok(median(times?))
}

/// The part of a processor that the daemon uses when nobody calls.
fn idle(daemon: &Daemon) -> Result<f64> {
    let before = daemon.cpu_seconds()?;
    crate::pass(COUNTED);
    Ok((daemon.cpu_seconds()? - before) / COUNTED.as_secs_f64())
}
