// SPDX-License-Identifier: MIT OR Apache-2.0
//! The backend against a recorded host, and its files against golden ones.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Mutex;

use super::*;
use crate::program::Ran;

/// A host that notes every program and answers from a list.
struct Recorder {
    root: tempfile::TempDir,
    answers: Vec<(&'static str, String)>,
    fail: Mutex<Option<&'static str>>,
    log: Mutex<Vec<String>>,
}

impl Recorder {
    fn new() -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
            answers: Vec::new(),
            fail: Mutex::default(),
            log: Mutex::default(),
        }
    }

    fn nic(&self, name: &str, device: &str, subsystem: &str, attributes: &[(&str, &str)]) {
        let root = self.root.path();
        let class = root.join("sys/class/net").join(name);
        fs::create_dir_all(&class).unwrap();
        for (key, value) in attributes {
            fs::write(class.join(key), format!("{value}\n")).unwrap();
        }
        if !device.is_empty() {
            let target = root.join("sys/devices").join(device);
            fs::create_dir_all(&target).unwrap();
            symlink(format!("/sys/bus/{subsystem}"), target.join("subsystem")).unwrap();
            symlink("/sys/bus/pci/drivers/e1000e", target.join("driver")).unwrap();
            symlink(&target, class.join("device")).unwrap();
        }
    }

    fn file(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.root.path().join("etc/systemd/network").join(name)).ok()
    }

    fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut self.log.lock().unwrap())
    }
}

impl System for Recorder {
    fn run(&self, program: &str, args: &[&str]) -> Result<Ran, NetworkError> {
        let line = format!("{program} {}", args.join(" "));
        let failing = self.fail.lock().unwrap().is_some_and(|part| line.contains(part));
        let stdout = self.answers.iter().find(|(part, _)| line.contains(part));
        let stdout = stdout.map(|(_, answer)| answer.clone()).unwrap_or_default();
        self.log.lock().unwrap().push(line);
        if failing {
            return Ok(Ran { code: 1, stdout: String::new(), stderr: "database is gone\n".into() });
        }
        Ok(Ran { code: 0, stdout, stderr: String::new() })
    }

    fn root(&self) -> &Path {
        self.root.path()
    }
}

fn eth0() -> Recorder {
    let host = Recorder::new();
    host.nic("eth0", "pci0000:00/0000:00:03.0", "pci", &[("address", "52:54:00:12:34:56")]);
    host
}

#[test]
fn a_bridge_is_one_transaction_and_takes_its_uplinks_address() {
    let host = Arc::new(eth0());
    let backend = OvsBackend::new(host.clone());
    backend.ensure_bridge("xenbr0", &["eth0".to_owned()], 1500).unwrap();
    assert_eq!(
        host.take_log(),
        [
            r#"ovs-vsctl --timeout=30 --bare -- --columns=name find Port external_ids:xenith-uplink-of="xenbr0""#,
            concat!(
                "ovs-vsctl --timeout=30 --bare -- --may-exist add-br xenbr0",
                " -- set Bridge xenbr0 fail_mode=standalone",
                r#" -- set Bridge xenbr0 other_config:hwaddr="52:54:00:12:34:56""#,
                " -- set Interface xenbr0 mtu_request=1500",
                " -- --may-exist add-port xenbr0 eth0",
                r#" -- set Port eth0 external_ids:xenith-uplink-of="xenbr0""#,
            ),
            "networkctl reload",
            "ip link set dev eth0 mtu 1500 up",
            "ip link set dev xenbr0 up",
        ]
    );
    assert_eq!(
        host.file("10-xenith-uplink-eth0.network").unwrap(),
        include_str!("../tests/golden/uplink.network")
    );
}

#[test]
fn a_former_uplink_leaves_with_its_file() {
    let mut host = eth0();
    host.answers.push(("find Port", "eth0\n".to_owned()));
    fs::create_dir_all(host.root.path().join("etc/systemd/network")).unwrap();
    fs::write(host.root.path().join("etc/systemd/network/10-xenith-uplink-eth0.network"), "")
        .unwrap();
    let host = Arc::new(host);
    OvsBackend::new(host.clone()).ensure_bridge("xapi0", &[], 9000).unwrap();
    let log = host.take_log();
    assert!(log[1].contains("-- --if-exists del-port xapi0 eth0"), "{log:?}");
    assert!(log[1].contains("-- remove Bridge xapi0 other_config hwaddr"), "{log:?}");
    assert_eq!(host.file("10-xenith-uplink-eth0.network"), None);
}

#[test]
fn what_cannot_work_runs_nothing() {
    let host = Arc::new(eth0());
    let backend = OvsBackend::new(host.clone());
    let missing = backend.ensure_bridge("xenbr0", &["eth1".to_owned()], 1500).unwrap_err();
    assert!(matches!(missing, NetworkError::NoSuchInterface(ref name) if name == "eth1"));
    assert!(backend.ensure_bridge("../../x", &[], 1500).is_err());
    assert!(backend.plug("xenbr0", "vif1.0", &[]).is_err());
    assert!(backend.configure_address("a b", &IpMode::Dhcp).is_err());
    assert_eq!(host.take_log(), Vec::<String>::new());
}

#[test]
fn a_failure_tells_the_last_words_and_the_call_can_be_made_again() {
    let host = Arc::new(eth0());
    let backend = OvsBackend::new(host.clone());
    for part in ["add-br", "networkctl", "ip link"] {
        *host.fail.lock().unwrap() = Some(part);
        let error = backend.ensure_bridge("xenbr0", &["eth0".to_owned()], 1500).unwrap_err();
        assert!(error.to_string().ends_with("ended with code 1: database is gone"), "{error}");
        *host.fail.lock().unwrap() = None;
        host.take_log();
        backend.ensure_bridge("xenbr0", &["eth0".to_owned()], 1500).unwrap();
        assert_eq!(host.take_log().len(), 5, "after {part}");
    }
}

#[test]
fn a_guest_replaces_what_an_earlier_boot_left() {
    let host = Recorder::new();
    host.nic("xenbr0", "", "", &[("mtu", "9000")]);
    host.nic("vif3.0", "vif-3-0", "xen-backend", &[]);
    let host = Arc::new(host);
    let backend = OvsBackend::new(host.clone());
    let ids = [("xs-vm-uuid".to_owned(), "u-1".to_owned())];
    backend.plug("xenbr0", "vif3.0", &ids).unwrap();
    backend.unplug("vif3.0").unwrap();
    assert_eq!(
        host.take_log(),
        [
            concat!(
                "ovs-vsctl --timeout=30 --bare -- --if-exists del-port vif3.0",
                " -- add-port xenbr0 vif3.0",
                r#" -- set Interface vif3.0 external_ids:"xs-vm-uuid"="u-1""#,
            ),
            "ip link set dev vif3.0 mtu 9000 up",
            "ovs-vsctl --timeout=30 --bare -- --if-exists del-port vif3.0",
        ]
    );
}

#[test]
fn addresses_become_files() {
    let fixed = IpMode::Static {
        address: "192.0.2.10/24".to_owned(),
        gateway: Some("192.0.2.1".to_owned()),
        dns: vec!["192.0.2.53".to_owned(), "198.51.100.53".to_owned()],
    };
    let cases = [
        (IpMode::None, include_str!("../tests/golden/none.network")),
        (IpMode::Dhcp, include_str!("../tests/golden/dhcp.network")),
        (fixed, include_str!("../tests/golden/static.network")),
    ];
    for (mode, expected) in cases {
        let host = Arc::new(Recorder::new());
        OvsBackend::new(host.clone()).configure_address("xenbr0", &mode).unwrap();
        assert_eq!(host.file("20-xenith-xenbr0.network").unwrap(), expected);
        assert_eq!(host.take_log(), ["networkctl reload"]);
    }
}

#[test]
fn a_removed_bridge_takes_its_files_along() {
    let mut host = eth0();
    host.answers.push(("find Port", "eth0\n".to_owned()));
    let host = Arc::new(host);
    let backend = OvsBackend::new(host.clone());
    backend.ensure_bridge("xenbr0", &["eth0".to_owned()], 1500).unwrap();
    backend.configure_address("xenbr0", &IpMode::Dhcp).unwrap();
    backend.remove_bridge("xenbr0").unwrap();
    let left: Vec<_> =
        fs::read_dir(host.root.path().join("etc/systemd/network")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn cards_come_by_pci_address_without_guests_back_ends() {
    let mut host = Recorder::new();
    host.nic("lo", "", "", &[]);
    host.nic(
        "enp9s0",
        "pci0000:00/0000:09:00.0",
        "pci",
        &[("mtu", "9000"), ("carrier", "1"), ("speed", "10000")],
    );
    host.nic(
        "eth0",
        "pci0000:00/0000:02:00.0/virtio2",
        "virtio",
        &[("mtu", "1500"), ("speed", "-1")],
    );
    host.nic("usb0", "platform/usb1", "usb", &[]);
    host.nic("vif3.0", "vif-3-0", "xen-backend", &[]);
    host.answers.push((
        "link show",
        r#"[{"ifindex":1,"ifname":"lo","address":"00:00:00:00:00:00"},{"ifindex":2,"ifname":"usb0","address":"00:00:00:00:00:05"},
            {"ifindex":3,"ifname":"vif3.0","address":"fe:ff:ff:ff:ff:ff"},
            {"ifindex":4,"ifname":"enp9s0","address":"02:00:00:00:00:09","permaddr":"52:54:00:00:00:09"},
            {"ifindex":5,"ifname":"eth0","address":"52:54:00:00:00:02"}]"#
            .to_owned(),
    ));
    let nics = OvsBackend::new(Arc::new(host)).physical().unwrap();
    let facts: Vec<_> =
        nics.iter().map(|n| (n.device.as_str(), n.mac.as_str(), n.pci.as_deref())).collect();
    assert_eq!(
        facts,
        [
            ("eth0", "52:54:00:00:00:02", Some("0000:02:00.0")),
            ("enp9s0", "52:54:00:00:00:09", Some("0000:09:00.0")),
            ("usb0", "00:00:00:00:00:05", None),
        ]
    );
    assert_eq!((nics[0].speed_mbit, nics[0].carrier), (None, false));
    assert_eq!((nics[1].speed_mbit, nics[1].carrier, nics[1].mtu), (Some(10_000), true, 9000));
    assert_eq!(nics[1].driver, "e1000e");
}

#[test]
fn cards_are_shown_once_all_have_their_names() {
    let mut host = Recorder::new();
    host.nic("eth0", "pci0000:00/0000:02:00.0", "pci", &[]);
    host.nic("enp9s0", "pci0000:00/0000:09:00.0", "pci", &[]);
    host.answers.push((
        "link show",
        r#"[{"ifindex":2,"ifname":"eth0","address":"52:54:00:00:00:02"},
            {"ifindex":3,"ifname":"enp9s0","address":"52:54:00:00:00:09"}]"#
            .to_owned(),
    ));
    let records = host.root.path().join("run/udev/data");
    fs::create_dir_all(&records).unwrap();
    fs::write(records.join("n3"), "").unwrap();
    let backend = OvsBackend::new(Arc::new(host));
    assert_eq!(backend.physical().unwrap(), []);
    fs::write(records.join("n2"), "").unwrap();
    assert_eq!(backend.physical().unwrap().len(), 2);
}

#[test]
fn the_address_of_now() {
    let addresses = r#"[{"ifindex":5,"ifname":"xenbr0","addr_info":[
        {"family":"inet","local":"169.254.3.4","prefixlen":16,"scope":"link"},
        {"family":"inet","local":"10.0.2.15","prefixlen":24,"scope":"global","dynamic":true}]}]"#;
    let routes = r#"[{"dst":"default","gateway":"10.0.2.2","dev":"xenbr0","flags":[]}]"#;
    let status = parse_status(addresses, routes).unwrap().unwrap();
    assert_eq!((status.address.as_str(), status.prefix), ("10.0.2.15", 24));
    assert_eq!(status.gateway.as_deref(), Some("10.0.2.2"));
    assert_eq!(parse_status("[{},{}]", "[]").unwrap(), None);
    assert!(parse_status("", "").is_err());
}
