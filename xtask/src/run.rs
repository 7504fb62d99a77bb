// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask run`: the ISO in QEMU, for a person.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use isobuild::emulator::{
    self, Accelerator, Drive, FOLDER, Firmware, Forward, Layer, Line, MEDIUM, Machine, Medium,
    Uplink, Vnc,
};
use isobuild::sandbox::{Sandbox, Streams};
use isobuild::tools;

use crate::build;
use crate::pipeline::{BuildOptions, Pipeline};

/// How the machine looks.
#[derive(Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    build: BuildOptions,
    /// UEFI firmware instead of a BIOS.
    #[arg(long)]
    uefi: bool,
    /// Also serve the machine's screen by VNC, for any viewer; the password is printed.
    #[arg(long)]
    graphical: bool,
    /// Port on 127.0.0.1 of the screen.
    #[arg(long, default_value_t = 5901, value_parser = clap::value_parser!(u16).range(5900..))]
    vnc_port: u16,
    /// Attach this disk image; it is made, sparse, 32 GiB large, where it does not exist.
    #[arg(long, value_name = "FILE")]
    disk: Option<PathBuf>,
    /// Start from the disk, without the ISO.
    #[arg(long, requires = "disk")]
    installed: bool,
    /// Memory in MiB.
    #[arg(long, default_value_t = 2048)]
    memory: u32,
    /// Port on 127.0.0.1 that leads to the host's XenAPI (443).
    #[arg(long, default_value_t = 8443)]
    port: u16,
    /// Emulate in software even if hardware virtualization works.
    #[arg(long)]
    no_kvm: bool,
}

/// The screen's password, in the machine's folder.
const VNC_PASSWORD: &str = "vnc-password";
const NEW_DISK_BYTES: u64 = 32 << 30;

/// Builds what is missing and runs the machine until it is switched off.
pub fn run(options: &Options) -> Result<()> {
    let iso = match options.installed {
        true => None,
        false => Some(build::iso(&options.build.clone().into())?),
    };
    let pipeline = Pipeline::new(&options.build.sources)?;
    let profile = pipeline.profile(&options.build.profile)?;
    let report = pipeline.build(&profile, &[tools::EMULATOR])?;
    let tree = build::artifact(&report, tools::EMULATOR)?.join(tools::ROOT);
    let folder = pipeline.output.join("run");
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;

    let mut sandbox = Sandbox::over(&tree).log(folder.join("qemu.log"));
    let mut drives = Vec::new();
    if let Some(disk) = &options.disk {
        let file = std::fs::File::options().create(true).append(true).open(disk);
        let file = file.with_context(|| format!("opening {}", disk.display()))?;
        if file.metadata().context("sizing the disk image")?.len() == 0 {
            file.set_len(NEW_DISK_BYTES).context("sizing the disk image")?;
        }
        let disk = std::path::absolute(disk).context("resolving the disk's path")?;
        sandbox = sandbox.bind_rw(disk, "/disk.img");
        drives.push(Drive {
            file: "/disk.img".into(),
            format: "raw",
            serial: "XENITH-RUN".into(),
            large_sectors: false,
            unsafe_cache: false,
            layer: Layer::None,
        });
    }
    let firmware = match options.uefi {
        false => Firmware::Bios,
        true => {
            let variables = folder.join("uefi-vars.fd");
            if !variables.exists() {
                let empty = std::fs::read(tree.join(emulator::UEFI_VARIABLES))
                    .context("reading the empty UEFI variables")?;
                std::fs::write(&variables, empty).context("writing the UEFI variables")?;
            }
            Firmware::Uefi { variables: format!("{FOLDER}/uefi-vars.fd") }
        }
    };
    let accelerator = match options.no_kvm {
        true => Accelerator::Tcg,
        false => emulator::probe_accelerator(&sandbox),
    };
    let machine = Machine {
        accelerator,
        firmware,
        memory_mib: options.memory,
        kernel: None,
        medium: iso.as_ref().map(|_| (Medium::Cd, MEDIUM.to_owned())),
        net_boot: None,
        drives,
        sticks: Vec::new(),
        uplink: Uplink::Host,
        cables: Vec::new(),
        forwards: vec![Forward { host_port: options.port, address: String::new(), port: 443 }],
        serial: Line::Terminal,
        qmp: None,
        bios_on_serial: false,
        plugin: None,
        vnc: options
            .graphical
            .then(|| Vnc { port: options.vnc_port, password: format!("{FOLDER}/{VNC_PASSWORD}") }),
        no_reboot: false,
    };
    let how = match accelerator {
        Accelerator::Kvm => "hardware virtualization",
        Accelerator::Tcg => "software emulation: some minutes to the first prompt",
    };
    eprintln!("XenAPI will be at https://127.0.0.1:{} ({how})", options.port);
    if options.graphical {
        let password = new_password(&folder.join(VNC_PASSWORD))?;
        eprintln!("the screen is at 127.0.0.1:{} (VNC, password {password})", options.vnc_port);
    }
    eprintln!("Ctrl-A X ends the machine, Ctrl-A C switches to QEMU's monitor and back");
    let mut child =
        emulator::start(&sandbox, &machine, &folder, iso.as_deref(), Streams::inherited())
            .context("starting QEMU")?;
    child.wait().context("running QEMU")
}

/// Draws a password, 8 hexadecimal digits as VNC takes no more, and writes it to a file that nobody
/// else can read.
fn new_password(path: &Path) -> Result<String> {
    let mut bytes = [0; 4];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .context("drawing the screen's password")?;
    let password = format!("{:08x}", u32::from_ne_bytes(bytes));
    let write = || {
        if path.exists() {
            std::fs::remove_file(path)?;
        }
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(password.as_bytes())
    };
    write().with_context(|| format!("writing {}", path.display()))?;
    Ok(password)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn each_run_has_a_password_of_its_own_that_nobody_else_reads() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        let first = new_password(&path).unwrap();
        let second = new_password(&path).unwrap();
        assert!(first != second && second.len() == 8, "{first} {second}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), second);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
