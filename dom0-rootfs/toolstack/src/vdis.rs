// SPDX-License-Identifier: MIT OR Apache-2.0
//! Storage as messages see it: which driver, which SR, which VDIs are active on this host.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use storage::{Mode, SrDriver, SrSpec, SrStat, VdiInfo};
use uuid::Uuid;
use xapi_model::{ApiError, Ref, Value, errors};

use crate::failure;
use crate::store::{Object, Objects, Transaction};
use crate::toolstack::Toolstack;

/// An SR with its driver.
pub struct OpenSr {
    /// Its driver.
    pub driver: Arc<dyn SrDriver>,
    /// What the driver needs.
    pub spec: SrSpec,
    /// Its reference.
    pub sr: Ref,
}

/// Reads a uuid that the daemon itself has written.
pub fn parse_uuid(text: &str) -> Result<Uuid, ApiError> {
    Uuid::parse_str(text).map_err(|_| errors::INVALID_VALUE.with(["uuid", text]))
}

/// A map of texts as drivers take it.
pub fn config(value: &Value) -> std::collections::BTreeMap<String, String> {
    let map = value.as_map().cloned().unwrap_or_default();
    map.into_iter().map(|(key, value)| (key, value.text())).collect()
}

/// This host's connection to an SR.
pub fn pbd_of(objects: &Objects, sr: &Ref) -> Option<Ref> {
    let pbds = objects.find(sr)?.refs("PBDs");
    let host = objects.all("host").next()?.reference().clone();
    pbds.into_iter().find(|pbd| objects.find(pbd).is_some_and(|pbd| pbd.to("host") == host))
}

/// An SR, attached or not.
pub fn sr(toolstack: &Toolstack, sr: &Ref) -> Result<OpenSr, ApiError> {
    let (kind, uuid, device_config, _) = describe(toolstack, sr)?;
    open(toolstack, sr, &kind, &uuid, device_config)
}

/// An SR that is attached to this host, or `SR_NOT_ATTACHED`.
pub fn attached_sr(toolstack: &Toolstack, sr: &Ref) -> Result<OpenSr, ApiError> {
    let (kind, uuid, device_config, attached) = describe(toolstack, sr)?;
    if !attached {
        return Err(errors::SR_NOT_ATTACHED.with([sr.as_str()]));
    }
    open(toolstack, sr, &kind, &uuid, device_config)
}

/// Fails where the server of an attached SR does not answer. Who does something that may last on such a server has the
/// SR's lock until it is back; whoever is about to ask for that lock asks here first.
pub fn reach(toolstack: &Toolstack, sr: &Ref) -> Result<(), ApiError> {
    // Others are refused with the lock held.
    let Ok(open) = attached_sr(toolstack, sr) else { return Ok(()) };
    open.driver.reach(&open.spec).map_err(|e| failure::storage(&e, sr, None))
}

fn describe(toolstack: &Toolstack, sr: &Ref) -> Result<(String, String, Value, bool), ApiError> {
    toolstack.look("SR", sr, |object, objects| {
        let pbd = pbd_of(objects, sr).and_then(|pbd| objects.find(&pbd));
        let config = pbd.map(|pbd| pbd.get("device_config").clone());
        (
            object.text("type").to_owned(),
            object.uuid().to_owned(),
            config.unwrap_or_else(|| Value::Map(Default::default())),
            pbd.is_some_and(|pbd| pbd.bool("currently_attached")),
        )
    })
}

fn open(
    toolstack: &Toolstack,
    sr: &Ref,
    kind: &str,
    uuid: &str,
    device_config: Value,
) -> Result<OpenSr, ApiError> {
    let driver = toolstack.drivers.get(kind).cloned();
    Ok(OpenSr {
        driver: driver.ok_or_else(|| errors::SR_UNKNOWN_DRIVER.with([kind]))?,
        spec: SrSpec { uuid: parse_uuid(uuid)?, device_config: config(&device_config) },
        sr: sr.clone(),
    })
}

/// The attached SR of a VDI and the VDI's uuid.
pub fn of_vdi(toolstack: &Toolstack, vdi: &Ref) -> Result<(OpenSr, Uuid), ApiError> {
    let (sr, uuid) = toolstack.look("VDI", vdi, |vdi, _| (vdi.to("SR"), vdi.uuid().to_owned()))?;
    Ok((attached_sr(toolstack, &sr)?, parse_uuid(&uuid)?))
}

/// The key of `VDI.sm_config` that says of what format a VDI is, and which one it shall be made as.
pub const IMAGE_FORMAT: &str = "image-format";

/// Records what a driver says of a VDI.
pub fn record_info(t: &mut Transaction<'_>, vdi: &Ref, info: &VdiInfo) {
    t.set(vdi, "virtual_size", bytes(info.virtual_size));
    t.set(vdi, "physical_utilisation", bytes(info.physical_utilisation));
    if let Some(format) = info.format {
        let known = t.objects().find(vdi).and_then(|vdi| vdi.get("sm_config").as_map().cloned());
        let mut config = known.unwrap_or_default();
        config.insert(IMAGE_FORMAT.to_owned(), format.name().into());
        t.set(vdi, "sm_config", Value::Map(config));
    }
}

/// Bytes as the API counts them.
pub fn bytes(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Brings the sizes of an SR up to date; a failure is only logged, as no message asked for it.
pub fn refresh_sizes(toolstack: &Toolstack, open: &OpenSr) {
    match open.driver.stat(&open.spec) {
        Err(error) => tracing::warn!(error = failure::chain(&error), "asking for an SR's sizes"),
        Ok(stat) => {
            let written = toolstack.store.write(|t| {
                let vdis = t.get("SR", &open.sr)?.refs("VDIs");
                let sizes = vdis.iter().filter_map(|vdi| t.objects().find(vdi));
                let allocation: i64 = sizes.map(|vdi| vdi.int("virtual_size")).sum();
                t.set(&open.sr, "virtual_allocation", allocation);
                t.set(&open.sr, "physical_size", bytes(stat.physical_size));
                t.set(&open.sr, "physical_utilisation", bytes(stat.physical_utilisation));
                Ok(())
            });
            if let Err(error) = written {
                tracing::warn!(%error, "recording an SR's sizes");
            }
        }
    }
}

/// Whether a suspended VM holds a VDI, as one of its disks or as its image; `user` may.
pub fn held(objects: &Objects, vdi: &Ref, user: Option<&Ref>) -> bool {
    let suspended = |vm: &Object| vm.text("power_state") == "Suspended";
    let vbds = objects.find(vdi).map(|vdi| vdi.refs("VBDs")).unwrap_or_default();
    let mut vbds = vbds.iter().filter(|vbd| Some(*vbd) != user).filter_map(|vbd| objects.find(vbd));
    let disk = vbds.any(|vbd| {
        let vm = objects.find(&vbd.to("VM"));
        let runs_on = vm.is_some_and(|vm| suspended(vm) && !vm.bool("is_a_snapshot"));
        runs_on && vbd.bool("currently_attached")
    });
    let image = || objects.all("VM").any(|vm| suspended(vm) && vm.to("suspend_VDI") == *vdi);
    // Who resumes a VM reads its image.
    disk || (user.is_none() && image())
}

/// VDIs that are active on this host, each with its users.
#[derive(Debug, Default)]
pub struct Activations {
    active: Mutex<HashMap<Ref, Active>>,
    /// Held by whoever closes what nobody uses.
    closing: Mutex<()>,
}

#[derive(Debug, Clone)]
struct Active {
    users: BTreeSet<Ref>,
    path: PathBuf,
    mode: Mode,
}

impl Activations {
    fn lock(&self) -> MutexGuard<'_, HashMap<Ref, Active>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anybody uses a VDI.
    pub fn in_use(&self, vdi: &Ref) -> bool {
        self.lock().get(vdi).is_some_and(|active| !active.users.is_empty())
    }

    /// Tries again with VDIs that nobody uses any more and that could not be made inactive.
    pub fn close_unused(&self, toolstack: &Toolstack) {
        // A server may make it last, and the next attempt comes soon.
        let Ok(_alone) = self.closing.try_lock() else { return };
        let active = self.lock();
        let unused = active.iter().filter(|(_, active)| active.users.is_empty());
        let unused: Vec<Ref> = unused.map(|(vdi, _)| vdi.clone()).collect();
        drop(active);
        for vdi in unused {
            if let Err(error) = self.deactivate(toolstack, &Ref::null(), &vdi) {
                tracing::error!(%error, %vdi, "deactivating a VDI that nobody uses");
            }
        }
    }

    /// How many may write to a VDI now.
    pub fn writers(&self, vdi: &Ref) -> usize {
        let active = self.lock();
        let written = active.get(vdi).filter(|active| active.mode == Mode::ReadWrite);
        written.map_or(0, |active| active.users.len())
    }

    /// Makes a VDI a block device for one more user (a VBD, or work in Dom0); safe to repeat.
    /// Readers share; a writer is alone unless the VDI is sharable.
    pub fn activate(
        &self,
        toolstack: &Toolstack,
        user: &Ref,
        vdi: &Ref,
        mode: Mode,
    ) -> Result<PathBuf, ApiError> {
        let lock = toolstack.lock_of(vdi);
        let _held = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let sharable = toolstack.look("VDI", vdi, |vdi, _| vdi.bool("sharable"))?;
        let mut idle = None;
        if let Some(active) = self.lock().get_mut(vdi) {
            if active.users.is_empty() {
                idle = Some(active.mode);
            }
            let readers = active.mode == Mode::ReadOnly && mode == Mode::ReadOnly;
            let same = active.mode == mode;
            if readers || (sharable && same) || (same && active.users.contains(user)) {
                active.users.insert(user.clone());
                return Ok(active.path.clone());
            }
            if idle.is_none() {
                return Err(errors::VDI_IN_USE.with([vdi.as_str(), "attach"]));
            }
        }
        if !sharable && toolstack.store.read(|objects| held(objects, vdi, Some(user))) {
            return Err(errors::VDI_IN_USE.with([vdi.as_str(), "attach"]));
        }
        let (open, uuid) = of_vdi(toolstack, vdi)?;
        if idle.is_some_and(|now| now != mode) {
            let closed = open.driver.vdi_deactivate(&open.spec, uuid);
            closed.map_err(|e| failure::storage(&e, &open.sr, Some(vdi)))?;
        }
        let path = open
            .driver
            .vdi_activate(&open.spec, uuid, mode)
            .map_err(|e| failure::storage(&e, &open.sr, Some(vdi)))?;
        self.lock()
            .insert(vdi.clone(), Active { users: [user.clone()].into(), path: path.clone(), mode });
        Ok(path)
    }

    /// The reverse. A VDI that nobody is known to use is made inactive as well: the daemon may
    /// have been started anew since. One that cannot be made inactive has no user all the same
    /// ([`Activations::close_unused`]).
    pub fn deactivate(&self, toolstack: &Toolstack, user: &Ref, vdi: &Ref) -> Result<(), ApiError> {
        let lock = toolstack.lock_of(vdi);
        let _held = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.lock().get_mut(vdi).map(|active| {
            active.users.remove(user);
            active.users.len()
        });
        if known.is_some_and(|users| users > 0) {
            return Ok(());
        }
        let (open, uuid) = match of_vdi(toolstack, vdi) {
            // Nothing is active in an SR that is not attached, or that is gone.
            Err(_) if known.is_none() => return Ok(()),
            found => found?,
        };
        open.driver
            .vdi_deactivate(&open.spec, uuid)
            .map_err(|e| failure::storage(&e, &open.sr, Some(vdi)))?;
        self.lock().remove(vdi);
        toolstack.untidy.add(&open.sr);
        Ok(())
    }
}

/// A VDI active for work in Dom0, until it is dropped.
pub struct Opened {
    toolstack: Arc<Toolstack>,
    user: Ref,
    vdi: Ref,
    /// Its block device.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
}

impl Opened {
    /// Activates a VDI.
    pub fn new(toolstack: &Arc<Toolstack>, vdi: &Ref, mode: Mode) -> Result<Self, ApiError> {
        let size = toolstack.look("VDI", vdi, |vdi, _| vdi.int("virtual_size"))?;
        let user = Ref::new(&Uuid::new_v4().to_string());
        let path = toolstack.activations.activate(toolstack, &user, vdi, mode)?;
        let size = u64::try_from(size).unwrap_or_default();
        Ok(Self { toolstack: toolstack.clone(), user, vdi: vdi.clone(), path, size })
    }

    /// What an error of its device is to a client: `SR_FULL` with its size and the bytes that are free where
    /// its SR has no room left, as for one that cannot be made, or else `SR_BACKEND_FAILURE`. `doing` is a
    /// lower-case gerund with its object.
    pub fn failed(&self, doing: &str, error: &io::Error) -> ApiError {
        let stat = if storage::is_full(error) || is_broken(error) { self.sr_stat() } else { None };
        if !is_for_want_of_room(error, stat.as_ref()) {
            return errors::SR_BACKEND_FAILURE.with(["", "", &format!("{doing}: {error}")]);
        }
        tracing::warn!(%error, vdi = %self.vdi, doing, "an SR is full");
        errors::SR_FULL.with([self.size, stat.map_or(0, |stat| free(&stat))])
    }

    /// What room its SR has; none if that is not to be had, as from a server that is gone.
    fn sr_stat(&self) -> Option<SrStat> {
        let sr = self.toolstack.look("VDI", &self.vdi, |vdi, _| vdi.to("SR")).ok()?;
        reach(&self.toolstack, &sr).ok()?;
        let (open, _) = of_vdi(&self.toolstack, &self.vdi).ok()?;
        open.driver.stat(&open.spec).ok()
    }
}

fn is_broken(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}

fn free(stat: &SrStat) -> u64 {
    stat.physical_size.saturating_sub(stat.physical_utilisation)
}

/// Whether a write failed because the SR is full. Of what it writes back to a thin volume the kernel keeps no other
/// reason than an I/O error (`end_buffer_async_write` in Linux's `fs/buffer.c`), so that counts where nothing is
/// free, as far as LVM tells: in hundredths of a percent.
fn is_for_want_of_room(error: &io::Error, stat: Option<&SrStat>) -> bool {
    let none_free = |stat: &SrStat| free(stat) <= stat.physical_size / 10_000;
    storage::is_full(error) || (is_broken(error) && stat.is_some_and(none_free))
}

impl Drop for Opened {
    fn drop(&mut self) {
        let activations = &self.toolstack.activations;
        if let Err(error) = activations.deactivate(&self.toolstack, &self.user, &self.vdi) {
            tracing::error!(%error, vdi = %self.vdi, "deactivating a VDI");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_fails_on_a_full_sr_failed_for_want_of_room() {
        let stat = |used| SrStat { physical_size: 1 << 30, physical_utilisation: used };
        let error = |errno: rustix::io::Errno| io::Error::from_raw_os_error(errno.raw_os_error());
        let (broken, full) = (error(rustix::io::Errno::IO), error(rustix::io::Errno::NOSPC));
        assert!(is_for_want_of_room(&full, None));
        assert!(is_for_want_of_room(&broken, Some(&stat(1 << 30))));
        assert!(!is_for_want_of_room(&broken, Some(&stat((1 << 30) - (1 << 20)))));
        assert!(!is_for_want_of_room(&broken, None));
        let other = error(rustix::io::Errno::ACCESS);
        assert!(!is_for_want_of_room(&other, Some(&stat(1 << 30))));
    }
}
