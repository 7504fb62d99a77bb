// SPDX-License-Identifier: MIT OR Apache-2.0
//! The menus: GRUB's of a medium here, GRUB's and iPXE's of netboot in [`net`] and [`ipxe`].

mod ipxe;
mod net;

use std::fmt::Write as _;

use appliance_model::boot::{BootOption, BootOptions};
use appliance_model::medium::{ANSWERS, ANSWERS_LABEL, BuildId, INITRD, KERNEL, XEN};
use appliance_model::profile::Profile;

pub(super) use net::NetMenu;

const SERIAL: &str = "com1=115200,8n1";

/// No machine is stopped by a serial port that it does not have.
const TERMINAL: &str = "\
if serial --unit=0 --speed=115200 --word=8 --parity=no --stop=1; then
    terminal_input console serial
    terminal_output console serial
fi
";

/// What the menu says and what its entries boot with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Menu {
    /// Shown in the titles.
    pub version: String,
    /// Where it begins: `install`, `install-serial`, `live` or `disk`. With answers on the medium
    /// or on a disk labelled [`ANSWERS_LABEL`] it begins with the unattended installation.
    pub default_entry: String,
    /// Seconds until the entry boots.
    pub seconds: u32,
    /// Options of Xen's command line, beside its consoles.
    pub xen: Vec<BootOption>,
    /// Options of the Dom0 kernel's command line, beside its consoles and Xenith's own.
    pub dom0: Vec<BootOption>,
}

/// An entry that boots Xenith.
struct Entry {
    title: &'static str,
    id: &'static str,
    console: Console,
    mode: &'static str,
}

/// Those of every menu, in their order.
const ENTRIES: [Entry; 3] = [
    Entry {
        title: "Install Xenith",
        id: "install",
        console: Console::Screen,
        mode: "xenith.mode=install",
    },
    Entry {
        title: "Install over serial",
        id: "install-serial",
        console: Console::Serial,
        mode: "xenith.mode=install",
    },
    Entry {
        title: "Live / rescue",
        id: "live",
        console: Console::Serial,
        mode: "xenith.mode=live",
    },
];

/// Only on media: what comes over the network is checked as it comes.
const CHECK: Entry = Entry {
    title: "Check this medium",
    id: "check",
    console: Console::Screen,
    mode: "xenith.mode=install xenith.check-medium",
};

/// Where GRUB finds the files of an entry, and what the kernel is told about it.
struct Place<'a> {
    /// Comes before each path.
    folder: &'a str,
    /// Path of the initial file system.
    initrd: &'a str,
    /// Words of the kernel's command line.
    dom0: &'a str,
}

/// Which console a person sits at: the last one named is the one that programs write to.
#[derive(Clone, Copy)]
enum Console {
    Screen,
    Serial,
}

impl Console {
    fn xen(self) -> &'static str {
        match self {
            Self::Screen => "console=vga,com1",
            Self::Serial => "console=com1,vga",
        }
    }

    fn dom0(self) -> &'static str {
        match self {
            Self::Screen => "console=hvc0 console=tty0",
            Self::Serial => "console=tty0 console=hvc0",
        }
    }
}

impl Menu {
    /// The menu of a profile; `version` is Xenith's own.
    #[must_use]
    pub fn new(profile: &Profile, version: &str) -> Self {
        Self {
            version: version.to_owned(),
            default_entry: profile.output.default_entry.clone(),
            seconds: profile.output.menu_seconds,
            xen: profile.xen.options.clone(),
            dom0: profile.dom0.options.clone(),
        }
    }

    /// The configuration on the medium, `/boot/grub/grub.cfg`.
    pub(super) fn grub_cfg(&self, build: &BuildId) -> String {
        let dom0 = format!("xenith.build={build}");
        let place = Place { folder: "/", initrd: INITRD, dom0: &dom0 };
        format!(
            "# The menu of the Xenith {version} medium, build {build}.\n\
             set timeout={seconds}\n\
             set default={default}\n\
             export answers\n\
             \n\
             {TERMINAL}\n\
             # The file is on every medium, and empty until answers are put into it.\n\
             set answers=''\n\
             if [ -s /{ANSWERS} ]; then\n    \
                 set answers=/{ANSWERS}\n\
             elif search --no-floppy --label --set=volume {ANSWERS_LABEL}; then\n    \
                 set answers=label:{ANSWERS_LABEL}\n\
             fi\n\
             \n",
            version = self.version,
            seconds = self.seconds,
            default = self.default_entry,
        ) + &self.entries(build, &place)
    }

    /// What every menu of GRUB ends with: the unattended installation, where `$answers` says so, the
    /// other entries, the local disk.
    fn entries(&self, build: &BuildId, place: &Place<'_>) -> String {
        let mut text = format!(
            "if [ -n \"$answers\" ]; then\n    \
                 set default=unattended\n    \
                 # Firmware that starts here again would install the same host for ever.\n    \
                 if search --no-floppy --file --set=host /{installed}; then\n        \
                     set default=disk\n    \
                 fi\n    \
                 menuentry \"Install unattended, as $answers says\" --id unattended {{\n",
            installed = build.installed(),
        );
        let unattended = "xenith.mode=install xenith.answers=$answers";
        text.push_str(&self.commands("        ", Console::Serial, unattended, place));
        text.push_str("    }\nfi\n\n");
        let (install, live) = ENTRIES.split_at(2);
        for entry in install.iter().chain([&CHECK]).chain(live) {
            let Entry { title, id, console, mode } = entry;
            let _ = writeln!(text, "menuentry '{title} ({})' --id {id} {{", self.version);
            text.push_str(&self.commands("    ", *console, mode, place));
            text.push_str("}\n\n");
        }
        text + LOCAL_DISK
    }

    /// Everything that [`Menu::grub_cfg`] and [`esp_cfg`] write, apart from the build id. Part of
    /// the key of the medium, so that a change of this file changes it.
    pub(super) fn template(&self) -> String {
        let none = BuildId::default();
        self.grub_cfg(&none) + &esp_cfg(&none)
    }

    /// For the menus of the hosts that are installed from the medium.
    pub(super) fn options(&self) -> BootOptions {
        BootOptions { xen: self.xen.clone(), dom0: self.dom0.clone() }
    }

    fn commands(&self, indent: &str, console: Console, mode: &str, place: &Place<'_>) -> String {
        let Place { folder, initrd, dom0 } = place;
        let lines = [
            "echo 'Loading Xen, kernel and initial file system ...'".to_owned(),
            format!("multiboot2 {folder}{XEN} {}", self.xen_words(console, BootOption::grub)),
            format!(
                "module2 {folder}{KERNEL} {}",
                self.dom0_words(console, &[mode, dom0], BootOption::grub)
            ),
            format!("module2 --nounzip {folder}{initrd}"),
        ];
        lines.iter().map(|line| format!("{indent}{line}\n")).collect()
    }

    /// Xen's command line, with the profile's options as `quote` writes them.
    fn xen_words(&self, console: Console, quote: fn(&BootOption) -> String) -> String {
        let mut words = vec![console.xen().to_owned(), SERIAL.to_owned()];
        words.extend(self.xen.iter().map(quote));
        words.join(" ")
    }

    /// That of Dom0's kernel.
    fn dom0_words(
        &self,
        console: Console,
        own: &[&str],
        quote: fn(&BootOption) -> String,
    ) -> String {
        let mut words = vec![console.dom0().to_owned()];
        words.extend(own.iter().map(|word| (*word).to_owned()));
        words.extend(self.dom0.iter().map(quote));
        words.join(" ")
    }
}

/// The configuration on the medium's EFI system partition, for firmware that makes it the root.
pub(super) fn esp_cfg(build: &BuildId) -> String {
    let marker = build.marker();
    format!(
        "# Finds the medium of build {build} on any device.\n\
         search --no-floppy --file --set=medium /{marker}\n\
         if [ -n \"$medium\" ]; then\n    \
             set root=\"$medium\"\n    \
             set prefix=\"($root)/boot/grub\"\n    \
             configfile \"$prefix/grub.cfg\"\n\
         else\n    \
             echo 'Xenith: no device has the rest of this medium (build {build}).'\n    \
             sleep 60\n\
         fi\n"
    )
}

/// A host installed by Xenith comes first, then whatever the first other disk boots.
const LOCAL_DISK: &str = "\
menuentry 'Boot from the local disk' --id disk {
    search --no-floppy --file --set=disk /xenith/a/xen.gz
    if [ \"$grub_platform\" = efi ]; then
        if [ -z \"$disk\" ]; then
            search --no-floppy --file --set=disk /EFI/Microsoft/Boot/bootmgfw.efi
        fi
        if [ -n \"$disk\" ]; then
            # What is started is told that it comes from the root device, whatever its path says.
            set root=\"$disk\"
            chainloader /EFI/BOOT/BOOTX64.EFI
        else
            echo 'No disk with a boot loader that is known; back to the firmware.'
            exit
        fi
    else
        if [ -n \"$disk\" ]; then
            regexp --set=1:disk '^([^,]*)' \"$disk\"
        elif [ \"$root\" = hd0 ]; then
            set disk=hd1
        else
            set disk=hd0
        fi
        set root=\"$disk\"
        chainloader +1
    fi
}
";

#[cfg(test)]
pub(super) mod tests {
    use appliance_model::medium;

    use super::*;

    fn build() -> BuildId {
        BuildId::new(&"0123456789abcdef".repeat(4).parse().unwrap())
    }

    pub(in crate::assemble) fn menu() -> Menu {
        Menu {
            version: "0.1.0".to_owned(),
            default_entry: "live".to_owned(),
            seconds: 1,
            xen: vec!["dom0_mem=768M,max:768M".parse().unwrap()],
            dom0: vec!["quiet".parse().unwrap(), "memmap=1M$2G".parse().unwrap()],
        }
    }

    fn cfg() -> String {
        menu().grub_cfg(&build())
    }

    #[test]
    fn entries_carry_the_mode_the_build_and_the_profiles_options() {
        let cfg = cfg();
        let (_, live) = cfg.split_once("--id live {\n").unwrap();
        let expected = "    echo 'Loading Xen, kernel and initial file system ...'\n    \
             multiboot2 /boot/xen.gz console=com1,vga com1=115200,8n1 dom0_mem=768M,max:768M\n    \
             module2 /boot/vmlinuz console=tty0 console=hvc0 xenith.mode=live \
             xenith.build=0123456789abcdef quiet 'memmap=1M$2G'\n    \
             module2 --nounzip /boot/initrd.img\n}\n";
        assert_eq!(&live[..expected.len()], expected);
        assert!(cfg.contains("set default=live\n") && cfg.contains("set timeout=1\n"));
    }

    #[test]
    fn what_was_installed_is_started_and_not_installed_again() {
        let cfg = cfg();
        let (_, unattended) = cfg.split_once("set default=unattended\n").unwrap();
        let (_, search) = unattended.split_once("if search").unwrap();
        let expected = " --no-floppy --file --set=host /xenith/from-0123456789abcdef; then\n        \
             set default=disk\n    fi\n";
        assert_eq!(&search[..expected.len()], expected);
    }

    #[test]
    fn answers_on_the_medium_go_before_those_on_a_volume() {
        let cfg = cfg();
        let (_, answers) = cfg.split_once("set answers=''\n").unwrap();
        let expected = "if [ -s /xenith/answers.toml ]; then\n    \
             set answers=/xenith/answers.toml\nelif search";
        assert_eq!(&answers[..expected.len()], expected);
    }

    #[test]
    fn a_person_at_the_screen_installs_there() {
        let cfg = cfg();
        let (_, install) = cfg.split_once("--id install {\n").unwrap();
        let (install, _) = install.split_once('}').unwrap();
        assert!(install.contains("console=hvc0 console=tty0 xenith.mode=install"), "{install}");
    }

    #[test]
    fn the_medium_can_be_checked() {
        let cfg = cfg();
        let (_, check) = cfg.split_once("--id check {\n").unwrap();
        let (check, _) = check.split_once('}').unwrap();
        assert!(
            check.contains(" xenith.mode=install xenith.check-medium xenith.build="),
            "{check}"
        );
    }

    #[test]
    fn the_boot_loader_looks_for_what_every_medium_has() {
        let looks = format!("search --no-floppy --file --set=found /{}\n", medium::BUILD_ID);
        assert!(include_str!("../early.cfg").contains(&looks));
    }

    #[test]
    fn blocks_are_closed() {
        let early = include_str!("../early.cfg").to_owned();
        let early_net = include_str!("../netboot/early.cfg").to_owned();
        for cfg in [cfg(), esp_cfg(&build()), early, early_net] {
            blocks_are_closed_in(&cfg);
        }
    }

    pub(in crate::assemble) fn blocks_are_closed_in(cfg: &str) {
        let words = |word| cfg.split_whitespace().filter(|found| *found == word).count();
        assert_eq!(words("if"), words("fi"), "{cfg}");
        assert_eq!(words("{"), words("}"), "{cfg}");
        assert_eq!(cfg.matches('\'').count() % 2, 0, "{cfg}");
    }
}
