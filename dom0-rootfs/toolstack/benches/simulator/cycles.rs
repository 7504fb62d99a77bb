// SPDX-License-Identifier: MIT OR Apache-2.0
//! What stays in memory of a VM that starts and ends over and over.

use std::collections::BTreeMap;

use anyhow::Result;
use xapi_model::Value;

use crate::client::Client;
use crate::daemon::Daemon;
use crate::{Figures, machines};

/// Starts in a round.
const ROUND: usize = 300;
/// Rounds before it counts: by then there are as many threads as there will be, each with its heap.
const FIRST: usize = 2;
/// Rounds that count.
const ROUNDS: usize = 5;
/// Deletions that the daemon remembers.
const DELETIONS: usize = 5000;

pub fn measure(figures: &mut Figures) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let daemon = Daemon::start(folder.path())?;
    let client = daemon.login()?;
    let vm = machines::make_whole(&client)?;
    // What has a limit is there up to it from the beginning: these are on no disk, so it is quick.
    for _ in 0..DELETIONS {
        let task = client.call("task.create", vec!["forgotten".into(), "".into()])?;
        client.call("task.destroy", vec![task])?;
    }
    for _ in 0..FIRST {
        round(&client, &vm)?;
    }
    let before = (daemon.resident_mib()?, daemon.descriptors()?);
    for _ in 0..ROUNDS {
        round(&client, &vm)?;
    }
    let after = (daemon.resident_mib()?, daemon.descriptors()?);
    let grown = (after.0 / before.0 - 1.0) * 100.0;
    figures.push(("memory grown by 1,500 starts, %".into(), grown));
    figures.push(("descriptors left by 1,500 starts".into(), after.1 - before.1));
    Ok(())
}

fn round(client: &Client, vm: &Value) -> Result<()> {
    for _ in 0..ROUND {
        client.call("VM.start", vec![vm.clone(), false.into(), false.into()])?;
        client.call("VM.hard_shutdown", vec![vm.clone()])?;
    }
    // They are kept for people.
    client.call("message.destroy_all", vec![Value::Map(BTreeMap::new())])?;
    Ok(())
}
