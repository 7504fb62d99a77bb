// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finds a file's directory records (ECMA-119 9.1) in both trees of an image: the one with Rock Ridge
//! names, which Linux and GRUB read, and the Joliet one, which others read.

use std::io;

use hadris_fs::sync::FileSystem;
use hadris_fs::{Error, ErrorKind, Extent, MountOptions, Resolve};
use hadris_iso::sync::IsoFs;
use hadris_iso::{Detail, Namespace};

use super::reserved::ReservedError;
use super::{BLOCK, device::Blocks};
use crate::BlockIo;

/// Bytes of a record before its name.
const HEADER: usize = 33;
/// Offset in a record of its first block, 8 bytes; the length, 8 bytes, follows.
pub(super) const LOCATION: u64 = 2;
/// Offset in a record of the contents' length.
pub(super) const LENGTH: u64 = 10;
/// Of the flags of a record, the only one that a plain file may have: hidden.
const HIDDEN: u8 = 0x01;

/// A directory record of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    /// Where it lies in the image, in bytes.
    pub(super) at: u64,
    /// The first block of the contents.
    pub(super) block: u32,
    /// Of the contents, in bytes.
    pub(super) length: u32,
}

/// The records of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Records {
    /// By Rock Ridge, then by Joliet.
    pub(super) both: [Record; 2],
    /// Bytes of the image that belong to the volume.
    pub(super) volume: u64,
}

/// The records of the file at `path`, which has no `/` in front.
pub(super) fn find<D: BlockIo>(image: &mut D, path: &str) -> Result<Records, ReservedError> {
    let device = Blocks::existing(&mut *image).map_err(ReservedError::Read)?;
    let bytes = device.bytes();
    // First the one that is mounted without a look at its root: an image may end before that.
    let mut joliet = mount(device, Namespace::Joliet)?;
    let info = joliet.info();
    if u64::from(info.block_size()) != BLOCK {
        return Err(ReservedError::NotIso);
    }
    let volume = u64::from(info.volume_space_size()) * BLOCK;
    if bytes < volume {
        return Err(ReservedError::Truncated { bytes, volume });
    }
    let by_joliet = record(&mut joliet, path)?;
    let device = Blocks::existing(image).map_err(ReservedError::Read)?;
    let by_rock_ridge = record(&mut mount(device, Namespace::RockRidge)?, path)?;
    Ok(Records { both: [by_rock_ridge, by_joliet], volume })
}

type Image<'a, D> = IsoFs<Blocks<'a, D>>;

fn mount<D: BlockIo>(
    device: Blocks<'_, D>,
    names: Namespace,
) -> Result<Image<'_, D>, ReservedError> {
    IsoFs::mount_namespace(device, MountOptions::new(), names).map_err(|error| {
        let error = error.into_error();
        // The Joliet mount reads the descriptors and nothing else.
        let descriptors = names == Namespace::Joliet;
        match (error.kind(), Detail::of(&error)) {
            (ErrorKind::NotRecognized | ErrorKind::NotFound, _) => ReservedError::NotIso,
            (_, Some(Detail::OutsideImage)) if descriptors => ReservedError::NotIso,
            _ => other(error),
        }
    })
}

fn record<D: BlockIo>(image: &mut Image<'_, D>, path: &str) -> Result<Record, ReservedError> {
    let node =
        image.resolve(path.as_bytes(), Resolve::Lexical).map_err(|error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => {
                ReservedError::NotThere { path: path.to_owned() }
            }
            _ => other(error),
        })?;
    let mut found = [Extent::new(0, 0)];
    image.records(node, &mut found).map_err(other)?;
    let at = found[0].offset();
    let mut header = [0; HEADER];
    image.read_raw(at, &mut header).map_err(other)?;
    let [extended, flags, unit, gap] = [header[1], header[25], header[26], header[27]];
    if extended != 0 || flags & !HIDDEN != 0 || unit != 0 || gap != 0 {
        return Err(ReservedError::Damaged("what should be a plain file is none"));
    }
    // The numbers' other halves were compared when the record was read.
    let number = |at: u64| {
        let at = at as usize;
        u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    Ok(Record { at, block: number(LOCATION), length: number(LENGTH) })
}

fn other(error: Error<io::Error>) -> ReservedError {
    match Detail::of(&error) {
        Some(Detail::OutsideImage) => ReservedError::Damaged("a folder lies outside it"),
        _ if error.device_error().is_none() => ReservedError::Damaged(error.message()),
        _ => {
            let unknown = || io::ErrorKind::Other.into();
            ReservedError::Read(error.into_device_error().unwrap_or_else(unknown))
        }
    }
}
