// SPDX-License-Identifier: MIT OR Apache-2.0
//! A running virtual machine.

use std::fs::{self, File};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use isobuild::emulator::{self, FOLDER, Firmware, Layer, Line, MEDIUM, Machine, Medium};
use isobuild::sandbox::{Child, Streams};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::json;

use crate::install;
use crate::interrupt_lock;
use crate::lab::Lab;
use crate::qmp::Qmp;
use crate::serial::Serial;

/// What differs between the machines of the cases.
#[derive(Default)]
pub struct Setup {
    /// UEFI instead of BIOS.
    pub uefi: bool,
    /// Start from the ISO, attached this way; otherwise from the first disk.
    pub medium: Option<Medium>,
    /// Start over the network, before or after the disks.
    pub net_boot: Option<emulator::NetBoot>,
    /// Another image than the one under test, in the case's folder.
    pub image: Option<String>,
    /// Image files in the case's folder, with their serial numbers.
    pub disks: Vec<(String, String)>,
    /// Image files of USB sticks in the case's folder.
    pub sticks: Vec<String>,
    /// The disks have sectors of 4096 bytes.
    pub large_sectors: bool,
    /// Where the first network card leads.
    pub uplink: emulator::Uplink,
    /// Port forwards.
    pub forwards: Vec<emulator::Forward>,
    /// Cables to other machines of the case: name, whether this end listens, MAC address.
    pub cables: Vec<(&'static str, bool, &'static str)>,
    /// End instead of rebooting.
    pub no_reboot: bool,
    /// Between the first disk and its file.
    pub layer: Layer,
    /// So many of the first disks are paths to the same one, whose name in the world is
    /// [`Setup::WWN`]: they have one file.
    pub paths: usize,
    /// A BIOS speaks on the serial port too.
    pub bios_on_serial: bool,
    /// Started without a boot loader.
    pub kernel: Option<emulator::Kernel>,
    /// Memory, if it is another than a host's.
    pub memory_mib: Option<u32>,
    /// Guests start by UEFI, see [`crate::interrupt_lock`].
    pub uefi_guests: bool,
}

impl Setup {
    /// Name in the world, an NAA, of a disk that is reached over several paths.
    pub const WWN: u64 = 0x5000_c500_15ea_71ac;
}

/// A virtual machine; dropping it cuts its power.
pub struct Vm {
    /// Its first serial port.
    pub serial: Serial,
    qmp: Qmp,
    child: Child,
    folder: PathBuf,
}

impl Vm {
    /// Powers a machine on. Its files are in `folder`; `name` tells its logs apart.
    pub fn start(lab: &Lab, folder: &Path, name: &str, setup: &Setup) -> Result<Self> {
        let firmware = if setup.uefi {
            let variables = folder.join("uefi-vars.fd");
            if !variables.exists() {
                let empty = lab.emulator.join(emulator::UEFI_VARIABLES);
                let bytes =
                    fs::read(&empty).with_context(|| format!("reading {}", empty.display()))?;
                fs::write(&variables, bytes).context("writing the UEFI variables")?;
            }
            Firmware::Uefi { variables: format!("{FOLDER}/uefi-vars.fd") }
        } else {
            Firmware::Bios
        };
        let paths = std::iter::repeat_n(Layer::Path(Setup::WWN), setup.paths);
        let layers = std::iter::once(setup.layer.clone()).chain(std::iter::repeat(Layer::None));
        let layers = paths.chain(layers.skip(usize::from(setup.paths > 0)));
        let drives =
            setup.disks.iter().zip(layers).map(|((file, serial), layer)| emulator::Drive {
                file: format!("{FOLDER}/{file}"),
                format: "raw",
                serial: serial.clone(),
                large_sectors: setup.large_sectors && file != install::VOLUME,
                unsafe_cache: true,
                layer,
            });
        let cables = setup.cables.iter().map(|(name, listens, mac)| emulator::Cable {
            socket: format!("{FOLDER}/{name}.sock"),
            listens: *listens,
            mac: (*mac).to_owned(),
        });
        let plugin = setup.uefi_guests.then(|| interrupt_lock::provide(lab, folder)).transpose()?;
        let socket = |end: &str| format!("{name}-{end}.sock");
        let machine = Machine {
            accelerator: lab.accelerator,
            firmware,
            memory_mib: setup.memory_mib.unwrap_or(1536),
            kernel: setup.kernel.clone(),
            medium: setup.medium.map(|medium| (medium, MEDIUM.to_owned())),
            net_boot: setup.net_boot.clone(),
            drives: drives.collect(),
            sticks: setup.sticks.iter().map(|file| format!("{FOLDER}/{file}")).collect(),
            uplink: setup.uplink.clone(),
            forwards: setup.forwards.clone(),
            cables: cables.collect(),
            serial: Line::Socket(format!("{FOLDER}/{}", socket("serial"))),
            qmp: Some(format!("{FOLDER}/{}", socket("qmp"))),
            vnc: None,
            no_reboot: setup.no_reboot,
            bios_on_serial: setup.bios_on_serial,
            plugin: plugin.map(|file| format!("{FOLDER}/{file}")),
        };
        let serial = listen(folder, &socket("serial"))?;
        let qmp = listen(folder, &socket("qmp"))?;
        let log = folder.join(format!("{name}-qemu.log"));
        let image = setup.image.as_ref().map_or_else(|| lab.iso.clone(), |file| folder.join(file));
        let mut child = emulator::start(
            &lab.sandbox().log(&log),
            &machine,
            folder,
            setup.medium.map(|_| image.as_path()),
            Streams::silent(),
        )
        .context("starting QEMU")?;
        let serial = accept(&serial, &mut child, &log)?;
        let qmp = accept(&qmp, &mut child, &log)?;
        let serial_log = folder.join(format!("{name}-serial.log"));
        let serial_log = File::create(&serial_log)
            .with_context(|| format!("creating {}", serial_log.display()))?;
        Ok(Self {
            serial: Serial::new(serial, serial_log)?,
            qmp: Qmp::new(qmp)?,
            child,
            folder: folder.to_owned(),
        })
    }

    /// Seconds of processor time that QEMU used so far.
    pub fn cpu_seconds(&self) -> Result<f64> {
        crate::cpu::of_tree(self.child.id())
    }

    /// Saves what the machine's monitor shows to `screen.png` in the case's folder.
    pub fn screenshot(&mut self, name: &str) -> Result<PathBuf> {
        let file = format!("{name}.png");
        let inside = format!("{FOLDER}/{file}");
        self.qmp.run("screendump", json!({ "filename": inside, "format": "png" }))?;
        Ok(self.folder.join(file))
    }

    /// Presses and releases keys one after the other, by QEMU's names (`QKeyCode`); several held
    /// together are joined with `+`: `ctrl+u`.
    pub fn keys(&mut self, names: &[&str]) -> Result<()> {
        for name in names {
            let keys: Vec<_> =
                name.split('+').map(|key| json!({ "type": "qcode", "data": key })).collect();
            self.qmp.run("send-key", json!({ "keys": keys }))?;
            // The emulated keyboard has a short memory.
            pause(Duration::from_millis(200));
        }
        Ok(())
    }

    /// Types lower-case text; ends of lines are Enter.
    pub fn type_text(&mut self, text: &str) -> Result<()> {
        for letter in text.chars() {
            let key = match letter {
                ' ' => "spc".to_owned(),
                '-' => "minus".to_owned(),
                '.' => "dot".to_owned(),
                '\n' => "ret".to_owned(),
                letter => letter.to_string(),
            };
            self.keys(&[&key])?;
        }
        Ok(())
    }

    /// Presses `key` now and then until the screen, in text mode, shows `text`, then saves it as
    /// [`Vm::screenshot`] does as soon as it stands still, or a little later if it does not. A
    /// screen has no event that tells.
    pub fn picture(
        &mut self,
        name: &str,
        text: &str,
        key: Option<&str>,
        limit: Duration,
    ) -> Result<()> {
        let end = Instant::now() + limit;
        let mut last = String::new();
        let mut seen = 0;
        while Instant::now() < end {
            let now = self.text_memory()?;
            seen += u32::from(now.contains(text));
            if seen > 0 && (now == last || seen == 5) {
                return self.screenshot(name).map(drop);
            }
            last = now;
            self.keys(key.as_slice())?;
            pause(Duration::from_millis(500));
        }
        self.screenshot(name)?;
        bail!("the screen did not show {text:?} within {} s; see {name}.png", limit.as_secs())
    }

    /// The letters in the memory of a VGA's text mode. Where in it the screen begins changes when
    /// lines scroll, so a line may be followed by others that are out of sight.
    fn text_memory(&mut self) -> Result<String> {
        let file = self.folder.join("text-memory");
        let inside = format!("{FOLDER}/text-memory");
        let arguments = json!({ "val": 0xb8000, "size": 0x8000, "filename": inside });
        self.qmp.run("pmemsave", arguments)?;
        let bytes = fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
        // Each letter is followed by its colours.
        Ok(bytes.iter().step_by(2).map(|byte| char::from(*byte)).collect())
    }

    /// Takes the medium of a CD drive out, although it is in use.
    pub fn eject_medium(&mut self) -> Result<()> {
        self.qmp.run("eject", json!({ "device": "medium", "force": true })).map(drop)
    }

    /// Takes path `index` to a disk away: the machine hears of it and lets go of the device.
    pub fn pull_path(&mut self, index: usize) -> Result<()> {
        self.qmp.run("device_del", json!({ "id": format!("path{index}") })).map(drop)
    }

    /// It stands still, with all that it has open, until it goes on.
    pub fn stop(&mut self) -> Result<()> {
        self.qmp.run("stop", json!({})).map(drop)
    }

    /// The reverse of [`Vm::stop`].
    pub fn go_on(&mut self) -> Result<()> {
        self.qmp.run("cont", json!({})).map(drop)
    }

    /// Plugs the network cable in or out.
    pub fn plug_network(&mut self, plugged: bool) -> Result<()> {
        self.plug_link("net0", plugged)
    }

    /// The same with one of [`Setup::cables`], by its number.
    pub fn plug_cable(&mut self, index: usize, plugged: bool) -> Result<()> {
        self.plug_link(&format!("cable{index}"), plugged)
    }

    fn plug_link(&mut self, name: &str, plugged: bool) -> Result<()> {
        self.qmp.run("set_link", json!({ "name": name, "up": plugged })).map(drop)
    }

    /// Waits for the machine to power off by itself.
    pub fn wait_off(&mut self, limit: Duration) -> Result<()> {
        match self.serial.wait("\u{0}never printed\u{0}", limit) {
            Err(error) if error.to_string().starts_with("the machine ended") => {
                self.child.wait().context("waiting for QEMU to end")
            }
            Err(error) => Err(error),
            Ok(()) => bail!("the machine printed what nothing prints"),
        }
    }

    /// Cuts the machine's power.
    pub fn cut_power(mut self) {
        self.child.kill();
    }
}

#[expect(clippy::disallowed_methods, reason = "neither keyboard nor screen has an event")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

fn listen(folder: &Path, name: &str) -> Result<UnixListener> {
    let path = folder.join(name);
    if path.exists() {
        fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
    }
    // A socket's path has 107 bytes at most, a checkout's may be longer.
    let directory = File::open(folder).with_context(|| format!("opening {}", folder.display()))?;
    let short = format!("/proc/self/fd/{}/{name}", std::os::fd::AsRawFd::as_raw_fd(&directory));
    UnixListener::bind(short).with_context(|| format!("listening on {}", path.display()))
}

fn accept(listener: &UnixListener, child: &mut Child, log: &Path) -> Result<UnixStream> {
    for _ in 0..60 {
        let mut fds = [PollFd::new(listener, PollFlags::IN)];
        let second = Timespec { tv_sec: 1, tv_nsec: 0 };
        if poll(&mut fds, Some(&second)).context("waiting for QEMU")? > 0 {
            return Ok(listener.accept().context("accepting QEMU's connection")?.0);
        }
        if let Some(ended) = child.try_wait().context("asking for QEMU's state")? {
            ended.context("QEMU ended at once")?;
            bail!("QEMU ended at once; see {}", log.display());
        }
    }
    bail!("QEMU did not connect its serial port within 60 s; see {}", log.display())
}
