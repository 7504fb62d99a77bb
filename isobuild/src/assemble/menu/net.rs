// SPDX-License-Identifier: MIT OR Apache-2.0
//! GRUB's menu of netboot.

use appliance_model::Digest;
use appliance_model::medium::BuildId;

use super::{Menu, Place, TERMINAL};
use crate::assemble::netboot::{INITRD, MANIFEST, SETTINGS_GRUB};

/// What a menu of netboot says beside what every menu says.
#[derive(Debug, Clone, Copy)]
pub(in crate::assemble) struct NetMenu<'a> {
    pub menu: &'a Menu,
    pub build: &'a BuildId,
    /// Of the manifest.
    pub manifest: &'a Digest,
}

impl NetMenu<'_> {
    /// `boot/grub/grub.cfg`, which `early-net.cfg` reads and tells in `$dir` where it was.
    pub(in crate::assemble) fn grub_cfg(&self) -> String {
        let Self { menu, build, manifest } = self;
        let dom0 = format!(
            "xenith.build={build} xenith.net=$url xenith.manifest={manifest} xenith.mac=$mac $options"
        );
        let place = Place { folder: "$dir/", initrd: INITRD, dom0: &dom0 };
        format!(
            "# The netboot menu of Xenith {version}, build {build}. What is yours goes into {SETTINGS_GRUB}.\n\
             set timeout={seconds}\n\
             set default={default}\n\
             export answers mac options url\n\
             \n\
             {TERMINAL}\n\
             # The initial file system fetches {MANIFEST} from $url and compares its digest.\n\
             set answers=''\n\
             set options=''\n\
             set mac=\"$net_default_mac\"\n\
             {URL}\n\
             source \"$dir/{SETTINGS_GRUB}\"\n\
             \n",
            version = menu.version,
            seconds = menu.seconds,
            default = menu.default_entry,
        ) + &menu.entries(build, &place)
    }
}

/// The same folder of the same server, by HTTP: that is where it came from, or it is a guess.
const URL: &str = "\
set url=''
if regexp --set=1:server --set=3:port --set=4:path '^\\(http,([^,:)]*)([,:]([0-9]+))?\\)(.*)$' \"$dir\"; then
    set url=\"http://$server\"
    if [ -n \"$port\" ]; then
        set url=\"$url:$port\"
    fi
    set url=\"$url$path\"
elif regexp --set=1:server --set=2:path '^\\([a-z]+,([^)]*)\\)(.*)$' \"$dir\"; then
    set url=\"http://$server$path\"
fi
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_load_from_the_folder_and_name_it_by_http() {
        let menu = crate::assemble::menu::tests::menu();
        let build = BuildId::default();
        let manifest = crate::digest::of_bytes(b"the manifest");
        let cfg = NetMenu { menu: &menu, build: &build, manifest: &manifest }.grub_cfg();
        let (_, live) = cfg.split_once("--id live {\n").unwrap();
        let expected = format!(
            "    echo 'Loading Xen, kernel and initial file system ...'\n    \
             multiboot2 $dir/boot/xen.gz console=com1,vga com1=115200,8n1 dom0_mem=768M,max:768M\n    \
             module2 $dir/boot/vmlinuz console=tty0 console=hvc0 xenith.mode=live \
             xenith.build=0000000000000000 xenith.net=$url xenith.manifest={manifest} \
             xenith.mac=$mac $options quiet 'memmap=1M$2G'\n    \
             module2 --nounzip $dir/boot/initrd-netboot.img\n}}\n"
        );
        assert_eq!(&live[..expected.len()], expected);
        // An unattended installation is not begun again where it has ended.
        assert!(
            cfg.contains(
                "--set=host /xenith/from-0000000000000000; then\n        set default=disk"
            )
        );
        crate::assemble::menu::tests::blocks_are_closed_in(&cfg);
    }
}
