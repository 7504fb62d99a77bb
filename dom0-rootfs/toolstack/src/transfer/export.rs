// SPDX-License-Identifier: MIT OR Apache-2.0
//! A VM with its disks, as an archive.

use std::io::Write;

use disk_format::compression::Compression;
use disk_format::xva::{self, PIECE};
use xapi_model::{ApiError, Ref, errors};

use super::disk::{Reading, now};
use super::ova::Table;
use super::{Failed, Work};
use crate::store::Object;
use crate::toolstack::Context;
use crate::vm::operation::Operation;

/// An archive that is to be written, with all that it needs held.
pub struct Export {
    description: String,
    /// Disks by their identifiers, in the order of these.
    disks: Vec<(String, Reading)>,
    /// They can be changed again once it is dropped.
    _operations: Vec<Operation>,
}

/// Compression as `use_compression=` of a query has it.
pub fn compression(name: Option<&str>) -> Result<Compression, ApiError> {
    match name.unwrap_or("false") {
        "true" | "gzip" => Ok(Compression::Gzip),
        "zstd" => Ok(Compression::Zstd),
        "false" | "" => Ok(Compression::None),
        other => {
            let reason = "only true (gzip), zstd and false are known";
            Err(errors::VALUE_NOT_SUPPORTED.with(["use_compression", other, reason]))
        }
    }
}

impl Export {
    /// Of a halted VM or a template. Its disks are opened for reading.
    pub fn of_vm(context: &Context, vm: &Ref) -> Result<Export, ApiError> {
        let operation = Operation::begin(context, vm, "export")?;
        let (description, disks) = context.store().read(|objects| {
            let table = Table::of(objects, std::slice::from_ref(vm));
            let vbds = objects.get("VM", vm)?.refs("VBDs");
            let vbds = vbds.iter().filter_map(|vbd| objects.find(vbd));
            let vdis = vbds.filter(|vbd| vbd.text("type") != "CD").map(|vbd| vbd.to("VDI"));
            let own = |vdi: &Object| {
                objects.find(&vdi.to("SR")).is_none_or(|sr| sr.text("content_type") != "iso")
            };
            let vdis = vdis.filter(|vdi| objects.find(vdi).is_some_and(own));
            let mut disks: Vec<_> =
                vdis.filter_map(|vdi| Some((table.id(&vdi)?.to_owned(), vdi))).collect();
            disks.sort();
            disks.dedup();
            Ok::<_, ApiError>((table.describe(objects), disks))
        })?;
        let open = |(id, vdi): (String, Ref)| Ok((id, Reading::new(context, &vdi)?));
        let disks = disks.into_iter().map(open).collect::<Result<_, ApiError>>()?;
        Ok(Export { description, disks, _operations: vec![operation] })
    }

    /// Only the description, of VMs in any state.
    pub fn metadata(context: &Context, vms: &[Ref]) -> Result<Export, ApiError> {
        let begin = |vm| Operation::begin(context, vm, "metadata_export");
        let operations = vms.iter().map(begin).collect::<Result<_, _>>()?;
        let description = context.store().read(|objects| Table::of(objects, vms).describe(objects));
        Ok(Export { description, disks: Vec::new(), _operations: operations })
    }

    /// Writes it.
    pub fn write(
        &self,
        work: &mut Work,
        compression: Compression,
        sink: impl Write + Send,
    ) -> Result<(), Failed> {
        work.total(self.disks.iter().map(|(_, disk)| disk.size()).sum());
        compression.pack(sink, |sink| {
            let mut writer = xva::Writer::new(sink, now());
            writer.describe(&self.description)?;
            let mut bytes = vec![0; PIECE as usize];
            for (id, disk) in &self.disks {
                for number in 0.. {
                    let Some((at, length)) = xva::piece(disk.size(), number) else { break };
                    let bytes = &mut bytes[..length];
                    disk.read(at, bytes)?;
                    writer.piece(id, disk.size(), number, bytes)?;
                    work.done(length as u64)?;
                }
            }
            Ok(writer.finish()?.flush()?)
        })
    }
}
