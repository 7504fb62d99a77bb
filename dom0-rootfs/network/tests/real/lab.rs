// SPDX-License-Identifier: MIT OR Apache-2.0
//! An Open vSwitch in a network namespace, with its userspace datapath, which every kernel can run.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use network::{Host, NetworkError, Ran, System};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;

const VSWITCHD: &str = "/usr/sbin/ovs-vswitchd";
const PING: &str = "/usr/bin/ping";
const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";

/// A host with an `/etc` of its own, without systemd-networkd, and a second one.
pub struct Lab {
    root: tempfile::TempDir,
    namespace: String,
    peer: String,
    /// How many programs the backend ran.
    programs: AtomicUsize,
}

impl Lab {
    /// None where it cannot run.
    pub fn start(name: &str) -> Option<Arc<Lab>> {
        let is_root = fs::read_to_string("/proc/self/status").unwrap().contains("\nUid:\t0\t0\t");
        if !is_root || ![VSWITCHD, PING].iter().all(|program| Path::new(program).exists()) {
            // Past what the harness keeps of tests that pass.
            std::io::stderr()
                .write_all(b"SKIPPED: needs root, Open vSwitch's programs, ip and ping\n")
                .unwrap();
            return None;
        }
        let id = std::process::id();
        let lab = Lab {
            root: tempfile::tempdir().unwrap(),
            namespace: format!("xnt-{name}-{id}"),
            peer: format!("xnp-{name}-{id}"),
            programs: AtomicUsize::new(0),
        };
        for namespace in [&lab.namespace, &lab.peer] {
            outside("ip", &["netns", "add", namespace]);
        }
        lab.must("ip", &["link", "set", "lo", "up"]);
        outside("ovsdb-tool", &["create", &lab.file("conf.db"), SCHEMA]);
        let socket = format!("--remote=punix:{}", lab.file("db.sock"));
        let quiet = ["--detach", "--no-chdir", "-vconsole:off", "-vsyslog:off"];
        let end = |name: &str| {
            let pid = format!("--pidfile={}", lab.file(&format!("{name}.pid")));
            let control = format!("--unixctl={}", lab.file(&format!("{name}.ctl")));
            let log = format!("--log-file={}", lab.file(&format!("{name}.log")));
            [pid, control, log]
        };
        let start = |program: &str, name: &str, first: &[&str]| {
            let end = end(name);
            let end: Vec<&str> = end.iter().map(String::as_str).collect();
            lab.must(program, &[first, &quiet, &end].concat());
        };
        start("ovsdb-server", "ovsdb", &[&lab.file("conf.db"), &socket]);
        lab.must("ovs-vsctl", &["--no-wait", "init"]);
        start(VSWITCHD, "vswitchd", &[&lab.database()]);
        // The namespace's own view of its links, as its daemons have it.
        symlink(format!("/proc/{}/root/sys", lab.pid("vswitchd")), lab.root.path().join("sys"))
            .unwrap();
        Some(Arc::new(lab))
    }

    fn file(&self, name: &str) -> String {
        self.root.path().join(name).display().to_string()
    }

    fn database(&self) -> String {
        format!("unix:{}", self.file("db.sock"))
    }

    fn pid(&self, name: &str) -> String {
        fs::read_to_string(self.file(&format!("{name}.pid"))).unwrap_or_default().trim().to_owned()
    }

    /// Runs a program in the namespace; it has to succeed.
    pub fn must(&self, program: &str, args: &[&str]) -> String {
        let ran = self.run(program, args).unwrap();
        assert_eq!(ran.code, 0, "{program} {args:?}: {}{}", ran.stdout, ran.stderr);
        ran.stdout.trim().to_owned()
    }

    /// How many programs `work` runs.
    pub fn programs(&self, work: impl FnOnce()) -> usize {
        let before = self.programs.load(Ordering::Relaxed);
        work();
        self.programs.load(Ordering::Relaxed) - before
    }

    /// Makes two links that are one cable.
    pub fn link(&self, one: &str, other: &str) {
        self.must("ip", &["link", "add", one, "type", "veth", "peer", "name", other]);
    }

    /// Puts a link into the other namespace, with addresses.
    pub fn move_to_peer(&self, link: &str, addresses: &[&str]) {
        self.must("ip", &["link", "set", link, "netns", &self.peer]);
        for address in addresses {
            let nodad: &[&str] = if address.contains(':') { &["nodad"] } else { &[] };
            let add = ["-n", &self.peer, "address", "add", address, "dev", link];
            outside("ip", &[&add[..], nodad].concat());
        }
        outside("ip", &["-n", &self.peer, "link", "set", link, "up"]);
    }

    /// Runs a program in the other namespace; it has to succeed.
    pub fn peer(&self, program: &str, args: &[&str]) -> String {
        let ran = self.run_in_peer(program, args);
        assert_eq!(ran.code, 0, "{program} {args:?}: {}{}", ran.stdout, ran.stderr);
        ran.stdout.trim().to_owned()
    }

    fn run_in_peer(&self, program: &str, args: &[&str]) -> Ran {
        Host.run("ip", &[&["netns", "exec", &self.peer, program], args].concat()).unwrap()
    }

    /// Whether an address answers the other namespace.
    pub fn peer_pings(&self, address: &str) -> bool {
        self.run_in_peer("ping", &["-n", "-q", "-c", "1", "-i", "0.2", "-w", "2", address]).code
            == 0
    }

    /// Whether an address answers the other namespace at one of its addresses.
    pub fn peer_pings_from(&self, source: &str, address: &str) -> bool {
        let ping = ["-n", "-q", "-c", "1", "-i", "0.2", "-w", "2", "-I", source, address];
        self.run_in_peer("ping", &ping).code == 0
    }

    /// Asserts that an address answers; waits for the first answer.
    pub fn reaches(&self, address: &str) {
        // A ping ends with the first answer, and when the neighbour is given up (RFC 4861, 7.3.3).
        let ask = || {
            let ask = ["-n", "-q", "-c", "1", "-i", "0.2", "-w", "60", address];
            self.run("ping", &ask).unwrap()
        };
        let mut ran = Ran { code: -1, ..Ran::default() };
        for _ in 0..30 {
            ran = ask();
            if ran.code == 0 {
                return;
            }
        }
        let state = || {
            let control = format!("--target={}", self.file("vswitchd.ctl"));
            let show = |what| self.run("ovs-appctl", &[&control, what]).unwrap().stdout;
            show("bond/show") + &show("lacp/show")
        };
        panic!("{address} does not answer: {}{}\n{}", ran.stdout, ran.stderr, state());
    }

    pub fn attribute(&self, link: &str, name: &str) -> String {
        let path = self.sys(link).join(name);
        fs::read_to_string(path).unwrap().trim().to_owned()
    }

    pub fn exists(&self, link: &str) -> bool {
        self.sys(link).exists()
    }

    fn sys(&self, link: &str) -> PathBuf {
        self.root.path().join("sys/class/net").join(link)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for name in ["vswitchd", "ovsdb"] {
            let pid = self.pid(name);
            if !pid.is_empty() {
                outside("kill", &[&pid]);
            }
        }
        for namespace in [&self.namespace, &self.peer] {
            outside("ip", &["netns", "del", namespace]);
        }
    }
}

fn outside(program: &str, args: &[&str]) {
    let ran = Host.run(program, args).unwrap();
    if ran.code != 0 && !std::thread::panicking() {
        panic!("{program} {args:?}: {}", ran.stderr);
    }
}

impl System for Lab {
    fn run(&self, program: &str, args: &[&str]) -> Result<Ran, NetworkError> {
        self.programs.fetch_add(1, Ordering::Relaxed);
        if program == "networkctl" {
            return Ok(Ran::default());
        }
        let mut all = vec!["netns", "exec", &self.namespace, program];
        let database = format!("--db={}", self.database());
        if program == "ovs-vsctl" {
            all.push(&database);
            all.push("--timeout=60");
        }
        all.extend(args);
        // The datapath of a new bridge that is none within another one.
        let new = args.iter().position(|word| *word == "add-br");
        let new = new.filter(|at| args.get(at + 2).is_none_or(|next| *next == "--"));
        if let Some(name) = new.and_then(|at| args.get(at + 1)) {
            all.extend(["--", "set", "Bridge", name, "datapath_type=netdev"]);
        }
        Host.run("ip", &all)
    }

    fn transact(&self, operations: &[Value]) -> Result<Vec<Value>, String> {
        network::transact(&self.root.path().join("db.sock"), operations)
    }

    fn raise(&self, link: &str, mtu: Option<u32>) -> std::io::Result<()> {
        let index = self.attribute(link, "ifindex").parse().map_err(std::io::Error::other)?;
        let namespace = File::open(Path::new("/run/netns").join(&self.namespace))?;
        // Only this thread goes there.
        let raise = move || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            network::raise(index, mtu)
        };
        std::thread::spawn(raise).join().expect("a thread that panics")
    }

    fn joined(&self, _link: &str) -> std::io::Result<bool> {
        // The kernel knows nothing of a switch in userspace.
        Ok(false)
    }

    fn root(&self) -> &Path {
        self.root.path()
    }
}
