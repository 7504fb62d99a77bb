// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading archives.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use sha1::{Digest, Sha1};
use tar::Header;

use super::{DESCRIPTION, XvaError, xxhash};

/// Longest description in bytes.
const DESCRIPTION_LIMIT: u64 = 16 << 20;
/// Longest piece in bytes; those that are written have one MiB.
const PIECE_LIMIT: u64 = 16 << 20;
/// Most disks.
const DISKS: usize = 1024;

/// Takes what an archive has.
pub trait Contents {
    /// Why it cannot.
    type Error: From<XvaError>;
    /// The description, which comes first.
    fn description(&mut self, text: &str) -> Result<(), Self::Error>;
    /// Bytes of a disk, which it calls by its identifier. What gets none is zero.
    fn data(&mut self, disk: &str, at: u64, bytes: &[u8]) -> Result<(), Self::Error>;
    /// A piece whose checksum is wrong. An error ends the reading; otherwise it is used as it is.
    fn damaged(&mut self, error: XvaError) -> Result<(), Self::Error>;
    /// Whether the source ends behind the archive. If so it is read to there; otherwise nobody waits
    /// for what may never come.
    fn ends(&self) -> bool {
        true
    }
}

/// How far a disk has come.
#[derive(Debug, Default, Clone, Copy)]
struct Progress {
    /// Bytes, with zeros that were left out.
    at: u64,
    /// Length of the first piece, and so of each that was left out.
    piece: u64,
    /// Number that comes next when nothing is left out.
    next: u64,
}

/// Reads an archive, without compression. Gives how many bytes each disk had; one whose end is
/// missing has fewer than it should.
pub fn read<C: Contents>(
    source: impl Read,
    contents: &mut C,
) -> Result<BTreeMap<String, u64>, C::Error> {
    let mut archive = Archive { source };
    let first = archive.header("before its description")?;
    match first {
        Some((name, length)) if name == DESCRIPTION => {
            if length > DESCRIPTION_LIMIT {
                let text = format!("its description has {length} bytes, more than 16 MiB");
                return Err(XvaError::NotXva(text).into());
            }
            let mut bytes = Vec::new();
            archive.body(&name, length, &mut bytes)?;
            let text = std::str::from_utf8(&bytes)
                .map_err(|_| XvaError::NotXva("its description is not UTF-8".into()))?;
            contents.description(text)?;
        }
        Some((found, _)) => {
            return Err(XvaError::Unexpected { expected: DESCRIPTION.into(), found }.into());
        }
        None => return Err(XvaError::NotXva("it is empty".into()).into()),
    }
    let mut disks: BTreeMap<String, Progress> = BTreeMap::new();
    let mut done: BTreeSet<String> = BTreeSet::new();
    let mut current = String::new();
    let mut bytes = Vec::new();
    while let Some((name, length)) = archive.header("before its end")? {
        let expected = || "a piece of a disk, such as \"Ref:7/00000000\",".to_owned();
        let Some((disk, number)) = numbered(&name) else {
            return Err(XvaError::Unexpected { expected: expected(), found: name }.into());
        };
        if disk != current {
            // One disk after the other: what may be left out could not be told otherwise.
            if !done.insert(disk.to_owned()) || done.len() > DISKS {
                return Err(XvaError::Unexpected { expected: expected(), found: name }.into());
            }
            current = disk.to_owned();
        }
        if length > PIECE_LIMIT {
            let text = format!("the piece {name} has {length} bytes, more than 16 MiB");
            return Err(XvaError::NotXva(text).into());
        }
        archive.body(&name, length, &mut bytes)?;
        if let Some(error) = archive.checksum(&name, &bytes)? {
            contents.damaged(error)?;
        }
        let progress = disks.entry(disk.to_owned()).or_default();
        let at = progress.advance(number, length).ok_or_else(|| XvaError::Unexpected {
            expected: format!("piece {:08} of {disk} or a later one", progress.next),
            found: name.clone(),
        })?;
        if length > 0 {
            contents.data(disk, at, &bytes)?;
        }
    }
    // What is behind the end only fills the last block of a tape; a broken connection shows in it.
    if contents.ends() {
        archive.drain()?;
    }
    Ok(disks.into_iter().map(|(disk, progress)| (disk, progress.at)).collect())
}

impl Progress {
    /// The place of the piece with a number; none if that does not follow.
    fn advance(&mut self, number: u64, length: u64) -> Option<u64> {
        let left_out = number.checked_sub(self.next)?;
        if self.piece == 0 {
            // The first one is always there.
            if left_out > 0 {
                return None;
            }
            self.piece = length;
        }
        let at = left_out.checked_mul(self.piece)?.checked_add(self.at)?;
        self.at = at.checked_add(length)?;
        self.next = number + 1;
        Some(at)
    }
}

/// Disk and number of a piece.
fn numbered(name: &str) -> Option<(&str, u64)> {
    let (disk, number) = name.split_once('/')?;
    let digits = (8..=10).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
    (digits && !disk.is_empty()).then_some(())?;
    Some((disk, number.parse().ok()?))
}

struct Archive<R> {
    source: R,
}

impl<R: Read> Archive<R> {
    /// Fills a buffer; false if there is nothing at all.
    fn fill(&mut self, buffer: &mut [u8], what: &str) -> Result<bool, XvaError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.source.read(&mut buffer[filled..]) {
                Ok(0) if filled == 0 => return Ok(false),
                Ok(0) => return Err(XvaError::CutOff(what.to_owned())),
                Ok(count) => filled += count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                    return Err(XvaError::CutOff(what.to_owned()));
                }
                Err(source) => {
                    return Err(XvaError::Io { doing: "reading the XVA".into(), source });
                }
            }
        }
        Ok(true)
    }

    /// Name and length of the next file; none at the end.
    fn header(&mut self, what: &str) -> Result<Option<(String, u64)>, XvaError> {
        let mut header = Header::new_old();
        if !self.fill(header.as_mut_bytes(), what)? {
            return Err(XvaError::CutOff(what.to_owned()));
        }
        let bytes = header.as_bytes();
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        // The checksum counts itself as spaces.
        let counted = bytes[..148].iter().chain(&bytes[156..]);
        let sum = counted.fold(8 * 32, |sum, byte| sum + u32::from(*byte));
        let not = |text: &str| XvaError::NotXva(format!("it is no tar archive: {text}"));
        if header.cksum().ok() != Some(sum) {
            return Err(not("the checksum of a header is wrong"));
        }
        let path = header.path_bytes().into_owned();
        let name = String::from_utf8(path).map_err(|_| not("a name is not UTF-8"))?;
        // Files made by hand begin so.
        let name = name.strip_prefix("./").map_or(name.as_str(), |rest| rest).to_owned();
        if !header.entry_type().is_file() {
            let expected = "an ordinary file".to_owned();
            return Err(XvaError::Unexpected { expected, found: name });
        }
        let length = header.entry_size().map_err(|_| not("a length cannot be read"))?;
        Ok(Some((name, length)))
    }

    /// The file that a header tells of, instead of what is in `bytes`.
    fn body(&mut self, name: &str, length: u64, bytes: &mut Vec<u8>) -> Result<(), XvaError> {
        bytes.clear();
        // No memory for what only a header promises.
        let read = (&mut self.source).take(length).read_to_end(bytes);
        let what = format!("within {name}");
        let within = || XvaError::CutOff(what.clone());
        match read {
            Ok(count) if count as u64 == length => {}
            Ok(_) => return Err(within()),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Err(within());
            }
            Err(source) => return Err(XvaError::Io { doing: format!("reading {name}"), source }),
        }
        let mut rest = [0; 512];
        let rest = &mut rest[..(length.next_multiple_of(512) - length) as usize];
        if !rest.is_empty() && !self.fill(rest, &what)? {
            return Err(within());
        }
        Ok(())
    }

    /// Reads the checksum behind a piece. Gives the error when the piece is another one.
    fn checksum(&mut self, name: &str, bytes: &[u8]) -> Result<Option<XvaError>, XvaError> {
        let what = format!("before the checksum of {name}");
        let expected = || format!("the checksum of {name}");
        let Some((found, length)) = self.header(&what)? else {
            return Err(XvaError::CutOff(what));
        };
        let own = match found.strip_prefix(name) {
            Some(".xxhash") => xxhash(bytes),
            Some(".checksum") => {
                Sha1::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
            }
            _ => return Err(XvaError::Unexpected { expected: expected(), found }),
        };
        if length > 128 {
            return Err(XvaError::NotXva(format!("{found} has {length} bytes")));
        }
        let mut told = Vec::new();
        self.body(&found, length, &mut told)?;
        let same = told.trim_ascii().eq_ignore_ascii_case(own.as_bytes());
        Ok(if same { None } else { Some(XvaError::Checksum(name.to_owned())) })
    }

    fn drain(&mut self) -> Result<(), XvaError> {
        let rest = std::io::copy(&mut self.source, &mut std::io::sink());
        rest.map_err(|source| XvaError::Io { doing: "reading the XVA".into(), source })?;
        Ok(())
    }
}
