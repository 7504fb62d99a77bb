// SPDX-License-Identifier: MIT OR Apache-2.0
//! A host in a network without IPv4: the installer fetches over it, and the installed host is managed
//! over it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use isobuild::emulator::TAP;

use crate::install::{self, PASSWORD};
use crate::lab::Lab;
use crate::own_network::{self, Family, SERVED, SERVER_6};
use crate::runner::{Case, Figures};
use crate::shell;
use crate::vm::Setup;

/// What the router says: addresses are made by the machines, names are asked of it.
const ROUTER: &str = "enable-ra\n\
    ra-param=eth0,10,600\n\
    dhcp-range=2001:db8::,ra-only,64,10m\n\
    domain=example.org\n\
    host-record=router.example.org,2001:db8::1\n";

/// Leaves a trace on the host.
const SCRIPT: &str = "#!/bin/sh -e\necho over IPv6 >\"$XENITH_ROOT/root/trace\"\n";

/// The case, by name only.
pub fn cases() -> Vec<Case> {
    vec![Case {
        name: "net-ipv6-only",
        about: "installed and managed in a network that has no IPv4, addresses by SLAAC",
        run,
    }]
}

fn run(lab: &Lab, folder: &Path, _: &Figures) -> Result<()> {
    ensure!(ROUTER.contains(TAP), "the router is at another interface");
    let uplink = own_network::make(folder, Family::V6, ROUTER)?;
    let script = folder.join(SERVED).join("populated.sh");
    fs::write(&script, SCRIPT).with_context(|| format!("writing {}", script.display()))?;
    let answers = install::answers_with("ext", "mode = \"none\"\nipv6 = { mode = \"auto\" }\n");
    let answers = format!("{answers}[hooks]\npopulated = \"http://[{SERVER_6}]/populated.sh\"\n");
    let setup = Setup { uplink, ..Setup::default() };
    let mut host = install::begin(lab, folder, &answers, setup)?;
    install::follow(&mut host)?;

    let serial = &mut host.serial;
    shell::log_in(serial, PASSWORD)?;
    for command in ["ip -br address", "networkctl --no-pager || true", "xe pif-list params=all"] {
        shell::run(serial, command)?;
    }
    let trace = shell::run(serial, "cat /root/trace")?;
    ensure!(trace == "over IPv6", "the script left {trace:?}");
    let tried = shell::run(serial, "xenith-installer network-test || true")?;
    for expected in ["[ ok ] Address: 2001:db8:", "[ ok ] Gateway: "] {
        ensure!(tried.contains(expected), "no {expected:?} in:\n{tried}");
    }
    // The router's, whose address is link-local; it knows nothing of the time.
    ensure!(tried.contains("is not found by fe80:"), "another name server in:\n{tried}");
    let name = shell::run(serial, "getent ahosts router.example.org | head -n 1")?;
    ensure!(name.starts_with(SERVER_6), "the router's name is {name:?}");
    shell::run(serial, "timeout 250 xe event-wait class=host address=/=")?;
    let address = shell::run(serial, "xe host-list params=address --minimal")?;
    ensure!(address.starts_with("2001:db8:"), "the host's address is {address:?}");

    let log_in = serde_json::json!({
        "jsonrpc": "2.0", "id": 1, "method": "session.login_with_password",
        "params": ["root", PASSWORD, "2.21", "tests"],
    });
    let said = own_network::call(lab, folder, &address, &log_in.to_string())?;
    let said: serde_json::Value = serde_json::from_str(&said).context("reading the answer")?;
    let session = said["result"].as_str();
    let session = session.with_context(|| format!("logging in, the host says {said}"))?;
    let ask = serde_json::json!({
        "jsonrpc": "2.0", "id": 2, "method": "PIF.get_all_records", "params": [session],
    });
    let said = own_network::call(lab, folder, &address, &ask.to_string())?;
    let said: serde_json::Value = serde_json::from_str(&said).context("reading the answer")?;
    let pifs = said["result"].as_object().context("asking for network cards")?;
    let managing: Vec<_> = pifs.values().filter(|pif| pif["management"] == true).collect();
    ensure!(managing.len() == 1, "the cards are {said}");
    ensure!(managing[0]["IP"] == "", "there is IPv4 in {}", managing[0]);
    ensure!(managing[0]["IPv6"].to_string().contains(&address), "no address in {}", managing[0]);
    host.cut_power();
    Ok(())
}
