// SPDX-License-Identifier: MIT OR Apache-2.0
//! No bytes make the decoders of compressed streams panic.

use std::io::Read;

use disk_format::compression::unpack;

pub(crate) fn run(data: &[u8]) {
    if let Ok(stream) = unpack(data) {
        let _ = std::io::copy(&mut stream.take(16 << 20), &mut std::io::sink());
    }
}
