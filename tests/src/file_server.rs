// SPDX-License-Identifier: MIT OR Apache-2.0
//! A real NFS server with real files: NFS-Ganesha in a virtual machine of its own, where it is root, as it has to be
//! to serve a folder. The machine is Dom0's kernel with an initramfs that is made here; its files are on a disk.
//! It can be lost at any moment, and come back ([`FileServer::lose`]).

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use image_formats::cpio::{CpioWriter, DeviceKind};
use isobuild::emulator::{FOLDER, Forward, Kernel};

use crate::guest;
use crate::lab::{Lab, free_port, sparse_file};
use crate::shell;
use crate::vm::{Setup, Vm};

/// What it serves that may be written to.
pub const DISKS: &str = "/vms";
/// What else it serves.
pub const IMAGES: &str = "/iso";

const INIT: &[u8] = include_bytes!("../guest/server");
/// The program, and what it loads by itself: what serves folders, and what has names of users.
const PROGRAMS: [&str; 3] = [
    "/usr/bin/ganesha.nfsd",
    "/usr/lib/x86_64-linux-gnu/ganesha/libfsalvfs.so",
    "/usr/lib/x86_64-linux-gnu/libnfsidmap/nsswitch.so",
];
/// What its libraries read.
const NETWORKS: &str = "etc/netconfig";
/// Modules of Dom0's kernel, in the order in which it loads them.
pub const MODULES: &[&str] = &[
    "net/core/failover.ko",
    "drivers/net/net_failover.ko",
    "drivers/net/virtio_net.ko",
    "drivers/block/virtio_blk.ko",
    "lib/crc16.ko",
    "fs/mbcache.ko",
    "fs/jbd2/jbd2.ko",
    "crypto/crc32c_generic.ko",
    "fs/ext4/ext4.ko",
];
const LIMIT: Duration = Duration::from_secs(300);
const MEMORY_MIB: u32 = 384;
const DISK_BYTES: u64 = 1 << 30;
const DISK: &str = "served.img";
const INITRD: &str = "server.cpio";

/// The server; dropping it cuts its power.
pub struct FileServer {
    /// The port at which machines reach it, at 10.0.2.2.
    pub port: u16,
    vm: Vm,
}

impl FileServer {
    /// Starts one with an empty disk, whose files are in the case's folder.
    pub fn start(lab: &Lab, folder: &Path) -> Result<Self> {
        fs::copy(lab.guest_boot.join(guest::KERNEL), folder.join(guest::KERNEL))
            .context("copying the NFS server's kernel")?;
        fs::write(folder.join(INITRD), initramfs(lab)?)
            .context("writing the NFS server's initramfs")?;
        sparse_file(&folder.join(DISK), DISK_BYTES)?;
        lab.sandbox()
            .bind_rw(folder, FOLDER)
            .log(folder.join("server-disk.log"))
            .run("mkfs.ext4", ["-q", "-F", &format!("{FOLDER}/{DISK}")])
            .context("making the file system of the NFS server")?;
        let port = free_port()?;
        let setup = Setup {
            disks: vec![(DISK.to_owned(), "SERVED".to_owned())],
            forwards: vec![Forward { host_port: port, address: String::new(), port: 2049 }],
            kernel: Some(Kernel {
                image: format!("{FOLDER}/{}", guest::KERNEL),
                initrd: format!("{FOLDER}/{INITRD}"),
                command_line: "console=ttyS0 quiet panic=1".to_owned(),
            }),
            memory_mib: Some(MEMORY_MIB),
            no_reboot: true,
            ..Setup::default()
        };
        let mut vm = Vm::start(lab, folder, "server", &setup)?;
        let said = vm.serial.wait_any(&["server: ready", "server: FAILED"], LIMIT);
        let said = said.context("waiting for the NFS server")?;
        ensure!(said == 0, "the NFS server failed:\n{}", vm.serial.tail(15));
        vm.serial.wait("# ", LIMIT).context("waiting for the NFS server's shell")?;
        let mut server = Self { port, vm };
        // Nothing that breaks lines.
        server.run("stty cols 2000")?;
        Ok(server)
    }

    /// Runs a command on it.
    pub fn run(&mut self, command: &str) -> Result<String> {
        shell::run(&mut self.vm.serial, command)
    }

    /// It answers no more. Whoever connects to it is connected all the same, as to a server that hangs.
    pub fn lose(&mut self) -> Result<()> {
        self.vm.stop()
    }

    /// It is back as if nothing had been.
    pub fn come_back(&mut self) -> Result<()> {
        self.vm.go_on()
    }
}

fn initramfs(lab: &Lab) -> Result<Vec<u8>> {
    let mut cpio = CpioWriter::new(Vec::new(), 0);
    for folder in ["bin", "dev", "etc", "modules", "usr/bin", "usr/lib", "usr/lib64"] {
        cpio.folders(folder)?;
    }
    cpio.symlink("lib", "usr/lib")?;
    cpio.symlink("lib64", "usr/lib64")?;
    let mut folders = BTreeSet::new();
    let mut add = |path: &str, bytes: &[u8]| -> Result<()> {
        if let Some((folder, _)) = path.rsplit_once('/')
            && folders.insert(folder.to_owned())
        {
            cpio.folders(folder)?;
        }
        cpio.file(path, 0o755, bytes.len() as u64, bytes).with_context(|| format!("adding {path}"))
    };
    add("init", INIT)?;
    add(guest::BUSYBOX, &guest::part(&lab.guest_boot, guest::BUSYBOX)?)?;
    let mut order = String::new();
    for module in MODULES {
        let name = module.rsplit('/').next().unwrap_or(module);
        add(&format!("modules/{name}"), &guest::module_of(&lab.guest_boot, module)?)?;
        order.push_str(&format!("{name}\n"));
    }
    add("modules.order", order.as_bytes())?;
    add("etc/ganesha.conf", configuration().as_bytes())?;
    add("etc/passwd", b"root:x:0:0:root:/:/bin/sh\n")?;
    add("etc/group", b"root:x:0:\n")?;
    for file in programs(lab)?.into_iter().chain([NETWORKS.to_owned()]) {
        let bytes =
            fs::read(lab.emulator.join(&file)).with_context(|| format!("reading {file}"))?;
        add(&file, &bytes)?;
    }
    cpio.device("dev/console", 0o600, DeviceKind::Character, 5, 1)?;
    Ok(cpio.finish()?)
}

/// The server's program with all that its loader finds for it, as paths of the emulator's tree.
fn programs(lab: &Lab) -> Result<BTreeSet<String>> {
    let listed = lab.sandbox().output("ldd", PROGRAMS);
    let listed = listed.context("looking for the NFS server's libraries")?;
    let listed = String::from_utf8(listed).context("reading the NFS server's libraries")?;
    ensure!(!listed.contains("not found"), "a library of the NFS server is missing:\n{listed}");
    let words = listed.split_whitespace().map(|word| word.trim_end_matches(':'));
    let paths = words.filter(|word| word.starts_with('/')).chain(PROGRAMS);
    // /lib is a link to /usr/lib.
    let whole = paths
        .map(|path| format!("usr/{}", path.trim_start_matches("/usr").trim_start_matches('/')));
    Ok(whole.collect())
}

/// NFS 4 alone, as hosts ask for it.
fn configuration() -> String {
    let export = |id: u32, path: &str| {
        format!(
            "EXPORT {{\n  Export_Id = {id};\n  Path = /data{path};\n  Pseudo = {path};\n\
             \x20 Access_Type = RW;\n  Squash = No_Root_Squash;\n  SecType = sys;\n\
             \x20 FSAL {{\n    Name = VFS;\n  }}\n}}\n"
        )
    };
    format!(
        "NFS_CORE_PARAM {{\n  Protocols = 4;\n  Enable_NLM = false;\n  Enable_RQUOTA = false;\n\
         \x20 Allow_Set_Io_Flusher_Fail = true;\n}}\n\
         NFSV4 {{\n  Graceless = true;\n  RecoveryRoot = /var/recovery;\n  Only_Numeric_Owners = true;\n}}\n\
         {}{}",
        export(1, DISKS),
        export(2, IMAGES)
    )
}
