// SPDX-License-Identifier: MIT OR Apache-2.0
//! iPXE's menu of netboot.
//!
//! iPXE starts Xen by the first multiboot specification, which UEFI does not know: there it starts
//! GRUB.

use std::fmt::Write as _;

use appliance_model::boot::BootOption;
use appliance_model::medium::KERNEL;

use super::{Console, ENTRIES, Entry, NetMenu};
use crate::assemble::netboot::{GRUB_EFI, INITRD, SETTINGS_IPXE, XEN};

impl NetMenu<'_> {
    /// `xenith.ipxe`.
    pub(in crate::assemble) fn ipxe(&self) -> String {
        let Self { menu, build, .. } = self;
        let mut text = format!(
            "#!ipxe\n\
             # The netboot menu of Xenith {version}, build {build}. What is yours goes into {SETTINGS_IPXE}.\n\
             set url ${{cwuri}}\n\
             set mac ${{netX/mac}}\n\
             set answers\n\
             set options\n\
             set default {default}\n\
             chain --autofree {SETTINGS_IPXE} ||\n\
             iseq ${{platform}} efi && chain {GRUB_EFI} ||\n\
             isset ${{answers}} && set default unattended ||\n\
             \n\
             menu Xenith {version}\n\
             isset ${{answers}} && item unattended Install unattended, as ${{answers}} says ||\n",
            version = menu.version,
            default = menu.default_entry,
        );
        for Entry { title, id, .. } in ENTRIES {
            let _ = writeln!(text, "item {id} {title}");
        }
        let _ = write!(
            text,
            "item disk Boot from the local disk\n\
             choose --default ${{default}} --timeout {ms} entry || exit\n\
             goto ${{entry}}\n\n",
            ms = u64::from(menu.seconds) * 1000,
        );
        text.push_str(&self.ipxe_entry(
            "unattended",
            Console::Serial,
            "xenith.mode=install xenith.answers=${answers}",
        ));
        for Entry { id, console, mode, .. } in ENTRIES {
            text.push_str(&self.ipxe_entry(id, console, mode));
        }
        text + END
    }

    fn ipxe_entry(&self, id: &str, console: Console, mode: &str) -> String {
        let Self { menu, build, manifest } = self;
        let own = format!(
            "{mode} xenith.build={build} xenith.net=${{url}} xenith.manifest={manifest} \
             xenith.mac=${{mac}} ${{options}}"
        );
        let xen = menu.xen_words(console, BootOption::to_string);
        let dom0 = menu.dom0_words(console, &[&own], BootOption::to_string);
        format!(
            ":{id}\n\
             kernel {XEN} {xen} || goto failed\n\
             module {KERNEL} {dom0} || goto failed\n\
             module {INITRD} || goto failed\n\
             boot || goto failed\n\n"
        )
    }
}

const END: &str = "\
:disk
sanboot --no-describe --drive 0x80 || exit

:failed
echo Xenith: not everything was loaded; the line above says why.
prompt --timeout 60000 Press a key for a shell, or wait for the next boot device. || exit 1
shell
";

#[cfg(test)]
mod tests {
    use appliance_model::medium::BuildId;

    use super::*;

    #[test]
    fn every_entry_of_the_menu_has_its_label() {
        let menu = crate::assemble::menu::tests::menu();
        let build = BuildId::default();
        let manifest = crate::digest::of_bytes(b"the manifest");
        let script = NetMenu { menu: &menu, build: &build, manifest: &manifest }.ipxe();
        assert!(script.starts_with("#!ipxe\n"));
        for line in script.lines().filter_map(|line| line.split_once("item ")) {
            let id = line.1.split(' ').next().unwrap();
            assert!(script.contains(&format!("\n:{id}\n")), "{id}\n{script}");
        }
        let live = script.split_once("\n:live\n").unwrap().1;
        let expected = format!(
            "kernel boot/xen console=com1,vga com1=115200,8n1 dom0_mem=768M,max:768M || goto failed\n\
             module boot/vmlinuz console=tty0 console=hvc0 xenith.mode=live \
             xenith.build=0000000000000000 xenith.net=${{url}} xenith.manifest={manifest} \
             xenith.mac=${{mac}} ${{options}} quiet memmap=1M$2G || goto failed\n\
             module boot/initrd-netboot.img || goto failed\n"
        );
        assert_eq!(&live[..expected.len()], expected);
    }
}
