// SPDX-License-Identifier: MIT OR Apache-2.0
//! Machines without a medium: unattended installations over the network, each way to start there.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use isobuild::emulator::{self, FOLDER, NetBoot};

use crate::install;
use crate::lab::Lab;
use crate::runner::{Case, Figures};
use crate::vm::{Setup, Vm};
use crate::{nfs, uefi_variables, web};

/// Where the folder is in what the case serves, by TFTP and HTTP.
const PLACE: &str = "net/xenith";

/// The largest file, and after how many of its bytes a server is held back.
const ROOT_IMAGE: &str = "xenith/root.img";
const HELD_AT: u64 = 20 << 20;

/// Those that GRUB starts have the network before the disk: after the installation GRUB has to start
/// the disk by itself. The others have it after the disk.
pub fn cases() -> Vec<Case> {
    vec![
        Case { name: "netboot-bios-pxe", about: "BIOS, PXE: GRUB by TFTP", run: bios_pxe },
        Case { name: "netboot-uefi-pxe", about: "UEFI, PXE: GRUB by TFTP", run: uefi_pxe },
        Case { name: "netboot-uefi-http", about: "UEFI, HTTP boot: GRUB by HTTP", run: uefi_http },
        Case { name: "netboot-ipxe", about: "BIOS, iPXE: all by HTTP, fixed address", run: ipxe },
        Case {
            name: "netboot-nfs",
            about: "BIOS, iPXE: answers from an NFS server",
            run: answers_over_nfs,
        },
        Case {
            name: "netboot-tampered",
            about: "BIOS, iPXE: an image with one other byte is refused",
            run: tampered,
        },
        Case {
            name: "netboot-lost",
            about: "BIOS, iPXE: the network is lost in the middle of a file and comes back",
            run: lost,
        },
        Case {
            name: "netboot-gone",
            about: "BIOS, iPXE: the server is gone for good in the middle of a file",
            run: gone,
        },
    ]
}

/// What a case serves.
pub(super) struct Server {
    folder: PathBuf,
    /// Of the folder for netboot, as machines see it.
    pub(super) url: String,
}

impl Server {
    /// Serves a copy of the folder for netboot, and answers that its settings name.
    pub(super) fn start(lab: &Lab, folder: &Path) -> Result<Self> {
        Self::start_with(lab, folder, None)
    }

    /// [`Server::start`], held back by a gate.
    fn start_with(lab: &Lab, folder: &Path, gate: Option<web::Gate>) -> Result<Self> {
        let served = folder.join("served");
        copy(built(lab)?, &served.join(PLACE))?;
        let port = web::serve_with(&served, gate)?;
        let server = Self { folder: served, url: format!("http://10.0.2.2:{port}/{PLACE}") };
        fs::write(server.folder.join("answers.toml"), install::answers("ext"))
            .context("writing the answers")?;
        let answers = format!("http://10.0.2.2:{port}/answers.toml");
        // Neither names the folder where its own address tells.
        let grub = format!("set url={}\nset answers={answers}\n", server.url);
        server.write("netboot.cfg", &grub)?;
        server.write("netboot.ipxe", &format!("#!ipxe\nset answers {answers}\n"))?;
        Ok(server)
    }

    /// Writes a file of the folder for netboot.
    pub(super) fn write(&self, path: &str, text: &str) -> Result<()> {
        let path = self.folder.join(PLACE).join(path);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    }

    fn read(&self, path: &str) -> Result<String> {
        let path = self.folder.join(PLACE).join(path);
        fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    }

    /// A machine with an empty disk.
    pub(super) fn setup(folder: &Path, uefi: bool, file: String, first: bool) -> Result<Setup> {
        install::make_system_disk(folder)?;
        Ok(Setup {
            uefi,
            disks: vec![install::system_disk()],
            net_boot: Some(NetBoot { tftp: format!("{FOLDER}/served"), file, first }),
            ..Setup::default()
        })
    }

    /// Installs, and removes what was served.
    fn install(self, lab: &Lab, folder: &Path, setup: &Setup) -> Result<()> {
        let mut vm = Vm::start(lab, folder, "netboot", setup)?;
        install::follow(&mut vm)?;
        vm.cut_power();
        self.remove()
    }

    /// Removes what was served.
    pub(super) fn remove(self) -> Result<()> {
        fs::remove_dir_all(&self.folder).context("removing what was served")
    }
}

fn bios_pxe(lab: &Lab, folder: &Path, _: &Figures) -> Result<()> {
    let server = Server::start(lab, folder)?;
    let setup = Server::setup(folder, false, format!("{PLACE}/xenith.pxe"), true)?;
    server.install(lab, folder, &setup)
}

fn uefi_pxe(lab: &Lab, folder: &Path, _: &Figures) -> Result<()> {
    let server = Server::start(lab, folder)?;
    let setup = Server::setup(folder, true, format!("{PLACE}/xenith-x64.efi"), true)?;
    server.install(lab, folder, &setup)
}

fn uefi_http(lab: &Lab, folder: &Path, _: &Figures) -> Result<()> {
    let server = Server::start(lab, folder)?;
    // GRUB works out by itself where it came from.
    let settings = server.read("netboot.cfg")?;
    server.write("netboot.cfg", settings.lines().last().unwrap_or_default())?;
    // The emulator's DHCP server does not know HTTP boot; a boot entry names the URL instead.
    let empty = lab.emulator.join(emulator::UEFI_VARIABLES);
    let empty = fs::read(&empty).with_context(|| format!("reading {}", empty.display()))?;
    let variables =
        uefi_variables::boot_from_url(&empty, &format!("{}/xenith-x64.efi", server.url))
            .context("writing a boot entry for the URL")?;
    fs::write(folder.join("uefi-vars.fd"), variables).context("writing the UEFI variables")?;
    let setup = Setup { net_boot: None, ..Server::setup(folder, true, String::new(), false)? };
    server.install(lab, folder, &setup)
}

fn ipxe(lab: &Lab, folder: &Path, _: &Figures) -> Result<()> {
    let server = Server::start(lab, folder)?;
    let settings = server.read("netboot.ipxe")?;
    let fixed = "set options xenith.ip=10.0.2.77/24,10.0.2.2,10.0.2.3\n";
    server.write("netboot.ipxe", &(settings + fixed))?;
    let setup = Server::setup(folder, false, format!("{}/xenith.ipxe", server.url), false)?;
    server.install(lab, folder, &setup)
}

fn answers_over_nfs(lab: &Lab, folder: &Path, _: &Figures) -> Result<()> {
    let server = Server::start(lab, folder)?;
    let nfs = nfs::Server::start(lab, folder)?;
    let answers = nfs.give("answers.toml", &install::answers("ext"))?;
    fs::remove_file(server.folder.join("answers.toml")).context("removing the usual answers")?;
    server.write("netboot.ipxe", &format!("#!ipxe\nset answers {answers}\n"))?;
    let setup = Server::setup(folder, false, format!("{}/xenith.ipxe", server.url), false)?;
    server.install(lab, folder, &setup)
}

fn tampered(lab: &Lab, folder: &Path, _: &Figures) -> Result<()> {
    let server = Server::start(lab, folder)?;
    let image = server.folder.join(PLACE).join("xenith/root.img");
    let mut bytes = fs::read(&image).context("reading the root image")?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&image, bytes).context("writing the root image")?;
    let setup = Server::setup(folder, false, format!("{}/xenith.ipxe", server.url), false)?;
    let mut vm = Vm::start(lab, folder, "netboot", &setup)?;
    let refused = format!(
        "xenith: cannot start: {}/xenith/root.img is not the file that belongs to this menu",
        server.url
    );
    let which = vm.serial.wait_any(&[&refused, "xenith-installer: "], super::LIMIT)?;
    anyhow::ensure!(which == 0, "another root image was started");
    vm.serial.wait("this is a rescue shell", super::LIMIT)?;
    vm.cut_power();
    server.remove()
}

/// A machine that fetches, when its server is held back in the middle of the root image.
fn held_back(lab: &Lab, folder: &Path, gate: &web::Gate) -> Result<(Server, Vm)> {
    let server = Server::start_with(lab, folder, Some(gate.clone()))?;
    let setup = Server::setup(folder, false, format!("{}/xenith.ipxe", server.url), false)?;
    let vm = Vm::start(lab, folder, "netboot", &setup)?;
    gate.wait(super::LIMIT)?;
    Ok((server, vm))
}

fn lost(lab: &Lab, folder: &Path, _: &Figures) -> Result<()> {
    let gate = web::Gate::new(ROOT_IMAGE, HELD_AT);
    let (server, mut vm) = held_back(lab, folder, &gate)?;
    vm.plug_network(false)?;
    gate.open();
    vm.serial.wait(&format!("{ROOT_IMAGE}: "), super::LIMIT)?;
    vm.serial.wait("; trying again", super::LIMIT).context("noticing that the network is lost")?;
    vm.plug_network(true)?;
    let begun = ["xenith-installer: unattended installation", "xenith: cannot start: "];
    let which = vm.serial.wait_any(&begun, super::LIMIT)?;
    anyhow::ensure!(which == 0, "it did not go on:\n{}", vm.serial.tail(10));
    let asked = gate.asked();
    anyhow::ensure!(
        asked.first() == Some(&0) && asked.last().is_some_and(|from| *from > 0),
        "the download began anew: it was asked for from {asked:?}"
    );
    vm.cut_power();
    server.remove()
}

fn gone(lab: &Lab, folder: &Path, _: &Figures) -> Result<()> {
    let gate = web::Gate::new(ROOT_IMAGE, HELD_AT);
    let (server, mut vm) = held_back(lab, folder, &gate)?;
    gate.close();
    let refused = format!("xenith: cannot start: {}/{ROOT_IMAGE}: ", server.url);
    vm.serial.wait(&refused, super::LIMIT).context("giving up")?;
    vm.serial.wait("(tried 20 times)", super::LIMIT)?;
    vm.serial.wait("this is a rescue shell", super::LIMIT)?;
    vm.cut_power();
    server.remove()
}

/// The folder for netboot under test.
pub(super) fn built(lab: &Lab) -> Result<&Path> {
    lab.netboot.as_deref().context("there is no folder for netboot: --netboot names it")
}

/// Copies a folder with all that is in it.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("making {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("listing {}", from.display()))? {
        let entry = entry.with_context(|| format!("listing {}", from.display()))?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &target)?;
        } else {
            fs::copy(&path, &target).with_context(|| format!("copying {}", path.display()))?;
        }
    }
    Ok(())
}
