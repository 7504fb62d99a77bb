// SPDX-License-Identifier: MIT OR Apache-2.0
//! No bytes make the decoder of suspend images panic; what it accepts, it decodes the same after
//! encoding. The zeros behind a header are added.

use xenops::image::{Header, LENGTH};

pub(crate) fn run(data: &[u8]) {
    let mut bytes = data.to_vec();
    bytes.resize(LENGTH.max(data.len()), 0);
    if let Ok(header) = Header::decode(&bytes)
        && let Ok(bytes) = header.encode()
    {
        assert_eq!(Header::decode(&bytes), Ok(header));
    }
}
