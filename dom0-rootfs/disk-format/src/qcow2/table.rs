// SPDX-License-Identifier: MIT OR Apache-2.0
//! Entries of the tables.

use super::{Qcow2Error, invalid};

/// Set in entries of what nothing else refers to.
pub(super) const COPIED: u64 = 1 << 63;
const COMPRESSED: u64 = 1 << 62;
/// The cluster is zeros, whatever it refers to.
const ZERO: u64 = 1;
/// Bits of a place.
const PLACE: u64 = 0x00ff_ffff_ffff_fe00;

/// Where a cluster of the disk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cluster {
    /// Nowhere.
    Zeros,
    /// Here.
    At(u64),
    /// Compressed: where, and how many bytes it takes at the most.
    Compressed(u64, u64),
}

/// Where the table of the second level lies that an entry of the first leads to.
pub(super) fn first(entry: u64, cluster: u64) -> Result<Option<u64>, Qcow2Error> {
    place(entry & PLACE, cluster).map(|place| (place != 0).then_some(place))
}

/// Reads an entry of the second level.
pub(super) fn second(entry: u64, bits: u32, zeros: bool) -> Result<Cluster, Qcow2Error> {
    if entry & COMPRESSED != 0 {
        // The more bits a cluster has, the more the count of its sectors needs.
        let split = 62 - (bits - 8);
        let at = entry & ((1 << split) - 1);
        let sectors = ((entry & !(COPIED | COMPRESSED)) >> split) + 1;
        return Ok(Cluster::Compressed(at, sectors * 512 - at % 512));
    }
    let at = place(entry & PLACE, 1 << bits)?;
    let nothing = at == 0 || (zeros && entry & ZERO != 0);
    Ok(if nothing { Cluster::Zeros } else { Cluster::At(at) })
}

fn place(place: u64, cluster: u64) -> Result<u64, Qcow2Error> {
    match place % cluster {
        0 => Ok(place),
        _ => Err(invalid(format!("an entry leads to {place}, which is not on a cluster"))),
    }
}
