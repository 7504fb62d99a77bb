// SPDX-License-Identifier: MIT OR Apache-2.0
//! The pages of `docs/` that people type from, run as they are written.
//!
//! Blocks of `sh` are run, in one shell of the host that they are for; those of `console` are for
//! other machines or for hands. Python's are run by the end-to-end tests, which have a client.

use std::fs;
use std::path::Path;

use crate::completion::bash;
use crate::daemon::Daemon;

/// Blocks of a page: what stands behind the fence, and what is in it.
fn blocks(page: &str) -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(page);
    let text = fs::read_to_string(path).unwrap();
    let mut blocks: Vec<(String, String)> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        match line.strip_prefix("```") {
            Some("") if open => open = false,
            Some(kind) => {
                assert!(!open, "{page}: a block begins in another");
                assert!(["sh", "sh xcp-ng", "console"].contains(&kind), "{page}: {kind}");
                blocks.push((kind.to_owned(), String::new()));
                open = true;
            }
            None if open => {
                let (_, block) = blocks.last_mut().unwrap();
                block.push_str(line);
                block.push('\n');
            }
            None => {}
        }
    }
    assert!(!open, "{page}: the last block has no end");
    blocks
}

/// Runs the blocks of a kind in a folder, all in one shell that stops at the first failure.
fn run(xe: &Daemon, folder: &Path, page: &str, kind: &str) -> String {
    let all = blocks(page);
    let own: Vec<&str> = all.iter().filter(|(k, _)| k == kind).map(|(_, b)| b.as_str()).collect();
    assert!(own.len() > 1, "{page}: {} blocks of {kind}", own.len());
    let script = format!("set -euo pipefail\ncd '{}'\n{}", folder.display(), own.concat());
    bash(xe, &["--norc", "--noprofile"], &script)
}

/// A raw image, as a reader brings one.
fn image(path: &Path) {
    let mut bytes = vec![0; 16 << 20];
    bytes[..8].copy_from_slice(b"GRUBlike");
    fs::write(path, bytes).unwrap();
}

#[test]
fn the_first_guest() {
    let xe = Daemon::start();
    let folder = xe.folder.path();
    image(&folder.join("web.raw"));
    let said = run(&xe, folder, "first-guest.md", "sh");
    for text in ["Linux PVH (own boot loader)", "power-state ( RO): running", "installed"] {
        assert!(said.contains(text), "{text}\n{said}");
    }
    // What was kept is whole, and nothing else is left.
    assert_eq!(xe.ok("vm-list is-control-domain=false --minimal"), "");
    assert_eq!(xe.ok("snapshot-list --minimal"), "");
    assert_eq!(xe.ok("vdi-list --minimal"), "");
    let vm = xe.ok(&format!("vm-import filename={}", folder.join("web.xva").display()));
    let disk = xe.ok(&format!("vbd-list vm-uuid={vm} params=vdi-uuid --minimal"));
    // Without its zeros, which are most of it.
    let back = folder.join("back");
    xe.ok(&format!("vdi-export uuid={disk} filename={} format=vhd", back.display()));
    assert!(fs::read(back).unwrap().windows(8).any(|bytes| bytes == b"GRUBlike"));
}

#[test]
fn a_vm_from_another_host() {
    let (old, xe) = (Daemon::start(), Daemon::start());
    let folder = xe.folder.path();
    image(&folder.join("image"));
    // The VM as XCP-ng has one, with a second disk.
    let vm = old.ok("vm-install template=Other+install+media new-name-label=web");
    let sr = old.ok("sr-list --minimal");
    for (name, device) in [("root", 0), ("data", 1)] {
        let size = "virtual-size=16MiB";
        let disk = old.ok(&format!("vdi-create sr-uuid={sr} name-label={name} {size}"));
        old.ok(&format!("vdi-import uuid={disk} filename={}", folder.join("image").display()));
        if name == "root" {
            old.ok(&format!("vbd-create vm-uuid={vm} vdi-uuid={disk} device={device}"));
        }
    }
    let network = old.ok("network-list bridge=xenbr1 --minimal");
    let card = format!("vif-create vm-uuid={vm} network-uuid={network} device=0");
    old.ok(&format!("{card} mac=52:54:00:aa:bb:cc"));
    old.ok("vm-start vm=web");

    // There first, then here, as the page has it.
    let page = "import-from-xcp-ng.md";
    let kinds: Vec<String> = blocks(page).into_iter().map(|(kind, _)| kind).collect();
    let last = kinds.iter().rposition(|kind| kind == "sh xcp-ng").unwrap();
    assert!(kinds.iter().position(|kind| kind == "sh").unwrap() > last, "{kinds:?}");
    run(&old, folder, page, "sh xcp-ng");
    let said = run(&xe, folder, page, "sh");
    assert!(said.contains("power-state ( RO): running"), "{said}");

    assert_eq!(xe.ok("vm-list name-label=web --minimal"), vm);
    assert_eq!(xe.ok(&format!("vif-list vm-uuid={vm} params=MAC --minimal")), "52:54:00:aa:bb:cc");
    let bridge = xe.ok("network-list bridge=xenbr0 --minimal");
    let network = xe.ok(&format!("vif-list vm-uuid={vm} params=network-uuid --minimal"));
    assert_eq!(network, bridge);
    xe.ok("vm-shutdown vm=web --force");
    let disks = xe.ok(&format!("vbd-list vm-uuid={vm} type=Disk params=vdi-uuid --minimal"));
    assert_eq!(disks.split(',').count(), 2);
    for disk in disks.split(',') {
        let back = folder.join(disk);
        xe.ok(&format!("vdi-export uuid={disk} filename={}", back.display()));
        assert!(fs::read(back).unwrap().starts_with(b"GRUBlike"), "{disk}");
    }
}
