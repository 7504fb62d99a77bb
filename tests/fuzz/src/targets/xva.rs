// SPDX-License-Identifier: MIT OR Apache-2.0
//! No bytes make the reader of archives panic; places of a disk only grow.

use std::collections::BTreeMap;

use disk_format::xva::{Contents, XvaError, read};

#[derive(Default)]
struct Growing(BTreeMap<String, u64>);

impl Contents for Growing {
    type Error = XvaError;

    fn description(&mut self, _: &str) -> Result<(), XvaError> {
        Ok(())
    }

    fn data(&mut self, disk: &str, at: u64, bytes: &[u8]) -> Result<(), XvaError> {
        let end = self.0.entry(disk.to_owned()).or_default();
        assert!(at >= *end && !bytes.is_empty());
        *end = at + bytes.len() as u64;
        Ok(())
    }

    fn damaged(&mut self, _: XvaError) -> Result<(), XvaError> {
        Ok(())
    }
}

/// Makes the checksums of the headers right, where a file follows another.
fn mend(bytes: &mut [u8]) {
    let mut at = 0;
    while let Some(header) = bytes.get_mut(at..at + 512) {
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let digits = header[124..135].iter().map(|byte| byte.wrapping_sub(b'0') as usize & 7);
        let length = digits.fold(0usize, |number, digit| number << 3 | digit);
        let Some(next) = length.checked_next_multiple_of(512).and_then(|n| n.checked_add(at + 512))
        else {
            return;
        };
        at = next;
    }
}

pub(crate) fn run(data: &[u8]) {
    let _ = read(data, &mut Growing::default());
    let mut bytes = data.to_vec();
    // The end has no checksum.
    let files = bytes.len().saturating_sub(1024);
    mend(&mut bytes[..files]);
    let _ = read(&bytes[..], &mut Growing::default());
}
