// SPDX-License-Identifier: MIT OR Apache-2.0
//! Suspending a VM: its memory goes to a VDI, its domain goes.
//!
//! Until the image is whole, everything can be taken back and the guest runs on. Then a note says so,
//! and from there the way is forward only: whoever finds a VM with that note and without a domain
//! (here, the watcher, or the next run of the daemon) records it as suspended.

use std::path::PathBuf;
use std::sync::Arc;

use storage::Mode;
use uuid::Uuid;
use xapi_model::{ApiError, Ref, Value, errors};
use xenops::DomId;

use super::steps::{self, Step};
use super::stop;
use super::stoppable::{ENDING_OR_RESTARTING, Stoppable};
use crate::api::vdi;
use crate::failure;
use crate::memory;
use crate::store::{Objects, Transaction};
use crate::toolstack::{Context, Toolstack};
use crate::unfinished;
use crate::vdis::Opened;

/// Bytes of an image beside the guest's memory: its state, QEMU's, and the stream's own records.
pub const BESIDE: i64 = 64 << 20;

/// Shares of the work that is done when the image is open, and when the guest is in it.
const OPENED: f64 = 0.05;
const SAVED: f64 = 0.95;

/// Name of the note with the image of a VM that is whole while its domain may still be there.
fn whole_note(vm_uuid: &str) -> String {
    format!("suspended/{vm_uuid}")
}

/// The image of a VM whose suspend was cut off behind the point of no return.
pub fn whole_image(objects: &Objects, vm: &Ref) -> Option<Ref> {
    let vm = objects.find(vm)?;
    objects.note(&whole_note(vm.uuid())).map(Ref::new)
}

/// An image under way.
pub struct Image {
    context: Context,
    vm: Ref,
    domain: DomId,
    work: Stoppable,
    /// Who uses the image's VDI.
    user: Ref,
    /// The image.
    pub vdi: Option<Ref>,
    path: Option<PathBuf>,
    /// From here on it is the VM's memory.
    whole: bool,
}

impl Image {
    /// Of a VM that runs. The caller holds its lock.
    pub fn new(context: &Context, vm: &Ref) -> Result<Image, ApiError> {
        let domain = context.toolstack.look("VM", vm, |vm, _| {
            let state = vm.text("power_state");
            stop::domain(vm).filter(|_| state == "Running").ok_or_else(|| {
                let words = [vm.reference().as_str(), "running", &state.to_lowercase()];
                errors::VM_BAD_POWER_STATE.with(words)
            })
        })??;
        let user = Ref::new(&Uuid::new_v4().to_string());
        let work = Stoppable::begin(context, vm, ENDING_OR_RESTARTING)?;
        let (context, vm) = (context.clone(), vm.clone());
        Ok(Image { context, vm, domain, work, user, vdi: None, path: None, whole: false })
    }

    fn toolstack(&self) -> &Arc<Toolstack> {
        &self.context.toolstack
    }

    /// Makes the VDI.
    pub fn make(&mut self) -> Result<(), ApiError> {
        let vm = &self.vm;
        let (sr, size, name) = self.toolstack().look("VM", vm, |vm, objects| {
            let memory = vm.int("memory_dynamic_max");
            (
                sr(objects, vm.reference()),
                memory.saturating_add(memory / 64 + BESIDE),
                vm.uuid().to_owned(),
            )
        })?;
        let sr = sr.ok_or_else(|| errors::VM_NO_SUSPEND_SR.with([vm.as_str()]))?;
        let fields = vec![
            ("name_label", "Suspend image".into()),
            ("name_description", format!("Memory of VM {name}").into()),
            ("type", Value::Enum("suspend")),
        ];
        self.vdi = Some(vdi::make(&self.context, &sr, size, fields, true)?);
        Ok(())
    }

    /// Removes it again.
    pub fn unmake(&mut self) -> Result<(), ApiError> {
        if let Some(vdi) = self.vdi.take() {
            unfinished::remove(self.toolstack(), &vdi);
        }
        Ok(())
    }

    /// Makes it a block device of Dom0.
    pub fn open(&mut self) -> Result<(), ApiError> {
        let Some(vdi) = &self.vdi else { return Ok(()) };
        let toolstack = self.toolstack();
        let opened = toolstack.activations.activate(toolstack, &self.user, vdi, Mode::ReadWrite)?;
        self.path = Some(opened);
        Ok(())
    }

    /// The reverse.
    pub fn close(&mut self) -> Result<(), ApiError> {
        if let (Some(vdi), Some(_)) = (&self.vdi, &self.path) {
            let toolstack = self.toolstack();
            toolstack.activations.deactivate(toolstack, &self.user, vdi)?;
            self.path = None;
        }
        Ok(())
    }

    /// Writes the guest to it; the domain stays, suspended.
    pub fn save(&mut self) -> Result<(), ApiError> {
        let Some(path) = &self.path else { return Ok(()) };
        memory::hold_still(self.toolstack(), &self.vm)?;
        let bytes = self.toolstack().look("VM", &self.vm, |vm, _| vm.int("memory_target"))?;
        let bytes = u64::try_from(bytes).unwrap_or_default();
        self.work.moving(bytes, (OPENED, SAVED), |onlooker| {
            self.toolstack().hypervisor.suspend(self.domain, path, onlooker)
        })
    }

    /// Says after a step whether the work is to go on: as long as the guest can run on, it may be stopped.
    pub fn after_step(&self) -> Result<(), ApiError> {
        if self.whole { Ok(()) } else { self.work.check() }
    }

    /// Lets the guest run on.
    pub fn resume(&mut self) -> Result<(), ApiError> {
        let resumed = self.toolstack().hypervisor.resume(self.domain);
        resumed.map_err(|e| failure::xenops(&e, &self.vm))
    }

    fn declare(&mut self) -> Result<(), ApiError> {
        self.close()?;
        self.mark(true)?;
        self.whole = true;
        Ok(())
    }

    fn declare_unfinished(&mut self) -> Result<(), ApiError> {
        self.mark(false)?;
        self.whole = false;
        Ok(())
    }

    /// The image is the VM's memory from the moment that it is whole, whatever becomes of the domain.
    fn mark(&self, whole: bool) -> Result<(), ApiError> {
        let Some(image) = &self.vdi else { return Ok(()) };
        let uuid = self.toolstack().look("VM", &self.vm, |vm, _| vm.uuid().to_owned())?;
        self.toolstack().store.write(|t| {
            if whole {
                unfinished::finish(t, image);
            } else {
                unfinished::begin(t, image);
            }
            t.set_note(&whole_note(&uuid), whole.then(|| image.to_string()));
            Ok(())
        })
    }

    fn remove_domain(&mut self) -> Result<(), ApiError> {
        let toolstack = self.toolstack();
        let Err(error) = toolstack.hypervisor.destroy(self.domain) else { return Ok(()) };
        // Only one that is still there can be let run on.
        let there =
            toolstack.hypervisor.domains().map(|all| all.iter().any(|d| d.id == self.domain));
        match there {
            Ok(false) => Ok(()),
            _ => Err(failure::xenops(&error, &self.vm)),
        }
    }
}

/// The SR for a VM's image: its own, the pool's, or the host's.
fn sr(objects: &Objects, vm: &Ref) -> Option<Ref> {
    let own = objects.find(vm)?.to("suspend_SR");
    let pool = objects.all("pool").next().map(|pool| pool.to("suspend_image_SR"));
    let host = objects.all("host").next().map(|host| host.to("suspend_image_sr"));
    let wanted = std::iter::once(own).chain(pool).chain(host);
    wanted.into_iter().find(|sr| objects.find(sr).is_some())
}

const STEPS: &[Step<Image>] = &[
    Step { name: "making the image", act: Image::make, undo: Image::unmake },
    Step { name: "opening the image", act: Image::open, undo: Image::close },
    Step { name: "saving the guest", act: Image::save, undo: Image::resume },
    Step {
        name: "declaring the image whole",
        act: Image::declare,
        undo: Image::declare_unfinished,
    },
    Step { name: "removing the domain", act: Image::remove_domain, undo: |_| Ok(()) },
];

/// Suspends a VM that runs. The caller holds its lock and has begun the operation.
pub fn suspend(context: &Context, vm: &Ref) -> Result<(), ApiError> {
    let mut image = Image::new(context, vm)?;
    steps::run(STEPS, &mut image, |image, _| image.after_step())?;
    // Nothing of this can be taken back: a failure leaves it to the next that looks.
    stop::tear_down(&context.toolstack, vm)
}

/// Records that a VM's memory lies in an image. Its devices count as attached: the guest has them.
pub fn record_suspended(t: &mut Transaction<'_>, vm: &Ref, image: &Ref) {
    let Ok(object) = t.get("VM", vm) else { return };
    let (uuid, consoles) = (object.uuid().to_owned(), object.refs("consoles"));
    t.set(vm, "power_state", Value::Enum("Suspended"));
    t.set(vm, "domid", -1i64);
    t.set(vm, "resident_on", Ref::null());
    t.set(vm, "suspend_VDI", image);
    for console in &consoles {
        t.remove(console);
    }
    t.set_note(&super::start::note(&uuid), None);
    t.set_note(&whole_note(&uuid), None);
    t.set_note(&stop::ending_note(&uuid), None);
    unfinished::finish(t, image);
}

/// Takes a VM's image from it, which is of no more use. The image itself is removed afterwards, with
/// [`unfinished::remove`].
pub fn drop_image(t: &mut Transaction<'_>, vm: &Ref) -> Option<Ref> {
    let image = t.get("VM", vm).map(|vm| vm.to("suspend_VDI")).ok();
    let image = image.filter(|image| !image.is_null())?;
    t.set(vm, "suspend_VDI", Ref::null());
    unfinished::begin(t, &image);
    Some(image)
}

/// Makes the copy of an image that of another VM.
pub fn hand_over(context: &Context, image: &Ref, vm: Uuid) -> Result<(), ApiError> {
    let opened = Opened::new(&context.toolstack, image, Mode::ReadWrite)?;
    xenops::image::hand_over(&opened.path, vm).map_err(|e| failure::xenops(&e, image))
}

/// A VM that runs has no use for the image that it came from.
pub fn forget_image(toolstack: &Arc<Toolstack>, vm: &Ref) -> Result<(), ApiError> {
    let image = toolstack.store.write(|t| Ok(drop_image(t, vm)))?;
    if let Some(image) = image {
        unfinished::remove(toolstack, &image);
    }
    Ok(())
}
