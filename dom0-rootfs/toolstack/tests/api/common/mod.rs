// SPDX-License-Identifier: MIT OR Apache-2.0
//! A daemon over a made-up host, and a client that speaks both wires over HTTPS.

pub mod wire;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use appliance_model::handover::{Handover, Management};
use network::FakeNetwork;
use storage::FakeDriver;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use toolstack::daemon::{Daemon, Places};
use toolstack::dom0::FakePrograms;
use toolstack::simulate::Simulation;
use toolstack::toolstack::{Outside, Toolstack};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use xapi_model::{ApiError, Call, Ref, Reply, Value, jsonrpc, xmlrpc};
use xenops::Simulator;

/// Root's password.
pub const PASSWORD: &str = "secret";

/// A daemon that serves until it is dropped.
pub struct Served {
    pub toolstack: Arc<Toolstack>,
    pub hypervisor: Arc<Simulator>,
    pub storage: Arc<FakeDriver>,
    pub network: Arc<FakeNetwork>,
    pub programs: Arc<FakePrograms>,
    pub url: String,
    pub folder: TempDir,
    runtime: Option<Runtime>,
}

impl Served {
    pub fn new() -> Served {
        Served::with(|_| {})
    }

    /// One with other parts of the outside.
    pub fn with(change: impl FnOnce(&mut Outside)) -> Served {
        Served::installed(None, change)
    }

    /// One whose installer left this management interface.
    pub fn installed(management: Option<Management>, change: impl FnOnce(&mut Outside)) -> Served {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let simulation = Simulation::new(folder.path(), PASSWORD, true).unwrap();
        let (hypervisor, storage) = (simulation.hypervisor.clone(), simulation.storage.clone());
        let (network, programs) = (simulation.network.clone(), simulation.programs.clone());
        let handover = Handover { management, ..simulation.handover.clone() };
        let places = Places {
            database: folder.path().join("state.db"),
            tls: folder.path().join("tls"),
            listen: ([127, 0, 0, 1], 0).into(),
            socket: Some(folder.path().join("xapi.sock")),
        };
        let mut outside = simulation.into_outside();
        // Tests let time pass when it suits them.
        outside.sampling = None;
        change(&mut outside);
        let started = Daemon::start(&places, outside, handover);
        let daemon = runtime.block_on(started).unwrap();
        let url = format!("https://{}", daemon.address().unwrap());
        let toolstack = daemon.toolstack.clone();
        runtime.spawn(daemon.serve());
        Served {
            toolstack,
            hypervisor,
            storage,
            network,
            programs,
            url,
            folder,
            runtime: Some(runtime),
        }
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().unwrap()
    }

    /// Begins work on the daemon's threads.
    pub fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.runtime().spawn(work)
    }

    /// Begins work that blocks on the daemon's threads.
    pub fn spawn_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.runtime().spawn_blocking(work)
    }

    /// Waits for work.
    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime().block_on(work)
    }

    /// A client that is not logged in.
    pub fn client(&self, wire: Wire) -> Client {
        Client::new(&self.url, &self.folder.path().join("tls/cert.pem"), wire)
    }

    /// A client that is.
    pub fn login(&self, wire: Wire) -> Client {
        let mut client = self.client(wire);
        client.login();
        client
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    Xml,
    Json,
}

/// A client that verifies the certificate.
#[derive(Debug, Clone)]
pub struct Client {
    pub agent: ureq::Agent,
    pub url: String,
    pub session: String,
    wire: Wire,
}

impl Client {
    pub fn new(url: &str, certificate: &Path, wire: Wire) -> Client {
        let certificate = Certificate::from_pem(&std::fs::read(certificate).unwrap()).unwrap();
        let tls =
            TlsConfig::builder().root_certs(RootCerts::new_with_certs(&[certificate])).build();
        let agent = ureq::Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .build()
            .into();
        Client { agent, url: url.into(), session: String::new(), wire }
    }

    /// Calls without a session.
    pub fn raw(&self, method: &str, params: Vec<Value>) -> Reply {
        self.try_raw(method, params).unwrap()
    }

    /// Calls without a session, over a network that may fail.
    pub fn try_raw(&self, method: &str, params: Vec<Value>) -> Result<Reply, ureq::Error> {
        let call = Call { method: method.into(), params };
        let (path, body) = match self.wire {
            Wire::Xml => ("/RPC2", xmlrpc::encode_call(&call)),
            Wire::Json => ("/jsonrpc", jsonrpc::encode_call(&call, 1)),
        };
        let mut response = self.agent.post(format!("{}{path}", self.url)).send(body)?;
        let text = response.body_mut().read_to_string()?;
        Ok(match self.wire {
            Wire::Xml => xmlrpc::decode_reply(&text).unwrap(),
            Wire::Json => jsonrpc::decode_reply(&text).unwrap(),
        })
    }

    pub fn login(&mut self) {
        let reply = self.raw("session.login_with_password", vec!["root".into(), PASSWORD.into()]);
        self.session = reply.unwrap().text();
    }

    /// Calls with the session.
    pub fn call(&self, method: &str, params: Vec<Value>) -> Reply {
        let session = Value::from(self.session.as_str());
        self.raw(method, std::iter::once(session).chain(params).collect())
    }

    /// Calls what must succeed.
    pub fn ok(&self, method: &str, params: Vec<Value>) -> Value {
        self.call(method, params).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Calls what answers a reference or text.
    pub fn text(&self, method: &str, params: Vec<Value>) -> String {
        self.ok(method, params).text()
    }

    /// Calls what must fail.
    pub fn err(&self, method: &str, params: Vec<Value>) -> ApiError {
        match self.call(method, params) {
            Ok(value) => panic!("{method} answered {value:?}"),
            Err(error) => error,
        }
    }

    /// All fields of an object.
    pub fn record(&self, class: &str, object: &str) -> std::collections::BTreeMap<String, Value> {
        let record = self.ok(&format!("{class}.get_record"), vec![object.into()]);
        record.as_map().unwrap().clone()
    }

    /// The only or first object of a class with this name.
    pub fn named(&self, class: &str, name: &str) -> String {
        let found = self.ok(&format!("{class}.get_by_name_label"), vec![name.into()]);
        found.as_set().unwrap()[0].text()
    }

    /// Waits for a task to end and returns its record.
    pub fn ended(&self, task: &str) -> std::collections::BTreeMap<String, Value> {
        let begun = Instant::now();
        let mut token = Value::from("");
        loop {
            let record = self.record("task", task);
            if record["status"].text() != "pending" {
                return record;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "{record:?}");
            let classes = Value::strings([format!("task/{task}")]);
            let batch = self.ok("event.from", vec![classes, token, 10.0.into()]);
            token = batch.as_map().unwrap()["token"].clone();
        }
    }

    /// A VM of the PVH template with a disk of 64 MiB and a network card.
    pub fn make_vm(&self, name: &str) -> Vm {
        let template = self.named("VM", "Linux PVH (own boot loader)");
        let vm = self.text("VM.clone", vec![template.into(), name.into()]);
        self.ok("VM.provision", vec![vm.as_str().into()]);
        let pool = self.ok("pool.get_all", vec![]).as_set().unwrap()[0].clone();
        let sr = self.ok("pool.get_default_SR", vec![pool]);
        let vdi = self.text(
            "VDI.create",
            vec![record([
                ("name_label", "disk".into()),
                ("SR", sr),
                ("virtual_size", (64i64 << 20).into()),
                ("type", "user".into()),
            ])],
        );
        let vbd = self.text(
            "VBD.create",
            vec![record([
                ("VM", vm.as_str().into()),
                ("VDI", vdi.as_str().into()),
                ("userdevice", "0".into()),
                ("mode", "RW".into()),
                ("type", "Disk".into()),
                ("bootable", true.into()),
                ("empty", false.into()),
            ])],
        );
        let network = self.named("network", "Pool-wide network associated with eth0");
        let vif = self.text(
            "VIF.create",
            vec![record([
                ("VM", vm.as_str().into()),
                ("network", network.into()),
                ("device", "0".into()),
                ("MAC", "".into()),
                ("MTU", "1500".into()),
            ])],
        );
        Vm { vm, vdi, vbd, vif }
    }

    pub fn state(&self, vm: &str) -> String {
        self.text("VM.get_power_state", vec![vm.into()])
    }
}

/// References of a VM and its devices.
pub struct Vm {
    pub vm: String,
    pub vdi: String,
    pub vbd: String,
    pub vif: String,
}

impl Vm {
    pub fn reference(&self) -> Ref {
        Ref::new(&self.vm)
    }
}

/// Starts the program over a made-up host, on any free port, and returns its URL.
#[expect(clippy::disallowed_methods, reason = "the program is what is tested")]
pub fn start(folder: &Path) -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_xenith-toolstack"))
        .args(["--simulate", "--listen", "127.0.0.1:0", "--password", PASSWORD])
        .arg("--database")
        .arg(folder.join("state.db"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    let url = said.next().unwrap().unwrap();
    assert_eq!(said.next().unwrap().unwrap().trim_end(), "xenith: toolstack ready");
    (child, url)
}

/// A client of such a program that is logged in.
pub fn connect(folder: &Path, url: &str) -> Client {
    let mut client = Client::new(url, &folder.join("tls/cert.pem"), Wire::Json);
    client.login();
    client
}

/// A record as a client sends it.
pub fn record<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Map(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// Waits for something to become true.
pub fn eventually(what: &str, mut look: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !look() {
        assert!(begun.elapsed() < Duration::from_secs(20), "waiting in vain: {what}");
        std::thread::yield_now();
    }
}
