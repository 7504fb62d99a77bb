// SPDX-License-Identifier: MIT OR Apache-2.0
//! Compressed clusters.

use std::io::Read;

use flate2::read::DeflateDecoder;
use ruzstd::decoding::StreamingDecoder;

use super::header::Compression;
use super::{Qcow2Error, invalid};

/// Unpacks a cluster. There may be more behind it.
pub(super) fn inflate(
    packed: &[u8],
    compression: Compression,
    cluster: &mut [u8],
) -> Result<(), Qcow2Error> {
    let unpacked = match compression {
        Compression::Deflate => DeflateDecoder::new(packed).read_exact(cluster),
        Compression::Zstd => match StreamingDecoder::new(packed) {
            Ok(mut decoder) => decoder.read_exact(cluster),
            Err(error) => Err(std::io::Error::other(error)),
        },
    };
    unpacked.map_err(|error| invalid(format!("a compressed cluster: {error}")))
}
