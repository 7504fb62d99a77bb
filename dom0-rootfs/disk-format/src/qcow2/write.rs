// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing images from front to back.

use std::io::Write;

use super::Qcow2Error;
use super::header::{Compression, Header};
use super::table::COPIED;

/// Bytes of a cluster of the images that are written, as QEMU has it.
pub const CLUSTER: u64 = 64 << 10;
const BITS: u32 = CLUSTER.ilog2();
/// Counts of references that a cluster holds.
const COUNTS: u64 = CLUSTER / 2;
/// Bytes of a sector, of which a disk has whole ones.
const SECTOR: u64 = 512;

/// Writes an image without ever seeking. Tables come before the clusters, so which of them there are has to be
/// known before.
#[derive(Debug)]
pub struct Writer<W> {
    pub(super) sink: W,
    /// Clusters that are to come.
    left: u64,
}

fn io(doing: &'static str) -> impl FnOnce(std::io::Error) -> Qcow2Error {
    move |source| Qcow2Error::Io { doing, source }
}

/// Writes numbers, and zeros up to the end of a cluster.
fn table(sink: &mut impl Write, numbers: impl Iterator<Item = u64>) -> Result<(), Qcow2Error> {
    let mut bytes: Vec<u8> = numbers.flat_map(u64::to_be_bytes).collect();
    bytes.resize(bytes.len().max(1).next_multiple_of(CLUSTER as usize), 0);
    sink.write_all(&bytes).map_err(io("writing a table"))
}

impl<W: Write> Writer<W> {
    /// Begins an image of a disk of `size` bytes. `present` says of each [`CLUSTER`] of the disk whether it
    /// comes; those that do not are zeros.
    ///
    /// # Errors
    /// What `sink` fails with.
    pub fn begin(mut sink: W, size: u64, present: &[bool]) -> Result<Writer<W>, Qcow2Error> {
        let size = size.next_multiple_of(SECTOR);
        let mut header =
            Header { size, bits: BITS, table: 0, compression: Compression::Deflate, zeros: true };
        assert_eq!(present.len() as u64, header.clusters(), "each cluster is there or not");
        let fan = header.fan() as usize;
        let tables = || present.chunks(fan);
        let seconds = tables().filter(|part| part.contains(&true)).count() as u64;
        let left = present.iter().filter(|present| **present).count() as u64;
        let first = (header.entries() * 8).div_ceil(CLUSTER).max(1);
        // Counts are of all clusters, those with counts among them.
        let others = 1 + first + seconds + left;
        let (mut blocks, mut lists) = (1, 1);
        while (others + blocks + lists) > blocks * COUNTS || blocks * 8 > lists * CLUSTER {
            blocks = (others + blocks + lists).div_ceil(COUNTS);
            lists = (blocks * 8).div_ceil(CLUSTER);
        }
        let place = |cluster: u64| cluster * CLUSTER;
        let table_at = 1 + lists + blocks;
        header.table = place(table_at);
        let mut bytes = header.encode((CLUSTER, lists as u32)).to_vec();
        bytes.resize(CLUSTER as usize, 0);
        sink.write_all(&bytes).map_err(io("writing the header"))?;
        table(&mut sink, (0..blocks).map(|block| place(1 + lists + block)))?;
        let total = others + blocks + lists;
        for block in 0..blocks {
            let counted = total.saturating_sub(block * COUNTS).min(COUNTS) as usize;
            let mut counts = [0, 1].repeat(counted);
            counts.resize(CLUSTER as usize, 0);
            sink.write_all(&counts).map_err(io("writing counts of references"))?;
        }
        let mut next = table_at + first;
        let mut entry = |there: bool| {
            next += u64::from(there);
            if there { place(next - 1) | COPIED } else { 0 }
        };
        table(&mut sink, tables().map(|part| entry(part.contains(&true))))?;
        for part in tables().filter(|part| part.contains(&true)) {
            table(&mut sink, part.iter().map(|there| entry(*there)))?;
        }
        Ok(Writer { sink, left })
    }

    /// Writes the next cluster that is there; the disk's last one may be shorter.
    pub fn cluster(&mut self, bytes: &[u8]) -> Result<(), Qcow2Error> {
        assert!(self.left > 0 && bytes.len() as u64 <= CLUSTER, "as many as were announced");
        self.left -= 1;
        self.sink.write_all(bytes).map_err(io("writing a cluster"))?;
        let rest = vec![0; (CLUSTER - bytes.len() as u64) as usize];
        self.sink.write_all(&rest).map_err(io("writing a cluster"))
    }

    /// Gives back what it was written to, once all has come.
    pub fn finish(self) -> W {
        assert_eq!(self.left, 0, "as many clusters as were announced");
        self.sink
    }
}
