// SPDX-License-Identifier: MIT OR Apache-2.0
//! No pieces of a disk make their reader panic, take much memory, or write what was not said to fit.

use disk_format::Target;
use disk_format::framed::{FramedError, read};

/// As many bytes as the disk was last said to need.
struct Bounded<'a>(&'a std::cell::Cell<u64>);

impl Target for Bounded<'_> {
    type Error = FramedError;

    fn data(&mut self, at: u64, bytes: &[u8]) -> Result<(), FramedError> {
        assert!(at + bytes.len() as u64 <= self.0.get());
        Ok(())
    }

    fn zeros(&mut self, _: u64, _: u64) -> Result<(), FramedError> {
        unreachable!("pieces are bytes");
    }
}

pub(crate) fn run(data: &[u8]) {
    let size = std::cell::Cell::new(0);
    let fits = |needed| {
        size.set(needed);
        Ok(())
    };
    // What it refuses says why.
    if let Err(error) = read(data, &mut Bounded(&size), fits) {
        assert!(!error.to_string().is_empty());
    }
}
