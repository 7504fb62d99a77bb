// SPDX-License-Identifier: MIT OR Apache-2.0
//! A VM's whole life, and what else a person does with it.

use std::path::Path;

use crate::daemon::Daemon;

#[test]
fn a_vm_from_its_template_to_its_end() {
    let xe = Daemon::start();
    let template = "Linux+PVH+(own+boot+loader)";
    let vm = xe.ok(&format!("vm-install template={template} new-name-label=web"));
    let sr = xe.ok("sr-list --minimal");
    let network = xe.ok("network-list bridge=xenbr0 --minimal");
    xe.ok("vm-memory-set vm=web memory=64MiB");
    xe.ok("vm-disk-add vm=web disk-size=8MiB device=0");
    let disk = xe.ok(&format!("vbd-list vm-uuid={vm} params=vdi-uuid --minimal"));

    let image = xe.folder.path().join("image");
    std::fs::write(&image, vec![0x5a; 1 << 20]).unwrap();
    xe.ok(&format!("vdi-import uuid={disk} filename={}", image.display()));
    let back = xe.folder.path().join("back");
    xe.ok(&format!("vdi-export uuid={disk} filename={}", back.display()));
    let back = std::fs::read(back).unwrap();
    assert!(back.len() == 8 << 20 && back[..1 << 20].iter().all(|byte| *byte == 0x5a));
    std::fs::write(&image, vec![1; 9 << 20]).unwrap();
    let refused = xe.fails(&format!("vdi-import uuid={disk} filename={}", image.display()));
    assert!(refused.starts_with("The VDI is too small, in bytes.\n"), "{refused}");

    xe.ok(&format!("vif-create vm-uuid={vm} network-uuid={network} device=0"));
    xe.ok("vm-start vm=web");
    assert_eq!(xe.ok(&format!("vm-param-get uuid={vm} param-name=power-state")), "running");
    xe.ok(&format!("event-wait class=vm uuid={vm} power-state=running"));
    let refused = xe.fails("vm-start vm=web");
    let expected = format!(
        "The VM is in another power state than the operation needs.\nvm: {vm} (web)\n\
         expected: halted\nactual: running\n"
    );
    assert_eq!(refused, expected);
    let refused = xe.fails(&format!("vdi-destroy uuid={disk}"));
    assert!(refused.starts_with("The VDI is in use.\n"), "{refused}");
    xe.ok("vm-pause vm=web");
    assert_eq!(xe.ok("vm-list name-label=web params=power-state --minimal"), "paused");
    xe.ok("vm-unpause vm=web");
    xe.ok("vm-shutdown vm=web");

    let copy = xe.ok("vm-clone vm=web new-name-label=copy");
    assert_ne!(copy, vm);
    xe.ok(&format!("vm-param-set uuid={copy} name-description=second other-config:role=back"));
    assert_eq!(xe.ok("vm-list other-config:role=back params=name-label --minimal"), "copy");
    xe.ok("vm-uninstall vm=web --force");
    assert_eq!(xe.ok(&format!("vdi-list uuid={disk} --minimal")), "");
    xe.ok("vm-uninstall vm=copy --force");
    assert_eq!(xe.ok(&format!("vdi-list sr-uuid={sr} --minimal")), "");
    assert_eq!(xe.ok("vm-list is-control-domain=false --minimal"), "");
}

#[test]
fn disks_and_vms_go_to_files_and_come_back() {
    let xe = Daemon::start();
    xe.ok("vm-install template=Linux+PVH+(own+boot+loader) new-name-label=web");
    xe.ok("vm-disk-add vm=web disk-size=40MiB device=0");
    let disk_of =
        |vm: &str| xe.ok(&format!("vbd-list vm-name-label={vm} params=vdi-uuid --minimal"));
    let disk = disk_of("web");
    let file = |name: &str| xe.folder.path().join(name).display().to_string();
    let mut bytes = vec![0; 40 << 20];
    bytes[35 << 20..36 << 20].fill(0x5a);
    std::fs::write(file("raw"), &bytes).unwrap();
    xe.ok(&format!("vdi-import uuid={disk} filename={}", file("raw")));
    for (format, read_as) in [("vhd", "vhd"), ("vhd-fixed", "vhd"), ("qcow2", "qcow2")] {
        let image = file(format);
        xe.ok(&format!("vdi-export uuid={disk} filename={image} format={format}"));
        std::fs::write(file("raw"), vec![1; 40 << 20]).unwrap();
        xe.ok(&format!("vdi-import uuid={disk} filename={}", file("raw")));
        xe.ok(&format!("vdi-import uuid={disk} filename={image} format={read_as}"));
        let back = file(&format!("{format}-back"));
        let export = format!("vdi-export uuid={disk} filename={back} --progress");
        let (code, _, shown) = xe.run(&export.split(' ').collect::<Vec<_>>());
        assert_eq!(code, 0, "{shown}");
        assert!(shown.ends_with("100 % of 40 MiB\n"), "{shown}");
        assert!(std::fs::read(&back).unwrap() == bytes);
    }
    let refused = xe.fails(&format!("vdi-export uuid={disk} filename={} format=vmdk", file("x")));
    assert!(refused.contains("only raw, vhd, vhd-fixed and qcow2 are known"), "{refused}");
    assert!(!Path::new(&file("x")).exists());
    let refused = xe.fails(&format!("vdi-export uuid={disk} filename={}", file("raw")));
    assert!(refused.contains("File exists"), "{refused}");

    let vm = xe.ok("vm-list name-label=web --minimal");
    for compress in ["false", "true", "zstd"] {
        let archive = file(compress);
        xe.ok(&format!("vm-export vm=web filename={archive} compress={compress}"));
        xe.ok(&format!("vm-param-set uuid={vm} name-label=old"));
        let again = xe.ok(&format!("vm-import filename={archive}"));
        assert_eq!(xe.ok("vm-list name-label=web --minimal"), again);
        let back = file(&format!("{compress}-back"));
        xe.ok(&format!("vdi-export uuid={} filename={back}", disk_of("web")));
        assert!(std::fs::read(&back).unwrap() == bytes);
        xe.ok("vm-uninstall vm=web --force");
        xe.ok(&format!("vm-param-set uuid={vm} name-label=web"));
    }
    let archive = file("true");
    let refused = xe.fails(&format!("vm-import filename={archive} preserve=true"));
    assert_eq!(refused, format!("A VM with this uuid exists already.\nvm: {vm} (web)\n"));
    xe.ok("vm-uninstall vm=web --force");
    assert_eq!(xe.ok(&format!("vm-import filename={archive} preserve=true")), vm);
    xe.ok("vm-start vm=web");
    let refused = xe.fails(&format!("vm-export vm=web filename={}", file("y")));
    assert!(refused.contains("expected: halted\nactual: running"), "{refused}");
    assert!(!Path::new(&file("y")).exists());
    let template = xe.ok("template-list name-label=Linux+PVH+(own+boot+loader) --minimal");
    xe.ok(&format!("template-export template-uuid={template} filename={}", file("template")));
}

#[test]
fn disks_and_vms_go_through_pipes() {
    let xe = Daemon::start();
    xe.ok("vm-install template=Linux+PVH+(own+boot+loader) new-name-label=web");
    xe.ok("vm-disk-add vm=web disk-size=8MiB device=0");
    let disk = xe.ok("vbd-list vm-name-label=web params=vdi-uuid --minimal");
    let vm = xe.ok("vm-list name-label=web --minimal");
    let mut bytes = vec![0; 8 << 20];
    bytes[3 << 20..4 << 20].fill(0x5a);
    let image = xe.folder.path().join("image");
    std::fs::write(&image, &bytes).unwrap();
    let script = format!(
        "set -e -o pipefail\n\
         cat '{image}' | $XE vdi-import uuid={disk} filename=/dev/stdin\n\
         $XE vdi-export uuid={disk} filename= format=vhd | cat > '{image}.vhd'\n\
         cat '{image}.vhd' | $XE vdi-import uuid={disk} filename=/dev/stdin format=vhd\n\
         $XE vdi-export uuid={disk} filename=/dev/stdout > '{image}.back'\n\
         $XE vm-export uuid={vm} filename= compress=true | $XE vm-import filename=/dev/stdin",
        image = image.display(),
    );
    let mut bash = xe.at_home(Path::new("bash"));
    bash.args(["-c", &script]).env("XE", env!("CARGO_BIN_EXE_xe"));
    let output = bash.output().expect("these tests need bash");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
    assert!(std::fs::read(format!("{}.back", image.display())).unwrap() == bytes);
    let made = String::from_utf8(output.stdout).unwrap();
    let made = xe.ok(&format!("vbd-list vm-uuid={} params=vdi-uuid --minimal", made.trim()));
    let back = xe.folder.path().join("again");
    xe.ok(&format!("vdi-export uuid={made} filename={}", back.display()));
    assert!(std::fs::read(&back).unwrap() == bytes);
}

#[test]
fn every_list_of_the_api_can_be_shown_whole() {
    let xe = Daemon::start();
    let all = xe.ok("help --all --minimal");
    let lists: Vec<&str> =
        all.split(',').filter(|name| name.ends_with("-list") && !name.contains("param")).collect();
    assert!(lists.len() > 12, "{lists:?}");
    // Lists of VMs and their snapshots, a host's figures, those of logged-in users and of authorities are
    // none of a class.
    let others = ["vm-", "snapshot-disk-", "session-", "pool-certificate-", "host-data-source-"];
    let whole =
        |list: &&&str| **list == "vm-list" || !others.iter().any(|other| list.starts_with(other));
    for list in lists.iter().filter(whole) {
        xe.ok(&format!("{list} params=all"));
    }
}

#[test]
fn from_afar_with_a_password() {
    let xe = Daemon::start();
    let port = xe.port.to_string();
    let remote = |password: &str| {
        let base = ["host-list", "--minimal", "-s", "127.0.0.1", "-p", &port];
        xe.run(&[&base[..], &["-u", "root", "-pw", password]].concat())
    };
    let (code, uuid, note) = remote("xenith");
    assert_eq!((code, uuid.trim_end()), (0, xe.ok("host-list --minimal").as_str()));
    assert!(note.contains("is new; its certificate is kept in"), "{note}");
    assert_eq!(remote("xenith"), (0, uuid, String::new()));
    assert_eq!(remote("wrong"), (1, String::new(), "Authentication failed\n".to_owned()));
}

#[test]
fn templates_are_made_of_a_snapshot() {
    let xe = Daemon::start();
    xe.ok("vm-install template=Linux+PVH+(own+boot+loader) new-name-label=web");
    xe.ok("vm-disk-add vm=web disk-size=8MiB device=0");
    let snapshot = xe.ok("vm-snapshot vm=web new-name-label=before");
    let disk = xe.ok(&format!("snapshot-disk-list uuid={snapshot} vdi-params=uuid --minimal"));
    let disk = disk.split(',').next_back().unwrap();
    assert_eq!(xe.ok(&format!("vdi-list uuid={disk} params=is-a-snapshot --minimal")), "true");
    let cloned = xe.ok(&format!("snapshot-clone uuid={snapshot} new-name-label=cloned"));
    let copied = format!("snapshot-copy snapshot-uuid={snapshot} new-name-label=copied");
    let copied = xe.ok(&format!("{copied} new-name-description=whole"));
    let file = xe.folder.path().join("before.xva").display().to_string();
    let export = format!("snapshot-export-to-template snapshot-uuid={snapshot} filename={file}");
    xe.ok(&export);
    let imported = xe.ok(&format!("vm-import filename={file}"));
    for template in [&cloned, &copied, &imported] {
        let listed = format!("template-list uuid={template} params=uuid --minimal");
        assert_eq!(xe.ok(&listed), *template);
    }
    let description = format!("template-param-get uuid={copied} param-name=name-description");
    assert_eq!(xe.ok(&description), "whole");
    let vm = xe.ok(&format!("vm-install template-uuid={imported} new-name-label=again"));
    assert_ne!(xe.ok(&format!("vbd-list vm-uuid={vm} --minimal")), "");
    // Nothing crashed, there is no disc, and the host has processors.
    assert_eq!(xe.ok("vm-crashdump-list vm=web"), "");
    assert_eq!(xe.ok("cd-list --minimal"), "");
    assert!(xe.ok("host-cpu-info").contains("cpu_count"));
}
