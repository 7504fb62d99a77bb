// SPDX-License-Identifier: MIT OR Apache-2.0
//! A made-up host on which one run of the daemon follows another.

use std::sync::{Arc, LazyLock, Mutex, mpsc};
use std::time::{Duration, Instant};

use network::FakeNetwork;
use storage::{FakeDriver, SrDriver};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use toolstack::database::MemoryDatabase;
use toolstack::server::Identity;
use toolstack::simulate::Simulation;
use toolstack::store::Store;
use toolstack::toolstack::{Context, Peer, Toolstack};
use toolstack::{derived, dispatch, remote_storage, startup, unfinished};
use xapi_model::{Call, Ref, Reply, Value};
use xenops::{SimulatedHost, Simulator};

use super::fate::{Fate, Seam};
use crate::common::{PASSWORD, record};

/// Those of all runs.
static THREADS: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
});

/// Making a key takes its time.
static IDENTITY: LazyLock<Arc<Identity>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    Arc::new(Identity::open(folder.path(), &["localhost".to_owned()]).unwrap())
});

/// Bytes of the disks here.
pub const DISK: i64 = 1 << 20;
/// How long no operation here lasts.
const STUCK: Duration = Duration::from_secs(30);
/// How long whoever called a run that was killed may still have to learn of it.
const GRACE: Duration = Duration::from_millis(100);

/// What outlives the daemon.
pub struct Host {
    folder: TempDir,
    pub hypervisor: Arc<Simulator>,
    pub network: Arc<FakeNetwork>,
    pub drivers: Vec<Arc<FakeDriver>>,
    pub database: Arc<Mutex<MemoryDatabase>>,
}

/// A run of the daemon.
#[derive(Clone)]
pub struct Run {
    pub toolstack: Arc<Toolstack>,
    pub fate: Arc<Fate>,
    session: String,
}

impl Host {
    pub fn new() -> Host {
        // Where writing to the disk in earnest costs nothing, if there is such a place.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let simulation = Simulation::new(folder.path(), PASSWORD, false).unwrap();
        let other = |kind| Arc::new(FakeDriver::new(kind, folder.path().join("sr"), 1 << 40));
        Host {
            hypervisor: Arc::new(Simulator::new(SimulatedHost::default())),
            network: simulation.network.clone(),
            drivers: vec![simulation.storage.clone(), other("file"), other("nfs")],
            database: Arc::default(),
            folder,
        }
    }

    /// Where its files are.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Starts the daemon.
    pub fn start(&self) -> Run {
        let fate = Arc::new(Fate::default());
        let seam = || fate.clone();
        let simulation = Simulation::new(self.folder.path(), PASSWORD, false).unwrap();
        let handover = simulation.handover.clone();
        let mut outside = simulation.into_outside();
        outside.sampling = None;
        outside.hypervisor = Arc::new(Seam { fate: seam(), inner: self.hypervisor.clone() });
        outside.network = Arc::new(Seam { fate: seam(), inner: self.network.clone() });
        let drivers = self.drivers.iter().map(|inner| {
            Arc::new(Seam { fate: seam(), inner: inner.clone() }) as Arc<dyn SrDriver>
        });
        outside.drivers = drivers.collect();
        let database = Seam { fate: seam(), inner: self.database.clone() };
        let store = Store::open(Box::new(database), derived::derive).unwrap();
        let toolstack = Arc::new(Toolstack::new(store, outside, IDENTITY.clone()));
        let _threads = THREADS.enter();
        startup::start(&toolstack, &handover).unwrap();
        let mut run = Run { toolstack, fate, session: String::new() };
        run.session = run
            .raw("session.login_with_password", vec!["root".into(), PASSWORD.into()])
            .unwrap()
            .text();
        run
    }
}

impl Run {
    fn raw(&self, method: &str, params: Vec<Value>) -> Reply {
        let call = Call { method: method.into(), params };
        THREADS.block_on(dispatch::call(&self.toolstack, &Peer::Local(0), call))
    }

    pub fn call(&self, method: &str, params: Vec<Value>) -> Reply {
        let session = Value::from(self.session.as_str());
        self.raw(method, std::iter::once(session).chain(params).collect())
    }

    /// Calls what must succeed; a reference or text.
    pub fn text(&self, method: &str, params: Vec<Value>) -> String {
        let reply = self.call(method, params);
        reply.unwrap_or_else(|error| panic!("{method}: {error}")).text()
    }

    /// The daemon acting by itself.
    pub fn context(&self) -> Context {
        Context::myself(&self.toolstack)
    }

    /// Does something with a run that may be killed meanwhile, which not everybody learns of: then none.
    pub fn attempt(&self, act: fn(&Run, &[String]) -> Reply, given: &[String]) -> Option<Reply> {
        let (sender, receiver) = mpsc::channel();
        let (run, given) = (self.clone(), given.to_vec());
        std::thread::spawn(move || drop(sender.send(act(&run, &given))));
        let (begun, mut dead) = (Instant::now(), None::<Instant>);
        loop {
            assert!(begun.elapsed() < STUCK, "it does not end, nor fail");
            if let Ok(reply) = receiver.recv_timeout(GRACE / 10) {
                return Some(reply);
            }
            match dead {
                Some(since) if since.elapsed() > GRACE => return None,
                None if self.fate.is_dead() => dead = Some(Instant::now()),
                _ => {}
            }
        }
    }

    /// What the daemon does again and again.
    pub fn follow(&self) {
        remote_storage::attach_waiting(&self.toolstack);
        unfinished::settle(&self.toolstack);
        self.toolstack.activations.close_unused(&self.toolstack);
    }

    pub fn default_sr(&self) -> Ref {
        let pool = self.toolstack.pool();
        self.toolstack.look("pool", &pool, |pool, _| pool.to("default_SR")).unwrap()
    }

    /// The first object of a class with this name.
    pub fn named(&self, class: &str, name: &str) -> Option<String> {
        self.toolstack.store.read(|objects| {
            let mut all = objects.all(class);
            all.find(|o| o.text("name_label") == name).map(|o| o.reference().to_string())
        })
    }

    /// The text of a field.
    pub fn field(&self, class: &str, object: &str, field: &str) -> String {
        let found = self.toolstack.look(class, &Ref::new(object), |o, _| o.get(field).text());
        found.unwrap_or_default()
    }

    /// A second SR.
    pub fn make_sr(&self, kind: &str, name: &str) -> Reply {
        let host = self.toolstack.host();
        let map = || Value::Map(Default::default());
        let texts = [name, "", kind, "user"].map(Value::from);
        let params = [host.into(), map(), 0i64.into()].into_iter().chain(texts);
        self.call("SR.create", params.chain([false.into(), map()]).collect())
    }

    pub fn make_vdi(&self, name: &str) -> Reply {
        let fields = [
            ("name_label", name.into()),
            ("SR", self.default_sr().into()),
            ("virtual_size", DISK.into()),
            ("type", "user".into()),
        ];
        self.call("VDI.create", vec![record(fields)])
    }

    pub fn make_vbd(&self, vm: &str, vdi: &str, device: &str, cd: bool) -> String {
        let fields = [
            ("VM", vm.into()),
            ("VDI", vdi.into()),
            ("userdevice", device.into()),
            ("mode", if cd { "RO" } else { "RW" }.into()),
            ("type", if cd { "CD" } else { "Disk" }.into()),
            ("bootable", (device == "0").into()),
            ("empty", (vdi == Ref::NULL).into()),
        ];
        self.text("VBD.create", vec![record(fields)])
    }

    pub fn make_vif(&self, vm: &str, device: &str) -> String {
        let network = self.named("network", "Pool-wide network associated with eth0").unwrap();
        let fields = [
            ("VM", vm.into()),
            ("network", network.into()),
            ("device", device.into()),
            ("MAC", "".into()),
            ("MTU", "1500".into()),
        ];
        self.text("VIF.create", vec![record(fields)])
    }

    /// A VM of a template with two disks and a network interface.
    pub fn make_vm(&self, template: &str, name: &str) -> String {
        let template = self.named("VM", template).unwrap();
        let vm = self.text("VM.clone", vec![template.into(), name.into()]);
        let provision = vec![vm.as_str().into(), "disks".into()];
        self.text("VM.remove_from_other_config", provision);
        self.text("VM.provision", vec![vm.as_str().into()]);
        for device in ["0", "1"] {
            let vdi = self.make_vdi(&format!("{name} {device}")).unwrap().text();
            self.make_vbd(&vm, &vdi, device, false);
        }
        self.make_vif(&vm, "0");
        vm
    }
}
