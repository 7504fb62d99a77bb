// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Hypervisor`] over libxl.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::config::{self, DomainConfig, Places};
use super::device_model;
use super::devices::{self, Device};
use super::ending::{self, Remains};
use super::facts::{self, Counters, Dominfo, Physinfo};
use super::ffi::{Ctx, c_text};
use super::heard::{self, Heard};
use super::hotplug;
use super::links::Links;
use super::sysfs::Sysfs;
use super::took::Took;
use super::transfer;
use crate::admission::{Admission, needed_kib};
use crate::error::XenopsError;
use crate::events::Watchers;
use crate::hypervisor::{
    Button, Created, Disk, DomId, DomainInfo, DomainSpec, Event, EventKind, GuestKind, HostInfo,
    Hypervisor, Nic, Scheduling, ShutdownRequest,
};
use crate::known::Known;
use crate::onlooker::Onlooker;
use crate::spec::CheckedSpec;
use crate::usage::Usage;
use crate::vdev::Vdev;
use crate::xenstore::{Change, Xenstore, XenstoreError};

/// Where the displays of HVM guests are: one socket each, named by the VM's uuid.
const DISPLAYS: &str = "/run/xenith/vnc";
/// Where libxl keeps a file or two of each domain (`libxl_userdata_store` in `libxl.h`).
const USERDATA: &str = "/var/lib/xen";
/// How long the kernel may take to make a link, and xenconsoled a pseudo-terminal.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a guest may take to let go of a device.
const LET_GO: Duration = Duration::from_secs(60);
/// How long Dom0's kernel may take to let go of what is behind a device; libxl waits as long
/// (`LIBXL_DESTROY_TIMEOUT`).
const CLOSED_WITHIN: Duration = Duration::from_secs(10);

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
        let domains = list(&mut ctx)?;
        known.compare(&domains);
        let mut heard = Heard::default();
        heard.follow(&mut store, domains.iter().map(|domain| domain.id)).map_err(in_store)?;
        thread::spawn(move || {
            if let Err(error) = report(&mut store, &mut ctx, &mut known, &mut heard, &watchers) {
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

    /// Builds a domain with `make`, which gets the configuration, and connects its devices. `make` gives none
    /// if it was stopped.
    fn build(
        &self,
        spec: &DomainSpec,
        make: impl FnOnce(&mut Ctx, &CStr) -> Result<Option<u32>, String>,
    ) -> Result<Created, XenopsError> {
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
                self.admission.admit(needed_kib(spec), || Ok(physical(ctx)?.free_kib()))?;
            let links = Links::listen()?;
            let mut took = Took::begin();
            let Some(domain) = make(ctx, &config).map_err(failed)?.map(DomId) else {
                return Err(XenopsError::Stopped { doing });
            };
            let hvm = matches!(spec.kind, GuestKind::Hvm { .. });
            match hvm.then(|| device_model::age(domain)).flatten() {
                Some(age) => took.tell_both("libxl until the device model", ("device model", age)),
                None => took.tell("libxl"),
            }
            drop(admitted);
            let offered = match config::offered_later(spec) {
                true => ctx.set_vcpus(domain.0, spec.vcpus).map_err(failed),
                false => Ok(()),
            };
            let connected = offered
                .and_then(|()| connect_devices(domain, &checked, &numbers, &links, &mut took));
            match connected {
                Ok(created) => {
                    tracing::info!(domain = domain.0, took = %took, "built the domain");
                    Ok(created)
                }
                Err(error) => {
                    if let Err(error) = end(ctx, domain, Some(spec.uuid)) {
                        tracing::error!(domain = domain.0, %error, "destroying a domain that cannot be made whole failed");
                    }
                    Err(error)
                }
            }
        })
    }

    /// Gives a domain a device, which `changes` make.
    fn plug(
        &self,
        domain: DomId,
        device: &Device,
        doing: &str,
        changes: &[Change],
    ) -> Result<(), XenopsError> {
        self.on(domain, doing, |_| Ok(()))?;
        let mut store = connect()?;
        if device.exists(&mut store).map_err(in_store)? {
            let detail = "it has such a device";
            return Err(XenopsError::failed(format!("{doing} domain {}", domain.0), detail));
        }
        store.change(changes).map_err(in_store)
    }

    /// Takes a device that the kernel serves from a domain: asks the guest, unless forced, then removes it.
    fn unplug(&self, device: &Device, name: &str, force: bool) -> Result<(), XenopsError> {
        let mut store = connect()?;
        if !device.exists(&mut store).map_err(in_store)? {
            return Ok(());
        }
        if !force {
            hotplug::close(&mut store, name, &device.backend(), &device.error(), LET_GO)?;
        }
        devices::remove(&mut store, std::slice::from_ref(device), CLOSED_WITHIN).map_err(in_store)
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

    fn usage(&self) -> Result<Usage, XenopsError> {
        let (host, counters) = self.with(|ctx| {
            let counters = parse::<Counters>(ctx.usage(), "asking what domains have used")?;
            Ok((physical(ctx)?, counters))
        })?;
        Ok(facts::usage(&host, counters, &Sysfs::new("/".into())))
    }

    fn create(&self, spec: &DomainSpec) -> Result<Created, XenopsError> {
        self.build(spec, |ctx, config| ctx.create(config).map(Some))
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
        if domain == DomId(0) {
            return Err(XenopsError::failed("destroying domain 0", "it is Dom0"));
        }
        self.with(|ctx| {
            let found = list(ctx)?.into_iter().find(|info| info.id == domain);
            let vm = found.map(|info| info.uuid);
            let took = end(ctx, domain, vm)?;
            if let Some(vm) = vm {
                tracing::info!(domain = domain.0, %took, "destroyed the domain");
                remove(&display(vm))?;
            }
            Ok(())
        })
    }

    fn plug_disk(&self, domain: DomId, disk: &Disk) -> Result<(), XenopsError> {
        let vdev = disk_name(&disk.vdev)?;
        let missing = || XenopsError::bad_spec("disk.source", "is missing");
        let source = disk.source.as_deref().ok_or_else(missing)?;
        let number = hotplug::block_number(source)
            .map_err(|detail| XenopsError::bad_spec("disk.source", detail))?;
        let doing = format!("plugging {} into", disk.vdev);
        let changes = devices::disk(domain, vdev, disk, Some(number));
        self.plug(domain, &Device::disk(domain, vdev), &doing, &changes)
    }

    fn unplug_disk(&self, domain: DomId, vdev: &str, force: bool) -> Result<(), XenopsError> {
        let device = Device::disk(domain, disk_name(vdev)?);
        let name = format!("{vdev} of domain {}", domain.0);
        self.unplug(&device, &name, force)?;
        // A drive that QEMU serves.
        let mut store = connect()?;
        let Some(backend) = device.served_at(&mut store).map_err(in_store)? else { return Ok(()) };
        if !force {
            hotplug::close(&mut store, &name, &backend, &device.error(), LET_GO)?;
        }
        let vdev = c_text(vdev.to_owned()).map_err(|e| XenopsError::failed("unplugging", e))?;
        let doing = format!("unplugging {name} of");
        self.on(domain, &doing, |ctx| ctx.destroy_disk(domain.0, &vdev))
    }

    fn plug_nic(&self, domain: DomId, nic: &Nic) -> Result<Vec<String>, XenopsError> {
        let doing = format!("plugging network interface {} into", nic.devid);
        let links = Links::listen()?;
        let device = Device::nic(domain, nic.devid);
        self.plug(domain, &device, &doing, &devices::nic(domain, nic))?;
        let names = vec![format!("vif{}.{}", domain.0, nic.devid)];
        if let Err(error) = links.wait(names.iter(), PATIENCE) {
            if let Err(error) = self.unplug_nic(domain, nic.devid, true) {
                tracing::error!(%error, "removing a network interface without its link");
            }
            return Err(error);
        }
        Ok(names)
    }

    fn unplug_nic(&self, domain: DomId, devid: u32, force: bool) -> Result<(), XenopsError> {
        let name = format!("network interface {devid} of domain {}", domain.0);
        self.unplug(&Device::nic(domain, devid), &name, force)
    }

    fn change_medium(
        &self,
        domain: DomId,
        vdev: &str,
        source: Option<&Path>,
    ) -> Result<(), XenopsError> {
        disk_name(vdev)?;
        let doing = format!("changing the medium in {vdev} of");
        let json = json(&config::medium(vdev, source), &doing)?;
        self.on(domain, &doing, |ctx| ctx.change_medium(domain.0, &json))
    }

    fn suspend(
        &self,
        domain: DomId,
        path: &Path,
        onlooker: &dyn Onlooker,
    ) -> Result<(), XenopsError> {
        self.with(|ctx| transfer::save(ctx, domain, path, onlooker))
    }

    fn resume(&self, domain: DomId) -> Result<(), XenopsError> {
        self.with(|ctx| transfer::resume(ctx, domain))
    }

    fn restore(
        &self,
        spec: &DomainSpec,
        path: &Path,
        onlooker: &dyn Onlooker,
    ) -> Result<Created, XenopsError> {
        let image = transfer::open(path, spec.uuid)?;
        let mut wanted = || transfer::is_wanted(&image, onlooker);
        self.build(spec, |ctx, config| ctx.restore(config, image.as_fd(), &mut wanted))
    }

    fn set_vcpus(&self, domain: DomId, count: u32) -> Result<(), XenopsError> {
        self.on(domain, "changing the virtual CPUs of", |ctx| ctx.set_vcpus(domain.0, count))
    }

    fn set_memory_target(&self, domain: DomId, kib: u64) -> Result<(), XenopsError> {
        let doing = format!("setting the memory target of {kib} KiB of");
        self.on(domain, &doing, |ctx| ctx.set_memory_target(domain.0, kib))
    }

    fn set_scheduling(&self, domain: DomId, scheduling: Scheduling) -> Result<(), XenopsError> {
        let doing = "changing the share of the CPUs of";
        self.on(domain, doing, |ctx| ctx.set_scheduling(domain.0, scheduling))
    }

    fn press(&self, domain: DomId, button: Button) -> Result<(), XenopsError> {
        self.on(domain, "pressing a button of", |ctx| ctx.press(domain.0, button))
    }

    fn guest_data(&self, domain: DomId) -> Result<BTreeMap<String, String>, XenopsError> {
        hotplug::guest_data(&mut connect()?, domain).map_err(in_store)
    }

    fn console_ring(&self, clear: bool) -> Result<String, XenopsError> {
        let failed = |detail| XenopsError::failed("reading Xen's log", detail);
        self.with(|ctx| ctx.console_ring(clear).map_err(failed))
    }

    fn send_debug_keys(&self, keys: &str) -> Result<(), XenopsError> {
        let doing = format!("pressing the debug keys {keys:?}");
        let failed = |detail: String| XenopsError::failed(doing.clone(), detail);
        let keys = c_text(keys.to_owned()).map_err(failed)?;
        self.with(|ctx| ctx.send_debug_keys(&keys).map_err(failed))
    }

    fn dump_core(&self, domain: DomId, file: &Path) -> Result<(), XenopsError> {
        let doing = format!("dumping the memory to {} of", file.display());
        let path = file.to_str().map(str::to_owned).ok_or_else(|| "no UTF-8".to_owned());
        let path = path.and_then(c_text).map_err(|e| XenopsError::failed(doing.clone(), e))?;
        self.on(domain, &doing, |ctx| ctx.dump_core(domain.0, &path))
    }

    fn watch(&self) -> Result<Receiver<Event>, XenopsError> {
        let (sender, receiver) = mpsc::channel();
        lock(&self.watchers).add(sender);
        Ok(receiver)
    }
}

fn disk_name(vdev: &str) -> Result<Vdev, XenopsError> {
    let unknown = || XenopsError::bad_spec("disk.vdev", format!("{vdev:?} is no device name"));
    Vdev::parse(vdev).ok_or_else(unknown)
}

fn json(value: &impl serde::Serialize, doing: &str) -> Result<std::ffi::CString, XenopsError> {
    let failed = |detail: String| XenopsError::failed(doing, detail);
    let text = serde_json::to_string(value).map_err(|error| failed(error.to_string()))?;
    c_text(text).map_err(failed)
}

/// Lets a domain run on, if it is suspended.
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

/// Ends a domain, or what is left of one; `vm` is whose it is if it lives.
fn end(ctx: &mut Ctx, domain: DomId, vm: Option<Uuid>) -> Result<Took, XenopsError> {
    let failed =
        |detail: String| XenopsError::failed(format!("destroying domain {}", domain.0), detail);
    let mut took = Took::begin();
    let mut store = connect()?;
    let remains = Remains::of(&mut store, domain).map_err(in_store)?;
    took.tell("looking");
    if vm.is_some() && !remains.devices.is_empty() {
        // The guest must not see its disks go. One that cannot be paused has ended already.
        if let Err(detail) = ctx.pause(domain.0) {
            tracing::debug!(domain = domain.0, detail, "pausing a domain that is to end");
        }
    }
    if remains.libxls {
        devices::remove(&mut store, &remains.devices, CLOSED_WITHIN).map_err(in_store)?;
        store.change_each(&devices::folders(domain)).map_err(in_store)?;
        store.change_each(&ending::device_models(domain)).map_err(in_store)?;
        took.tell("ending devices");
        if vm.is_some()
            && let Err(detail) = ctx.destroy(domain.0)
            && ctx.exists(domain.0).map_err(failed)?
        {
            return Err(failed(detail));
        }
        took.tell("libxl");
        return Ok(took);
    }
    if let Some(vm) = vm {
        store.change_each(&remains.leave(vm)).map_err(in_store)?;
        took.tell("writing");
        ctx.take_apart(domain.0).map_err(failed)?;
        took.tell("taking apart");
    }
    ending::remove_userdata(Path::new(USERDATA), domain)
        .map_err(|error| failed(format!("removing its files in {}: {error}", USERDATA)))?;
    remains.forget(&mut store, CLOSED_WITHIN).map_err(in_store)?;
    took.tell("waiting for the kernel");
    Ok(took)
}

fn connect_devices(
    domain: DomId,
    checked: &CheckedSpec,
    numbers: &[Option<hotplug::BlockNumber>],
    links: &Links,
    took: &mut Took,
) -> Result<Created, XenopsError> {
    let mut store = connect()?;
    store.change(&hotplug::changes(domain, checked, numbers)).map_err(in_store)?;
    took.tell("writing devices");
    let names = checked.links(domain);
    links.wait(names.iter().flatten(), PATIENCE)?;
    took.tell("waiting for links");
    let tty = format!("/local/domain/{}/console/tty", domain.0);
    let console = store.wait_for(&tty, PATIENCE, |tty| !tty.is_empty()).map_err(in_store)?;
    took.tell("waiting for the console");
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
    heard: &mut Heard,
    watchers: &Mutex<Watchers>,
) -> Result<(), XenopsError> {
    loop {
        let news = store.next_event().map_err(in_store)?;
        if news.token == heard::TOKEN {
            if let Some(domain) = heard::writer(&news.path) {
                let event = Event { domain, uuid: None, kind: EventKind::GuestData };
                lock(watchers).tell(event);
            }
            continue;
        }
        let domains = list(ctx)?;
        for event in known.compare(&domains) {
            lock(watchers).tell(event);
        }
        heard.follow(store, domains.iter().map(|domain| domain.id)).map_err(in_store)?;
    }
}

pub(super) fn connect() -> Result<Xenstore, XenopsError> {
    Xenstore::connect(Path::new(Xenstore::SOCKET)).map_err(in_store)
}

pub(super) fn in_store(error: XenstoreError) -> XenopsError {
    XenopsError::failed("using xenstore", hotplug::describe(&error))
}

fn parse<T: DeserializeOwned>(text: Result<String, String>, doing: &str) -> Result<T, XenopsError> {
    let text = text.map_err(|detail| XenopsError::failed(doing, detail))?;
    serde_json::from_str(&text).map_err(|error| XenopsError::failed(doing, error))
}

pub(super) fn list(ctx: &mut Ctx) -> Result<Vec<DomainInfo>, XenopsError> {
    parse::<Vec<Dominfo>>(ctx.domains(), "listing the domains").map(facts::domains)
}

pub(super) fn host(ctx: &mut Ctx) -> Result<HostInfo, XenopsError> {
    let physical = physical(ctx)?;
    let version = parse(ctx.version(), "reading the host's facts")?;
    let cpuinfo = fs::read_to_string("/proc/cpuinfo")
        .map_err(|error| XenopsError::failed("reading /proc/cpuinfo", error))?;
    Ok(facts::host(&physical, &version, &cpuinfo))
}

fn physical(ctx: &mut Ctx) -> Result<Physinfo, XenopsError> {
    parse(ctx.physinfo(), "reading the host's facts")
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
