// SPDX-License-Identifier: MIT OR Apache-2.0
//! Contents of one VDI, for who exports them.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::time::{SystemTime, UNIX_EPOCH};

use disk_format::is_zero;
use disk_format::qcow2::{self, CLUSTER};
use disk_format::vhd::{self, BLOCK, LARGEST, Parent};
use storage::Mode;
use uuid::Uuid;
use xapi_model::{ApiError, Ref, errors};

use super::{Failed, Work};
use crate::copy::CHUNK;
use crate::toolstack::Context;
use crate::vdis::{Opened, parse_uuid};

/// Seconds from 1970 to 2000, from where VHD counts.
const MILLENNIUM: u64 = 946_684_800;

/// How a disk is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// As it is.
    Raw,
    /// A dynamic VHD, which leaves zeros out, or a differencing one. Fixed ones are read as well.
    Vhd,
    /// A fixed VHD: all of the disk, and a footer.
    FixedVhd,
    /// An image of QEMU's, which leaves zeros out. Compressed ones are read as well.
    Qcow2,
}

impl Format {
    /// The format of this name, as `format=` of a query has it.
    pub fn of(name: &str) -> Result<Format, ApiError> {
        match name {
            "raw" => Ok(Format::Raw),
            "vhd" => Ok(Format::Vhd),
            "vhd-fixed" => Ok(Format::FixedVhd),
            "qcow2" => Ok(Format::Qcow2),
            other => {
                let reason = "only raw, vhd, vhd-fixed and qcow2 are known";
                Err(errors::VALUE_NOT_SUPPORTED.with(["format", other, reason]))
            }
        }
    }
}

pub(super) fn backend(doing: &str, error: &io::Error) -> Failed {
    Failed(errors::SR_BACKEND_FAILURE.with(["", "", &format!("{doing}: {error}")]))
}

/// For errors of writing to a VDI.
pub(super) fn writing(opened: &Opened) -> impl Fn(io::Error) -> Failed {
    move |error| Failed(opened.failed("writing", &error))
}

/// A VDI that is read.
pub struct Reading {
    vdi: Ref,
    // Closed before the VDI is made inactive: a volume that is open stays active.
    file: File,
    opened: Opened,
}

impl Reading {
    /// Opens it.
    pub fn new(context: &Context, vdi: &Ref) -> Result<Reading, ApiError> {
        let opened = Opened::new(&context.toolstack, vdi, Mode::ReadOnly)?;
        let file = File::open(&opened.path).map_err(|e| backend("opening the VDI", &e).0)?;
        Ok(Reading { vdi: vdi.clone(), file, opened })
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.opened.size
    }

    /// Bytes that an export has; none if that turns out on the way.
    pub fn length(&self, format: Format) -> Option<u64> {
        match format {
            Format::Raw => Some(self.size()),
            Format::Vhd | Format::Qcow2 => None,
            Format::FixedVhd => Some(self.size().next_multiple_of(vhd::SECTOR) + vhd::SECTOR),
        }
    }

    /// Fails if the disk does not fit into the format.
    pub fn fits(&self, format: Format) -> Result<(), Failed> {
        match format == Format::Vhd && self.size() > LARGEST {
            true => Err(vhd::VhdError::TooBig(self.size()).into()),
            false => Ok(()),
        }
    }

    /// Reads a place.
    pub(super) fn read(&self, at: u64, bytes: &mut [u8]) -> Result<(), Failed> {
        self.file.read_exact_at(bytes, at).map_err(|e| backend("reading", &e))
    }

    /// Hands out the disk from front to back, in pieces of a size.
    fn pieces(
        &self,
        length: u64,
        mut take: impl FnMut(u64, &[u8]) -> Result<(), Failed>,
    ) -> Result<(), Failed> {
        let mut piece = vec![0; length as usize];
        for at in (0..self.size()).step_by(length as usize) {
            let piece = &mut piece[..(self.size() - at).min(length) as usize];
            self.read(at, piece)?;
            take(at, piece)?;
        }
        Ok(())
    }

    /// Whether it has anything else at a place than these bytes; behind its end it has zeros. `buffer` is as
    /// long as they are at least.
    fn differs(&self, at: u64, bytes: &[u8], buffer: &mut [u8]) -> Result<bool, Failed> {
        let here = self.size().saturating_sub(at).min(bytes.len() as u64) as usize;
        let (bytes, behind) = bytes.split_at(here);
        self.read(at, &mut buffer[..here])?;
        Ok(*bytes != buffer[..here] || !is_zero(behind))
    }

    /// Identifier of the image that is made: the VDI's.
    fn id(&self, context: &Context) -> Result<Uuid, Failed> {
        let uuid = context.toolstack.look("VDI", &self.vdi, |vdi, _| vdi.uuid().to_owned())?;
        Ok(parse_uuid(&uuid)?)
    }
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_secs())
}

/// Writes a VDI to a stream; a dynamic VHD only where it differs from `base`, if there is one.
pub fn export(
    work: &mut Work,
    reading: &Reading,
    format: Format,
    base: Option<&Reading>,
    mut sink: impl Write,
) -> Result<(), Failed> {
    let id = reading.id(&work.context)?.into_bytes();
    let time = u32::try_from(now().saturating_sub(MILLENNIUM)).unwrap_or(u32::MAX);
    match format {
        Format::Vhd => return export_dynamic(work, reading, base, sink, (time, id)),
        Format::Qcow2 => return export_qcow2(work, reading, sink),
        Format::Raw | Format::FixedVhd => {}
    }
    work.total(reading.size());
    reading.pieces(CHUNK as u64, |_, piece| {
        sink.write_all(piece)?;
        Ok(work.done(piece.len() as u64)?)
    })?;
    if format == Format::FixedVhd {
        let rest = reading.size().next_multiple_of(vhd::SECTOR) - reading.size();
        sink.write_all(&vec![0; rest as usize])?;
        sink.write_all(&vhd::fixed_footer(reading.size(), time, id))?;
    }
    Ok(sink.flush()?)
}

/// Where a disk has something, or something else than another one, in pieces of a size. Tables come before
/// what they lead to, so the disk is read twice. Nobody writes to it meanwhile.
fn present(
    work: &mut Work,
    reading: &Reading,
    base: Option<&Reading>,
    length: u64,
) -> Result<Vec<bool>, Failed> {
    work.total(reading.size().saturating_mul(2));
    let (mut present, mut buffer) = (Vec::new(), vec![0; length as usize]);
    reading.pieces(length, |at, piece| {
        present.push(match base {
            None => !is_zero(piece),
            Some(base) => base.differs(at, piece, &mut buffer)?,
        });
        Ok(work.done(piece.len() as u64)?)
    })?;
    Ok(present)
}

/// Hands out those pieces of a size that are there.
fn put_present(
    work: &mut Work,
    reading: &Reading,
    length: u64,
    present: &[bool],
    mut put: impl FnMut(&[u8]) -> Result<(), Failed>,
) -> Result<(), Failed> {
    let mut piece = vec![0; length as usize];
    for (at, present) in (0..reading.size()).step_by(length as usize).zip(present) {
        let length = (reading.size() - at).min(length);
        if *present {
            let piece = &mut piece[..length as usize];
            reading.read(at, piece)?;
            put(piece)?;
        }
        work.done(length)?;
    }
    Ok(())
}

fn export_dynamic(
    work: &mut Work,
    reading: &Reading,
    base: Option<&Reading>,
    sink: impl Write,
    (time, id): (u32, [u8; 16]),
) -> Result<(), Failed> {
    let parent = base.map(|base| {
        let id = base.id(&work.context)?;
        Ok::<_, Failed>(Parent { id: id.into_bytes(), name: format!("{id}.vhd") })
    });
    let parent = parent.transpose()?;
    let present = present(work, reading, base, BLOCK)?;
    let mut writer = vhd::Writer::begin(sink, reading.size(), time, id, &present, parent)?;
    put_present(work, reading, BLOCK, &present, |block| Ok(writer.block(block)?))?;
    Ok(writer.finish()?.flush()?)
}

fn export_qcow2(work: &mut Work, reading: &Reading, sink: impl Write) -> Result<(), Failed> {
    let present = present(work, reading, None, CLUSTER)?;
    let mut writer = qcow2::Writer::begin(sink, reading.size(), &present)?;
    put_present(work, reading, CLUSTER, &present, |cluster| Ok(writer.cluster(cluster)?))?;
    Ok(writer.finish().flush()?)
}
