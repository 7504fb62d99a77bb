// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask run`: the ISO in QEMU, for a person.

use std::path::PathBuf;

use anyhow::{Context, Result};
use isobuild::emulator::{
    self, Accelerator, Drive, FOLDER, Firmware, Forward, Line, MEDIUM, Machine, Medium,
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
    /// Also serve the machine's screen by VNC on 127.0.0.1:5901.
    #[arg(long)]
    graphical: bool,
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

/// As the help says.
const VNC_PORT: u16 = 5901;
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
            unsafe_cache: false,
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
        medium: iso.as_ref().map(|_| (Medium::Cd, MEDIUM.to_owned())),
        net_boot: None,
        drives,
        forwards: vec![Forward { host_port: options.port, address: String::new(), port: 443 }],
        serial: Line::Terminal,
        qmp: None,
        vnc: options.graphical.then_some(VNC_PORT),
        no_reboot: false,
    };
    let how = match accelerator {
        Accelerator::Kvm => "hardware virtualization",
        Accelerator::Tcg => "software emulation: some minutes to the first prompt",
    };
    eprintln!("XenAPI will be at https://127.0.0.1:{} ({how})", options.port);
    if options.graphical {
        eprintln!("the screen is at 127.0.0.1:{VNC_PORT} (VNC)");
    }
    eprintln!("Ctrl-A X ends the machine, Ctrl-A C switches to QEMU's monitor and back");
    let mut child =
        emulator::start(&sandbox, &machine, &folder, iso.as_deref(), Streams::inherited())
            .context("starting QEMU")?;
    child.wait().context("running QEMU")
}
