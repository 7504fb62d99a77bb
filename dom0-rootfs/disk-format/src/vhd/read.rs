// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading images from front to back.

use std::io::Read;

use super::footer::COOKIE;
use super::write::ABSENT;
use super::{Footer, Header, Kind, SECTOR, VhdError, u32_at};
use crate::Target;

/// Bytes that are read at once; whole sectors.
const PIECE: u64 = 256 << 10;

/// Reads an image of any kind. What a differencing one has not stays in the target as it is. `fits` hears the size of the disk before anything is written, which
/// for a fixed image is only known at its end: there it hears of each size that was reached.
///
/// # Errors
/// Those of the image, of `fits` and of the target.
pub fn read<T: Target>(
    source: impl Read,
    target: &mut T,
    mut fits: impl FnMut(u64) -> Result<(), T::Error>,
) -> Result<Footer, T::Error>
where
    T::Error: From<VhdError>,
{
    let mut stream = Stream { source, at: 0 };
    let mut first = [0; SECTOR as usize];
    stream.exact(&mut first, "it has not even a footer")?;
    if &first[..8] == COOKIE {
        let footer = Footer::decode(&first)?;
        fits(footer.size)?;
        match footer.kind {
            Kind::Dynamic | Kind::Differencing => blocks(&mut stream, footer, target),
            Kind::Fixed => {
                let text = "a footer of a fixed image lies where its disk should begin";
                Err(VhdError::Invalid(text.into()).into())
            }
        }
    } else {
        fixed(&mut stream, first, target, fits)
    }
}

/// What is read, and how far.
struct Stream<R> {
    source: R,
    at: u64,
}

impl<R: Read> Stream<R> {
    /// Reads as much as there is, until the buffer is full.
    fn some(&mut self, buffer: &mut [u8]) -> Result<usize, VhdError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.source.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(source) => return Err(VhdError::Io { doing: "reading the VHD image", source }),
            }
        }
        self.at += filled as u64;
        Ok(filled)
    }

    fn exact(&mut self, buffer: &mut [u8], missing: &str) -> Result<(), VhdError> {
        match self.some(buffer)? {
            all if all == buffer.len() => Ok(()),
            _ => Err(VhdError::CutOff(missing.into())),
        }
    }

    /// Reads on to a place.
    fn forward(&mut self, to: u64, missing: &str) -> Result<(), VhdError> {
        let mut unwanted = [0; 4096];
        while self.at < to {
            let length = (to - self.at).min(unwanted.len() as u64) as usize;
            self.exact(&mut unwanted[..length], missing)?;
        }
        Ok(())
    }
}

fn fixed<R: Read, T: Target>(
    stream: &mut Stream<R>,
    first: [u8; SECTOR as usize],
    target: &mut T,
    mut fits: impl FnMut(u64) -> Result<(), T::Error>,
) -> Result<Footer, T::Error>
where
    T::Error: From<VhdError>,
{
    let sector = SECTOR as usize;
    // The last sector that came is kept back, as it may be the footer.
    let mut piece = vec![0; PIECE as usize + sector];
    piece[..sector].copy_from_slice(&first);
    let mut written = 0;
    loop {
        let count = stream.some(&mut piece[sector..])?;
        if !count.is_multiple_of(sector) {
            let text = "it ends within a sector, and without a footer";
            return Err(VhdError::CutOff(text.into()).into());
        }
        if count > 0 {
            fits(written + count as u64)?;
            target.data(written, &piece[..count])?;
            written += count as u64;
            piece.copy_within(count..count + sector, 0);
        }
        if count < piece.len() - sector {
            break;
        }
    }
    let mut last = [0; SECTOR as usize];
    last.copy_from_slice(&piece[..sector]);
    let footer = Footer::decode(&last)?;
    if footer.kind != Kind::Fixed || footer.size != written {
        let text = format!("its footer tells of {} bytes, and it has {written}", footer.size);
        return Err(VhdError::Invalid(text).into());
    }
    Ok(footer)
}

/// Where the blocks that are there lie: sector in the file and number, in the order of the file.
fn table<R: Read>(
    stream: &mut Stream<R>,
    header: &Header,
    count: u64,
) -> Result<Vec<(u32, u32)>, VhdError> {
    if u64::from(header.entries) < count {
        let text = format!("its table has {} entries for {count} blocks", header.entries);
        return Err(VhdError::Invalid(text));
    }
    if header.table < stream.at {
        let text = "its table lies before its header, so it cannot be read as a stream";
        return Err(VhdError::Invalid(text.into()));
    }
    stream.forward(header.table, "before its table")?;
    let mut places = Vec::new();
    let mut piece = [0; 4096];
    let mut block = 0;
    while block < count {
        let entries = (count - block).min(piece.len() as u64 / 4) as usize;
        stream.exact(&mut piece[..entries * 4], "within its table")?;
        for at in 0..entries {
            let sector = u32_at(&piece, at * 4);
            if sector != ABSENT {
                places.push((sector, block as u32));
            }
            block += 1;
        }
    }
    places.sort_unstable();
    let sectors = (header.bitmap() + header.block) / SECTOR;
    let mut free = stream.at.div_ceil(SECTOR);
    for (sector, block) in &places {
        if u64::from(*sector) < free {
            let text = format!("block {block} at sector {sector} lies within something else");
            return Err(VhdError::Invalid(text));
        }
        free = u64::from(*sector) + sectors;
    }
    Ok(places)
}

fn blocks<R: Read, T: Target>(
    stream: &mut Stream<R>,
    footer: Footer,
    target: &mut T,
) -> Result<Footer, T::Error>
where
    T::Error: From<VhdError>,
{
    if footer.header < stream.at || !footer.header.is_multiple_of(SECTOR) {
        let text = format!("its header cannot be at {}", footer.header);
        return Err(VhdError::Invalid(text).into());
    }
    stream.forward(footer.header, "before its header")?;
    let mut bytes = [0; Header::LENGTH];
    stream.exact(&mut bytes, "within its header")?;
    let header = Header::decode(&bytes)?;
    let count = footer.size.div_ceil(header.block);
    let places = table(stream, &header, count)?;
    let differs = footer.kind == Kind::Differencing;
    if !differs {
        absent(&places, &header, &footer, target)?;
    }
    let mut bitmap = vec![0; header.bitmap() as usize];
    let mut piece = vec![0; PIECE as usize];
    for (sector, block) in places {
        let missing = format!("before all of block {block}");
        stream.forward(u64::from(sector) * SECTOR, &missing)?;
        stream.exact(&mut bitmap, &missing)?;
        let begin = u64::from(block) * header.block;
        for at in (0..header.block).step_by(PIECE as usize) {
            stream.exact(&mut piece, &missing)?;
            let room = footer.size.saturating_sub(begin + at).min(PIECE) as usize;
            let bits = Bits { bitmap: &bitmap, first: at / SECTOR };
            match differs {
                _ if room == 0 => {}
                true => bits.put(begin + at, &piece[..room], target)?,
                false => {
                    bits.clear(&mut piece);
                    target.data(begin + at, &piece[..room])?;
                }
            }
        }
    }
    last(stream, &footer)?;
    Ok(footer)
}

/// Which sectors of a block were ever written, from one on.
struct Bits<'a> {
    bitmap: &'a [u8],
    first: u64,
}

impl Bits<'_> {
    fn written(&self, number: usize) -> bool {
        let bit = self.first as usize + number;
        self.bitmap[bit / 8] & (0x80 >> (bit % 8)) != 0
    }

    /// What never was written is zero, whatever lies there.
    fn clear(&self, piece: &mut [u8]) {
        let sectors = piece.chunks_mut(SECTOR as usize).enumerate();
        sectors.filter(|(number, _)| !self.written(*number)).for_each(|(_, sector)| sector.fill(0));
    }

    /// Hands out what was written, in runs of sectors.
    fn put<T: Target>(&self, at: u64, piece: &[u8], target: &mut T) -> Result<(), T::Error> {
        let (sector, mut from) = (SECTOR as usize, 0);
        for number in 0..piece.len() / sector {
            let end = (number + 1) * sector;
            if !self.written(number) {
                from = end;
            } else if end == piece.len() || !self.written(number + 1) {
                target.data(at + from as u64, &piece[from..end])?;
            }
        }
        Ok(())
    }
}

/// Zeros for the blocks that are not there.
fn absent<T: Target>(
    places: &[(u32, u32)],
    header: &Header,
    footer: &Footer,
    target: &mut T,
) -> Result<(), T::Error> {
    let mut present: Vec<u32> = places.iter().map(|(_, block)| *block).collect();
    present.sort_unstable();
    let mut at = 0;
    let ends = present.into_iter().map(|block| u64::from(block) * header.block);
    for end in ends.chain([footer.size]) {
        if end > at {
            target.zeros(at, end - at)?;
        }
        at = end + header.block;
    }
    Ok(())
}

/// Reads on to the footer, without which the image is not whole. What may come behind it is not waited
/// for: not every source ends there.
fn last<R: Read>(stream: &mut Stream<R>, footer: &Footer) -> Result<(), VhdError> {
    stream.forward(stream.at.next_multiple_of(SECTOR), "before its footer")?;
    let mut other = None;
    loop {
        let mut next = [0; SECTOR as usize];
        if stream.some(&mut next)? < next.len() {
            break;
        }
        other = match Footer::decode(&next) {
            Ok(found) if found == *footer => return Ok(()),
            other => Some(other),
        };
    }
    match other {
        None | Some(Err(VhdError::NotVhd(_))) => Err(VhdError::CutOff("before its footer".into())),
        Some(Ok(_)) => Err(VhdError::Invalid("its footers tell different things".into())),
        Some(Err(error)) => Err(error),
    }
}
