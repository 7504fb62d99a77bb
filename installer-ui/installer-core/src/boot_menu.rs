// SPDX-License-Identifier: MIT OR Apache-2.0
//! GRUB's menu on an installed disk. Both boot loaders read it from the EFI system partition.

use appliance_model::boot::BootOption;
use image_formats::gpt::Role;

use crate::plan::Plan;

/// Consoles of Xen.
const XEN: &str = "console=com1,vga com1=115200,8n1";
/// Consoles of Dom0; the last is `/dev/console`.
const DOM0: &str = "console=tty0 console=hvc0";

/// The text of `grub.cfg`.
pub fn grub_cfg(plan: &Plan) -> String {
    let (root, state) = (plan.boot_name(Role::SlotA), plan.boot_name(Role::State));
    let build = plan.medium.build_id;
    let xen = with_options(XEN, &plan.medium.boot_options.xen);
    let arrays = plan.arrays().into_iter().map(|(role, id)| format!("{}={id}", role.name()));
    let arrays = match arrays.collect::<Vec<_>>().join(",").as_str() {
        "" => String::new(),
        arrays => format!("xenith.arrays={arrays} "),
    };
    let multipath = match plan.multipaths().join(",").as_str() {
        "" => String::new(),
        names => format!("xenith.multipath={names} "),
    };
    let dom0 = format!(
        "{DOM0} xenith.mode=installed xenith.slot=a xenith.root={root} xenith.state={state} \
         {arrays}{multipath}xenith.build={build}"
    );
    let dom0 = with_options(&dom0, &plan.medium.boot_options.dom0);
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
             \x20 multiboot2 /xenith/a/xen.gz {xen}\n\
             \x20 module2 /xenith/a/vmlinuz {dom0}{more}\n\
             \x20 module2 --nounzip /xenith/a/initrd.img\n\
             }}\n"
        ));
    }
    text
}

fn with_options(line: &str, options: &[BootOption]) -> String {
    options.iter().fold(line.to_owned(), |line, option| line + " " + &option.grub())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answers::{Answers, DiskChoice};
    use crate::plan::tests::{answers, ids, machine, multipath};

    #[test]
    fn disks_over_several_paths_are_named() {
        let mut found = machine();
        found.disks[0] = multipath("3600a", ["sda", "sde"], 480_000_000_000);
        let disk = DiskChoice::Device("/dev/mapper/3600a".into());
        let plan = Plan::make(&Answers { disk, ..answers() }, &found, ids()).unwrap();
        let text = grub_cfg(&plan);
        let word = "0014 xenith.multipath=3600a xenith.build=";
        assert_eq!(text.matches(word).count(), 2, "{text}");
    }

    #[test]
    fn a_menu_reads_like_this() {
        let plan = Plan::make(&answers(), &machine(), ids()).unwrap();
        let expected = "\
# Written by the installer.
set default=a
set timeout=3
if serial --unit=0 --speed=115200; then
  terminal_input console serial
  terminal_output console serial
fi
menuentry \"Xenith\" --id a {
  multiboot2 /xenith/a/xen.gz console=com1,vga com1=115200,8n1 dom0_mem=1G,max:1G
  module2 /xenith/a/vmlinuz console=tty0 console=hvc0 xenith.mode=installed xenith.slot=a \
xenith.root=PARTUUID=00000000-0000-0000-0000-000000000012 \
xenith.state=PARTUUID=00000000-0000-0000-0000-000000000014 \
xenith.build=0123456789abcdef quiet 'memmap=1M$2G'
  module2 --nounzip /xenith/a/initrd.img
}
menuentry \"Xenith, rescue shell before anything is mounted\" --id a-rescue {
  multiboot2 /xenith/a/xen.gz console=com1,vga com1=115200,8n1 dom0_mem=1G,max:1G
  module2 /xenith/a/vmlinuz console=tty0 console=hvc0 xenith.mode=installed xenith.slot=a \
xenith.root=PARTUUID=00000000-0000-0000-0000-000000000012 \
xenith.state=PARTUUID=00000000-0000-0000-0000-000000000014 \
xenith.build=0123456789abcdef quiet 'memmap=1M$2G' xenith.shell
  module2 --nounzip /xenith/a/initrd.img
}
";
        assert_eq!(grub_cfg(&plan), expected);
    }
}
