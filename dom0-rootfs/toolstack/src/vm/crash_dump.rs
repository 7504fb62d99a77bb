// SPDX-License-Identifier: MIT OR Apache-2.0
//! Keeping the memory of guests that crash.

use std::sync::Arc;

use storage::Mode;
use uuid::Uuid;
use xapi_model::{ApiError, Ref, Value, classes, errors};
use xenops::DomId;

use super::suspend::BESIDE;
use crate::api::vdi;
use crate::failure;
use crate::store::Objects;
use crate::toolstack::{Context, Toolstack};
use crate::unfinished;

/// How many dumps of a VM are kept; before another one the oldest goes. A guest that crashes again and
/// again must not fill the SR.
const KEPT: usize = 3;

/// Where dumps go.
fn sr(objects: &Objects) -> Option<Ref> {
    let pool = objects.all("pool").next()?;
    let host = objects.all("host").next()?;
    let wanted = [pool.to("crash_dump_SR"), host.to("crash_dump_sr"), pool.to("default_SR")];
    wanted.into_iter().find(|sr| objects.find(sr).is_some())
}

/// Writes the memory of a crashed guest to a VDI of its own. The caller holds the VM's lock.
pub fn keep(toolstack: &Arc<Toolstack>, vm: &Ref, domain: DomId) -> Result<(), ApiError> {
    let context = Context::myself(toolstack);
    let (sr, memory, name, dumps) = toolstack.look("VM", vm, |vm, objects| {
        let memory = vm.int("memory_static_max");
        (sr(objects), memory, vm.text("name_label").to_owned(), vm.refs("crash_dumps"))
    })?;
    let sr = sr.ok_or_else(|| errors::VM_NO_CRASHDUMP_SR.with([vm.as_str()]))?;
    for old in dumps.iter().take((dumps.len() + 1).saturating_sub(KEPT)) {
        destroy(&context, old)?;
    }
    let fields = vec![
        ("name_label", format!("Crash dump of {name}").into()),
        ("name_description", "An ELF core, see dump-core-format.txt of Xen".into()),
        ("type", Value::Enum("crashdump")),
    ];
    let size = memory.saturating_add(memory / 64 + BESIDE);
    let vdi = vdi::make(&context, &sr, size, fields, true)?;
    let user = Ref::new(&Uuid::new_v4().to_string());
    let kept = write(toolstack, vm, domain, &user, &vdi).and_then(|()| {
        toolstack.store.write(|t| {
            t.get("VM", vm)?;
            t.create(&classes::CRASHDUMP, vec![("VM", vm.into()), ("VDI", (&vdi).into())]);
            unfinished::finish(t, &vdi);
            Ok(())
        })
    });
    if kept.is_err() {
        unfinished::remove(toolstack, &vdi);
    }
    kept
}

fn write(
    toolstack: &Arc<Toolstack>,
    vm: &Ref,
    domain: DomId,
    user: &Ref,
    vdi: &Ref,
) -> Result<(), ApiError> {
    let path = toolstack.activations.activate(toolstack, user, vdi, Mode::ReadWrite)?;
    let written = toolstack.hypervisor.dump_core(domain, &path);
    let closed = toolstack.activations.deactivate(toolstack, user, vdi);
    written.map_err(|e| failure::xenops(&e, vm)).and(closed)
}

/// Removes a dump and its VDI, which may be gone already.
pub fn destroy(context: &Context, dump: &Ref) -> Result<(), ApiError> {
    let toolstack = &context.toolstack;
    let vdi = toolstack.look("crashdump", dump, |dump, _| dump.to("VDI"))?;
    if toolstack.look("VDI", &vdi, |_, _| ()).is_ok() {
        vdi::destroy(context, &vdi)?;
    }
    toolstack.store.write(|t| {
        t.remove(dump);
        Ok(())
    })
}
