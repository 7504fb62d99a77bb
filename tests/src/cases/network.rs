// SPDX-License-Identifier: MIT OR Apache-2.0
//! A host on a trunk: a second machine, a live system, is the switch that speaks LACP.

use std::path::Path;

use anyhow::{Context, Result};
use isobuild::emulator::{Forward, Medium};

use super::boot::{LIMIT, READY};
use crate::install::{self, PASSWORD};
use crate::lab::{Lab, free_port};
use crate::runner::{Case, Figures};
use crate::serial::Serial;
use crate::shell;
use crate::vm::{Setup, Vm};

/// Both cables, with the MAC addresses of the switch's and of the host's end.
const CABLES: [(&str, &str, &str); 2] = [
    ("cable-a", "52:54:00:77:00:0a", "52:54:00:42:00:0a"),
    ("cable-b", "52:54:00:77:00:0b", "52:54:00:42:00:0b"),
];
/// What the host is told; the gateways are the switch.
const NETWORK: &str = "\
mode = \"static\"
address = \"192.0.2.20/24\"
gateway = \"192.0.2.1\"
vlan = 42
mtu = 1450
bond = { mode = \"lacp\", members = [\"52:54:00:42:00:0a\", \"52:54:00:42:00:0b\"] }
ipv6 = { mode = \"static\", address = \"2001:db8::20/64\", gateway = \"2001:db8::1\" }
";

/// The card beside the cables, which QEMU gives this address.
const MANAGEMENT: &str = "mode = \"dhcp\"\nmac = \"52:54:00:12:34:56\"\n";

/// Only by name: it takes two machines at once.
pub fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "net-lacp-vlan",
            about: "a host managed over a VLAN on an LACP bond, by IPv4 and IPv6, through a switch",
            run,
        },
        Case {
            name: "net-changes",
            about: "bond, VLAN and management network are changed over the API, a guest in them",
            run: changes,
        },
    ]
}

fn ends(of_switch: bool) -> Vec<(&'static str, bool, &'static str)> {
    let end = |(name, switch, host)| (name, of_switch, if of_switch { switch } else { host });
    CABLES.map(end).to_vec()
}

fn run(lab: &Lab, folder: &Path, _: &Figures) -> Result<()> {
    let setup = Setup { medium: Some(Medium::Cd), cables: ends(true), ..Setup::default() };
    let mut switch = Vm::start(lab, folder, "switch", &setup)?;
    let answers = install::answers_with("none", NETWORK);
    let host = Setup { cables: ends(false), ..Setup::default() };
    switch.serial.wait(READY, LIMIT).context("booting the switch")?;
    make_switch(&mut switch.serial).context("making a switch of the live system")?;

    let mut host = install::begin(lab, folder, &answers, host)?;
    install::follow(&mut host)?;
    shell::log_in(&mut host.serial, PASSWORD)?;
    // The database of Open vSwitch says it late or never on a slow machine; the daemon knows.
    let lacp = "timeout 250 sh -c 'until ovs-appctl lacp/show | grep -c current.attached | grep -qx 2; do sleep 1; done' || \
                { ovs-appctl lacp/show; ovs-vsctl show; ip -br link; false; }";
    shell::run(&mut host.serial, lacp).context("waiting for the switch's LACP")?;
    for command in [
        "xe pif-list params=all",
        "xe bond-list params=all",
        "xe vlan-list params=all",
        "ovs-vsctl show",
        "ip -br address",
        "networkctl --no-pager || true",
        "cat /run/issue.d/xenith.issue || true",
        "cat /etc/systemd/network/* || true",
    ] {
        shell::run(&mut host.serial, command)?;
    }
    // The first answer may take long on a busy machine, and the test itself does not wait long.
    let ask = "for i in $(seq 30); do ping -n -c 1 -w 10 192.0.2.1 >/dev/null && break; done";
    shell::run(&mut host.serial, ask)?;
    tried(&mut host.serial, "xenith-installer network-test")
        .context("trying the host's network")?;
    let address = "xe host-list params=address --minimal";
    let address = shell::run(&mut host.serial, address)?;
    anyhow::ensure!(address == "192.0.2.20", "the host's address is {address:?}");

    let serial = &mut switch.serial;
    managed(serial).context("managing the host over both links")?;
    shell::run(serial, "ip link set $A down")?;
    managed(serial).context("managing the host over one link")?;
    shell::run(serial, "ip link set $A up; ip link set $B down")?;
    managed(serial).context("managing the host over the other link")?;
    switch.cut_power();
    host.cut_power();
    Ok(())
}

fn changes(lab: &Lab, folder: &Path, _: &Figures) -> Result<()> {
    let setup = Setup { medium: Some(Medium::Cd), cables: ends(true), ..Setup::default() };
    let mut switch = Vm::start(lab, folder, "switch", &setup)?;
    let api = free_port()?;
    let forwards = vec![Forward { host_port: api, address: String::new(), port: 443 }];
    let host = Setup { cables: ends(false), forwards, ..Setup::default() };
    switch.serial.wait(READY, LIMIT).context("booting the switch")?;
    make_switch(&mut switch.serial).context("making a switch of the live system")?;
    // The guest's gateway.
    shell::run(&mut switch.serial, "ip address add 10.0.2.2/24 dev v42")?;

    let answers = install::answers_with("lvm-thin", MANAGEMENT);
    let mut host = install::begin(lab, folder, &answers, host)?;
    install::follow(&mut host)?;
    let log = folder.join("client.log");
    let client = |args: &[&str]| lab.client_script("networks.py", api, &log, args);
    // With one cable out at both ends.
    let over_each_card = |switch: &mut Vm, host: &mut Vm, how: &str| {
        for out in 0..CABLES.len() {
            switch.plug_cable(out, false)?;
            host.plug_cable(out, false)?;
            client(&["answered", &format!("{how}, without cable {out}")])?;
            switch.plug_cable(out, true)?;
            host.plug_cable(out, true)?;
            client(&["answered", &format!("{how}, with both cables")])?;
        }
        anyhow::Ok(())
    };
    let macs = CABLES.map(|(_, _, mac)| mac);
    client(&["build", "42", "/guest.img", macs[0], macs[1]])?;
    over_each_card(&mut switch, &mut host, "by LACP")?;
    let plain = "ovs-vsctl del-port sw lag -- add-port sw $A trunks=42 -- add-port sw $B trunks=42";
    shell::run(&mut switch.serial, plain)?;
    for mode in ["balance-slb", "active-backup"] {
        client(&["mode", mode])?;
        over_each_card(&mut switch, &mut host, mode)?;
    }
    client(&["unbond"])?;
    client(&["trial"])?;
    switch.cut_power();
    host.cut_power();
    Ok(())
}

/// Links, addresses and gateways work; there are no name servers, and it says so.
fn tried(serial: &mut Serial, command: &str) -> Result<()> {
    let said = shell::run(serial, &format!("{command} || true"))?;
    for expected in [
        "[ ok ] Address: 192.0.2.20",
        "[ ok ] Address: 2001:db8::20",
        "[ ok ] Gateway: 192.0.2.1 answers",
        "[ ok ] Gateway: 2001:db8::1 answers",
        "[STOP] DNS: no name server is known",
    ] {
        anyhow::ensure!(said.contains(expected), "no {expected:?} in:\n{said}");
    }
    anyhow::ensure!(said.matches("[ ok ] Link").count() == 2, "not both links:\n{said}");
    Ok(())
}

/// Both cables are an LACP bond of a bridge, on which VLAN 42 has an interface with addresses.
fn make_switch(serial: &mut Serial) -> Result<()> {
    serial.send("\n")?;
    serial.wait("# ", LIMIT).context("waiting for the shell")?;
    shell::run(serial, "export TERM=dumb HOME=/root; stty cols 2000")?;
    // The live system is ready before udev has given every card its name.
    shell::run(serial, "udevadm settle")?;
    // Both would go on with the cards as they know them.
    shell::run(serial, "systemctl stop xenith-toolstack systemd-networkd.socket systemd-networkd")?;
    shell::run(serial, "for b in $(ovs-vsctl list-br); do ovs-vsctl del-br $b; done")?;
    for (variable, (_, mac, _)) in ["A", "B"].into_iter().zip(CABLES) {
        let find =
            format!("{variable}=$(basename $(dirname $(grep -l {mac} /sys/class/net/*/address)))");
        shell::run(serial, &find)?;
    }
    for command in [
        "ovs-vsctl add-br sw -- add-bond sw lag $A $B lacp=active bond_mode=balance-tcp trunks=42",
        "ovs-vsctl add-port sw v42 tag=42 -- set Interface v42 type=internal",
        "ip link set $A up && ip link set $B up && ip link set sw up && ip link set v42 up",
        "ip address add 192.0.2.1/24 dev v42",
        "ip address add 2001:db8::1/64 dev v42 nodad",
    ] {
        shell::run(serial, command)?;
    }
    Ok(())
}

/// The API answers on both addresses; the first tries wait for LACP and for neighbours.
fn managed(serial: &mut Serial) -> Result<()> {
    for address in ["192.0.2.20", "2001:db8::20"] {
        let ask = format!(
            "for i in $(seq 60); do ping -c 1 -w 5 {address} >/dev/null && break; done; \
             xe -s {address} --no-ssl-verify -u root -pw '{PASSWORD}' pif-list management=true params=device,VLAN,IP,IPv6"
        );
        let said = shell::run(serial, &ask)?;
        anyhow::ensure!(said.contains("bond0") && said.contains("42"), "{address} says {said:?}");
    }
    Ok(())
}
