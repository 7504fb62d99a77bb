// SPDX-License-Identifier: MIT OR Apache-2.0
//! The backend on a running Open vSwitch, with links of its own. Needs root; files that would go to
//! `/etc` go to a folder that is removed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use network::{Host, IpMode, NetworkBackend, NetworkError, OvsBackend, Ran, System};

/// This host with an `/etc` of its own, without systemd-networkd.
struct Lab {
    root: tempfile::TempDir,
}

impl System for Lab {
    fn run(&self, program: &str, args: &[&str]) -> Result<Ran, NetworkError> {
        if program == "networkctl" { Ok(Ran::default()) } else { Host.run(program, args) }
    }

    fn root(&self) -> &Path {
        self.root.path()
    }
}

fn must(program: &str, args: &[&str]) -> String {
    let ran = Host.run(program, args).unwrap();
    assert_eq!(ran.code, 0, "{program} {args:?}: {}", ran.stderr);
    ran.stdout.trim().to_owned()
}

fn attribute(link: &str, name: &str) -> String {
    fs::read_to_string(format!("/sys/class/net/{link}/{name}")).unwrap().trim().to_owned()
}

/// Links `xnt0` and `xnt1`, gone with the test.
struct Links;

impl Links {
    fn new() -> Links {
        must("ip", &["link", "add", "xnt0", "type", "veth", "peer", "name", "xnt1"]);
        Links
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        for (program, args) in [
            ("ovs-vsctl", &["--if-exists", "del-br", "xntbr"][..]),
            ("ip", &["link", "del", "xnt0"]),
        ] {
            if let Err(error) = Host.run(program, args) {
                eprintln!("{error}");
            }
        }
    }
}

#[test]
fn a_bridge_with_an_uplink_and_a_guest() {
    if !Path::new("/run/openvswitch/db.sock").exists() {
        eprintln!("SKIPPED: no Open vSwitch runs here");
        return;
    }
    let root = tempfile::tempdir().unwrap();
    symlink("/sys", root.path().join("sys")).unwrap();
    let backend = OvsBackend::new(Arc::new(Lab { root }));
    let _links = Links::new();
    let uplink = ["xnt0".to_owned()];
    for _ in 0..2 {
        backend.ensure_bridge("xntbr", &uplink, 1400).unwrap();
        assert_eq!(attribute("xntbr", "address"), attribute("xnt0", "address"));
        assert_eq!(
            (attribute("xntbr", "mtu"), attribute("xnt0", "mtu")),
            ("1400".into(), "1400".into())
        );
        assert_eq!(must("ovs-vsctl", &["list-ports", "xntbr"]), "xnt0");
        let flags =
            |link| i64::from_str_radix(attribute(link, "flags").trim_start_matches("0x"), 16);
        assert_eq!(
            (flags("xntbr").unwrap() & 1, flags("xnt0").unwrap() & 1),
            (1, 1),
            "both are up"
        );
    }

    let ids = [("xs-vm-uuid".to_owned(), "a \"quoted\" one".to_owned())];
    for _ in 0..2 {
        backend.plug("xntbr", "xnt1", &ids).unwrap();
        assert_eq!(must("ovs-vsctl", &["port-to-br", "xnt1"]), "xntbr");
        let id = must("ovs-vsctl", &["get", "Interface", "xnt1", "external_ids:xs-vm-uuid"]);
        assert_eq!(id, r#""a \"quoted\" one""#);
        assert_eq!(attribute("xnt1", "mtu"), "1400");
    }
    backend.ensure_bridge("xntbr", &uplink, 1400).unwrap();
    assert_eq!(must("ovs-vsctl", &["list-ports", "xntbr"]), "xnt0\nxnt1", "guests stay");
    backend.unplug("xnt1").unwrap();
    backend.unplug("xnt1").unwrap();

    backend.configure_address("xntbr", &IpMode::Dhcp).unwrap();
    assert_eq!(backend.address("xntbr").unwrap(), None);
    must("ip", &["address", "add", "192.0.2.7/24", "dev", "xntbr"]);
    let status = backend.address("xntbr").unwrap().unwrap();
    assert_eq!((status.address.as_str(), status.prefix, status.gateway), ("192.0.2.7", 24, None));

    let physical = backend.physical().unwrap();
    assert!(physical.iter().all(|nic| !nic.device.starts_with("xnt")), "{physical:?}");
    backend.ensure_bridge("xntbr", &[], 1500).unwrap();
    assert_eq!(must("ovs-vsctl", &["list-ports", "xntbr"]), "", "the former uplink is gone");
    for _ in 0..2 {
        backend.remove_bridge("xntbr").unwrap();
        assert!(!Path::new("/sys/class/net/xntbr").exists());
    }
    eprintln!("network cards of this machine: {physical:#?}");
}
