// SPDX-License-Identifier: MIT OR Apache-2.0
//! QEMU out of the locked `emulator` packages, so that every machine runs the same one.

mod drive;
mod machine;

use std::io::Read;
use std::path::Path;
use std::time::Duration;

pub use drive::{Drive, Fault, Layer};
pub use machine::{
    Accelerator, Cable, FIRST_MAC, Firmware, Forward, Kernel, Line, Machine, Medium, NetBoot, TAP,
    Uplink, Vnc,
};

use crate::sandbox::{Child, Sandbox, SandboxError, Streams};

/// Where a machine's own folder (disks, sockets, variables) is in the sandbox.
pub const FOLDER: &str = "/vm";
/// Where the medium is in the sandbox.
pub const MEDIUM: &str = "/medium.iso";
/// The empty UEFI variable store in the emulator tree.
pub const UEFI_VARIABLES: &str = "usr/share/OVMF/OVMF_VARS_4M.fd";

const QEMU: &str = "qemu-system-x86_64";

/// Starts QEMU. `sandbox` is over the emulator tree, `folder` appears in it as [`FOLDER`] and
/// `medium` as [`MEDIUM`]. The machine's port forwards need the host's loopback, so the network is
/// shared, unless the machine has one of its own.
///
/// # Errors
/// The sandbox cannot be entered.
pub fn start(
    sandbox: &Sandbox,
    machine: &Machine,
    folder: &Path,
    medium: Option<&Path>,
    streams: Streams,
) -> Result<Child, SandboxError> {
    // What a machine writes to a medium that is a disk goes to a file there, without a name.
    let sandbox = sandbox.clone().bind_rw(folder, FOLDER).env("TMPDIR", FOLDER);
    let shared = machine.uplink == Uplink::Host;
    let mut sandbox = sandbox.cwd(FOLDER).network(shared);
    if let Some(medium) = medium {
        sandbox = sandbox.bind_ro(medium, MEDIUM);
    }
    if machine.accelerator == Accelerator::Kvm {
        sandbox = sandbox.device("/dev/kvm");
    }
    let mut line = vec![QEMU.to_owned()];
    line.extend(machine.arguments());
    if let Uplink::Own(script) = &machine.uplink {
        sandbox = sandbox.device("/dev/net/tun");
        line.insert(0, script.clone());
    }
    sandbox.spawn(&line[0], &line[1..], streams)
}

/// Hardware virtualization if it works, found out by starting a machine and waiting for its
/// firmware's first words: `/dev/kvm` can be there and every machine still die in it.
pub fn probe_accelerator(sandbox: &Sandbox) -> Accelerator {
    if !Path::new("/dev/kvm").exists() {
        return Accelerator::Tcg;
    }
    let args = "-accel kvm -cpu host -machine q35 -nodefaults -display none -no-reboot \
                -chardev stdio,id=words -device isa-debugcon,iobase=0x402,chardev=words";
    let child =
        sandbox.clone().device("/dev/kvm").spawn(QEMU, args.split_whitespace(), Streams::piped());
    let Ok(mut child) = child else { return Accelerator::Tcg };
    let Some(mut words) = child.stdout.take() else { return Accelerator::Tcg };
    let (sender, receiver) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut first = [0; 7];
        let heard = words.read_exact(&mut first).is_ok() && &first == b"SeaBIOS";
        let _ = sender.send(heard);
    });
    let works = receiver.recv_timeout(Duration::from_secs(5)).unwrap_or(false);
    child.kill();
    let _ = reader.join();
    if works { Accelerator::Kvm } else { Accelerator::Tcg }
}
