// SPDX-License-Identifier: MIT OR Apache-2.0
//! No bytes make the decoder of suspend images panic; what it accepts, it decodes the same after
//! encoding.
#![no_main]

use libfuzzer_sys::fuzz_target;
use xenops::image::Header;

fuzz_target!(|data: &[u8]| {
    if let Ok(header) = Header::decode(data)
        && let Ok(bytes) = header.encode()
    {
        assert_eq!(Header::decode(&bytes), Ok(header));
    }
});
