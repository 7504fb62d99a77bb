// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was on a disk before: the smallest system that a BIOS starts and that says so.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result};

/// What it prints on the serial port.
pub const SAYS: &str = "the old system started";

/// `mov si, 7c00h + 32; mov dx, 3f8h; lodsb; test al, al; jz end; out dx, al; jmp lodsb; end: hlt; jmp end`,
/// with `xor ax, ax; mov ds, ax; cld` before it. The emulated port is always ready.
const CODE: [u8; 22] = [
    0x31, 0xc0, 0x8e, 0xd8, 0xfc, 0xbe, 0x20, 0x7c, 0xba, 0xf8, 0x03, 0xac, 0x84, 0xc0, 0x74, 0x03,
    0xee, 0xeb, 0xf8, 0xf4, 0xeb, 0xfd,
];

/// Puts it on a disk.
pub fn write(disk: &Path) -> Result<()> {
    let mut sector = [0; 512];
    sector[..CODE.len()].copy_from_slice(&CODE);
    sector[32..32 + SAYS.len()].copy_from_slice(SAYS.as_bytes());
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    let file = File::options().write(true).open(disk);
    let file = file.with_context(|| format!("opening {}", disk.display()))?;
    file.write_all_at(&sector, 0).with_context(|| format!("writing {}", disk.display()))
}
