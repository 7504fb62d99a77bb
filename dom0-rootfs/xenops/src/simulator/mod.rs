// SPDX-License-Identifier: MIT OR Apache-2.0
//! A hypervisor in memory, for tests and for trying the API on a machine without Xen.
//!
//! It decides as the real one does (same [`CheckedSpec`], same [`Admission`]) and waits only where a test has it wait:
//! whatever a guest does, its event is in the channel before the call returns.

mod console;
mod faults;
mod screen;
mod transfer;
mod usage;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use crate::admission::{Admission, needed_kib};
use crate::error::XenopsError;
use crate::events::Watchers;
use crate::hypervisor::{
    Button, Created, Disk, DomId, DomainInfo, DomainSpec, Event, EventKind, GUEST_FOLDERS,
    GuestKind, HostInfo, Hypervisor, Nic, Scheduling, ShutdownReason, ShutdownRequest,
};
use crate::onlooker::Onlooker;
use crate::spec::CheckedSpec;
use crate::usage::Usage;
use console::Console;
pub use faults::Call;
use faults::Faults;
use screen::Screen;

const XEN_VERSION: &str = "4.20.3";

/// What the simulated machine is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimulatedHost {
    /// Memory of the machine in KiB.
    pub memory_kib: u64,
    /// Memory of Dom0 in KiB.
    pub dom0_kib: u64,
    /// Logical CPUs.
    pub cpus: u32,
    /// Has hardware virtualization.
    pub hvm: bool,
    /// Gives each guest a console on a real pseudo-terminal, which prints when it boots.
    pub consoles: bool,
    /// Folder for the sockets of HVM guests' screens (VNC); without one they have no screen.
    pub screens: Option<PathBuf>,
}

impl Default for SimulatedHost {
    fn default() -> SimulatedHost {
        SimulatedHost {
            memory_kib: 8 << 20,
            dom0_kib: 768 << 10,
            cpus: 4,
            hvm: true,
            consoles: false,
            screens: None,
        }
    }
}

/// How a guest takes requests to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Manners {
    /// It obeys at once.
    #[default]
    Obeys,
    /// It does nothing, as a guest without drivers or one that hangs.
    Ignores,
    /// It ends when asked, and keeps its devices.
    KeepsDevices,
}

/// The hypervisor in memory.
#[derive(Debug)]
pub struct Simulator {
    host: SimulatedHost,
    admission: Admission,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last_id: u32,
    domains: BTreeMap<DomId, Domain>,
    manners: BTreeMap<Uuid, Manners>,
    watchers: Watchers,
    faults: Faults,
    /// What Xen has logged.
    ring: String,
    usage: usage::Passed,
    /// Operations with a guest's memory get no further than half of it.
    stuck: bool,
}

#[derive(Debug)]
struct Domain {
    spec: DomainSpec,
    paused: bool,
    shutdown: Option<ShutdownReason>,
    /// Grows by a millisecond at each look, while it runs.
    cpu_time_ns: u64,
    console: Option<Console>,
    _screen: Option<Screen>,
    /// What its agent wrote to xenstore.
    said: BTreeMap<String, String>,
    /// Buttons that were pressed, in order.
    pressed: Vec<Button>,
    /// Seconds that it ran, as far as its usage was asked for.
    ran: u64,
}

impl Default for Simulator {
    fn default() -> Simulator {
        Simulator::new(SimulatedHost::default())
    }
}

impl Simulator {
    /// A machine on which nothing but Dom0 runs.
    pub fn new(host: SimulatedHost) -> Simulator {
        Simulator { host, admission: Admission::default(), state: Mutex::default() }
    }

    /// Lets the `nth` next call of this kind (1 is the next one) fail with `error`, before it has
    /// any effect.
    pub fn fail(&self, call: Call, nth: u32, error: XenopsError) {
        self.lock().faults.add(Some(call), nth, error);
    }

    /// Lets the `nth` next call of whatever kind fail with `error`.
    pub fn fail_any(&self, nth: u32, error: XenopsError) {
        self.lock().faults.add(None, nth, error);
    }

    /// Every call so far, in order, the failed ones too.
    pub fn calls(&self) -> Vec<Call> {
        self.lock().faults.calls().to_vec()
    }

    /// How the guest with this uuid takes requests to end, from now on.
    pub fn set_manners(&self, guest: Uuid, manners: Manners) {
        self.lock().manners.insert(guest, manners);
    }

    /// The guest ends by itself: powers off, reboots, crashes.
    pub fn guest_ends(&self, domain: DomId, reason: ShutdownReason) -> Result<(), XenopsError> {
        self.lock().end(domain, reason)
    }

    /// The domain disappears without anyone having asked for it through this interface.
    pub fn guest_vanishes(&self, domain: DomId) -> Result<(), XenopsError> {
        let mut state = self.lock();
        if !state.domains.contains_key(&domain) {
            return Err(XenopsError::NoSuchDomain(domain));
        }
        state.remove(domain);
        Ok(())
    }

    /// The guest's agent writes to xenstore: `data/os_name`.
    pub fn guest_says(&self, domain: DomId, path: &str, value: &str) -> Result<(), XenopsError> {
        let mut state = self.lock();
        let found = state.domain(domain)?;
        found.said.insert(path.to_owned(), value.to_owned());
        let uuid = Some(found.spec.uuid);
        state.watchers.tell(Event { domain, uuid, kind: EventKind::GuestData });
        Ok(())
    }

    /// Buttons of a domain that were pressed, in order.
    pub fn pressed(&self, domain: DomId) -> Vec<Button> {
        self.lock().domains.get(&domain).map(|found| found.pressed.clone()).unwrap_or_default()
    }

    /// Lets made-up time pass: the next look at what was used shows so many seconds more.
    pub fn pass(&self, seconds: u64) {
        self.lock().usage.pass(seconds);
    }

    /// What a domain is now: as it was built, with what was plugged and unplugged since.
    pub fn spec(&self, domain: DomId) -> Option<DomainSpec> {
        self.lock().domains.get(&domain).map(|found| found.spec.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, call: Call) -> Result<MutexGuard<'_, State>, XenopsError> {
        let mut state = self.lock();
        match state.faults.next(call) {
            Some(error) => Err(error),
            None => Ok(state),
        }
    }

    /// Builds a domain whose guest has run for some time already.
    fn build(
        &self,
        state: &mut State,
        spec: &DomainSpec,
        cpu_time_ns: u64,
    ) -> Result<Created, XenopsError> {
        let info = self.host_info(state);
        let checked = CheckedSpec::check(spec, &info)?;
        if state.domains.values().any(|domain| domain.spec.uuid == spec.uuid) {
            return Err(XenopsError::AlreadyExists(spec.uuid));
        }
        let _admitted = self.admission.admit(needed_kib(spec), || Ok(info.memory_free_kib))?;
        let console = self.host.consoles.then(Console::open).transpose()?;
        let screens = self.host.screens.as_ref();
        let screens = screens.filter(|_| matches!(spec.kind, GuestKind::Hvm { .. }));
        let screen = screens
            .map(|folder| Screen::open(folder, state.last_id + 1, &spec.name))
            .transpose()?;
        state.last_id += 1;
        let id = DomId(state.last_id);
        let created = Created {
            domain: id,
            links: checked.links(id),
            console: console.as_ref().map(|console| console.path().to_owned()),
            vnc: screen.as_ref().map(|screen| screen.path().to_owned()),
        };
        let domain = Domain {
            spec: spec.clone(),
            paused: true,
            shutdown: None,
            cpu_time_ns,
            console,
            _screen: screen,
            said: BTreeMap::new(),
            pressed: Vec::new(),
            ran: 0,
        };
        state.domains.insert(id, domain);
        Ok(created)
    }

    fn host_info(&self, state: &State) -> HostInfo {
        let taken: u64 = state.domains.values().map(|domain| needed_kib(&domain.spec)).sum();
        let mut capabilities = vec!["xen-3.0-x86_64".to_owned()];
        if self.host.hvm {
            capabilities.push("hvm-3.0-x86_64".to_owned());
        }
        HostInfo {
            xen_version: XEN_VERSION.into(),
            capabilities,
            cpus: self.host.cpus,
            sockets: 1,
            threads_per_core: 1,
            nodes: 1,
            cpu_model: "simulated".into(),
            cpu_mhz: 1000,
            memory_total_kib: self.host.memory_kib,
            memory_free_kib: self.host.memory_kib.saturating_sub(self.host.dom0_kib + taken),
            hvm: self.host.hvm,
        }
    }
}

impl State {
    fn domain(&mut self, id: DomId) -> Result<&mut Domain, XenopsError> {
        self.domains.get_mut(&id).ok_or(XenopsError::NoSuchDomain(id))
    }

    /// How the guest of a domain answers what it is asked.
    fn manners(&mut self, id: DomId) -> Result<Manners, XenopsError> {
        let uuid = self.domain(id)?.spec.uuid;
        Ok(self.manners.get(&uuid).copied().unwrap_or_default())
    }

    /// Fails unless the guest lets go of a device.
    fn let_go(&mut self, id: DomId, name: &str, force: bool) -> Result<(), XenopsError> {
        let device = format!("{name} of domain {}", id.0);
        match self.manners(id)? {
            _ if force => Ok(()),
            _ if self.domain(id)?.paused => Err(XenopsError::DetachTimedOut { device, seconds: 0 }),
            Manners::Obeys => Ok(()),
            Manners::Ignores => Err(XenopsError::DetachTimedOut { device, seconds: 0 }),
            Manners::KeepsDevices => {
                let detail = "16 Device in use; refusing to close".into();
                Err(XenopsError::DetachRejected { device, detail })
            }
        }
    }

    /// Changes a domain's devices, if it is still without contradictions afterwards.
    fn change(
        &mut self,
        id: DomId,
        host: &HostInfo,
        change: impl FnOnce(&mut DomainSpec),
    ) -> Result<(), XenopsError> {
        let domain = self.domain(id)?;
        let mut spec = domain.spec.clone();
        change(&mut spec);
        CheckedSpec::check(&spec, host)?;
        domain.spec = spec;
        Ok(())
    }

    fn end(&mut self, id: DomId, reason: ShutdownReason) -> Result<(), XenopsError> {
        let domain = self.domain(id)?;
        if domain.shutdown.is_some() {
            return Ok(());
        }
        domain.shutdown = Some(reason);
        let uuid = Some(domain.spec.uuid);
        self.watchers.tell(Event { domain: id, uuid, kind: EventKind::Shutdown(reason) });
        Ok(())
    }

    fn remove(&mut self, id: DomId) {
        if let Some(domain) = self.domains.remove(&id) {
            let uuid = Some(domain.spec.uuid);
            self.watchers.tell(Event { domain: id, uuid, kind: EventKind::Death });
        }
    }
}

impl Hypervisor for Simulator {
    fn host(&self) -> Result<HostInfo, XenopsError> {
        let state = self.begin(Call::Host)?;
        Ok(self.host_info(&state))
    }

    fn domains(&self) -> Result<Vec<DomainInfo>, XenopsError> {
        let mut state = self.begin(Call::Domains)?;
        let dom0 = DomainInfo {
            id: DomId(0),
            uuid: Uuid::nil(),
            paused: false,
            shutdown: None,
            memory_kib: self.host.dom0_kib,
            vcpus: 1,
            cpu_time_ns: 1_000_000,
        };
        let guests = state.domains.iter_mut().map(|(id, domain)| {
            if !domain.paused && domain.shutdown.is_none() {
                domain.cpu_time_ns += 1_000_000;
            }
            DomainInfo {
                id: *id,
                uuid: domain.spec.uuid,
                paused: domain.paused,
                shutdown: domain.shutdown,
                memory_kib: domain.spec.memory_kib,
                vcpus: domain.spec.vcpus,
                cpu_time_ns: domain.cpu_time_ns,
            }
        });
        Ok(std::iter::once(dom0).chain(guests).collect())
    }

    fn usage(&self) -> Result<Usage, XenopsError> {
        let mut state = self.begin(Call::Usage)?;
        let info = self.host_info(&state);
        Ok(usage::usage(&mut state, &self.host, &info))
    }

    fn create(&self, spec: &DomainSpec) -> Result<Created, XenopsError> {
        let mut state = self.begin(Call::Create)?;
        self.build(&mut state, spec, 0)
    }

    fn unpause(&self, id: DomId) -> Result<(), XenopsError> {
        let mut state = self.begin(Call::Unpause)?;
        let domain = state.domain(id)?;
        domain.paused = false;
        match &mut domain.console {
            Some(console) => console.boot(&domain.spec.name),
            None => Ok(()),
        }
    }

    fn pause(&self, id: DomId) -> Result<(), XenopsError> {
        self.begin(Call::Pause)?.domain(id)?.paused = true;
        Ok(())
    }

    fn request_shutdown(&self, id: DomId, how: ShutdownRequest) -> Result<(), XenopsError> {
        let mut state = self.begin(Call::RequestShutdown)?;
        let (uuid, paused) = state.domain(id).map(|domain| (domain.spec.uuid, domain.paused))?;
        let manners = state.manners.get(&uuid).copied().unwrap_or_default();
        if paused || manners == Manners::Ignores {
            return Ok(());
        }
        let reason = match how {
            ShutdownRequest::PowerOff => ShutdownReason::PowerOff,
            ShutdownRequest::Reboot => ShutdownReason::Reboot,
        };
        state.end(id, reason)
    }

    fn destroy(&self, id: DomId) -> Result<(), XenopsError> {
        let mut state = self.begin(Call::Destroy)?;
        if id == DomId(0) {
            return Err(XenopsError::failed("destroying domain 0", "it is Dom0"));
        }
        state.remove(id);
        Ok(())
    }

    fn plug_disk(&self, id: DomId, disk: &Disk) -> Result<(), XenopsError> {
        let mut state = self.begin(Call::PlugDisk)?;
        let info = self.host_info(&state);
        if disk.source.is_none() {
            return Err(XenopsError::bad_spec("disk.source", "is missing"));
        }
        state.change(id, &info, |spec| spec.disks.push(disk.clone()))
    }

    fn unplug_disk(&self, id: DomId, vdev: &str, force: bool) -> Result<(), XenopsError> {
        let mut state = self.begin(Call::UnplugDisk)?;
        if state.domain(id)?.spec.disks.iter().any(|disk| disk.vdev == vdev) {
            state.let_go(id, vdev, force)?;
            state.domain(id)?.spec.disks.retain(|disk| disk.vdev != vdev);
        }
        Ok(())
    }

    fn plug_nic(&self, id: DomId, nic: &Nic) -> Result<Vec<String>, XenopsError> {
        let mut state = self.begin(Call::PlugNic)?;
        let info = self.host_info(&state);
        state.change(id, &info, |spec| spec.nics.push(nic.clone()))?;
        Ok(vec![format!("vif{}.{}", id.0, nic.devid)])
    }

    fn unplug_nic(&self, id: DomId, devid: u32, force: bool) -> Result<(), XenopsError> {
        let mut state = self.begin(Call::UnplugNic)?;
        if state.domain(id)?.spec.nics.iter().any(|nic| nic.devid == devid) {
            state.let_go(id, &format!("network interface {devid}"), force)?;
            state.domain(id)?.spec.nics.retain(|nic| nic.devid != devid);
        }
        Ok(())
    }

    fn change_medium(
        &self,
        id: DomId,
        vdev: &str,
        source: Option<&Path>,
    ) -> Result<(), XenopsError> {
        let mut state = self.begin(Call::ChangeMedium)?;
        let domain = state.domain(id)?;
        let hvm = matches!(domain.spec.kind, GuestKind::Hvm { .. });
        let mut drives = domain.spec.disks.iter_mut();
        let drive = drives.find(|disk| hvm && disk.cdrom && disk.vdev == vdev);
        let missing = || XenopsError::bad_spec("vdev", format!("{vdev} is no emulated CD drive"));
        drive.ok_or_else(missing)?.source = source.map(Path::to_owned);
        Ok(())
    }

    fn suspend(&self, id: DomId, path: &Path, onlooker: &dyn Onlooker) -> Result<(), XenopsError> {
        self.save(id, path, onlooker)
    }

    fn resume(&self, id: DomId) -> Result<(), XenopsError> {
        let mut state = self.begin(Call::Resume)?;
        let domain = state.domain(id)?;
        if domain.shutdown == Some(ShutdownReason::Suspend) {
            domain.shutdown = None;
        }
        Ok(())
    }

    fn restore(
        &self,
        spec: &DomainSpec,
        path: &Path,
        onlooker: &dyn Onlooker,
    ) -> Result<Created, XenopsError> {
        self.load(spec, path, onlooker)
    }

    fn set_vcpus(&self, id: DomId, count: u32) -> Result<(), XenopsError> {
        let mut state = self.begin(Call::SetVcpus)?;
        let info = self.host_info(&state);
        state.change(id, &info, |spec| spec.vcpus = count)
    }

    fn set_memory_target(&self, id: DomId, kib: u64) -> Result<(), XenopsError> {
        let mut state = self.begin(Call::SetMemoryTarget)?;
        let obeys = state.manners(id)? == Manners::Obeys;
        let info = self.host_info(&state);
        let has = state.domain(id)?.spec.memory_kib;
        // What the host has not it cannot take.
        let kib = kib.min(has.saturating_add(info.memory_free_kib));
        state.change(id, &info, |spec| {
            if obeys {
                spec.memory_kib = kib;
            }
        })
    }

    fn set_scheduling(&self, id: DomId, scheduling: Scheduling) -> Result<(), XenopsError> {
        let mut state = self.begin(Call::SetScheduling)?;
        let info = self.host_info(&state);
        state.change(id, &info, |spec| {
            let Scheduling { weight, cap } = spec.scheduling;
            spec.scheduling =
                Scheduling { weight: scheduling.weight.or(weight), cap: scheduling.cap.or(cap) };
        })
    }

    fn press(&self, id: DomId, button: Button) -> Result<(), XenopsError> {
        let mut state = self.begin(Call::Press)?;
        state.domain(id)?.pressed.push(button);
        match button {
            Button::Power => state.end(id, ShutdownReason::PowerOff),
            Button::Reset => state.end(id, ShutdownReason::Reboot),
            Button::SysRq('c') | Button::Nmi => state.end(id, ShutdownReason::Crash),
            _ => Ok(()),
        }
    }

    fn guest_data(&self, id: DomId) -> Result<BTreeMap<String, String>, XenopsError> {
        let mut state = self.begin(Call::GuestData)?;
        let said = &state.domain(id)?.said;
        let shown =
            |path: &&String| GUEST_FOLDERS.iter().any(|f| path.split('/').next() == Some(*f));
        let shown = said.keys().filter(shown).map(|path| (path.clone(), said[path].clone()));
        Ok(shown.collect())
    }

    fn console_ring(&self, clear: bool) -> Result<String, XenopsError> {
        let mut state = self.begin(Call::ConsoleRing)?;
        Ok(match clear {
            true => std::mem::take(&mut state.ring),
            false => state.ring.clone(),
        })
    }

    fn send_debug_keys(&self, keys: &str) -> Result<(), XenopsError> {
        let mut state = self.begin(Call::SendDebugKeys)?;
        for key in keys.chars() {
            state.ring.push_str(&format!("(XEN) '{key}' pressed\n"));
        }
        Ok(())
    }

    fn dump_core(&self, id: DomId, path: &Path) -> Result<(), XenopsError> {
        let mut state = self.begin(Call::DumpCore)?;
        let domain = state.domain(id)?;
        let doing = format!("dumping the memory of domain {} to {}", id.0, path.display());
        let io = |error: io::Error| XenopsError::failed(doing.clone(), error);
        let mut file = File::options().write(true).open(path).map_err(io)?;
        writeln!(file, "core of {}", domain.spec.uuid).map_err(io)
    }

    fn watch(&self) -> Result<Receiver<Event>, XenopsError> {
        let mut state = self.begin(Call::Watch)?;
        let (sender, receiver) = mpsc::channel();
        state.watchers.add(sender);
        Ok(receiver)
    }
}

#[cfg(test)]
mod tests;
