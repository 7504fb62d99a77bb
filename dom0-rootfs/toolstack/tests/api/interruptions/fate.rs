// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a run of the daemon does to the outside, call by call, and where that ends.
//!
//! Storage, hypervisor, network and database are those of tests, behind seams that count calls. A run
//! that is killed has no effect from then on: each of its calls fails and does nothing.

use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use network::{
    Addresses, Addressing, Bridge, FakeNetwork, Guard, GuestPort, Manager, NetworkBackend,
    NetworkError, PhysicalNic,
};
use storage::{
    About, DeviceConfig, FakeDriver, Found, ImageFormat, Mode, Place, SrDriver, SrSpec, SrStat,
    StorageError, VdiInfo,
};
use toolstack::database::{Change, Contents, Database, DatabaseError, MemoryDatabase};
use uuid::Uuid;
use xenops::{
    Button, Created, Disk, DomId, DomainInfo, DomainSpec, Event, HostInfo, Hypervisor, Nic,
    Onlooker, Scheduling, ShutdownRequest, Simulator, Usage, XenopsError,
};

/// What happens to a run at one of its calls, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blow {
    /// It is killed before the call, of those that change something, which is as well after the one before.
    Killed(usize),
    /// The call fails, of all of them, and has no effect.
    Fails(usize),
}

#[derive(Default)]
struct State {
    blow: Option<Blow>,
    calls: usize,
    changes: usize,
    /// The call at which it happened.
    struck: Option<&'static str>,
    dead: bool,
}

/// What becomes of a run.
#[derive(Default)]
pub struct Fate(Mutex<State>);

impl Fate {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on calls are counted.
    pub fn expect(&self, blow: Blow) {
        *self.lock() = State { blow: Some(blow), ..State::default() };
    }

    /// The call at which it happened, if it did; from now on it does not.
    pub fn struck(&self) -> Option<&'static str> {
        let mut state = self.lock();
        state.blow = None;
        state.struck
    }

    /// Ends the run.
    pub fn kill(&self) {
        self.lock().dead = true;
    }

    /// Whether it was killed.
    pub fn is_dead(&self) -> bool {
        self.lock().dead
    }

    /// Whether a call fails.
    fn strikes(&self, name: &'static str, change: bool) -> bool {
        let mut state = self.lock();
        if state.dead {
            return true;
        }
        state.calls += 1;
        state.changes += usize::from(change);
        match state.blow {
            Some(Blow::Killed(number)) if change && number == state.changes => state.dead = true,
            Some(Blow::Fails(number)) if number == state.calls => {}
            _ => return false,
        }
        state.struck = Some(name);
        true
    }

    fn through<T, E>(
        &self,
        name: &'static str,
        change: bool,
        error: fn(&'static str) -> E,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        if self.strikes(name, change) { Err(error(name)) } else { work() }
    }
}

/// Something outside, as one run sees it.
pub struct Seam<T> {
    pub fate: Arc<Fate>,
    pub inner: Arc<T>,
}

/// Methods that go through a run's fate, those that `change` something and those that `look`.
macro_rules! through {
    ($error:ident: $($kind:ident $name:ident($($arg:ident: $ty:ty),*) -> $out:ty;)*) => {$(
        fn $name(&self, $($arg: $ty),*) -> Result<$out, $error::Error> {
            let change = stringify!($kind) == "change";
            let work = || self.inner.$name($($arg),*);
            self.fate.through(stringify!($name), change, $error::of, work)
        }
    )*};
}

mod storage_error {
    pub type Error = super::StorageError;
    pub fn of(call: &'static str) -> Error {
        Error::Failed { doing: call.into(), detail: "broken".into() }
    }
}

mod network_error {
    pub type Error = super::NetworkError;
    pub fn of(call: &'static str) -> Error {
        Error::Failed { doing: call.into(), detail: "broken".into() }
    }
}

mod xenops_error {
    pub type Error = super::XenopsError;
    pub fn of(call: &'static str) -> Error {
        Error::failed(call, "broken")
    }
}

impl SrDriver for Seam<FakeDriver> {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn about(&self) -> About {
        self.inner.about()
    }

    fn formats(&self) -> Vec<ImageFormat> {
        self.inner.formats()
    }

    through! { storage_error:
        look place(sr: &SrSpec) -> Place;
        look reach(sr: &SrSpec) -> ();
        change create(sr: &SrSpec) -> ();
        change destroy(sr: &SrSpec) -> ();
        look probe(config: &DeviceConfig) -> Option<Vec<Found>>;
        change attach(sr: &SrSpec) -> ();
        change detach(sr: &SrSpec) -> ();
        look stat(sr: &SrSpec) -> SrStat;
        look scan(sr: &SrSpec) -> Vec<VdiInfo>;
        change vdi_create(sr: &SrSpec, vdi: Uuid, size: u64, format: Option<ImageFormat>) -> VdiInfo;
        change vdi_destroy(sr: &SrSpec, vdi: Uuid) -> ();
        change vdi_clone(sr: &SrSpec, from: Uuid, to: Uuid) -> VdiInfo;
        change vdi_resize(sr: &SrSpec, vdi: Uuid, size: u64) -> VdiInfo;
        change vdi_activate(sr: &SrSpec, vdi: Uuid, mode: Mode) -> PathBuf;
        change vdi_deactivate(sr: &SrSpec, vdi: Uuid) -> ();
        look tidy(sr: &SrSpec) -> bool;
    }
}

impl NetworkBackend for Seam<FakeNetwork> {
    through! { network_error:
        look physical() -> Vec<PhysicalNic>;
        change ensure_bridge(bridge: &Bridge) -> ();
        change remove_bridge(bridge: &str) -> ();
        change plug(bridge: &str, link: &str, port: &GuestPort) -> ();
        change guard(link: &str, guard: &Guard) -> ();
        change unplug(link: &str) -> ();
        look configure_address(interface: &str, addressing: &Addressing) -> ();
        look addresses(interface: &str) -> Addresses;
        look reaches(address: std::net::IpAddr) -> bool;
        look ssh_clients() -> Vec<std::net::IpAddr>;
        look set_manager(manager: Option<&Manager>) -> ();
        look set_snooping(enabled: bool) -> ();
    }
}

impl Hypervisor for Seam<Simulator> {
    through! { xenops_error:
        look host() -> HostInfo;
        look domains() -> Vec<DomainInfo>;
        look usage() -> Usage;
        change create(spec: &DomainSpec) -> Created;
        change unpause(domain: DomId) -> ();
        change pause(domain: DomId) -> ();
        change request_shutdown(domain: DomId, how: ShutdownRequest) -> ();
        change destroy(domain: DomId) -> ();
        change plug_disk(domain: DomId, disk: &Disk) -> ();
        change unplug_disk(domain: DomId, vdev: &str, force: bool) -> ();
        change plug_nic(domain: DomId, nic: &Nic) -> Vec<String>;
        change unplug_nic(domain: DomId, devid: u32, force: bool) -> ();
        change change_medium(domain: DomId, vdev: &str, source: Option<&Path>) -> ();
        change suspend(domain: DomId, image: &Path, onlooker: &dyn Onlooker) -> ();
        change resume(domain: DomId) -> ();
        change restore(spec: &DomainSpec, image: &Path, onlooker: &dyn Onlooker) -> Created;
        change set_vcpus(domain: DomId, count: u32) -> ();
        change set_memory_target(domain: DomId, kib: u64) -> ();
        change set_scheduling(domain: DomId, scheduling: Scheduling) -> ();
        change press(domain: DomId, button: Button) -> ();
        look guest_data(domain: DomId) -> std::collections::BTreeMap<String, String>;
        look console_ring(clear: bool) -> String;
        look send_debug_keys(keys: &str) -> ();
        change dump_core(domain: DomId, file: &Path) -> ();
        look watch() -> Receiver<Event>;
    }
}

impl Database for Seam<Mutex<MemoryDatabase>> {
    fn load(&mut self) -> Result<Contents, DatabaseError> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).load()
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), DatabaseError> {
        let error = |call: &'static str| DatabaseError::Corrupt {
            what: call.into(),
            problem: "broken".into(),
        };
        self.fate.through("commit", true, error, || {
            self.inner.lock().unwrap_or_else(PoisonError::into_inner).commit(changes)
        })
    }
}
