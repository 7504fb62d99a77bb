// SPDX-License-Identifier: MIT OR Apache-2.0
//! A database as bytes, for a file. Numbers are little-endian; the last eight bytes are a checksum.
//!
//! `XRRD`, version, time; number of archives and of sources; each source with its step under way, and for
//! each archive the row under way and the rows that are there, oldest first. What counters said last is
//! not kept: whoever reads a file does not know what happened meanwhile.

use crate::archive::{Archive, Shape};
use crate::database::{MAX_SOURCES, Rrd, STEP, Series};
use crate::ring::Ring;
use crate::source::{Kind, Source};

const MAGIC: &[u8; 4] = b"XRRD";
const VERSION: u32 = 1;
/// The longest file that is read, in bytes.
pub const BIGGEST: u64 = 24 << 20;
/// The latest time that a file may be of, in seconds since the epoch: the year 2500.
const LATEST: f64 = 16_725_225_600.0;

/// Bytes that are no database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("reading a file of figures: {0}")]
pub struct Broken(&'static str);

/// FNV-1a, 64 bits: finds what was cut off or fell over, not what somebody forged.
pub fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

impl Rrd {
    /// The database as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes());
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&self.updated.to_le_bytes());
        out.extend_from_slice(&(self.shapes.len() as u32).to_le_bytes());
        out.extend_from_slice(&(self.series.len() as u32).to_le_bytes());
        for series in &self.series {
            let source = &series.source;
            out.push(source.name.len() as u8);
            out.extend_from_slice(source.name.as_bytes());
            out.push(u8::from(source.kind == Kind::Derive) | u8::from(source.inverse) << 1);
            for number in [source.min, source.max, series.sum, series.unknown] {
                out.extend_from_slice(&number.to_le_bytes());
            }
            for archive in &series.archives {
                out.extend_from_slice(&archive.value.to_le_bytes());
                out.extend_from_slice(&(archive.unknown as u32).to_le_bytes());
                out.extend_from_slice(&(archive.rows.len() as u32).to_le_bytes());
                for row in archive.rows.values() {
                    out.extend_from_slice(&row.to_le_bytes());
                }
            }
        }
        let sum = checksum(&out);
        out.extend_from_slice(&sum.to_le_bytes());
        out
    }

    /// The database that bytes are, with archives of these shapes.
    pub fn decode(shapes: &'static [Shape], bytes: &[u8]) -> Result<Rrd, Broken> {
        let (body, sum) = bytes.split_last_chunk().ok_or(Broken("it is too short"))?;
        if checksum(body) != u64::from_le_bytes(*sum) {
            return Err(Broken("its checksum is wrong"));
        }
        let mut reader = Reader(body);
        if reader.take()? != *MAGIC {
            return Err(Broken("it is something else"));
        }
        if reader.int()? != VERSION {
            return Err(Broken("it is of another version"));
        }
        let updated = reader.float()?;
        if !(0.0..LATEST).contains(&updated) {
            return Err(Broken("its time cannot be"));
        }
        if reader.int()? as usize != shapes.len() {
            return Err(Broken("it has other archives"));
        }
        let count = reader.int()? as usize;
        if count > MAX_SOURCES {
            return Err(Broken("it has too many sources"));
        }
        let mut rrd = Rrd::new(shapes, updated);
        for _ in 0..count {
            let series = reader.series(shapes)?;
            if rrd.has(&series.source.name) {
                return Err(Broken("it has a source twice"));
            }
            rrd.series.push(series);
        }
        if !reader.0.is_empty() {
            return Err(Broken("it is too long"));
        }
        Ok(rrd)
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn bytes(&mut self, count: usize) -> Result<&[u8], Broken> {
        let (first, rest) = self.0.split_at_checked(count).ok_or(Broken("it was cut off"))?;
        self.0 = rest;
        Ok(first)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let (first, rest) = self.0.split_first_chunk().ok_or(Broken("it was cut off"))?;
        self.0 = rest;
        Ok(*first)
    }

    fn int(&mut self) -> Result<u32, Broken> {
        self.take().map(u32::from_le_bytes)
    }

    fn float(&mut self) -> Result<f64, Broken> {
        self.take().map(f64::from_le_bytes)
    }

    fn series(&mut self, shapes: &'static [Shape]) -> Result<Series, Broken> {
        let [length] = self.take()?;
        let name = self.bytes(length.into())?.to_vec();
        let name = String::from_utf8(name).map_err(|_| Broken("a name is no text"))?;
        if name.is_empty() || name.len() > Source::LONGEST_NAME {
            return Err(Broken("a name has a wrong length"));
        }
        let [flags] = self.take()?;
        if flags > 3 {
            return Err(Broken("a source is of no kind"));
        }
        let kind = if flags & 1 == 0 { Kind::Gauge } else { Kind::Derive };
        let source =
            Source { name, kind, inverse: flags & 2 != 0, min: self.float()?, max: self.float()? };
        if source.min.is_nan() || source.max.is_nan() {
            return Err(Broken("a limit is no number"));
        }
        let (sum, unknown) = (self.float()?, self.float()?);
        if sum.is_infinite() || !(0.0..=STEP as f64).contains(&unknown) {
            return Err(Broken("a step cannot be"));
        }
        let archives = shapes.iter().map(|shape| self.archive(shape)).collect::<Result<_, _>>()?;
        Ok(Series { source, said: None, latest: f64::NAN, sum, unknown, archives })
    }

    fn archive(&mut self, shape: &Shape) -> Result<Archive, Broken> {
        let (value, unknown, count) = (self.float()?, self.int()?, self.int()?);
        if value.is_infinite() || unknown > shape.steps || count > shape.rows {
            return Err(Broken("an archive cannot be"));
        }
        let rows = self.bytes(count as usize * size_of::<f32>())?;
        let (rows, _) = rows.as_chunks();
        let rows = rows.iter().map(|row| f32::from_le_bytes(*row)).collect();
        Ok(Archive { value, unknown: unknown.into(), rows: Ring::of(rows) })
    }
}
