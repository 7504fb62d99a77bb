// SPDX-License-Identifier: MIT OR Apache-2.0
//! A network with dnsmasq, which says where Xenith and its answers are: the example that is built with the
//! folder for netboot, with an option of DHCP or a record of DNS as ANSWERS.md has them.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use isobuild::emulator::NetBoot;

use super::netboot;
use crate::install;
use crate::lab::Lab;
use crate::own_network::{self, Family, SERVED, SERVER};
use crate::runner::{Case, Figures};
use crate::vm::{Setup, Vm};

/// The cases, by name only.
pub fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "netboot-announced-dhcp",
            about: "BIOS, iPXE, dnsmasq: answers by DHCP option, from a pinned HTTPS server",
            run: by_dhcp,
        },
        Case {
            name: "netboot-announced-dns",
            about: "UEFI, PXE, dnsmasq: answers by a TXT record of DNS",
            run: by_dns,
        },
    ]
}

fn by_dhcp(lab: &Lab, folder: &Path, _: &Figures) -> Result<()> {
    let fingerprint = own_network::certify(folder)?;
    let announced = format!(
        "dhcp-option=240,https://{SERVER}/answers.toml\n\
         dhcp-option=241,{fingerprint}\n"
    );
    follow(lab, folder, false, &(example(lab)? + &announced))
}

fn by_dns(lab: &Lab, folder: &Path, _: &Figures) -> Result<()> {
    let announced = format!(
        "domain=example.org\n\
         txt-record=_xenith-answers.example.org,\"url=http://{SERVER}/answers.toml\"\n"
    );
    let example = example(lab)?;
    ensure!(example.contains("\nport=0\n"), "the example is a server for DNS already");
    follow(lab, folder, true, &(example.replace("\nport=0\n", "\n") + &announced))
}

/// The example, with the folder where the case has it.
fn example(lab: &Lab) -> Result<String> {
    let path = netboot::built(lab)?.join("examples/dnsmasq.conf");
    let example =
        fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let root = "tftp-root=/srv/xenith\n";
    ensure!(example.contains(root), "the example serves another folder");
    Ok(example.replace(root, &format!("tftp-root={}/{SERVED}\n", isobuild::emulator::FOLDER)))
}

/// Installs a machine that is told nothing but to look for answers.
fn follow(lab: &Lab, folder: &Path, uefi: bool, configuration: &str) -> Result<()> {
    let uplink = own_network::make(folder, Family::V4, configuration)?;
    let served = folder.join(SERVED);
    netboot::copy(netboot::built(lab)?, &served)?;
    for (file, text) in [
        ("answers.toml", install::answers("ext")),
        ("netboot.cfg", "set answers=auto\n".to_owned()),
        ("netboot.ipxe", "#!ipxe\nset answers auto\n".to_owned()),
    ] {
        fs::write(served.join(file), text).with_context(|| format!("writing {file}"))?;
    }
    install::make_system_disk(folder)?;
    // GRUB starts an installed disk by itself, iPXE does not.
    let net_boot = NetBoot { tftp: String::new(), file: String::new(), first: uefi };
    let setup = Setup {
        uefi,
        disks: vec![install::system_disk()],
        net_boot: Some(net_boot),
        uplink,
        ..Setup::default()
    };
    let mut vm = Vm::start(lab, folder, "announced", &setup)?;
    install::follow(&mut vm)?;
    vm.cut_power();
    fs::remove_dir_all(&served).context("removing what was served")
}
