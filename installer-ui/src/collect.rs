// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is known about this start of the machine, gathered for whoever is to look at it.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use installer_core::logs::{Bundle, Destination, Part, Secrets, deliver};
use installer_core::program::Program;
use installer_core::steps::chain;

use crate::log::FOLDER;
use crate::worker::{Machine, PLAN};
use crate::{online, program};

/// Programs whose output is kept, with the name of the file.
const PROGRAMS: &[(&str, &str, &[&str])] = &[
    ("dmesg.txt", "dmesg", &[]),
    ("journal.txt", "journalctl", &["--boot", "--no-pager", "--output=short-monotonic"]),
    ("xen.txt", "xl", &["dmesg"]),
    ("disks.txt", "lsblk", &["--all", "--bytes", "--output-all", "--json"]),
];

/// Gathers and packs everything. What cannot be had is said in its place.
pub fn bundle(machine: &Machine) -> Result<Bundle> {
    let mut parts = Vec::new();
    for (name, program, args) in PROGRAMS {
        let mut program = Program::new(program);
        program.args.extend(args.iter().map(|arg| (*arg).to_owned()));
        let content = program.run().map_err(|error| chain(&error));
        parts.push(Part { name: (*name).to_owned(), content });
    }
    let found = machine.look();
    let product = found.as_ref().ok().and_then(|found| found.machine.product.clone());
    let inventory = found.and_then(|found| Ok(found.to_json()? + "\n"));
    let content = inventory.map_err(|error| format!("{error:#}"));
    parts.push(Part { name: "inventory.json".to_owned(), content });
    for path in [PLAN, "/proc/cmdline"] {
        parts.extend(part(Path::new(path)));
    }
    let entries = fs::read_dir(FOLDER).with_context(|| format!("reading {FOLDER}"))?;
    let mut own: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    own.sort();
    // The last ones, as they tell of the programs above too.
    parts.extend(own.iter().filter(|path| is_log(path)).filter_map(|path| part(path)));
    let cmdline = fs::read_to_string("/proc/cmdline").context("reading /proc/cmdline")?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs());
    Bundle::pack(product.as_deref(), now, &parts, &Secrets::of(&cmdline))
        .context("packing the logs")
}

fn is_log(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "log")
}

/// A file under its own name; none if it is not there.
fn part(path: &Path) -> Option<Part> {
    let name = path.file_name()?.to_string_lossy().into_owned();
    let content = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        read => read.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
    };
    Some(Part { name, content: content.map_err(|error| error.to_string()) })
}

/// Gathers everything and brings it there; returns where it is now, in words. The terminal is the
/// person's if it comes to scp.
pub fn save(machine: &Machine, destination: &Destination) -> Result<String> {
    let bundle = bundle(machine)?;
    if destination.needs_network() {
        online::bring_up(&mut |text| tracing::info!("{text}"))?;
    }
    let waiting = Path::new(FOLDER).join("logs");
    let place = deliver(&bundle, destination, &waiting, &mut program::on_terminal);
    let place = place.map_err(|error| anyhow::anyhow!(chain(&error)))?;
    // Not where: a URL may hold a password, and the next logs would have it.
    tracing::info!("the logs were saved");
    Ok(place)
}
