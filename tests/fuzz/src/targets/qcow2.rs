// SPDX-License-Identifier: MIT OR Apache-2.0
//! No bytes make the reader of QEMU's images panic, take much memory, or write outside of the disk; of what it
//! accepts it tells every byte once.

use disk_format::Target;
use disk_format::qcow2::{Qcow2Error, read};

struct Counted {
    told: u64,
    size: u64,
}

impl Target for Counted {
    type Error = Qcow2Error;

    fn data(&mut self, at: u64, bytes: &[u8]) -> Result<(), Qcow2Error> {
        self.zeros(at, bytes.len() as u64)
    }

    fn zeros(&mut self, at: u64, length: u64) -> Result<(), Qcow2Error> {
        assert!(length > 0 && at + length <= self.size);
        self.told += length;
        Ok(())
    }
}

pub(crate) fn run(data: &[u8]) {
    let mut target = Counted { told: 0, size: u64::MAX };
    if let Ok(size) = read(data, &mut target, |_| Ok(())) {
        assert_eq!(target.told, size);
    }
}
