// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Hypervisor`] over libxl.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::config::{DomainConfig, Places};
use super::facts::{self, Dominfo};
use super::ffi::{Ctx, c_text};
use super::hotplug;
use super::links::Links;
use crate::admission::{Admission, needed_kib};
use crate::error::XenopsError;
use crate::events::Watchers;
use crate::hypervisor::{
    Created, DomId, DomainInfo, DomainSpec, Event, GuestKind, HostInfo, Hypervisor, ShutdownRequest,
};
use crate::known::Known;
use crate::spec::CheckedSpec;
use crate::xenstore::{Xenstore, XenstoreError};

/// Where the displays of HVM guests are: one socket each, named by the VM's uuid.
const DISPLAYS: &str = "/run/xenith/vnc";
/// How long the kernel may take to make a link, and xenconsoled a pseudo-terminal.
const PATIENCE: Duration = Duration::from_secs(20);

/// The hypervisor that this machine runs on.
#[derive(Debug)]
pub struct Libxl {
    idle: Mutex<Vec<Ctx>>,
    verbose: bool,
    program: PathBuf,
    admission: Admission,
    watchers: Arc<Mutex<Watchers>>,
}

impl Libxl {
    /// Connects to the hypervisor and starts watching its domains. `verbose` logs libxl's debug
    /// messages to standard error.
    pub fn open(verbose: bool) -> Result<Libxl, XenopsError> {
        let watchers = Arc::new(Mutex::new(Watchers::default()));
        let xen = Libxl {
            idle: Mutex::default(),
            verbose,
            program: this_program()?,
            admission: Admission::default(),
            watchers: Arc::clone(&watchers),
        };
        let mut ctx = xen.open_ctx()?;
        let mut store = connect()?;
        for special in ["@introduceDomain", "@releaseDomain"] {
            store.watch(special, special).map_err(in_store)?;
        }
        let mut known = Known::default();
        known.compare(&list(&mut ctx)?);
        thread::spawn(move || {
            if let Err(error) = report(&mut store, &mut ctx, &mut known, &watchers) {
                tracing::error!(%error, "watching the domains ended");
            }
            // Hangs up on the watchers: the worker ends and the daemon starts another.
            *lock(&watchers) = Watchers::default();
        });
        Ok(xen)
    }

    fn open_ctx(&self) -> Result<Ctx, XenopsError> {
        Ctx::open(self.verbose).ok_or_else(|| {
            let detail = "is this Dom0, with xenstored running? libxl's message is in the log";
            XenopsError::failed("opening libxl", detail)
        })
    }

    /// Runs `work` with a context that no other thread uses meanwhile.
    fn with<T>(
        &self,
        work: impl FnOnce(&mut Ctx) -> Result<T, XenopsError>,
    ) -> Result<T, XenopsError> {
        let idle = lock(&self.idle).pop();
        let mut ctx = match idle {
            Some(ctx) => ctx,
            None => self.open_ctx()?,
        };
        let result = work(&mut ctx);
        lock(&self.idle).push(ctx);
        result
    }

    /// Runs an operation on a domain that must exist.
    fn on(
        &self,
        domain: DomId,
        doing: &str,
        work: impl FnOnce(&mut Ctx) -> Result<(), String>,
    ) -> Result<(), XenopsError> {
        self.with(|ctx| {
            let failed = |detail: String| {
                XenopsError::failed(format!("{doing} domain {}", domain.0), detail)
            };
            if !ctx.exists(domain.0).map_err(failed)? {
                return Err(XenopsError::NoSuchDomain(domain));
            }
            work(ctx).map_err(failed)
        })
    }
}

impl Hypervisor for Libxl {
    fn host(&self) -> Result<HostInfo, XenopsError> {
        self.with(host)
    }

    fn domains(&self) -> Result<Vec<DomainInfo>, XenopsError> {
        self.with(list)
    }

    fn create(&self, spec: &DomainSpec) -> Result<Created, XenopsError> {
        self.with(|ctx| {
            let checked = CheckedSpec::check(spec, &host(ctx)?)?;
            if list(ctx)?.iter().any(|domain| domain.uuid == spec.uuid) {
                return Err(XenopsError::AlreadyExists(spec.uuid));
            }
            let numbers = hotplug::block_numbers(&checked)?;
            let vnc = display(spec.uuid);
            if matches!(spec.kind, GuestKind::Hvm { .. }) {
                prepare_display(&vnc)?;
            }
            let doing = format!("building the domain of VM {}", spec.uuid);
            let failed = |detail: String| XenopsError::failed(doing.clone(), detail);
            let places = Places { vnc: &vnc, worker: &self.program };
            let config = serde_json::to_string(&DomainConfig::new(&checked, places))
                .map_err(|error| failed(error.to_string()))?;
            let config = c_text(config).map_err(failed)?;
            let admitted =
                self.admission.admit(needed_kib(spec), || Ok(host(ctx)?.memory_free_kib))?;
            let links = Links::listen()?;
            let domain = DomId(ctx.create(&config).map_err(failed)?);
            drop(admitted);
            match connect_devices(domain, &checked, &numbers, &links) {
                Ok(created) => Ok(created),
                Err(error) => {
                    if let Err(detail) = ctx.destroy(domain.0) {
                        tracing::error!(domain = domain.0, %detail, "destroying a domain whose devices cannot be connected failed");
                    }
                    Err(error)
                }
            }
        })
    }

    fn unpause(&self, domain: DomId) -> Result<(), XenopsError> {
        self.on(domain, "unpausing", |ctx| ctx.unpause(domain.0))
    }

    fn pause(&self, domain: DomId) -> Result<(), XenopsError> {
        self.on(domain, "pausing", |ctx| ctx.pause(domain.0))
    }

    fn request_shutdown(&self, domain: DomId, how: ShutdownRequest) -> Result<(), XenopsError> {
        self.on(domain, "asking to end", |ctx| ctx.ask(domain.0, how))
    }

    fn destroy(&self, domain: DomId) -> Result<(), XenopsError> {
        let doing = || format!("destroying domain {}", domain.0);
        if domain == DomId(0) {
            return Err(XenopsError::failed(doing(), "it is Dom0"));
        }
        self.with(|ctx| {
            let failed = |detail: String| XenopsError::failed(doing(), detail);
            let Some(info) = list(ctx)?.into_iter().find(|info| info.id == domain) else {
                return Ok(());
            };
            if let Err(detail) = ctx.destroy(domain.0)
                && ctx.exists(domain.0).map_err(failed)?
            {
                return Err(failed(detail));
            }
            remove(&display(info.uuid))
        })
    }

    fn watch(&self) -> Result<Receiver<Event>, XenopsError> {
        let (sender, receiver) = mpsc::channel();
        lock(&self.watchers).add(sender);
        Ok(receiver)
    }
}

/// A specification as libxl understands it, in its own JSON; nothing is built.
pub fn understood(spec: &DomainSpec) -> Result<String, XenopsError> {
    let doing = "translating a specification";
    let failed = |detail: String| XenopsError::failed(doing, detail);
    let mut ctx = Ctx::open(false).ok_or_else(|| failed("opening libxl failed".into()))?;
    let checked = CheckedSpec::check(spec, &host(&mut ctx)?)?;
    let (vnc, worker) = (display(spec.uuid), this_program()?);
    let config = DomainConfig::new(&checked, Places { vnc: &vnc, worker: &worker });
    let config = serde_json::to_string(&config).map_err(|error| failed(error.to_string()))?;
    ctx.understood(&c_text(config).map_err(failed)?).map_err(failed)
}

fn connect_devices(
    domain: DomId,
    checked: &CheckedSpec,
    numbers: &[Option<hotplug::BlockNumber>],
    links: &Links,
) -> Result<Created, XenopsError> {
    let mut store = connect()?;
    store.write_all(&hotplug::nodes(domain, checked, numbers)).map_err(in_store)?;
    let names = checked.links(domain);
    links.wait(names.iter().flatten(), PATIENCE)?;
    let tty = format!("/local/domain/{}/console/tty", domain.0);
    let console = store.wait_for(&tty, PATIENCE, |tty| !tty.is_empty()).map_err(in_store)?;
    let hvm = matches!(checked.spec().kind, GuestKind::Hvm { .. });
    Ok(Created {
        domain,
        links: names,
        console: Some(console.into()),
        vnc: hvm.then(|| display(checked.spec().uuid)),
    })
}

fn report(
    store: &mut Xenstore,
    ctx: &mut Ctx,
    known: &mut Known,
    watchers: &Mutex<Watchers>,
) -> Result<(), XenopsError> {
    loop {
        store.next_event().map_err(in_store)?;
        for event in known.compare(&list(ctx)?) {
            lock(watchers).tell(event);
        }
    }
}

fn connect() -> Result<Xenstore, XenopsError> {
    Xenstore::connect(Path::new(Xenstore::SOCKET)).map_err(in_store)
}

fn in_store(error: XenstoreError) -> XenopsError {
    XenopsError::failed("using xenstore", hotplug::describe(&error))
}

fn parse<T: DeserializeOwned>(text: Result<String, String>, doing: &str) -> Result<T, XenopsError> {
    let text = text.map_err(|detail| XenopsError::failed(doing, detail))?;
    serde_json::from_str(&text).map_err(|error| XenopsError::failed(doing, error))
}

fn list(ctx: &mut Ctx) -> Result<Vec<DomainInfo>, XenopsError> {
    parse::<Vec<Dominfo>>(ctx.domains(), "listing the domains").map(facts::domains)
}

fn host(ctx: &mut Ctx) -> Result<HostInfo, XenopsError> {
    let doing = "reading the host's facts";
    let physical = parse(ctx.physinfo(), doing)?;
    let version = parse(ctx.version(), doing)?;
    let cpuinfo = fs::read_to_string("/proc/cpuinfo")
        .map_err(|error| XenopsError::failed("reading /proc/cpuinfo", error))?;
    Ok(facts::host(&physical, &version, &cpuinfo))
}

fn this_program() -> Result<PathBuf, XenopsError> {
    std::env::current_exe().map_err(|error| XenopsError::failed("finding this program", error))
}

fn display(uuid: Uuid) -> PathBuf {
    Path::new(DISPLAYS).join(uuid.to_string())
}

fn prepare_display(path: &Path) -> Result<(), XenopsError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(DISPLAYS)
        .map_err(|error| XenopsError::failed(format!("making {DISPLAYS}"), error))?;
    remove(path)
}

fn remove(path: &Path) -> Result<(), XenopsError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(XenopsError::failed(format!("removing {}", path.display()), error))
        }
        _ => Ok(()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
