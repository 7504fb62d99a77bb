// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pieces of a disk in any order, as XAPI calls `chunked`: before each its place in eight bytes and its
//! length in four, little end first. A length of zero ends the stream.

use std::io::{self, Read};

use thiserror::Error;

use crate::Target;

/// Bytes that are read at once.
const PIECE: usize = 256 << 10;
/// Bytes before a piece.
const HEAD: usize = 12;

/// Why a stream could not be read.
#[derive(Debug, Error)]
pub enum FramedError {
    /// Reading failed.
    #[error("reading pieces of a disk")]
    Io(#[source] io::Error),
    /// It ends in the middle.
    #[error("it ends {0}")]
    CutOff(String),
    /// A place is beyond what any disk has.
    #[error("a piece of {length} bytes cannot be at {at}")]
    Place {
        /// Where it should be.
        at: u64,
        /// Its bytes.
        length: u32,
    },
}

/// Reads a stream to its end and no further. `fits` hears how big the disk has to be before a piece is
/// written.
///
/// # Errors
/// Those of the stream, of `fits` and of the target.
pub fn read<T: Target>(
    mut source: impl Read,
    target: &mut T,
    mut fits: impl FnMut(u64) -> Result<(), T::Error>,
) -> Result<(), T::Error>
where
    T::Error: From<FramedError>,
{
    let mut buffer = vec![0; PIECE];
    loop {
        let mut head = [0; HEAD];
        exact(&mut source, &mut head, || "before the end of its pieces".into())?;
        let ([at @ .., _, _, _, _], [.., a, b, c, d]) = (head, head);
        let (at, length) = (u64::from_le_bytes(at), u32::from_le_bytes([a, b, c, d]));
        if length == 0 {
            return Ok(());
        }
        let place = || FramedError::Place { at, length };
        fits(at.checked_add(length.into()).ok_or_else(place)?)?;
        for from in (0..u64::from(length)).step_by(PIECE) {
            let count = (u64::from(length) - from).min(PIECE as u64) as usize;
            let piece = &mut buffer[..count];
            exact(&mut source, piece, || format!("within the piece at {at}"))?;
            target.data(at + from, piece)?;
        }
    }
}

fn exact(
    source: &mut impl Read,
    buffer: &mut [u8],
    what: impl Fn() -> String,
) -> Result<(), FramedError> {
    source.read_exact(buffer).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => FramedError::CutOff(what()),
        _ => FramedError::Io(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Disk(Vec<u8>);

    impl Target for Disk {
        type Error = FramedError;

        fn data(&mut self, at: u64, bytes: &[u8]) -> Result<(), FramedError> {
            let end = at as usize + bytes.len();
            self.0.resize(self.0.len().max(end), 0);
            self.0[at as usize..end].copy_from_slice(bytes);
            Ok(())
        }

        fn zeros(&mut self, _: u64, _: u64) -> Result<(), FramedError> {
            unreachable!("nothing says so")
        }
    }

    fn piece(at: u64, bytes: &[u8]) -> Vec<u8> {
        [&at.to_le_bytes()[..], &(bytes.len() as u32).to_le_bytes(), bytes].concat()
    }

    fn disk(stream: &[u8]) -> Result<Vec<u8>, FramedError> {
        let mut disk = Disk(Vec::new());
        let mut source = stream;
        read(&mut source, &mut disk, |size| match size <= 1 << 20 {
            true => Ok(()),
            false => Err(FramedError::CutOff(size.to_string())),
        })?;
        Ok(disk.0)
    }

    #[test]
    fn pieces_go_to_their_places() {
        let long = vec![3; PIECE + 5];
        let end = piece(0, b"");
        let stream = [piece(20, b"two"), piece(4, b"one"), piece(1000, &long), end].concat();
        let mut expected = vec![0; 1000];
        expected[20..23].copy_from_slice(b"two");
        expected[4..7].copy_from_slice(b"one");
        expected.extend(&long);
        assert_eq!(disk(&stream).unwrap(), expected);
        // Nothing is read behind the end.
        assert_eq!(disk(&[&stream, &b"more"[..]].concat()).unwrap(), expected);
        assert_eq!(disk(&piece(7, b"")).unwrap(), b"");
    }

    #[test]
    fn what_is_not_whole_or_does_not_fit_is_refused() {
        let stream = [piece(20, b"two"), piece(0, b"")].concat();
        for until in 0..stream.len() {
            let error = disk(&stream[..until]).unwrap_err();
            assert!(matches!(error, FramedError::CutOff(_)), "{until}: {error}");
        }
        let error = disk(&piece((1 << 20) - 2, b"two")).unwrap_err();
        assert_eq!(error.to_string(), "it ends 1048577");
        let error = disk(&piece(u64::MAX - 2, b"long")).unwrap_err();
        assert!(matches!(error, FramedError::Place { length: 4, .. }), "{error}");
    }
}
