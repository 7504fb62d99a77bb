// SPDX-License-Identifier: MIT OR Apache-2.0
//! The daemon's inside: what every message works with.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use network::NetworkBackend;
use storage::SrDriver;
use xapi_model::{ApiError, Ref, Role, Value, errors};
use xenops::Hypervisor;

use crate::arrivals::Arrivals;
use crate::audit::Audit;
use crate::auth::Accounts;
use crate::blobs::Blobs;
use crate::certificates::Authorities;
use crate::console_users::ConsoleUsers;
use crate::consoles::Consoles;
use crate::dom0::Dom0;
use crate::guest;
use crate::hardware::Machine;
use crate::housekeeping;
use crate::metrics::Metrics;
use crate::perfmon::Perfmon;
use crate::prompt::Prompt;
use crate::remote_storage;
use crate::server::Identity;
use crate::session::{Session, Sessions};
use crate::store::{Objects, Store};
use crate::switches::Switches;
use crate::task::{self, Cancel, Cancels, Owners};
use crate::unfinished;
use crate::user_agents::UserAgents;
use crate::vdis::Activations;

/// Where guests' boot loaders lie and which kernels a VM may name.
#[derive(Debug, Clone)]
pub struct BootFiles {
    /// pvgrub for PV guests.
    pub pv: PathBuf,
    /// pvgrub for PVH guests.
    pub pvh: PathBuf,
    /// Folders below which `PV_kernel` and `PV_ramdisk` may lie.
    pub kernels: Vec<PathBuf>,
}

impl Default for BootFiles {
    fn default() -> Self {
        Self {
            pv: "/usr/lib/grub-xen/grub-x86_64-xen.bin".into(),
            pvh: "/usr/lib/grub-xen/grub-i386-xen_pvh.bin".into(),
            kernels: vec!["/var/lib/xenith/guest".into(), "/boot/guest".into()],
        }
    }
}

/// What the toolstack asks of the system that the host runs.
pub trait Power: Send + Sync {
    /// Begins to power off.
    fn off(&self) -> anyhow::Result<()>;
    /// Begins to reboot.
    fn reboot(&self) -> anyhow::Result<()>;
    /// Whether the whole machine is going down, and not the daemon alone.
    fn is_ending(&self) -> anyhow::Result<bool>;
    /// Begins to start the daemon anew.
    fn restart_daemon(&self) -> anyhow::Result<()>;
    /// Begins to end the daemon, until somebody starts it again.
    fn stop_daemon(&self) -> anyhow::Result<()>;
    /// Changes the host name, now and for later starts.
    fn set_hostname(&self, name: &str) -> anyhow::Result<()>;
    /// The newest lines that the daemon has logged.
    fn log(&self) -> anyhow::Result<String>;
}

/// Everything outside of the daemon that it works with.
pub struct Outside {
    /// Xen.
    pub hypervisor: Arc<dyn Hypervisor>,
    /// Storage.
    pub drivers: Vec<Arc<dyn SrDriver>>,
    /// Network.
    pub network: Arc<dyn NetworkBackend>,
    /// Who may log in.
    pub accounts: Arc<dyn Accounts>,
    /// The machine's power.
    pub power: Arc<dyn Power>,
    /// What the machine is made of.
    pub machine: Machine,
    /// Services of Dom0.
    pub dom0: Dom0,
    /// Guests' boot loaders.
    pub boot: BootFiles,
    /// The consoles' login prompt.
    pub prompt: Prompt,
    /// Where the daemon keeps files beside its database.
    pub files: Files,
    /// Time between two samples of figures; none takes none by itself.
    pub sampling: Option<Duration>,
    /// How long those who manage the host may take to reach it after its network has changed.
    pub trial: Duration,
}

/// See [`Outside::trial`]: a switch's spanning tree may keep a new link silent for half of it.
pub const TRIAL: Duration = Duration::from_secs(60);

/// Time between two samples of figures.
pub const SAMPLING: Duration = Duration::from_secs(rrd::STEP as u64);

/// Folders of the daemon, made when they are needed.
#[derive(Debug, Clone)]
pub struct Files {
    /// Contents of blobs, each in a file that is called as its uuid.
    pub blobs: PathBuf,
    /// Logs for administrators: the audit log.
    pub logs: PathBuf,
    /// Figures over time.
    pub figures: PathBuf,
    /// Programs that clients may call, put there by the administrator.
    pub plugins: PathBuf,
    /// Programs that are messages of the API, put there by the administrator.
    pub extensions: PathBuf,
    /// Certificates of authorities that the host trusts.
    pub authorities: PathBuf,
}

impl Default for Files {
    fn default() -> Self {
        Self {
            blobs: "/var/lib/xenith/blobs".into(),
            logs: "/var/log/xenith".into(),
            figures: "/var/lib/xenith/figures".into(),
            plugins: "/etc/xapi.d/plugins".into(),
            extensions: "/etc/xapi.d/extensions".into(),
            authorities: "/etc/xenith/authorities".into(),
        }
    }
}

/// The daemon's inside.
pub struct Toolstack {
    /// All objects.
    pub store: Store,
    /// All sessions.
    pub sessions: Sessions,
    /// Xen.
    pub hypervisor: Arc<dyn Hypervisor>,
    /// Storage drivers by `SR.type`.
    pub drivers: BTreeMap<&'static str, Arc<dyn SrDriver>>,
    /// Network.
    pub network: Arc<dyn NetworkBackend>,
    /// Who may log in.
    pub accounts: Arc<dyn Accounts>,
    /// The machine's power.
    pub power: Arc<dyn Power>,
    /// What the machine is made of.
    pub machine: Machine,
    /// Services of Dom0.
    pub dom0: Dom0,
    /// Which programs clients are.
    pub user_agents: UserAgents,
    /// Consoles that somebody uses.
    pub console_users: ConsoleUsers,
    /// What the virtual switches were told.
    pub switches: Switches,
    /// Guests' boot loaders.
    pub boot: BootFiles,
    /// The consoles' login prompt.
    pub prompt: Prompt,
    /// Contents of blobs.
    pub blobs: Blobs,
    /// Who did what.
    pub audit: Audit,
    /// Whom the host trusts.
    pub authorities: Authorities,
    /// Figures over time.
    pub metrics: Metrics,
    /// Alarms on figures.
    pub perfmon: Perfmon,
    /// Time between two samples of figures.
    pub sampling: Option<Duration>,
    /// See [`Outside::trial`].
    pub trial: Duration,
    /// Clients that came over the network.
    pub arrivals: Arrivals,
    /// Folder of the administrator's own programs.
    pub plugins: PathBuf,
    /// Folder of the administrator's own messages.
    pub extensions: PathBuf,
    /// VDIs active on this host.
    pub activations: Activations,
    /// SRs of servers that are to be attached.
    pub waiting_pbds: remote_storage::Waiting,
    /// What the last run left and could not be removed yet.
    pub left: unfinished::Left,
    /// SRs that are to be tidied up.
    pub untidy: housekeeping::Untidy,
    /// Tasks that can be cancelled.
    pub cancels: Cancels,
    /// Who began which task.
    pub task_owners: Owners,
    /// Text consoles of running VMs.
    pub consoles: Consoles,
    /// Guests that are being listened to.
    pub guest_news: guest::News,
    /// The TLS certificate.
    pub identity: Arc<Identity>,
    /// Held by whoever changes how much memory guests have.
    pub memory: Mutex<()>,
    locks: Mutex<HashMap<Ref, Arc<Mutex<()>>>>,
}

impl Toolstack {
    /// Puts it together. Nothing is looked at or started yet.
    pub fn new(store: Store, outside: Outside, identity: Arc<Identity>) -> Toolstack {
        Toolstack {
            store,
            sessions: Sessions::default(),
            hypervisor: outside.hypervisor,
            drivers: outside.drivers.into_iter().map(|driver| (driver.kind(), driver)).collect(),
            network: outside.network,
            accounts: outside.accounts,
            power: outside.power,
            machine: outside.machine,
            dom0: outside.dom0,
            switches: Switches::default(),
            user_agents: UserAgents::default(),
            console_users: ConsoleUsers::default(),
            boot: outside.boot,
            prompt: outside.prompt,
            blobs: Blobs::new(outside.files.blobs),
            audit: Audit::new(outside.files.logs),
            authorities: Authorities::new(outside.files.authorities),
            metrics: Metrics::new(outside.files.figures),
            perfmon: Perfmon::default(),
            sampling: outside.sampling,
            trial: outside.trial,
            arrivals: Arrivals::default(),
            plugins: outside.files.plugins,
            extensions: outside.files.extensions,
            activations: Activations::default(),
            waiting_pbds: remote_storage::Waiting::default(),
            left: unfinished::Left::default(),
            untidy: housekeeping::Untidy::default(),
            cancels: Cancels::default(),
            task_owners: Owners::default(),
            consoles: Consoles::default(),
            guest_news: guest::News::default(),
            identity,
            memory: Mutex::default(),
            locks: Mutex::default(),
        }
    }

    /// This host.
    pub fn host(&self) -> Ref {
        self.only("host")
    }

    /// The pool.
    pub fn pool(&self) -> Ref {
        self.only("pool")
    }

    fn only(&self, class: &str) -> Ref {
        self.store
            .read(|objects| objects.all(class).next().map(|object| object.reference().clone()))
            .unwrap_or_else(Ref::null)
    }

    /// Looks at one object.
    pub fn look<T>(
        &self,
        class: &str,
        reference: &Ref,
        look: impl FnOnce(&crate::store::Object, &Objects) -> T,
    ) -> Result<T, ApiError> {
        self.store.read(|objects| Ok(look(objects.get(class, reference)?, objects)))
    }

    /// The session, marked as used, and what it may do now; `SESSION_INVALID` if there is none, or if
    /// its user has no role any more.
    pub fn session(&self, reference: &str) -> Result<(Session, Role), ApiError> {
        let session = self.sessions.use_session(reference)?;
        match self.store.read(|objects| session.owner.standing(objects)) {
            Some((_, role)) => Ok((session, role)),
            None => {
                self.sessions.close(&Ref::new(reference));
                Err(errors::SESSION_INVALID.with([reference]))
            }
        }
    }

    /// The lock that whoever changes an object's outside (a domain, an SR's contents) holds.
    pub fn lock_of(&self, reference: &Ref) -> Arc<Mutex<()>> {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        if locks.len() > 256 {
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        }
        locks.entry(reference.clone()).or_default().clone()
    }
}

/// Who calls, and as which task.
#[derive(Clone)]
pub struct Context {
    /// The daemon's inside.
    pub toolstack: Arc<Toolstack>,
    /// The session; the null reference for messages without one.
    pub session: Ref,
    /// What the session may do.
    pub role: Role,
    /// The task of an `Async.` call.
    pub task: Option<Ref>,
    /// Where the client is.
    pub peer: Peer,
}

/// Where a client is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// On the network, at this address.
    Network(String),
    /// On this host, with this user id.
    Local(u32),
    /// The daemon itself.
    Myself,
}

impl Context {
    /// The daemon acting by itself.
    pub fn myself(toolstack: &Arc<Toolstack>) -> Context {
        Context {
            toolstack: toolstack.clone(),
            session: Ref::null(),
            role: Role::PoolAdmin,
            task: None,
            peer: Peer::Myself,
        }
    }

    /// The objects.
    pub fn store(&self) -> &Store {
        &self.toolstack.store
    }

    /// Key of `current_operations`: the task, or a name for a call without one.
    pub fn operation_key(&self, operation: &str) -> String {
        match &self.task {
            Some(task) => task.to_string(),
            None => format!("DummyRef:|{}|{operation}", uuid::Uuid::new_v4()),
        }
    }

    /// The task; empty for a call without one.
    pub fn task_name(&self) -> &str {
        self.task.as_ref().map(Ref::as_str).unwrap_or_default()
    }

    /// Identifier of the session's user; empty for those of the host itself.
    pub fn user(&self) -> String {
        let session = self.toolstack.sessions.look(&self.session);
        session.map(|session| session.owner.identifier().to_owned()).unwrap_or_default()
    }

    /// Sets the progress of the task, if there is one.
    pub fn progress(&self, progress: f64) {
        if let Some(task) = &self.task {
            task::progress(self.store(), task, progress);
        }
    }

    /// Makes the task cancellable; the caller then looks at [`Cancel::wanted`] now and then.
    pub fn cancellable(&self) -> Result<Cancel, ApiError> {
        match &self.task {
            Some(task) => self.toolstack.cancels.watch(self.store(), task),
            None => Ok(Cancel::default()),
        }
    }

    /// `TASK_CANCELLED` if the task is to stop.
    pub fn check_cancelled(&self, cancel: &Cancel) -> Result<(), ApiError> {
        if !cancel.wanted() {
            return Ok(());
        }
        Err(errors::TASK_CANCELLED.with([self.task_name()]))
    }
}

/// Parameters of a call, typed and complete.
pub struct Args<'a> {
    params: &'a [xapi_model::Param],
    values: Vec<Value>,
}

impl<'a> Args<'a> {
    /// Parameters in the order of their description.
    pub fn new(params: &'a [xapi_model::Param], values: Vec<Value>) -> Self {
        Self { params, values }
    }

    /// All of them, in the order of their description.
    pub fn all(&self) -> &[Value] {
        &self.values
    }

    /// The first of them; void if there is none.
    pub fn first(&self) -> &Value {
        self.values.first().unwrap_or(&Value::Void)
    }

    /// The value of a parameter.
    ///
    /// # Panics
    /// If the message has no such parameter: names are written in the program.
    pub fn get(&self, name: &str) -> &Value {
        match self.params.iter().position(|param| param.name == name) {
            Some(index) => &self.values[index],
            None => panic!("no parameter is called {name}"),
        }
    }

    /// A reference.
    pub fn to(&self, name: &str) -> Ref {
        self.get(name).as_ref().cloned().unwrap_or_else(Ref::null)
    }

    /// A text.
    pub fn text(&self, name: &str) -> &str {
        self.get(name).as_str().unwrap_or_default()
    }

    /// An integer.
    pub fn int(&self, name: &str) -> i64 {
        self.get(name).as_int().unwrap_or_default()
    }

    /// A boolean.
    pub fn bool(&self, name: &str) -> bool {
        self.get(name).as_bool().unwrap_or_default()
    }
}
