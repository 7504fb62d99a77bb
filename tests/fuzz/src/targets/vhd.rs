// SPDX-License-Identifier: MIT OR Apache-2.0
//! No bytes make the reader of VHD images panic, take much memory, or write outside of the disk; of
//! what it accepts it tells every byte once, or at most once where the rest is another image's. Checksums are made right, as no chance would find them.

use disk_format::Target;
use disk_format::vhd::{Kind, VhdError, read};

struct Counted {
    told: u64,
    size: u64,
}

impl Target for Counted {
    type Error = VhdError;

    fn data(&mut self, at: u64, bytes: &[u8]) -> Result<(), VhdError> {
        self.zeros(at, bytes.len() as u64)
    }

    fn zeros(&mut self, at: u64, length: u64) -> Result<(), VhdError> {
        assert!(at + length <= self.size);
        self.told += length;
        Ok(())
    }
}

/// Makes the checksum of a structure right.
fn mend(bytes: &mut [u8], from: usize, length: usize, place: usize) {
    let Some(part) = bytes.get_mut(from..from + length) else { return };
    part[place..place + 4].fill(0);
    let sum = !part.iter().fold(0u32, |sum, byte| sum.wrapping_add(u32::from(*byte)));
    part[place..place + 4].copy_from_slice(&sum.to_be_bytes());
}

pub(crate) fn run(data: &[u8]) {
    let mut bytes = data.to_vec();
    mend(&mut bytes, 0, 512, 64);
    mend(&mut bytes, 512, 1024, 36);
    let length = bytes.len();
    mend(&mut bytes, length.saturating_sub(512), 512, 64);
    let mut target = Counted { told: 0, size: u64::MAX };
    if let Ok(footer) = read(&bytes[..], &mut target, |_| Ok(())) {
        match footer.kind {
            Kind::Differencing => assert!(target.told <= footer.size),
            Kind::Fixed | Kind::Dynamic => assert_eq!(target.told, footer.size),
        }
    }
}
