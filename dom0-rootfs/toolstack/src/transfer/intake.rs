// SPDX-License-Identifier: MIT OR Apache-2.0
//! Contents that come for one VDI.

use std::io::{self, Read};

use disk_format::{Target, framed, qcow2, vhd};
use storage::Mode;
use xapi_model::{ApiError, Ref, errors};

use super::disk::{backend, writing};
use super::{End, Failed, Work};
use crate::api::vdi;
use crate::copy::{CHUNK, Writer};
use crate::toolstack::Context;
use crate::unfinished;
use crate::vdis::{self, Opened, bytes};

/// Name of a VDI that is made for what comes, as XAPI calls it.
const NAME: &str = "Imported VDI";

/// How what comes is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// As the disk is, from its beginning.
    Raw,
    /// Pieces of it, each with its place and its length before it.
    Framed,
    /// A VHD image of any kind; one that is only a difference goes over what is there.
    Vhd,
    /// An image of QEMU's.
    Qcow2,
}

/// Where it goes.
#[derive(Debug, Clone)]
pub enum Place {
    /// Into this VDI.
    Vdi(Ref),
    /// Into a new one of this SR, which is as big as what comes.
    New(Ref),
}

/// A disk that is written to, at any place.
struct Disk<'a> {
    work: &'a mut Work,
    writer: Writer,
    opened: &'a Opened,
}

impl Target for Disk<'_> {
    type Error = Failed;

    fn data(&mut self, at: u64, bytes: &[u8]) -> Result<(), Failed> {
        self.writer.write_at(at, bytes).map_err(writing(self.opened))?;
        Ok(self.work.done(bytes.len() as u64)?)
    }

    fn zeros(&mut self, at: u64, length: u64) -> Result<(), Failed> {
        self.writer.zeros_at(at, length).map_err(writing(self.opened))?;
        Ok(self.work.done(length)?)
    }
}

/// Fails if a stream that ends so cannot go there.
pub fn check(context: &Context, place: &Place) -> Result<(), ApiError> {
    let toolstack = &context.toolstack;
    match place {
        Place::New(sr) => vdis::attached_sr(toolstack, sr).map(drop),
        Place::Vdi(vdi) => {
            if toolstack.look("VDI", vdi, |vdi, _| vdi.bool("read_only"))? {
                return Err(errors::VDI_READONLY.with([vdi.as_str()]));
            }
            if toolstack.activations.in_use(vdi) {
                return Err(errors::VDI_IN_USE.with([vdi.as_str(), "import"]));
            }
            vdis::of_vdi(toolstack, vdi).map(drop)
        }
    }
}

/// Writes a stream to a VDI and gives that. What the stream does not reach stays as it is.
pub fn import(
    work: &mut Work,
    place: Place,
    layout: Layout,
    source: impl Read,
    end: End,
) -> Result<Ref, Failed> {
    check(&work.context, &place)?;
    let sr = match place {
        Place::Vdi(vdi) => return fill(work, &vdi, layout, source, end).map(|()| vdi),
        Place::New(sr) => sr,
    };
    let (Layout::Raw, End::After(length)) = (layout, end) else {
        let text = "a VDI can only be made for raw contents of a known length; name one with vdi";
        return Err(errors::IMPORT_ERROR_GENERIC.with([text]).into());
    };
    let context = work.context.clone();
    let fields = vec![("name_label", NAME.into()), ("type", xapi_model::Value::Enum("user"))];
    let vdi = vdi::make(&context, &sr, bytes(length), fields, true)?;
    let filled = fill(work, &vdi, layout, source, end).and_then(|()| {
        context.store().write(|t| {
            unfinished::finish(t, &vdi);
            Ok(())
        })?;
        Ok(())
    });
    if filled.is_err() {
        unfinished::remove(&context.toolstack, &vdi);
    }
    filled.map(|()| vdi)
}

fn fill(
    work: &mut Work,
    vdi: &Ref,
    layout: Layout,
    source: impl Read,
    end: End,
) -> Result<(), Failed> {
    let toolstack = work.context.toolstack.clone();
    let opened = Opened::new(&toolstack, vdi, Mode::ReadWrite)?;
    let size = opened.size;
    let fits = |needed: u64| match needed <= size {
        true => Ok(()),
        false => Err(Failed(errors::VDI_TOO_SMALL.with([vdi.to_string(), size.to_string()]))),
    };
    if let (Layout::Raw, End::After(length)) = (layout, end) {
        fits(length)?;
    }
    let writer = Writer::open(&opened.path, size);
    let writer = writer.map_err(|e| backend("opening the VDI", &e))?;
    work.total(match (layout, end) {
        (Layout::Raw, End::After(length)) => length,
        _ => size,
    });
    let mut disk = Disk { work, writer, opened: &opened };
    let come = match layout {
        Layout::Raw if end == End::Open => raw(source.take(size), &mut disk, fits),
        Layout::Raw => raw(source, &mut disk, fits),
        Layout::Framed => framed::read(source, &mut disk, fits).map(|()| size),
        Layout::Vhd => vhd::read(source, &mut disk, fits).map(|_| size),
        Layout::Qcow2 => qcow2::read(source, &mut disk, fits).map(|_| size),
    }?;
    disk.writer.finish().map_err(writing(&opened))?;
    if end == End::Open && come < size {
        // Who never knew the length may have meant it so; XAPI answers with this code.
        let text = format!("the connection ended after {come} bytes of {size}");
        return Err(errors::VDI_IO_ERROR.with([vdi.to_string(), text]).into());
    }
    Ok(())
}

/// Gives how many bytes came.
fn raw(
    mut source: impl Read,
    disk: &mut Disk<'_>,
    fits: impl Fn(u64) -> Result<(), Failed>,
) -> Result<u64, Failed> {
    let (mut piece, mut at) = (vec![0; CHUNK], 0);
    loop {
        let count = read_some(&mut source, &mut piece).map_err(|e| backend("receiving", &e))?;
        if count == 0 {
            return Ok(at);
        }
        fits(at + count as u64)?;
        disk.data(at, &piece[..count])?;
        at += count as u64;
    }
}

/// Reads until the buffer is full or nothing is left.
fn read_some(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}
