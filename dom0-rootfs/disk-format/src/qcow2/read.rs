// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading images from front to back.

use std::collections::BTreeMap;
use std::io::Read;

use super::header::Header;
use super::inflate::inflate;
use super::stream::Stream;
use super::table::{self, Cluster};
use super::{Qcow2Error, invalid};
use crate::Target;

/// Most parts of an image that are known before they come: 100 MB of memory at the most.
const WAITING: usize = 1 << 20;
/// Bytes, or clusters where that is more, that can be looked at again: compressed ones fill what is left of earlier
/// ones, and several are written at a time.
const BACK: (u64, u64) = (4 << 20, 4);
/// Bytes that are handed out at once, where a cluster has no more.
const PIECE: u64 = 256 << 10;

/// What comes at a place of the file.
enum Part {
    /// The first table.
    First,
    /// The table of the second level with this number.
    Second(u64),
    /// So many clusters of the disk, from one on.
    Clusters { from: u64, count: u64 },
    /// One cluster, in so many bytes at the most.
    Compressed { cluster: u64, length: u64 },
}

/// Reads an image. `fits` hears the size of the disk before anything is written.
///
/// Tables have to lie before what they lead to, or not far behind it, as they do in images that were written from
/// front to back.
///
/// # Errors
/// Those of the image, of `fits` and of the target.
pub fn read<T: Target>(
    source: impl Read,
    target: &mut T,
    mut fits: impl FnMut(u64) -> Result<(), T::Error>,
) -> Result<u64, T::Error>
where
    T::Error: From<Qcow2Error>,
{
    let mut stream = Stream::new(source);
    let header = header(&mut stream)?;
    fits(header.size)?;
    stream.keep(BACK.0.max(BACK.1 * header.cluster()));
    let mut reading = Reading { header, target, parts: BTreeMap::new() };
    if header.size > 0 {
        reading.wait(header.table, Part::First)?;
    }
    while let Some((at, part)) = reading.parts.pop_first() {
        reading.take(&mut stream, at, part)?;
    }
    Ok(header.size)
}

fn header(stream: &mut Stream<impl Read>) -> Result<Header, Qcow2Error> {
    let missing = "within its header";
    let mut first = [0; Header::SHORTEST];
    first.copy_from_slice(stream.all(0, Header::SHORTEST as u64, missing)?);
    let length = Header::length(&first)?;
    let mut whole = length;
    if length > Header::SHORTEST {
        whole = Header::whole(stream.all(0, length as u64, missing)?)?;
    }
    Header::decode(stream.all(0, whole as u64, missing)?)
}

struct Reading<'a, T> {
    header: Header,
    target: &'a mut T,
    /// What is known of the file before it has come, by its place.
    parts: BTreeMap<u64, Part>,
}

impl<T: Target> Reading<'_, T>
where
    T::Error: From<Qcow2Error>,
{
    fn wait(&mut self, at: u64, part: Part) -> Result<(), Qcow2Error> {
        if self.parts.len() >= WAITING {
            return Err(Qcow2Error::Unsupported("is too scattered to be read as a stream"));
        }
        match self.parts.insert(at, part) {
            None => Ok(()),
            Some(_) => Err(invalid(format!("two things lie at {at}"))),
        }
    }

    fn take<R: Read>(
        &mut self,
        stream: &mut Stream<R>,
        at: u64,
        part: Part,
    ) -> Result<(), T::Error> {
        let (cluster, fan) = (self.header.cluster(), self.header.fan());
        match part {
            Part::First => {
                let entries = self.header.entries();
                let table = stream.all(at, entries * 8, "within its first table")?;
                let table = numbers(table);
                for (number, entry) in (0..).zip(table) {
                    match table::first(entry, cluster)? {
                        Some(place) => self.wait(place, Part::Second(number))?,
                        None => self.zeros(number * fan, fan)?,
                    }
                }
            }
            Part::Second(number) => {
                let from = number * fan;
                let count = fan.min(self.header.clusters() - from);
                let table = stream.all(at, count * 8, "within a table")?;
                let table = numbers(table);
                self.second(from, &table)?;
            }
            Part::Clusters { from, count } => {
                let begin = from * cluster;
                let end = (begin + count * cluster).min(self.header.size);
                let step = PIECE.max(cluster);
                for place in (begin..end).step_by(step as usize) {
                    let length = step.min(end - place);
                    let bytes = stream.all(at + (place - begin), length, "within a cluster")?;
                    self.target.data(place, bytes)?;
                }
            }
            Part::Compressed { cluster: number, length } => {
                let packed = stream.some(at, length)?;
                let mut bytes = vec![0; cluster as usize];
                inflate(packed, self.header.compression, &mut bytes)?;
                let begin = number * cluster;
                let room = cluster.min(self.header.size - begin);
                self.target.data(begin, &bytes[..room as usize])?;
            }
        }
        Ok(())
    }

    /// Makes note of what a table of the second level leads to, clusters that follow each other as one.
    fn second(&mut self, from: u64, table: &[u64]) -> Result<(), T::Error> {
        let (bits, cluster) = (self.header.bits, self.header.cluster());
        let entries = table.iter().map(|entry| table::second(*entry, bits, self.header.zeros));
        let entries = entries.collect::<Result<Vec<_>, _>>()?;
        let mut at = 0;
        while let Some(first) = entries.get(at) {
            let number = from + at as u64;
            let follows = |(index, next): &(u64, &Cluster)| match first {
                Cluster::Zeros => **next == Cluster::Zeros,
                Cluster::At(place) => **next == Cluster::At(place + index * cluster),
                Cluster::Compressed(..) => *index == 0,
            };
            let count = (0..).zip(&entries[at..]).take_while(follows).count() as u64;
            match first {
                Cluster::Zeros => self.zeros(number, count)?,
                Cluster::At(place) => self.wait(*place, Part::Clusters { from: number, count })?,
                Cluster::Compressed(place, length) => {
                    self.wait(*place, Part::Compressed { cluster: number, length: *length })?;
                }
            }
            at += count as usize;
        }
        Ok(())
    }

    /// So many clusters of the disk are zeros.
    fn zeros(&mut self, from: u64, count: u64) -> Result<(), T::Error> {
        let begin = from * self.header.cluster();
        let end = ((from + count) * self.header.cluster()).min(self.header.size);
        self.target.zeros(begin, end - begin)
    }
}

fn numbers(bytes: &[u8]) -> Vec<u64> {
    bytes.as_chunks::<8>().0.iter().map(|bytes| u64::from_be_bytes(*bytes)).collect()
}
