// SPDX-License-Identifier: MIT OR Apache-2.0
//! Figures of the host and its VMs over time.
//!
//! Every few seconds [`Metrics::sample`] asks the hypervisor what all domains have used and records
//! it. A VM's figures are in memory while its domain exists; they go to disk when it ends, now and
//! then, and when the daemon does. They have a lock of their own: neither objects nor calls wait for them,
//! and no disk is waited for with it.

mod folder;
mod owned;
mod sources;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rrd::{Rrd, Source, Updates, Wanted};
use uuid::Uuid;
use xenops::{DiskUsage, DomId, Usage, Vdev, XenopsError};

use crate::failure;
use crate::store::Objects;
use crate::toolstack::Toolstack;
use crate::vm::devices;
use folder::Folder;
use owned::Owned;
use sources::{Said, SrTraffic};

/// Figures written to disk with one sample, at most.
const SAVES: usize = 8;
/// Samples between two looks for figures on disk that belong to nobody.
const SWEEP: u64 = 120;

/// Steps of the databases that are a minute.
const STEPS_OF_A_MINUTE: u32 = 60 / rrd::STEP as u32;

/// A host or VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// The host.
    Host,
    /// The VM with this uuid.
    Vm(Uuid),
}

/// A source of figures.
#[derive(Debug, Clone, PartialEq)]
pub struct DataSource {
    /// Name, kind and limits.
    pub source: Source,
    /// What it is.
    pub doc: String,
    /// Its unit.
    pub units: &'static str,
    /// It is recorded over time.
    pub recorded: bool,
    /// It is recorded without having been asked for.
    pub standard: bool,
    /// The newest figure; NaN is none.
    pub value: f64,
}

/// All figures.
#[derive(Debug)]
pub struct Metrics {
    folder: Folder,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    host: Option<(Uuid, Owned)>,
    vms: BTreeMap<Uuid, Owned>,
    sampled: Option<Instant>,
    samples: u64,
    /// What domains had done with disks last.
    disks: HashMap<(DomId, String), DiskUsage>,
    /// By the beginning of the SR's uuid.
    srs: BTreeMap<String, SrTraffic>,
    /// What was used, and when that was, in seconds since the epoch.
    usage: Option<(Arc<Usage>, f64)>,
}

/// What the objects say of domains.
#[derive(Debug, Default)]
struct Facts {
    host: Option<Uuid>,
    dom0: Option<Uuid>,
    /// Memory that is free within VMs, in KiB.
    free_kib: HashMap<Uuid, u64>,
    /// The beginning of the uuid of the SR behind a VM's disk.
    srs: HashMap<(Uuid, String), String>,
}

fn uuid_of(object: Option<&crate::store::Object>) -> Option<Uuid> {
    object.and_then(|object| Uuid::parse_str(object.uuid()).ok())
}

impl Facts {
    fn of(objects: &Objects, usage: &Usage) -> Facts {
        let host = objects.all("host").next();
        let dom0 = host.and_then(|host| objects.find(&host.to("control_domain")));
        let mut facts = Facts { host: uuid_of(host), dom0: uuid_of(dom0), ..Facts::default() };
        for domain in &usage.domains {
            let Some(vm) = objects.by_uuid("VM", &domain.uuid.to_string()) else { continue };
            let agent = objects.find(&vm.to("guest_metrics"));
            let free = agent.and_then(|agent| agent.entry("memory", "free")?.parse().ok());
            facts.free_kib.extend(free.map(|free| (domain.uuid, free)));
            let positions: Vec<(u32, String)> = vm
                .refs("VBDs")
                .iter()
                .filter_map(|vbd| {
                    let vbd = objects.find(vbd)?;
                    let sr = objects.find(&objects.find(&vbd.to("VDI"))?.to("SR"))?;
                    let position = devices::disk_number(vbd.text("userdevice"))?;
                    Some((position, sr.uuid().get(..8)?.to_owned()))
                })
                .collect();
            for disk in &domain.disks {
                let position = Vdev::parse(&disk.vdev).map(Vdev::position);
                if let Some((_, sr)) = positions.iter().find(|(at, _)| Some(*at) == position) {
                    facts.srs.insert((domain.uuid, disk.vdev.clone()), sr.clone());
                }
            }
        }
        facts
    }
}

impl Known {
    /// Adds what VMs have done with their disks since the last time to their SRs' traffic.
    fn count_srs(&mut self, usage: &Usage, facts: &Facts) {
        let mut disks = HashMap::new();
        for domain in &usage.domains {
            for disk in &domain.disks {
                let key = (domain.id, disk.vdev.clone());
                if let Some(sr) = facts.srs.get(&(domain.uuid, disk.vdev.clone())) {
                    let sr = self.srs.entry(sr.clone()).or_default();
                    if let Some(before) = self.disks.get(&key) {
                        let grown = |now: u64, before: u64| now.saturating_sub(before);
                        sr.read_bytes += grown(disk.read_bytes, before.read_bytes);
                        sr.written_bytes += grown(disk.written_bytes, before.written_bytes);
                        sr.reads += grown(disk.reads, before.reads);
                        sr.writes += grown(disk.writes, before.writes);
                    }
                }
                disks.insert(key, disk.clone());
            }
        }
        self.disks = disks;
    }

    fn owned(&mut self, owner: Owner) -> Option<&mut Owned> {
        match owner {
            Owner::Host => self.host.as_mut().map(|(_, owned)| owned),
            Owner::Vm(vm) => self.vms.get_mut(&vm),
        }
    }

    fn all(&mut self) -> impl Iterator<Item = (Uuid, &mut Owned)> {
        let host = self.host.iter_mut().map(|(uuid, owned)| (*uuid, owned));
        host.chain(self.vms.iter_mut().map(|(uuid, owned)| (*uuid, owned)))
    }
}

/// Seconds since the epoch.
fn clock() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Memory of this process, in KiB.
fn daemon_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

impl Metrics {
    /// Figures with their files in a folder.
    pub fn new(folder: PathBuf) -> Metrics {
        Metrics { folder: Folder::new(folder), known: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for all figures of now and records them. Blocks.
    pub fn sample(&self, toolstack: &Toolstack) -> Result<(), XenopsError> {
        let usage = toolstack.hypervisor.usage()?;
        let (now, moment) = (clock(), Instant::now());
        let before = self.lock().sampled.replace(moment);
        let elapsed = before.map_or(rrd::STEP as f64, |b| moment.duration_since(b).as_secs_f64());
        self.record(toolstack, usage, now, elapsed);
        Ok(())
    }

    /// Records what was used until `now`, in seconds since the epoch, `elapsed` seconds after the
    /// last time. Blocks.
    pub fn record(&self, toolstack: &Toolstack, usage: Usage, now: f64, elapsed: f64) {
        let facts = toolstack.store.read(|objects| Facts::of(objects, &usage));
        let uuid_of = |domain: &xenops::DomainUsage| match domain.id {
            DomId(0) => facts.dom0,
            _ => Some(domain.uuid),
        };
        // Files are read before anybody is kept waiting.
        let missing: Vec<Uuid> = {
            let known = self.lock();
            let vms = usage.domains.iter().filter_map(uuid_of);
            let missing = vms.filter(|vm| !known.vms.contains_key(vm));
            missing.chain(facts.host.filter(|_| known.host.is_none())).collect()
        };
        let mut loaded: HashMap<Uuid, Rrd> =
            missing.iter().filter_map(|owner| Some((*owner, self.folder.load(owner)?))).collect();
        let mut files = Vec::new();
        let samples = {
            let mut known = self.lock();
            known.count_srs(&usage, &facts);
            if let Some(uuid) = facts.host {
                let said = sources::of_host(&usage, &known.srs, daemon_kib());
                let mut begin = || (uuid, Owned::new(loaded.remove(&uuid), now));
                let (_, host) = known.host.get_or_insert_with(&mut begin);
                host.record(DomId(0), said, now, elapsed);
            }
            let mut gone = std::mem::take(&mut known.vms);
            for domain in &usage.domains {
                let Some(uuid) = uuid_of(domain) else { continue };
                let before = gone.remove(&uuid);
                let mut vm = before.unwrap_or_else(|| Owned::new(loaded.remove(&uuid), now));
                // A paused guest has nothing to say, as with XAPI.
                if !domain.paused {
                    let free = match domain.id {
                        DomId(0) => usage.dom0_available_kib,
                        _ => facts.free_kib.get(&uuid).copied(),
                    };
                    vm.record(domain.id, sources::of_vm(domain, free), now, elapsed);
                }
                known.vms.insert(uuid, vm);
            }
            files.extend(gone.into_iter().map(|(uuid, mut vm)| (uuid, vm.saved())));
            let due = known.all().filter(|(_, owned)| owned.is_due()).take(SAVES);
            files.extend(due.map(|(uuid, owned)| (uuid, owned.saved())));
            known.usage = Some((Arc::new(usage), now));
            known.samples += 1;
            known.samples
        };
        for (owner, bytes) in files {
            self.folder.save(&owner, &bytes);
        }
        if samples % SWEEP == 1 {
            self.sweep(toolstack);
        }
    }

    /// Removes what is on disk of VMs that are gone.
    fn sweep(&self, toolstack: &Toolstack) {
        self.folder.sweep(|name| {
            toolstack.store.read(|objects| {
                ["VM", "host"].iter().any(|class| objects.by_uuid(class, name).is_some())
            })
        });
    }

    /// Writes all figures to disk. Blocks.
    pub fn save(&self) {
        let files: Vec<(Uuid, Vec<u8>)> =
            self.lock().all().map(|(uuid, owned)| (uuid, owned.saved())).collect();
        for (owner, bytes) in files {
            self.folder.save(&owner, &bytes);
        }
    }

    /// Forgets a VM that is gone.
    pub fn forget(&self, vm: &Uuid) {
        self.lock().vms.remove(vm);
        self.folder.remove(vm);
    }

    /// What was used last, and when that was, in seconds since the epoch.
    pub fn usage(&self) -> Option<(Arc<Usage>, f64)> {
        self.lock().usage.clone()
    }

    /// All sources of a host or VM, by name; none if it does not run, or nothing was asked for yet.
    pub fn sources(&self, owner: Owner) -> Vec<DataSource> {
        let mut known = self.lock();
        let Some(owned) = known.owned(owner) else { return Vec::new() };
        let rrd = &owned.rrd;
        let of = |said: &Said| DataSource {
            source: said.source.clone(),
            doc: said.doc.clone(),
            units: said.units,
            recorded: rrd.has(&said.source.name),
            standard: said.standard,
            value: rrd.latest(&said.source.name).unwrap_or(f64::NAN),
        };
        let mut all: Vec<DataSource> = owned.said.iter().map(of).collect();
        // Those that are in the archives and say nothing any more: a disk that was taken away.
        let silent = rrd
            .sources()
            .filter(|source| !owned.said.iter().any(|said| said.source.name == source.name));
        all.extend(silent.map(|source| DataSource {
            source: source.clone(),
            doc: "Recorded before".into(),
            units: "unknown",
            recorded: false,
            standard: false,
            value: f64::NAN,
        }));
        all.sort_by(|one, other| one.source.name.cmp(&other.source.name));
        all
    }

    /// Begins to record a source; false if there is none of this name.
    pub fn start_recording(&self, owner: Owner, name: &str) -> bool {
        let mut known = self.lock();
        let Some(owned) = known.owned(owner) else { return false };
        let Some(said) = owned.said.iter().find(|said| said.source.name == name) else {
            return false;
        };
        owned.rrd.add(said.source.clone());
        owned.rrd.has(name)
    }

    /// Forgets what was recorded of a source; false if there was nothing. A standard one begins anew.
    pub fn forget_source(&self, owner: Owner, name: &str) -> bool {
        self.lock().owned(owner).is_some_and(|owned| owned.rrd.remove(name))
    }

    /// The database of a host or a VM that has or had figures.
    pub fn database(&self, owner: Owner) -> Option<Rrd> {
        let found = self.lock().owned(owner).map(|owned| owned.rrd.clone());
        match (found, owner) {
            (None, Owner::Vm(vm)) => self.folder.load(&vm),
            (found, _) => found,
        }
    }

    /// Means of the newest whole minute of a host or a VM that runs: when it ended, in seconds since the epoch,
    /// and each source with what it says; NaN is one that is not known.
    pub fn minute(&self, owner: Owner) -> Option<(i64, Vec<(String, f64)>)> {
        self.lock().owned(owner)?.rrd.newest_means(STEPS_OF_A_MINUTE)
    }

    /// Rows of the host, if it is `wanted`, and of those VMs that run and `fits` takes.
    pub fn updates(&self, host: bool, fits: impl Fn(&Uuid) -> bool, wanted: Wanted) -> Updates {
        let known = self.lock();
        let host = known.host.iter().filter(|_| host);
        let host = host.map(|(uuid, owned)| (format!("host:{uuid}:"), &owned.rrd));
        let vms = known.vms.iter().filter(|(uuid, _)| fits(uuid));
        let vms = vms.map(|(uuid, owned)| (format!("vm:{uuid}:"), &owned.rrd));
        Updates::of(&host.chain(vms).collect::<Vec<_>>(), wanted)
    }

    /// The folder of what is on disk, which is made with the first file.
    pub fn path(&self) -> &Path {
        self.folder.folder()
    }

    /// Bytes of memory that all figures take.
    pub fn bytes(&self) -> usize {
        self.lock().all().map(|(_, owned)| owned.rrd.bytes()).sum()
    }
}

/// Samples as long as the daemon runs.
pub async fn keep(toolstack: Arc<Toolstack>, pause: Duration) {
    let mut ticks = tokio::time::interval(pause);
    // A sample that came late is not followed by another one at once.
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let sampling = toolstack.clone();
        let sampled = tokio::task::spawn_blocking(move || sampling.metrics.sample(&sampling));
        match sampled.await {
            Ok(Ok(())) => {
                let watching = toolstack.clone();
                // Not waited for: it may ask the server of an SR.
                drop(tokio::task::spawn_blocking(move || {
                    watching.perfmon.look(&watching, &watching.metrics, clock());
                }));
            }
            Ok(Err(error)) => {
                tracing::warn!(error = failure::chain(&error), "asking for figures");
            }
            Err(error) => tracing::error!(%error, "recording figures"),
        }
    }
}
