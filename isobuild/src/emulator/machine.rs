// SPDX-License-Identifier: MIT OR Apache-2.0
//! A virtual machine as QEMU's command line.
//!
//! Paths are those inside the sandbox. The choices were measured: `-monitor` because MONITOR/MWAIT
//! panics Xen under TCG, `+svm,+npt` so that Dom0 can run PVH and HVM guests, `+rdrand` so that the
//! kernel's random numbers are ready at once.

use super::Drive;

/// Where the machine starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// An optical disc.
    Cd,
    /// A USB mass storage device.
    Usb,
    /// A read-only SATA disk.
    Disk,
}

/// What runs before the boot loader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Firmware {
    /// SeaBIOS, QEMU's own.
    Bios,
    /// OVMF, with its variables in this file (read and written).
    Uefi {
        /// The variable store.
        variables: String,
    },
}

/// How QEMU executes the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accelerator {
    /// Software emulation.
    Tcg,
    /// Hardware virtualization through /dev/kvm.
    Kvm,
}

/// A port of the host's loopback address that leads into the machine's network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// TCP port on 127.0.0.1.
    pub host_port: u16,
    /// Address in the machine's network 10.0.2.0/24; empty is the first address given by DHCP.
    pub address: String,
    /// TCP port there.
    pub port: u16,
}

/// Where the first network card leads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Uplink {
    /// To the host, through QEMU's own router, DHCP and DNS; with the port forwards and what
    /// [`NetBoot`] says.
    #[default]
    Host,
    /// To the interface [`TAP`] of a network that is nobody else's: this program, a path inside the
    /// sandbox, makes it and whatever is in it, then executes what its arguments say. There are no
    /// port forwards, and of [`NetBoot`] only the place in the order counts.
    Own(String),
}

/// The name of the interface that [`Uplink::Own`] makes, in the network that it makes.
pub const TAP: &str = "eth0";
/// The MAC address of the first network card.
pub const FIRST_MAC: &str = "52:54:00:12:34:56";

/// A network card more, with a cable to the card of another machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cable {
    /// Socket that both ends name.
    pub socket: String,
    /// This end listens on it, so its machine starts first.
    pub listens: bool,
    /// The card's MAC address.
    pub mac: String,
}

/// A Linux kernel that is started without a boot loader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// A bzImage.
    pub image: String,
    /// Its initramfs.
    pub initrd: String,
    /// Its command line.
    pub command_line: String,
}

/// How a machine starts over the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetBoot {
    /// Folder that is served by TFTP.
    pub tftp: String,
    /// What DHCP names: a path in that folder, or for iPXE (a BIOS's network card has it) a URL.
    pub file: String,
    /// Before the disks, not after them.
    pub first: bool,
}

/// Where a character device of the machine leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// The terminal that QEMU was started from, with the monitor behind Ctrl-A C.
    Terminal,
    /// A Unix socket that somebody listens on already.
    Socket(String),
}

/// The machine's screen over VNC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vnc {
    /// TCP port on 127.0.0.1, 5900 or above.
    pub port: u16,
    /// File with the password, of which VNC takes 8 bytes: every user of the host can connect.
    pub password: String,
}

/// A whole machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// How it is executed.
    pub accelerator: Accelerator,
    /// Its firmware.
    pub firmware: Firmware,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// What is started, if it is not what firmware finds.
    pub kernel: Option<Kernel>,
    /// The installation medium and how it is attached; none: start from the first disk.
    pub medium: Option<(Medium, String)>,
    /// Start over the network.
    pub net_boot: Option<NetBoot>,
    /// Hard disks.
    pub drives: Vec<Drive>,
    /// Raw images of USB sticks, which are not started from.
    pub sticks: Vec<String>,
    /// Where the first network card leads.
    pub uplink: Uplink,
    /// Ports forwarded.
    pub forwards: Vec<Forward>,
    /// Network cards beside the first one.
    pub cables: Vec<Cable>,
    /// First serial port.
    pub serial: Line,
    /// Socket of the monitor protocol that somebody listens on already.
    pub qmp: Option<String>,
    /// Where the screen is served; the graphics card is there in any case.
    pub vnc: Option<Vnc>,
    /// Power off instead of a reboot.
    pub no_reboot: bool,
    /// A BIOS writes to the serial port what it writes to the screen; UEFI always does.
    pub bios_on_serial: bool,
    /// A plugin of QEMU's software emulation.
    pub plugin: Option<String>,
}

impl Machine {
    /// The options of the first network card.
    fn first_card(&self) -> [(&'static str, String); 2] {
        let mut card = match &self.net_boot {
            Some(NetBoot { first: true, .. }) => ",bootindex=1".to_owned(),
            Some(_) => format!(",bootindex={}", self.drives.len() + 2),
            None => String::new(),
        };
        // UEFI has a driver of its own for the card; without one in the card a BIOS does not look at it.
        if self.net_boot.is_none() || self.firmware != Firmware::Bios {
            card.push_str(",romfile=");
        }
        let line = match &self.uplink {
            Uplink::Own(_) => format!("tap,id=net0,ifname={TAP},script=no,downscript=no"),
            Uplink::Host => {
                let forward = |f: &Forward| {
                    format!(",hostfwd=tcp:127.0.0.1:{}-{}:{}", f.host_port, f.address, f.port)
                };
                let forwards: String = self.forwards.iter().map(forward).collect();
                let boot = |boot: &NetBoot| format!(",tftp={},bootfile={}", boot.tftp, boot.file);
                let server = self.net_boot.as_ref().map(boot).unwrap_or_default();
                format!("user,id=net0{forwards}{server}")
            }
        };
        let card = format!("virtio-net-pci,netdev=net0,mac={FIRST_MAC}{card}");
        [("-netdev", line), ("-device", card)]
    }

    fn kind(&self) -> &'static str {
        if self.bios_on_serial { "q35,graphics=off" } else { "q35" }
    }

    /// The arguments of `qemu-system-x86_64`.
    pub fn arguments(&self) -> Vec<String> {
        let mut args = Args::default();
        let (accel, cpu) = match self.accelerator {
            Accelerator::Tcg => ("tcg,thread=multi", "qemu64,+svm,+npt,+rdrand,-monitor"),
            Accelerator::Kvm => ("kvm", "host"),
        };
        args.pair("-accel", accel)
            .pair("-cpu", cpu)
            .pair("-machine", self.kind())
            .pair("-smp", "1");
        args.pair("-m", self.memory_mib.to_string()).flag("-nodefaults").pair("-vga", "std");
        match &self.vnc {
            Some(Vnc { port, password }) => args
                .pair("-object", format!("secret,id=vnc0,file={password}"))
                .pair("-display", format!("vnc=127.0.0.1:{},password-secret=vnc0", port - 5900)),
            None => args.pair("-display", "none"),
        };
        if let Firmware::Uefi { variables } = &self.firmware {
            args.pair(
                "-drive",
                "if=pflash,format=raw,unit=0,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd",
            );
            args.pair("-drive", format!("if=pflash,format=raw,unit=1,file={variables}"));
        }
        if let Some(Kernel { image, initrd, command_line }) = &self.kernel {
            args.pair("-kernel", image).pair("-initrd", initrd).pair("-append", command_line);
        }
        if !self.sticks.is_empty() || matches!(self.medium, Some((Medium::Usb, _))) {
            args.pair("-device", "qemu-xhci");
        }
        if let Some((medium, file)) = &self.medium {
            // A SATA disk cannot be read-only; what is written to it is thrown away.
            let guard = match medium {
                Medium::Cd | Medium::Usb => "readonly=on",
                Medium::Disk => "snapshot=on",
            };
            args.pair("-drive", format!("{guard},format=raw,if=none,id=medium,file={file}"));
            match medium {
                Medium::Cd => args.pair("-device", "ide-cd,drive=medium,bootindex=1"),
                Medium::Usb => args.pair("-device", "usb-storage,drive=medium,bootindex=1"),
                Medium::Disk => args.pair("-device", "ide-hd,drive=medium,bootindex=1"),
            };
        }
        for (index, file) in self.sticks.iter().enumerate() {
            args.pair("-drive", format!("if=none,id=stick{index},file={file},format=raw"));
            args.pair("-device", format!("usb-storage,drive=stick{index},removable=on"));
        }
        for (index, drive) in self.drives.iter().enumerate() {
            args.pair("-drive", drive.options(index));
            for device in drive.devices(index, index + 2) {
                args.pair("-device", device);
            }
        }
        for (option, value) in self.first_card() {
            args.pair(option, value);
        }
        for (number, Cable { socket, listens, mac }) in self.cables.iter().enumerate() {
            let end = if *listens { "on" } else { "off" };
            let name = format!("cable{number}");
            let line = format!("stream,id={name},server={end},addr.type=unix,addr.path={socket}");
            args.pair("-netdev", line);
            args.pair("-device", format!("virtio-net-pci,netdev={name},mac={mac},romfile="));
        }
        args.pair("-device", "virtio-rng-pci");
        match &self.serial {
            Line::Terminal => {
                args.pair("-chardev", "stdio,id=serial0,mux=on,signal=off");
                args.pair("-mon", "chardev=serial0,mode=readline");
            }
            Line::Socket(path) => {
                args.pair("-chardev", format!("socket,id=serial0,path={path}"));
            }
        }
        args.pair("-serial", "chardev:serial0");
        if let Some(path) = &self.qmp {
            args.pair("-chardev", format!("socket,id=qmp0,path={path}"));
            args.pair("-mon", "chardev=qmp0,mode=control");
        }
        if self.no_reboot {
            args.flag("-no-reboot");
        }
        if let Some(plugin) = self.plugin.as_ref().filter(|_| self.accelerator == Accelerator::Tcg)
        {
            args.pair("-plugin", plugin);
        }
        args.0
    }
}

#[derive(Default)]
struct Args(Vec<String>);

impl Args {
    fn flag(&mut self, flag: &str) -> &mut Self {
        self.0.push(flag.to_owned());
        self
    }

    fn pair(&mut self, option: &str, value: impl Into<String>) -> &mut Self {
        self.0.push(option.to_owned());
        self.0.push(value.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::super::Layer;
    use super::*;

    fn machine() -> Machine {
        Machine {
            accelerator: Accelerator::Tcg,
            firmware: Firmware::Bios,
            memory_mib: 1536,
            kernel: None,
            medium: None,
            net_boot: None,
            drives: Vec::new(),
            sticks: Vec::new(),
            uplink: Uplink::Host,
            forwards: Vec::new(),
            cables: Vec::new(),
            serial: Line::Terminal,
            qmp: None,
            vnc: None,
            no_reboot: false,
            bios_on_serial: false,
            plugin: None,
        }
    }

    #[test]
    fn plugins_are_of_the_emulation() {
        let plugin = Some("/vm/x.so".to_owned());
        let arguments =
            |accelerator| Machine { accelerator, plugin: plugin.clone(), ..machine() }.arguments();
        assert!(arguments(Accelerator::Tcg).ends_with(&["-plugin".into(), "/vm/x.so".into()]));
        assert!(!arguments(Accelerator::Kvm).contains(&"-plugin".to_owned()));
    }

    #[test]
    fn a_kernel_is_started_as_it_is() {
        let (image, initrd) = ("/vm/vmlinuz".to_owned(), "/vm/initrd".to_owned());
        let kernel = Some(Kernel { image, initrd, command_line: "console=ttyS0 quiet".to_owned() });
        let args = Machine { kernel, ..machine() }.arguments();
        let expected =
            ["-kernel", "/vm/vmlinuz", "-initrd", "/vm/initrd", "-append", "console=ttyS0 quiet"];
        assert!(args.windows(6).any(|some| some == expected), "{args:?}");
    }

    #[test]
    fn each_medium_gets_its_own_device() {
        for (medium, device) in [
            (Medium::Cd, "ide-cd,drive=medium,bootindex=1"),
            (Medium::Usb, "usb-storage,drive=medium,bootindex=1"),
            (Medium::Disk, "ide-hd,drive=medium,bootindex=1"),
        ] {
            let medium = Some((medium, "/vm/x.iso".to_owned()));
            let args = Machine { medium, ..machine() }.arguments();
            assert!(args.iter().any(|arg| arg == device), "{args:?}");
        }
    }

    #[test]
    fn sticks_and_a_medium_share_one_controller() {
        let medium = Some((Medium::Usb, "/vm/x.iso".to_owned()));
        let sticks = vec!["/vm/stick.img".to_owned()];
        let args = Machine { medium, sticks, ..machine() }.arguments();
        assert_eq!(args.iter().filter(|arg| *arg == "qemu-xhci").count(), 1, "{args:?}");
        let stick = "usb-storage,drive=stick0,removable=on";
        assert!(args.iter().any(|arg| arg == stick), "{args:?}");
    }

    #[test]
    fn the_screen_wants_a_password() {
        let vnc = Some(Vnc { port: 5901, password: "/vm/password".into() });
        let args = Machine { vnc, ..machine() }.arguments().join(" ");
        assert!(args.contains("-object secret,id=vnc0,file=/vm/password"), "{args}");
        assert!(args.contains("-display vnc=127.0.0.1:1,password-secret=vnc0"), "{args}");
    }

    #[test]
    fn forwards_listen_on_loopback_only() {
        let forward = Forward { host_port: 8443, address: "10.0.2.50".into(), port: 443 };
        let args = Machine { forwards: vec![forward], ..machine() }.arguments();
        let expected = "user,id=net0,hostfwd=tcp:127.0.0.1:8443-10.0.2.50:443";
        assert!(args.iter().any(|arg| arg == expected), "{args:?}");
    }

    #[test]
    fn a_cable_has_two_ends() {
        let cable = |listens| {
            let (socket, mac) = ("/vm/a.sock".to_owned(), "52:54:00:00:00:01".to_owned());
            let cables = vec![Cable { socket, listens, mac }];
            Machine { cables, ..machine() }.arguments().join(" ")
        };
        let end = "stream,id=cable0,server=on,addr.type=unix,addr.path=/vm/a.sock";
        assert!(cable(true).contains(end), "{}", cable(true));
        assert!(cable(false).contains(&end.replace("=on", "=off")), "{}", cable(false));
    }

    #[test]
    fn a_network_of_its_own_knows_no_host() {
        let net_boot = NetBoot { tftp: "/tftp".into(), file: "x".into(), first: true };
        let uplink = Uplink::Own("/vm/network.sh".into());
        let args = Machine { uplink, net_boot: Some(net_boot), ..machine() }.arguments();
        let line = "tap,id=net0,ifname=eth0,script=no,downscript=no";
        assert!(args.iter().any(|arg| arg == line), "{args:?}");
        assert!(args.iter().any(|arg| arg.ends_with(",bootindex=1")), "{args:?}");
        assert!(!args.iter().any(|arg| arg.contains("user,")), "{args:?}");
    }

    #[test]
    fn the_network_comes_before_or_after_the_disks() {
        let drive = Drive {
            file: "/vm/disk.img".into(),
            format: "raw",
            serial: "S".into(),
            large_sectors: false,
            unsafe_cache: true,
            layer: Layer::None,
        };
        let boot = |first, firmware| {
            let net_boot = NetBoot { tftp: "/tftp".into(), file: "x/xenith.pxe".into(), first };
            let drives = vec![drive.clone()];
            let machine = Machine { net_boot: Some(net_boot), drives, firmware, ..machine() };
            machine.arguments()
        };
        let card = "virtio-net-pci,netdev=net0,mac=52:54:00:12:34:56,bootindex=";
        let args = boot(true, Firmware::Bios);
        assert!(args.contains(&"user,id=net0,tftp=/tftp,bootfile=x/xenith.pxe".to_owned()));
        assert!(args.contains(&format!("{card}1")), "{args:?}");
        let args = boot(false, Firmware::Uefi { variables: "/vm/v".into() });
        assert!(args.contains(&format!("{card}3,romfile=")), "{args:?}");
    }
}
