// SPDX-License-Identifier: MIT OR Apache-2.0
//! GRUB's menu on an installed disk. Both boot loaders read it from the EFI system partition.

use image_formats::gpt::Role;

use crate::plan::Plan;

/// Xen's command line.
const XEN: &str = "console=com1,vga com1=115200,8n1 dom0_mem=768M,max:768M";
/// Consoles of Dom0; the last is `/dev/console`.
const CONSOLES: &str = "console=tty0 console=hvc0";

/// The text of `grub.cfg`.
pub fn grub_cfg(plan: &Plan) -> String {
    let (root, state) = (plan.partuuid(Role::SlotA), plan.partuuid(Role::State));
    let dom0 = format!(
        "{CONSOLES} xenith.mode=installed xenith.slot=a xenith.root={root} xenith.state={state}"
    );
    let mut text = String::from(
        "# Written by the installer.\n\
         set default=a\n\
         set timeout=3\n\
         if serial --unit=0 --speed=115200; then\n\
         \x20 terminal_input console serial\n\
         \x20 terminal_output console serial\n\
         fi\n",
    );
    for (id, title, more) in [
        ("a", "Xenith", ""),
        ("a-rescue", "Xenith, rescue shell before anything is mounted", " xenith.shell"),
    ] {
        text.push_str(&format!(
            "menuentry \"{title}\" --id {id} {{\n\
             \x20 multiboot2 /xenith/a/xen.gz {XEN}\n\
             \x20 module2 /xenith/a/vmlinuz {dom0}{more}\n\
             \x20 module2 --nounzip /xenith/a/initrd.img\n\
             }}\n"
        ));
    }
    text
}
